// From events and the timeline to lanes: what was true of whom, and when. A pure function, the same for the screen, the
// table and the state at a moment; drawing is elsewhere.

import type { StoredEvent, Timeline, TimelineParticipant } from "../api/types.ts";
import { Placing } from "./placing.ts";
import { Growing, join, overlay, type Span } from "./spans.ts";

export type LaneKind =
  | "present"
  | "consent"
  | "network"
  | "quality"
  | "microphone"
  | "camera"
  | "screen"
  | "device"
  | "recorded"
  | "hosting"
  | "recording"
  | "stitcher"
  | "hold";

export interface Lane {
  kind: LaneKind;
  /** Whose; "" for the server's and the stitcher's. */
  participant: string;
  /** Of media: tells two lanes of one kind apart. */
  media: "" | "audio" | "video";
  /** In order; they do not overlap. */
  spans: Span[];
}

export interface Lanes {
  /** Of the archive, in milliseconds; it begins at 0. */
  duration: number;
  /** First and last moment that anything is known of; both may lie outside the archive. */
  begin: number;
  end: number;
  /** In order of their first mention. */
  participants: string[];
  lanes: Lane[];
}

/** In this order they stand below a participant's name. */
const ORDER: LaneKind[] = [
  "present",
  "consent",
  "network",
  "quality",
  "microphone",
  "camera",
  "screen",
  "device",
  "recorded",
];

/** Round trips up to these many milliseconds are good and fair. */
const GOOD = 150;
const FAIR = 350;
/** A measured round trip stands for as long as this, in milliseconds, when no other one comes. */
const STANDS = 20_000;

/** The lanes of a consultation. What lasts at the end of the events lasts until `horizon`. */
export function lanesOf(events: readonly StoredEvent[], timeline: Timeline | undefined, horizon?: number): Lanes {
  const builder = new Builder(new Placing(timeline));
  for (const event of events) builder.take(event);
  return builder.lanes(timeline, horizon);
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** What is known of one participant while the events are read. */
class Person {
  readonly present = new Growing();
  readonly consent = new Growing();
  readonly network = new Growing();
  readonly media = new Map<string, Growing>();
  readonly trips: { at: number; ms: number }[] = [];
  readonly trouble = new Growing();
  connection = ""; // the newest
  path = "";

  lane(source: string, kind: string): Growing {
    const key = `${source}/${kind}`;
    const lane = this.media.get(key) ?? new Growing();
    this.media.set(key, lane);
    return lane;
  }

  /** Nothing goes to or fro any more: the person has left, or the process that held the call is gone. */
  lose(at: number): void {
    this.network.end(at);
    this.trouble.end(at);
    for (const lane of this.media.values()) lane.end(at);
  }
}

interface Track {
  lane: Growing;
  person: Person;
  id: string;
}

class Builder {
  readonly #placing: Placing;
  readonly #people = new Map<string, Person>();
  readonly #tracks = new Map<string, Track>();
  readonly #newest = new Map<Growing, string>(); // lane → its newest track
  readonly #hosting = new Growing();
  readonly #recording = new Growing();
  readonly #stitcher = new Growing();
  readonly #hold = new Growing();
  readonly #holds = new Map<string, string>(); // those in force → why
  #begin = 0;
  #end = 0;

  constructor(placing: Placing) {
    this.#placing = placing;
  }

  take(event: StoredEvent): void {
    const at = this.#placing.at(event);
    this.#begin = Math.min(this.#begin, at);
    this.#end = Math.max(this.#end, at);
    const person = event.participant ? this.#person(event.participant) : undefined;
    if (person) this.#takeOfPerson(event, at, person);
    this.#takeOfServer(event, at);
  }

  #person(id: string): Person {
    const person = this.#people.get(id) ?? new Person();
    this.#people.set(id, person);
    return person;
  }

  #takeOfPerson({ type, data, seq }: StoredEvent, at: number, person: Person): void {
    switch (type) {
      case "participant.joined":
        person.present.become(at, "present", undefined, seq);
        return;
      case "participant.left":
        person.present.end(at);
        person.lose(at);
        return;
      case "consent.given":
      case "consent.refused":
      case "consent.withdrawn":
        person.consent.become(at, type.slice(8), undefined, seq);
        return;
      case "connection.opened":
        person.connection = text(data.connection);
        person.path = "";
        person.network.become(at, "connecting", undefined, seq);
        return;
      case "connection.ice_changed":
      case "connection.pair_selected":
      case "connection.restarted":
      case "connection.timed_out":
      case "connection.closed":
        this.#takeOfConnection(type, data, at, seq, person);
        return;
      case "track.started": {
        const lane = person.lane(text(data.source) || text(data.kind), text(data.kind));
        const id = text(data.track);
        this.#tracks.set(id, { lane, person, id });
        this.#newest.set(lane, id);
        lane.become(at, "on", text(data.codec) || undefined, seq);
        return;
      }
      case "segment.anchored":
        this.#takeTrips(data, person);
        return;
    }
    if (type.startsWith("track.")) this.#takeOfTrack(type, data, at, seq);
  }

  #takeOfConnection(type: string, data: Record<string, unknown>, at: number, seq: number, person: Person): void {
    if (text(data.connection) !== person.connection) return; // one that was left behind says nothing any more
    const { network } = person;
    switch (type) {
      case "connection.closed":
        person.trouble.end(at);
        network.end(at);
        break;
      case "connection.timed_out":
        network.become(at, "failed", text(data.code) || undefined, seq);
        break;
      case "connection.restarted":
        network.become(at, "connecting", undefined, seq);
        break;
      case "connection.pair_selected":
        person.path = pathOf(data);
        if (network.now?.value === "connected") network.become(at, "connected", person.path, seq);
        break;
      case "connection.ice_changed":
        this.#takeState(iceStates[text(data.state)], at, seq, person);
    }
  }

  #takeState(state: string | undefined, at: number, seq: number, person: Person): void {
    if (state === undefined) return;
    if (state === "") person.network.end(at);
    else person.network.become(at, state, (state === "connected" && person.path) || undefined, seq);
    if (state === "disconnected" || state === "failed") person.trouble.become(at, "lost", undefined, seq);
    else if (state === "connected") person.trouble.end(at);
  }

  #takeOfTrack(type: string, data: Record<string, unknown>, at: number, seq: number): void {
    const track = this.#tracks.get(text(data.track));
    if (!track || this.#newest.get(track.lane) !== track.id) return;
    const { lane, person } = track;
    const codec = lane.now?.detail;
    switch (type) {
      case "track.ended":
        lane.end(at);
        return;
      case "track.muted":
        if (lane.now) lane.become(at, "muted", codec, seq);
        return;
      case "track.unmuted":
        if (lane.now) lane.become(at, "on", codec, seq);
        return;
      case "track.stalled":
        if (!lane.now) return;
        person.trouble.become(at, "lost", undefined, seq);
        lane.become(at, "stalled", codec, seq);
        return;
      case "track.resumed":
        if (!lane.now) return;
        if (person.network.now?.value === "connected") person.trouble.end(at);
        lane.become(at, "on", codec, seq);
        return;
    }
  }

  #takeTrips(data: Record<string, unknown>, person: Person): void {
    for (const anchor of Array.isArray(data.anchors) ? (data.anchors as Record<string, unknown>[]) : []) {
      const at = this.#placing.moment(text(anchor.arrival));
      const ms = number(anchor.rtt_us) / 1000;
      if (ms > 0 && Number.isFinite(at)) person.trips.push({ at, ms });
    }
  }

  #takeOfServer({ type, data, seq }: StoredEvent, at: number): void {
    switch (type) {
      case "conference.hosted":
        if (number(data.epoch) > 1) for (const person of this.#people.values()) person.lose(at);
        this.#hosting.become(at, "hosting", `${text(data.node)} ${number(data.epoch)}`, seq);
        return;
      case "consultation.completed":
        this.#hosting.end(at);
        return;
      case "segment.opened":
        if (!this.#recording.now) this.#recording.become(at, "on", undefined, seq);
        return;
      case "recording.paused":
        this.#recording.become(at, "paused", text(data.reason) || undefined, seq);
        return;
      case "recording.resumed":
        this.#recording.become(at, "on", undefined, seq);
        return;
      case "consultation.ended":
        for (const person of this.#people.values()) person.lose(at);
        this.#recording.end(at);
        return;
      case "archive.requested":
        this.#stitcher.become(at, "queued", `v${number(data.version)}`, seq);
        return;
      case "archive.started":
        this.#stitcher.become(at, "rendering", `v${number(data.version)}`, seq);
        return;
      case "archive.rendered":
        this.#stitcher.end(at);
        return;
      case "archive.failed":
        this.#stitcher.become(at, "failed", text(data.code) || undefined, seq);
        return;
      case "hold.placed":
        this.#holds.set(text(data.hold), text(data.reason));
        this.#takeHolds(at, seq);
        return;
      case "hold.released":
        this.#holds.delete(text(data.hold));
        this.#takeHolds(at, seq);
    }
  }

  #takeHolds(at: number, seq: number): void {
    if (this.#holds.size === 0) this.#hold.end(at);
    else this.#hold.become(at, "held", [...new Set(this.#holds.values())].sort().join(" "), seq);
  }

  lanes(timeline: Timeline | undefined, horizon = 0): Lanes {
    const duration = (timeline?.durationNs ?? 0) / 1e6;
    const end = Math.max(this.#end, duration, horizon);
    const recorded = new Map((timeline?.participants ?? []).map((one) => [one.id, recordedOf(one)]));
    for (const id of recorded.keys()) this.#person(id);
    const lanes: Lane[] = [];
    const add = (kind: LaneKind, participant: string, spans: Span[], media: Lane["media"] = "") => {
      lanes.push({ kind, participant, media, spans: until(spans, end) });
    };
    for (const [id, person] of this.#people) {
      const media = [...person.media].map(([key, lane]) => ({ key: key.split("/"), lane }));
      for (const kind of ORDER) {
        if (kind === "present") add(kind, id, person.present.spans);
        else if (kind === "consent") add(kind, id, person.consent.spans);
        else if (kind === "network") add(kind, id, person.network.spans);
        else if (kind === "quality") add(kind, id, qualityOf(person));
        else if (kind === "recorded") add(kind, id, recorded.get(id) ?? []);
        else
          for (const { key, lane } of media)
            if (key[0] === kind) add(kind, id, lane.spans, key[1] === "audio" ? "audio" : "video");
      }
    }
    add("recording", "", this.#recording.spans);
    add("hosting", "", this.#hosting.spans);
    add("stitcher", "", this.#stitcher.spans);
    if (this.#hold.spans.length > 0) add("hold", "", this.#hold.spans);
    return { duration, begin: this.#begin, end, participants: [...this.#people.keys()], lanes };
  }
}

function until(spans: readonly Span[], end: number): Span[] {
  return spans.map((span) => ({ ...span, to: Math.min(span.to, Math.max(end, span.from)) }));
}

/** ICE's words as lanes have them; "" ends the lane. */
const iceStates: Record<string, string> = {
  new: "connecting",
  checking: "connecting",
  connected: "connected",
  completed: "connected",
  disconnected: "disconnected",
  failed: "failed",
  closed: "",
};

// Which way media goes: the far end's kind and transport, such as "UDP relay".
function pathOf(data: Record<string, unknown>): string {
  const remote = (data.remote ?? {}) as Record<string, unknown>;
  return [text(remote.transport).toUpperCase(), text(remote.kind)].filter(Boolean).join(" ");
}

// How long packets took, and when none came at all.
function qualityOf(person: Person): Span[] {
  const trips = [...person.trips].sort((a, b) => a.at - b.at);
  const spans: Span[] = [];
  for (const [index, { at, ms }] of trips.entries()) {
    const next = trips[index + 1]?.at ?? Number.POSITIVE_INFINITY;
    const to = Math.min(next, at + STANDS);
    if (to <= at) continue;
    const value = ms <= GOOD ? "good" : ms <= FAIR ? "fair" : "poor";
    const last = spans.at(-1);
    if (last && last.value === value && last.to === at) last.to = to;
    else spans.push({ from: at, to, value, detail: ms < 1 ? "< 1 ms" : `${Math.round(ms)} ms` });
  }
  return overlay(within(spans, person.network.spans), person.trouble.spans);
}

// A connection that is gone has no quality.
function within(spans: readonly Span[], frame: readonly Span[]): Span[] {
  return spans.flatMap((span) =>
    frame
      .filter(({ from, to }) => from < span.to && to > span.from)
      .map(({ from, to }) => ({ ...span, from: Math.max(from, span.from), to: Math.min(to, span.to) })),
  );
}

/** Causes of gaps, the one that matters most first. */
const CAUSES = [
  "missing",
  "corrupt",
  "crash",
  "not_consented",
  "paused",
  "overrun",
  "disconnected",
  "loss",
  "stall",
] as const;

// What of a participant is in the archive: media, or the cause why something is not. A switch that was turned off is a
// cause only where nothing else of the participant was recorded.
function recordedOf({ tracks = [] }: TimelineParticipant): Span[] {
  const edges = new Set<number>();
  for (const { clips, gaps } of tracks) {
    for (const { startNs, endNs } of [...clips, ...gaps]) edges.add(startNs).add(endNs);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  const at = sorted.map(() => ({ clip: false, causes: new Map<string, string[]>() }));
  const index = new Map(sorted.map((edge, place) => [edge, place]));
  for (const { clips, gaps, source } of tracks) {
    for (const { startNs, endNs } of clips) {
      for (let i = index.get(startNs) ?? 0; i < (index.get(endNs) ?? 0); i++) (at[i] as (typeof at)[0]).clip = true;
    }
    for (const { startNs, endNs, cause } of gaps) {
      for (let i = index.get(startNs) ?? 0; i < (index.get(endNs) ?? 0); i++) {
        const causes = (at[i] as (typeof at)[0]).causes;
        causes.set(cause, [...(causes.get(cause) ?? []), source]);
      }
    }
  }
  const spans: Span[] = [];
  for (const [i, { clip, causes }] of at.entries()) {
    const to = sorted[i + 1];
    if (to === undefined || (!clip && causes.size === 0)) continue;
    const worst = CAUSES.find((cause) => causes.has(cause)) ?? (clip ? undefined : [...causes.keys()][0]);
    const detail = worst && [...new Set(causes.get(worst))].sort().join(" ");
    spans.push({
      from: (sorted[i] ?? 0) / 1e6,
      to: to / 1e6,
      value: worst ?? "recorded",
      ...(detail ? { detail } : {}),
    });
  }
  return withoutSlivers(join(spans));
}

/** Sound and picture begin and end some milliseconds apart: that is no stretch of its own. */
const SLIVER = 100;

function withoutSlivers(spans: readonly Span[]): Span[] {
  const kept: Span[] = [];
  for (const span of spans) {
    const last = kept.at(-1);
    const short = last && Math.min(last.to - last.from, span.to - span.from) < SLIVER;
    if (!last || !short || last.to !== span.from || last.value !== span.value) kept.push(span);
    else kept.splice(-1, 1, { ...(last.to - last.from < SLIVER ? span : last), from: last.from, to: span.to });
  }
  return kept;
}
