// The consultation on paper: who, and every event of the log in order, under the digest of exactly these events. It is made
// when the browser is about to print and is gone afterwards, because thousands of rows cost a screen that shows none of them.

import { render } from "preact";
import { useEffect } from "preact/hooks";
import type { Consultation } from "../api/types.ts";
import { t, tMaybe } from "../text/text.ts";
import { clock } from "../text/time.ts";
import type { Detail } from "./detail.ts";
import type { Entry } from "./entries.ts";

/** Prepares paper whenever this page is printed, as long as its component is there. */
export function usePaper(detail: Detail, entries: { peek(): Entry[] }): void {
  useEffect(() => {
    const paper = document.createElement("section");
    paper.className = "paper";
    document.body.append(paper);
    const begin = () => {
      const consultation = detail.consultation.peek();
      // Drawn at once: the browser takes what is there when this returns.
      if (consultation) render(<Paper {...{ detail, consultation, entries: entries.peek() }} />, paper);
    };
    const end = () => render(null, paper);
    window.addEventListener("beforeprint", begin);
    window.addEventListener("afterprint", end);
    return () => {
      window.removeEventListener("beforeprint", begin);
      window.removeEventListener("afterprint", end);
      end();
      paper.remove();
    };
  }, [detail, entries]);
}

interface PaperProps {
  detail: Detail;
  consultation: Consultation;
  entries: Entry[];
}

export function Paper({ detail, consultation, entries }: PaperProps) {
  const { id, title, externalRef, participants } = consultation;
  const names = new Map(participants.map((participant) => [participant.id, participant.name]));
  return (
    <>
      <h1>{title || t("list.untitled")}</h1>
      <p>{[id, externalRef].filter(Boolean).join(" · ")}</p>
      <ul>
        {participants.map(({ id, name, role }) => (
          <li key={id}>
            {name} · {tMaybe(`role.${role}`) ?? role} · {id}
          </li>
        ))}
      </ul>
      <Range detail={detail} entries={entries} />
      <table>
        <thead>
          <tr>
            <th scope="col">{t("paper.seq")}</th>
            <th scope="col">{t("paper.time")}</th>
            <th scope="col">{t("paper.place")}</th>
            <th scope="col">{t("paper.what")}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ event, place, sentence }) => (
            <tr key={event.seq}>
              <td>{event.seq}</td>
              <td>{event.time}</td>
              <td>{typeof place === "number" ? clock(place) : place && t(`events.${place}`)}</td>
              <td>
                {sentence} <small>{[event.type, names.get(event.participant ?? "")].filter(Boolean).join(" · ")}</small>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

// Which events these are, so that anybody who has them as they are stored can hold the paper against them.
function Range({ detail, entries }: { detail: Detail; entries: Entry[] }) {
  const first = entries[0]?.event.seq;
  const last = entries.at(-1)?.event.seq;
  const digest = detail.digest.peek();
  if (first === undefined || last === undefined) return <p>{t("events.empty")}</p>;
  return (
    <div class="range">
      <p>{t("paper.range", { first, last, now: new Date().toISOString() })}</p>
      {digest ? (
        <p>
          SHA-256 <code>{digest}</code>
        </p>
      ) : (
        <p>{t("paper.insecure")}</p>
      )}
      <p>{t("paper.check", { last })}</p>
      {detail.brokenEvents.peek() > 0 && <p>{t("events.broken")}</p>}
    </div>
  );
}
