// The event that was picked: in words, as a link, and as it is stored.

import { type ReadonlySignal, useComputed, useSignal } from "@preact/signals";
import { language, t } from "../text/text.ts";
import type { Cursor } from "./cursor.ts";
import { fragmentOf } from "./cursor.ts";
import type { Detail } from "./detail.ts";
import type { Entry } from "./entries.ts";

export interface EventDetailProps {
  detail: Detail;
  entries: ReadonlySignal<Entry[]>;
  cursor: Cursor;
}

export function EventDetail({ entries, cursor }: EventDetailProps) {
  const picked = useComputed(() => entries.value.find(({ event }) => event.seq === cursor.selected.value));
  const copied = useSignal(0);
  const entry = picked.value;
  if (!entry) return null;
  const { event, sentence, at } = entry;
  const link = fragmentOf({ event: event.seq, at: Math.max(0, at) });
  const copy = async () => {
    await navigator.clipboard?.writeText(location.origin + location.pathname + link).catch(() => {});
    copied.value = event.seq;
  };
  return (
    <div class="event-detail" data-testid="event-detail" data-seq={event.seq}>
      <p>
        <a href={link}>#{event.seq}</a> {sentence}
      </p>
      <p class="hint">
        <time dateTime={event.time}>{exact(event.time)}</time> · {event.type}
        <button type="button" class="quiet" onClick={() => void copy()}>
          {t(copied.value === event.seq ? "device.copied" : "events.copy")}
        </button>
      </p>
      <details>
        <summary>{t("events.stored")}</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
        <pre tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
      </details>
    </div>
  );
}

/** Day and time to the millisecond: auditors compare it with other systems' logs. */
function exact(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return new Intl.DateTimeFormat(language.value, {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    timeZoneName: "short",
  }).format(date);
}
