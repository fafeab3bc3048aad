// The events beside the video: each a plain sentence with its place, which a click or Enter shows.

import { type ReadonlySignal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { explain } from "../api/problem.ts";
import type { Consultation, StoredEvent } from "../api/types.ts";
import { language, t, tCount } from "../text/text.ts";
import { clock, moment } from "../text/time.ts";
import type { Detail } from "./detail.ts";
import { currentIndex, type Place, Placing } from "./placing.ts";
import { isTechnical, Sentences } from "./sentences.ts";

export interface EventListProps {
  detail: Detail;
  consultation: Consultation;
  /** Where the video is, in milliseconds; −1 without one. */
  now: ReadonlySignal<number>;
  seek(ms: number): void;
}

export function EventList({ detail, consultation, now, seek }: EventListProps) {
  const all = useSignal(false);
  const rows = useComputed(() => {
    const events = detail.events.value ?? [];
    const placing = new Placing(detail.timeline.value);
    const sentences = new Sentences(detail.consultation.value?.participants ?? consultation.participants, events);
    return events
      .filter((event) => all.value || !isTechnical(event))
      .map((event) => ({ event, place: placing.of(event), sentence: sentences.of(event) }));
  });
  const current = useComputed(() => {
    const places = rows.value.map((row) => row.place);
    return now.value < 0 ? -1 : currentIndex(places, now.value);
  });
  const seekable = now.value >= 0;
  return (
    <section class="events card" aria-labelledby="events-title" data-testid="events">
      <div class="events-head">
        <h2 id="events-title">{t("events.title")}</h2>
        <label class="check">
          <input type="checkbox" checked={all.value} onChange={(event) => (all.value = event.currentTarget.checked)} />
          {t("events.all")}
        </label>
      </div>
      <EventStatus detail={detail} count={rows.value.length} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reachable by keyboard */}
      <ol tabIndex={0} aria-labelledby="events-title">
        {rows.value.map(({ event, place, sentence }, index) => (
          <Row
            key={event.seq}
            event={event}
            place={place}
            sentence={sentence}
            current={index === current.value}
            seek={seekable && typeof place === "number" ? () => seek(place) : undefined}
          />
        ))}
      </ol>
    </section>
  );
}

function EventStatus({ detail, count }: { detail: Detail; count: number }) {
  const problem = detail.eventsProblem.value;
  if (problem) {
    return (
      <p class="problem" role="alert">
        {t("events.failed")} {explain(problem)}
      </p>
    );
  }
  const loading = detail.events.value === undefined;
  return (
    <p class="hint" role="status">
      {loading ? t("events.loading") : count === 0 ? t("events.empty") : tCount("events.shown", count)}
      {detail.brokenEvents.value > 0 && ` ${t("events.broken")}`}
    </p>
  );
}

interface RowProps {
  event: StoredEvent;
  place: Place;
  sentence: string;
  current: boolean;
  seek: (() => void) | undefined;
}

function Row({ event, place, sentence, current, seek }: RowProps) {
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (current) reveal(row.current);
  }, [current]);
  const content = (
    <>
      <time dateTime={event.time} title={moment(event.time, language.value)}>
        {placeText(place)}
      </time>
      <span>{sentence}</span>
    </>
  );
  return (
    <li
      ref={row}
      class={current ? "current" : undefined}
      aria-current={current ? "true" : undefined}
      data-testid="event"
      data-type={event.type}
      data-seq={event.seq}
    >
      {seek ? (
        <button type="button" class="event" title={t("events.seek")} onClick={seek}>
          {content}
        </button>
      ) : (
        <div class="event">{content}</div>
      )}
    </li>
  );
}

function placeText(place: Place): string {
  if (place === "before") return t("events.before");
  if (place === "after") return t("events.after");
  return place === undefined ? "" : clock(place);
}

// Scrolls the list, never the page, and not under somebody's hands.
function reveal(row: HTMLLIElement | null): void {
  const list = row?.parentElement;
  if (!row || !list || list.matches(":hover") || list.contains(document.activeElement)) return;
  const top = row.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 3;
  }
}
