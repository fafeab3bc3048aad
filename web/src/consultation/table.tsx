// The lanes as a table: the same content for who cannot see or does not want the picture.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { t } from "../text/text.ts";
import { clock } from "../text/time.ts";
import { Scroll } from "../ui/scroll.tsx";
import type { Cursor } from "./cursor.ts";
import type { Lane, Lanes } from "./lanes.ts";
import type { Span } from "./spans.ts";
import { laneName, spanWord } from "./words.ts";

export interface LanesTableProps {
  lanes: ReadonlySignal<Lanes>;
  names: ReadonlyMap<string, string>;
  cursor: Cursor;
}

/** Rows at once: more come when they are asked for. */
const MANY = 300;

interface TableRow {
  lane: Lane;
  span: Span;
}

export function LanesTable({ lanes, names, cursor }: LanesTableProps) {
  const open = useSignal(false);
  const many = useSignal(MANY);
  const rows: TableRow[] = open.value
    ? lanes.value.lanes.flatMap((lane) => lane.spans.map((span) => ({ lane, span })))
    : [];
  return (
    <details
      class="as-table card"
      data-testid="lanes-table"
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary>{t("lanes.table")}</summary>
      {open.value && (
        <Scroll label={t("lanes.table")}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("lanes.column.who")}</th>
                <th scope="col">{t("lanes.column.lane")}</th>
                <th scope="col">{t("lanes.column.from")}</th>
                <th scope="col">{t("lanes.column.to")}</th>
                <th scope="col">{t("lanes.column.what")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, many.value).map(({ lane, span }) => (
                <tr key={`${lane.participant}/${lane.kind}/${lane.media}/${span.from}`}>
                  <th scope="row">
                    {lane.participant ? (names.get(lane.participant) ?? t("event.somebody")) : t("lanes.server")}
                  </th>
                  <td>{laneName(lane.kind, lane.media)}</td>
                  <td>
                    <button type="button" class="quiet" onClick={() => cursor.seek(span.from)}>
                      {when(span.from, lanes.value.duration)}
                    </button>
                  </td>
                  <td>{when(span.to, lanes.value.duration)}</td>
                  <td>{spanWord(lane.kind, span)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {rows.length > many.value && (
            <button
              type="button"
              onClick={() => {
                many.value += MANY;
              }}
            >
              {t("lanes.table.more", { n: rows.length - many.value })}
            </button>
          )}
        </Scroll>
      )}
    </details>
  );
}

function when(ms: number, duration: number): string {
  if (ms < 0) return t("events.before");
  return ms > duration ? t("events.after") : clock(ms);
}
