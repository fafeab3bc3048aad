// The events beside the video: each a plain sentence with its place, which a click or Enter shows.

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { explain } from "../api/problem.ts";
import { language, t, tCount } from "../text/text.ts";
import { clock, moment } from "../text/time.ts";
import { rem, rowStyle, type VirtualControl, VirtualList } from "../ui/virtual.tsx";
import { useCalm } from "./calm.ts";
import type { Cursor } from "./cursor.ts";
import type { Detail } from "./detail.ts";
import { type Entry, groups, type Shown } from "./entries.ts";
import { EventDetail } from "./eventdetail.tsx";
import type { Place } from "./placing.ts";

export interface EventListProps {
  detail: Detail;
  /** Those that the filters leave, in order. */
  entries: ReadonlySignal<Entry[]>;
  shown: { value: Shown };
  cursor: Cursor;
  names: ReadonlyMap<string, string>;
  select(seq: number): void;
}

/** Height of a row in rem, as consultation.css has it. */
const ROW = 1.9;

export function EventList({ detail, entries, shown, cursor, names, select }: EventListProps) {
  const control = useRef<VirtualControl>(null);
  const row = Math.round(rem(ROW));
  const current = useCalm(useComputed(() => indexAt(entries.value, cursor.now.value)));
  const active = useSignal(-1);
  useSignalEffect(() => {
    if (current.value >= 0) control.current?.reveal(current.value, true);
  });
  const go = (index: number) => {
    const to = Math.max(0, Math.min(entries.peek().length - 1, index));
    active.value = to;
    control.current?.reveal(to);
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`.event[data-index="${to}"]`)?.focus());
  };
  const keys = (event: KeyboardEvent) => {
    const from = active.peek() < 0 ? current.peek() : active.peek();
    const page = control.current?.page() ?? 10;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    if (by !== undefined) go(from + by);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(entries.peek().length - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const tabbed = active.value >= 0 ? active.value : Math.max(0, current.value);
  return (
    <section class="events card" aria-labelledby="events-title" data-testid="events">
      <div class="panel-head">
        <h2 id="events-title">{t("events.title")}</h2>
        <EventStatus detail={detail} count={entries.value.length} />
      </div>
      <EventFilters shown={shown} names={names} />
      <VirtualList
        count={entries.value.length}
        row={row}
        extra={32}
        scroll="self"
        label={t("events.title")}
        control={control}
        onKeyDown={keys}
      >
        {(index, slot) => {
          const entry = entries.value[index];
          return (
            entry && (
              <Row
                key={slot}
                entry={entry}
                index={index}
                height={row}
                all={entries.value.length}
                current={index === current.value}
                selected={entry.event.seq === cursor.selected.value}
                tabbed={index === tabbed}
                focused={() => {
                  active.value = index;
                }}
                select={select}
              />
            )
          );
        }}
      </VirtualList>
      <EventDetail detail={detail} entries={entries} cursor={cursor} />
    </section>
  );
}

/** The last entry that is not after a moment; those before the beginning count as its first. */
export function indexAt(entries: readonly Entry[], ms: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle] as Entry).reached <= ms + 0.5) low = middle + 1;
    else high = middle;
  }
  return low - 1;
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

function EventFilters({ shown, names }: { shown: { value: Shown }; names: ReadonlyMap<string, string> }) {
  const { group, person, technical } = shown.value;
  return (
    <div class="event-filters">
      <label>
        <span class="sr">{t("events.filter.group")}</span>
        <select
          value={group}
          onChange={(event) => {
            shown.value = { ...shown.value, group: event.currentTarget.value as Shown["group"] };
          }}
        >
          <option value="">{t("events.group.all")}</option>
          {groups.map((name) => (
            <option key={name} value={name}>
              {t(`events.group.${name}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="sr">{t("events.filter.person")}</span>
        <select
          value={person}
          onChange={(event) => {
            shown.value = { ...shown.value, person: event.currentTarget.value };
          }}
        >
          <option value="">{t("events.person.all")}</option>
          {[...names].map(([id, name]) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={technical}
          onChange={(event) => {
            shown.value = { ...shown.value, technical: event.currentTarget.checked };
          }}
        />
        {t("events.all")}
      </label>
    </div>
  );
}

interface RowProps {
  entry: Entry;
  index: number;
  height: number;
  all: number;
  current: boolean;
  selected: boolean;
  tabbed: boolean;
  focused(): void;
  select(seq: number): void;
}

function Row({ entry, index, height, all, current, selected, tabbed, focused, select }: RowProps) {
  const { event, place, sentence, tone } = entry;
  return (
    <li
      style={rowStyle(index, height)}
      class={`${current ? "current" : ""} ${selected ? "selected" : ""}`}
      aria-current={current ? "true" : undefined}
      aria-posinset={index + 1}
      aria-setsize={all}
      data-testid="event"
      data-type={event.type}
      data-key={event.seq}
      data-seq={event.seq}
    >
      <button
        type="button"
        class={`event ${tone}`}
        data-index={index}
        tabIndex={tabbed ? 0 : -1}
        aria-pressed={selected}
        title={sentence}
        onFocus={focused}
        onClick={() => select(event.seq)}
      >
        <time dateTime={event.time} title={moment(event.time, language.value)}>
          {placeText(place)}
        </time>
        <span>{sentence}</span>
      </button>
    </li>
  );
}

function placeText(place: Place): string {
  if (place === "before") return t("events.before");
  if (place === "after") return t("events.after");
  return place === undefined ? "" : clock(place);
}
