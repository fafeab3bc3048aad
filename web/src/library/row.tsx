// One consultation in the list.

import type { ComponentChildren } from "preact";
import type { Consultation } from "../api/types.ts";
import { enumerate, language, t, tCount, tMaybe } from "../text/text.ts";
import { clock, isoDuration, lasting, moment, size } from "../text/time.ts";
import { ArchiveState } from "../ui/archive.tsx";
import { Held } from "../ui/held.tsx";
import { rowStyle } from "../ui/virtual.tsx";

export interface RowProps {
  item: Consultation | undefined; // undefined while it is being read
  index: number;
  /** Of a row, in pixels. */
  height: number;
  /** Of the list, as far as it is known; −1 when there is more. */
  all: number;
  /** The one that Tab leads to. */
  active: boolean;
  onFocus(index: number): void;
}

export function Row({ item, index, height, all, active, onFocus }: RowProps) {
  const place = { style: rowStyle(index, height), "aria-posinset": index + 1, "aria-setsize": all };
  if (!item) return <li class="row unread" {...place} aria-busy="true" />;
  const when = item.startedAt ?? item.createdAt;
  return (
    <li class="row" {...place} data-testid="consultation" data-key={item.id} data-id={item.id} data-state={item.state}>
      <div class="row-what">
        <a
          href={`/consultations/${item.id}`}
          tabIndex={active ? 0 : -1}
          data-index={index}
          onFocus={() => onFocus(index)}
        >
          {item.title || t("list.untitled")}
        </a>
        <span class="row-who">
          <Held item={item} />
          {item.externalRef && <span class="ref">{item.externalRef}</span>}
          {item.participants.length > 0
            ? enumerate(item.participants.map((participant) => participant.name))
            : t("list.nobody")}
        </span>
      </div>
      <Cell class="row-when" name={t("list.column.when")}>
        <time dateTime={when}>{moment(when, language.value)}</time>
      </Cell>
      <Cell class="row-length" name={t("list.column.duration")}>
        {item.durationMs === undefined ? (
          "–"
        ) : (
          <time dateTime={isoDuration(item.durationMs)}>{clock(item.durationMs)}</time>
        )}
      </Cell>
      <Cell class="row-state" name={t("list.column.state")}>
        <State item={item} />
      </Cell>
      <Cell class="row-kept" name={t("list.column.kept")}>
        <Kept item={item} />
      </Cell>
      <Cell class="row-consent" name={t("list.column.consent")}>
        <Consents item={item} />
      </Cell>
      <Cell class="row-problems" name={t("list.column.problems")}>
        <Problems item={item} />
      </Cell>
    </li>
  );
}

function Cell({ class: kind, name, children }: { class: string; name: string; children: ComponentChildren }) {
  return (
    <div class={`cell ${kind}`}>
      <span class="cell-name">{name}</span>
      {children}
    </div>
  );
}

/** What is going on: of the consultation while it lasts, of its video afterwards. */
function State({ item }: { item: Consultation }) {
  const present = item.present ?? item.participants.filter((participant) => participant.present).length;
  if (item.state === "open") {
    const more = [present > 0 && tCount("list.here", present), item.paused && t("list.paused")]
      .filter(Boolean)
      .join(", ");
    return (
      <span class="state open">
        <span class="dot" />
        {t("list.state.open")}
        {more && <span class="soft">{more}</span>}
      </span>
    );
  }
  if (item.archive) return <ArchiveState archive={item.archive} short />;
  if (item.state === "ended" && item.awaitedSegments) {
    return <span>{tCount("archive.awaited", item.awaitedSegments)}</span>;
  }
  return <span class={`state ${item.state}`}>{t(`list.state.${item.state}`)}</span>;
}

/** How much of the recording there is. */
function Kept({ item }: { item: Consultation }) {
  const { bytes, expectedMs = 0, recordedMs = 0 } = item;
  if (item.recording === "forbidden") return <span class="soft">{t("list.forbidden")}</span>;
  if (!bytes) return <span class="soft">–</span>;
  const gap = expectedMs - recordedMs;
  return (
    <>
      <span>{size(bytes, language.value)}</span>
      {gap >= 1000 && (
        <span class="soft gap" title={t("list.gap.title")}>
          {t("list.gap", { length: lasting(gap, language.value) })}
        </span>
      )}
    </>
  );
}

function Consents({ item }: { item: Consultation }) {
  const answers = item.consents ?? [];
  const worst = ["withdrawn", "refused", "none", "given"].find((answer) => answers.includes(answer));
  if (!worst || item.recording === "forbidden") return <span class="soft">–</span>;
  return <span class={`consent ${worst}`}>{tMaybe(`list.consent.${worst}`) ?? worst}</span>;
}

function Problems({ item }: { item: Consultation }) {
  const codes = item.problems ?? [];
  const [first, ...others] = codes;
  if (!first) return <span class="soft">–</span>;
  const words = codes.map((code) => tMaybe(`problems.${code}`) ?? code);
  return (
    <span class="problems" title={words.join(", ")}>
      {words[0]}
      {others.length > 0 && (
        <>
          <span aria-hidden="true"> +{others.length}</span>
          <span class="sr">, {words.slice(1).join(", ")}</span>
        </>
      )}
    </span>
  );
}
