// What was true at one moment: who was there, who could hear and see whom, what was being recorded.

import type { Lane, LaneKind, Lanes } from "./lanes.ts";
import { type Span, spanAt } from "./spans.ts";

export interface PersonAt {
  id: string;
  present: boolean;
  /** given, refused, withdrawn, or "" without an answer. */
  consent: string;
  /** connecting, connected, disconnected, failed, or "" without a connection. */
  network: string;
  path: string;
  quality: string;
  /** on, muted, stalled, or "" when nothing was sent. */
  microphone: string;
  camera: string;
  screen: string;
  /** recorded, the cause of a gap, or "" when nothing was to be recorded. */
  recorded: string;
  /** Whose sound could arrive, and whose picture. */
  hears: string[];
  sees: string[];
}

export interface Moment {
  people: PersonAt[];
  /** on, paused, or "" when nothing was recorded. */
  recording: string;
  hosted: boolean;
}

/** Finds moments quickly: lanes are sorted once. */
export class Moments {
  readonly #lanes: Lanes;
  readonly #byPerson = new Map<string, Lane[]>();

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
    for (const lane of lanes.lanes) {
      const mine = this.#byPerson.get(lane.participant);
      if (mine) mine.push(lane);
      else this.#byPerson.set(lane.participant, [lane]);
    }
  }

  at(ms: number): Moment {
    const sending = this.#lanes.participants.map((id) => this.#sending(id, ms));
    const people = sending.map(({ person, audible }): PersonAt => {
      const others = sending.filter((other) => other.person !== person);
      const receives = audible !== undefined;
      return {
        ...person,
        hears: receives ? others.filter((other) => other.audible).map((other) => other.person.id) : [],
        sees: receives ? others.filter((other) => other.visible).map((other) => other.person.id) : [],
      };
    });
    const { recording, hosting } = { recording: this.#of("", "recording", ms), hosting: this.#of("", "hosting", ms) };
    return { people, recording: recording?.value ?? "", hosted: hosting !== undefined };
  }

  // Whether sound and picture of somebody went out; undefined where neither could go in or out.
  #sending(id: string, ms: number): { person: PersonAt; audible: boolean | undefined; visible: boolean | undefined } {
    const value = (kind: LaneKind) => this.#of(id, kind, ms)?.value ?? "";
    const network = this.#of(id, "network", ms);
    const present = value("present") !== "";
    const person: PersonAt = {
      id,
      present,
      consent: value("consent"),
      network: network?.value ?? "",
      path: network?.value === "connected" ? (network.detail ?? "") : "",
      quality: value("quality"),
      microphone: value("microphone"),
      camera: value("camera"),
      screen: value("screen"),
      recorded: value("recorded"),
      hears: [],
      sees: [],
    };
    if (!present || person.network !== "connected") return { person, audible: undefined, visible: undefined };
    const sends = (media: Lane["media"]) =>
      (this.#byPerson.get(id) ?? []).some((lane) => lane.media === media && spanAt(lane.spans, ms)?.value === "on");
    return { person, audible: sends("audio"), visible: sends("video") };
  }

  #of(id: string, kind: LaneKind, ms: number): Span | undefined {
    for (const lane of this.#byPerson.get(id) ?? []) {
      if (lane.kind !== kind) continue;
      const span = spanAt(lane.spans, ms);
      if (span) return span;
    }
    return undefined;
  }
}
