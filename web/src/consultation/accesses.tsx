// Who opened the video for what, what was really watched, and what was taken out; only some roles may know.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type AccessesOutBody, listAccesses } from "../api/generated.ts";
import { language, t, tMaybe } from "../text/text.ts";
import { clock, lasting, moment } from "../text/time.ts";
import { Scroll } from "../ui/scroll.tsx";
import type { Detail } from "./detail.ts";
import { exportWord } from "./words.ts";

export function Accesses({ detail }: { detail: Detail }) {
  const accesses = useSignal<AccessesOutBody | undefined>(undefined);
  // A new event may be somebody's access, but not while people talk: there is nothing to be opened yet.
  const consultation = detail.consultation.value;
  const last = consultation?.state === "open" ? 0 : consultation?.seq;
  useEffect(() => {
    const abort = new AbortController();
    listAccesses(detail.id, { signal: abort.signal })
      .then((all) => {
        accesses.value = all;
        detail.mayExport.value = true; // one row of the table of permissions says both
      })
      .catch(() => {}); // who may not see them sees no list
    return () => abort.abort();
  }, [detail, last, accesses]);
  const all = accesses.value;
  if (!all || all.receipts.length + all.exports.length === 0) return null;
  return (
    <details class="accesses card" data-testid="accesses">
      <summary>{t("access.title", { n: all.receipts.length + all.exports.length })}</summary>
      <Scroll label={t("access.title", { n: all.receipts.length + all.exports.length })}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("access.who")}</th>
              <th scope="col">{t("access.purpose")}</th>
              <th scope="col">{t("access.when")}</th>
              <th scope="col">{t("access.watched")}</th>
            </tr>
          </thead>
          <tbody>
            {all.receipts.map((one) => (
              <tr key={one.receipt}>
                <th scope="row">{one.name || tMaybe(`role.${one.role}`) || one.role || "–"}</th>
                <td>{tMaybe(`receipt.purpose.${one.purpose}`) ?? one.purpose}</td>
                <td>{moment(one.openedAt, language.value)}</td>
                <td title={one.watched.map(({ fromMs, toMs }) => `${clock(fromMs)}–${clock(toMs)}`).join(", ")}>
                  {one.watchedMs > 0 ? lasting(one.watchedMs, language.value) : t("access.nothing")}
                </td>
              </tr>
            ))}
            {all.exports.map((one) => (
              <tr key={one.seq}>
                <th scope="row">{t("access.export")}</th>
                <td>{exportWord(one.kind)}</td>
                <td>{moment(one.at, language.value)}</td>
                <td>
                  <code title="SHA-256">{one.sha256.slice(0, 16)}…</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}
