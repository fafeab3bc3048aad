// Events as the page lists and marks them: placed, worded, and told apart by what they concern.

import type { Participant, StoredEvent, Timeline } from "../api/types.ts";
import type { Mark } from "./draw.ts";
import { type Place, Placing } from "./placing.ts";
import { isTechnical, Sentences } from "./sentences.ts";

export const groups = ["people", "media", "network", "recording", "video", "server"] as const;
export type Group = (typeof groups)[number];

export interface Entry {
  event: StoredEvent;
  place: Place;
  /** Milliseconds of the archive, also outside of it. */
  at: number;
  /** From when on the event counts as having happened, in the order of the list; never less than the entry before. */
  reached: number;
  sentence: string;
  group: Group;
  tone: Mark["tone"];
}

/** What of the events somebody wants to see. */
export interface Shown {
  group: Group | "";
  person: string;
  technical: boolean;
}

const nouns: Record<string, Group> = {
  consultation: "people",
  participant: "people",
  consent: "people",
  track: "media",
  connection: "network",
  recording: "recording",
  segment: "recording",
  archive: "video",
  access: "video",
  export: "video",
  hold: "video",
};

const bad = new Set([
  "archive.failed",
  "connection.timed_out",
  "consent.refused",
  "consent.withdrawn",
  "consultation.reindexed",
  "segment.recovered",
  "track.stalled",
]);

/** Whether something went wrong, as far as the event alone can say. */
export function isBad({ type, data }: StoredEvent): boolean {
  if (type === "segment.gap") return data.cause !== "dtx";
  if (type === "participant.left") return data.reason === "timeout" || data.reason === "kicked";
  if (type === "connection.ice_changed") return data.state === "disconnected" || data.state === "failed";
  if (type === "consultation.completed") return Array.isArray(data.missing) && data.missing.length > 0;
  return bad.has(type);
}

/** All events in the order of the log. */
export function entriesOf(
  events: readonly StoredEvent[],
  timeline: Timeline | undefined,
  participants: Participant[],
): Entry[] {
  const placing = new Placing(timeline);
  const sentences = new Sentences(participants, [...events]);
  const end = (timeline?.durationNs ?? 0) / 1e6;
  let reached = Number.NEGATIVE_INFINITY;
  return events.map((event) => {
    const at = placing.at(event);
    const place: Place = Number.isNaN(at) ? undefined : at < 0 ? "before" : at > end ? "after" : at;
    reached = Math.max(reached, Number.isNaN(at) ? reached : at);
    return {
      event,
      place,
      at,
      reached,
      sentence: sentences.of(event),
      group: nouns[event.type.split(".")[0] ?? ""] ?? "server",
      tone: isBad(event) ? "bad" : isTechnical(event) ? "technical" : "plain",
    };
  });
}

/** Technical events that went wrong are shown to everybody. */
export function shownOf(entries: readonly Entry[], { group, person, technical }: Shown): Entry[] {
  return entries.filter(
    (entry) =>
      (technical || entry.tone !== "technical") &&
      (group === "" || entry.group === group) &&
      (person === "" || entry.event.participant === person),
  );
}

/** The same as marks on the lanes. */
export function marksOf(entries: readonly Entry[]): Mark[] {
  return entries
    .filter(({ at }) => Number.isFinite(at))
    .map(({ event, at, tone }) => ({ seq: event.seq, at, participant: event.participant ?? "", tone }));
}
