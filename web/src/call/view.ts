// What the call's screen shows, as pure functions of what the server said and what arrives.

import type { ParticipantState, Source, State, TrackState } from "../signaling/messages.ts";
import type { Received } from "./peer.ts";

/** One tile: a person (or device) with or without picture, or a shared screen. */
export interface Tile {
  key: string;
  kind: "person" | "device" | "screen";
  participant: ParticipantState;
  video?: Received;
  /** Why there is no picture or why it stands still; most important first. */
  trouble?: "connecting" | "away" | "unconsented" | "unconsented.device" | "stalled" | "codec";
  microphoneOff: boolean;
  cameraOff: boolean;
}

/** The others who are present, in the order of the state; shared screens first. */
export function tilesOf(
  state: State,
  me: string,
  received: Received[],
  stalled: ReadonlySet<string>,
  decodes: (codec: string) => boolean = canDecode,
): Tile[] {
  const people: Tile[] = [];
  const screens: Tile[] = [];
  for (const participant of state.participants) {
    if (participant.id === me || !participant.present) continue;
    const device = participant.role === "device";
    const make = (kind: Tile["kind"], source: Source) => tile(participant, kind, source, received, stalled, decodes);
    people.push(device ? make("device", "device") : make("person", "camera"));
    if (shows(participant, "screen") && !participant.silenced) screens.push(make("screen", "screen"));
  }
  return [...screens, ...people];
}

function tile(
  participant: ParticipantState,
  kind: Tile["kind"],
  source: Source,
  received: Received[],
  stalled: ReadonlySet<string>,
  decodes: (codec: string) => boolean,
): Tile {
  const mine = received.filter((line) => line.participant === participant.id);
  const video = mine.find((line) => line.source === source && line.track.kind === "video");
  const visible = video && !participant.silenced && shows(participant, source) ? video : undefined;
  const made: Tile = {
    key: `${participant.id}/${source}`,
    kind,
    participant,
    microphoneOff: kind === "person" && !isOn(participant, "microphone", "audio"),
    cameraOff: kind === "person" && !shows(participant, source),
  };
  if (visible) made.video = visible;
  if (!participant.online) made.trouble = participant.tracks.length > 0 ? "away" : "connecting";
  else if (participant.silenced) made.trouble = kind === "device" ? "unconsented.device" : "unconsented";
  else if (!video && participant.tracks.some((track) => isPicture(track, source) && !decodes(track.codec))) {
    made.trouble = "codec";
  } else if (
    mine.some(
      (line) => stalled.has(line.mid) && (line === visible || (kind !== "screen" && line.track.kind === "audio")),
    )
  ) {
    made.trouble = "stalled";
  }
  return made;
}

function isPicture(track: TrackState, source: Source): boolean {
  return track.source === source && track.kind === "video" && !track.muted;
}

/** Whether this browser can show a codec. One that does not say is taken at its best. */
export function canDecode(codec: string): boolean {
  const known = globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs;
  return !known || known.some(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`.toLowerCase());
}

function shows(participant: ParticipantState, source: Source): boolean {
  return isOn(participant, source, "video");
}

function isOn(participant: ParticipantState, source: Source, kind: "audio" | "video"): boolean {
  return participant.tracks.some((track) => track.source === source && track.kind === kind && !track.muted);
}

/** Everything that is to be heard. */
export function soundsOf(received: Received[], me: string): Received[] {
  return received.filter((line) => line.track.kind === "audio" && line.participant !== me);
}

/** What a page may still say of the recording when it hears nothing of the server. */
export function unsure(state: State): State {
  return { ...state, participants: state.participants.map((one) => ({ ...one, recorded: "unknown" })) };
}

export type RecordingKind = "on" | "paused" | "off" | "waiting" | "failed" | "unknown";

/** What is true of the recording of everybody who is present, the worst first. */
export function recordingOf(state: State): { kind: RecordingKind; failed: string[] } {
  const present = state.participants.filter((participant) => participant.present);
  const failed = present
    .filter((participant) => participant.recorded === "failed")
    .map((participant) => participant.name);
  if (present.some((participant) => participant.recorded === "unknown")) return { kind: "unknown", failed };
  if (failed.length > 0) return { kind: "failed", failed };
  if (state.recording === "paused") return { kind: "paused", failed };
  if (state.recording !== "on") return { kind: "off", failed };
  if (present.some((participant) => participant.recorded === "yes")) return { kind: "on", failed };
  return { kind: present.some((participant) => participant.recorded === "waiting") ? "waiting" : "off", failed };
}

/** The letters on the card of somebody without a picture: "Dr Ota Novák" → "ON". */
export function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word && !/^(dr|prof|mr|mrs|ms|med|phd)\.?$/i.test(word));
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : undefined].map(
    (word) => word && [...word][0],
  );
  return letters.filter(Boolean).join("").toUpperCase() || "?";
}
