// Where events stand in the video.

import type { StoredEvent, Timeline } from "../api/types.ts";

/** Milliseconds from the video's start, or that the event lies outside of it. */
export type Place = number | "before" | "after" | undefined;

/** Places events by the timeline's markers where it has one, otherwise by the conference clock. */
export class Placing {
  readonly #start: number;
  readonly #end: number;
  readonly #markers = new Map<number, number>();
  #first = Number.NaN; // clock of the first event that was placed, where there is no video

  constructor(timeline: Timeline | undefined) {
    const start = Date.parse(timeline?.startTime ?? "");
    // Before anybody joined there is no video, and Go writes the year 1.
    this.#start = start > 0 ? start : Number.NaN;
    this.#end = (timeline?.durationNs ?? 0) / 1e6;
    for (const { seq, atNs } of timeline?.markers ?? []) this.#markers.set(seq, atNs / 1e6);
  }

  of(event: StoredEvent): Place {
    const at = this.#markers.get(event.seq) ?? Date.parse(event.time) - this.#start;
    if (!Number.isFinite(at)) return undefined;
    if (at < 0) return "before";
    return at > this.#end ? "after" : at;
  }

  /** Milliseconds from the video's start also for what lies outside of it; without a video, from the first event. */
  at(event: StoredEvent): number {
    const clock = this.moment(event.time);
    const marker = this.#markers.get(event.seq);
    // Markers of what lies outside stand at the edges; the clock knows better there.
    return marker !== undefined && clock >= 0 && clock <= this.#end ? marker : clock;
  }

  /** The same for a time of the conference clock. */
  moment(time: string): number {
    const clock = Date.parse(time);
    if (!Number.isNaN(this.#start)) return clock - this.#start;
    if (Number.isNaN(this.#first)) this.#first = clock;
    return clock - this.#first;
  }
}

/** The last of the places (in order of the list) that is not after `now`; −1 when there is none. */
export function currentIndex(places: Place[], now: number): number {
  let found = -1;
  let best = -1;
  for (const [index, place] of places.entries()) {
    if (typeof place === "number" && place <= now && place >= best) {
      found = index;
      best = place;
    }
  }
  return found;
}
