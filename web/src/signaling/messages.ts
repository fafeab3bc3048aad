// The messages of consilium.v1, as docs/signaling.md describes them. The Go side is internal/signaling/messages.go;
// internal/signaling/testdata has an example of each that tests of both languages read.

import type { FailureCode } from "../text/failures.ts";

export const SUBPROTOCOL = "consilium.v1";

export type Source = "microphone" | "camera" | "screen" | "device";
export type Kind = "audio" | "video";
export type Policy = "required" | "optional" | "forbidden";
export type Consent = "" | "given" | "refused" | "withdrawn";
export type Role = "clinician" | "patient" | "interpreter" | "observer" | "device" | (string & {});

/** What a client sends. `id` is a number that the answer carries back in `re`. */
export type ClientMessage = { id?: number } & (
  | { type: "hello"; token?: string }
  | { type: "join" }
  | Offer
  | Candidate
  | { type: "mute"; source: Source; muted: boolean }
  | { type: "hindered"; codes: FailureCode[] }
  | Checked
  | { type: "leave" }
  | { type: "end" }
  | { type: "ping" }
);

export interface OfferedTrack {
  mid: string;
  source: Source;
  muted?: boolean;
}

export interface Offer {
  type: "offer";
  sdp: string;
  tracks: OfferedTrack[];
  /** Asks for a new PeerConnection on the server; otherwise the offer belongs to the one that exists. */
  new?: boolean;
}

/** One trickled ICE candidate, in both directions. An empty `candidate` ends them. */
export interface Candidate {
  type: "candidate";
  candidate: string;
  sdpMid?: string;
  sdpMLineIndex?: number;
}

/** What a part of the check before the call came to; absent: the server has no such way. */
export type CheckResult = "ok" | "failed" | "off" | "skipped" | "absent";
export type WayName = "udp" | "tcp" | "tls";

/** What the check before the call found. */
export interface Checked {
  type: "checked";
  camera: CheckResult;
  microphone: CheckResult;
  speaker: CheckResult;
  ways: { way: WayName; result: CheckResult; ms: number }[];
  codes: FailureCode[];
  tookMs: number;
}

/** What the server sends. */
export type ServerMessage = { re?: number } & (
  | Welcome
  | StateMessage
  | Answer
  | Candidate
  | { type: "please_offer"; audio: number; video: number }
  | { type: "ended"; reason: EndReason }
  | { type: "moved"; url: string }
  | { type: "pong" }
  | ErrorMessage
);

export type EndReason = "closed" | "abandoned" | "kicked" | "left" | "replaced" | "shutdown" | (string & {});

export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface Welcome {
  type: "welcome";
  consultation: string;
  participant: string;
  name: string;
  role: Role;
  title: string;
  /** BCP 47 */
  language: string;
  policy: Policy;
  consent: Consent;
  /** Whether this participant may end the consultation for everybody. */
  host: boolean;
  iceServers: IceServer[];
  state: State;
}

/** The whole truth about the consultation as this participant may see it; never a difference. */
export interface State {
  phase: "scheduled" | "open" | "ended" | (string & {});
  recording: "on" | "paused" | "off" | (string & {});
  /** RFC 3339, when the first participant joined. */
  since?: string;
  joined: boolean;
  /** Whether the server holds a PeerConnection of this participant's; a server that was started anew holds none. */
  hasConnection: boolean;
  /** What hinders this participant, as the server sees it: codes of docs/failures.md. */
  hindered?: string[];
  participants: ParticipantState[];
}

export type StateMessage = { type: "state" } & State;

/**
 * yes: bytes reach the disk; no: by policy; waiting: nothing to write yet; failed: they should reach it and do not. unknown is
 * what a page says that hears nothing of the server.
 */
export type Recorded = "yes" | "no" | "waiting" | "failed" | "unknown";

export interface ParticipantState {
  id: string;
  name: string;
  role: Role;
  present: boolean;
  online: boolean;
  consent: Consent;
  recorded: Recorded;
  /** Present, and neither seen nor heard for want of a consent: their own, or of a device that of somebody whom it shows. */
  silenced?: boolean;
  tracks: TrackState[];
  /** For hosts only: not present, and the page is open. */
  waiting?: boolean;
  /** For hosts only: codes of docs/failures.md. */
  hindered?: string[];
  /** For hosts only: the newest check before the call. */
  check?: Check;
}

export interface Check {
  camera: CheckResult;
  microphone: CheckResult;
  speaker: CheckResult;
  ways: Partial<Record<WayName, CheckResult>>;
}

export interface TrackState {
  id: string;
  kind: Kind;
  source: Source;
  /** opus, VP8, VP9, AV1, H264: a track whose codec this browser did not offer is not sent to it. */
  codec: string;
  muted: boolean;
}

/** Whose track a receiving m-line carries. */
export interface AnsweredTrack {
  mid: string;
  participant: string;
  track: string;
  source: Source;
}

export interface Answer {
  type: "answer";
  sdp: string;
  tracks: AnsweredTrack[];
}

export interface ErrorMessage {
  type: "error";
  /** Stable; docs/signaling.md lists them. The same codes as in the problem details of REST. */
  code: string;
  /** One plain sentence in English, for logs; what people read is chosen by the code. */
  message: string;
}

const SERVER_TYPES = new Set([
  "welcome",
  "state",
  "answer",
  "candidate",
  "please_offer",
  "ended",
  "moved",
  "pong",
  "error",
]);

/**
 * Reads one text frame. Returns undefined for anything that is not a message of this protocol: a newer server may send
 * types that this client does not know, and they are skipped. Lists that Go left out or sent as null become empty.
 */
export function parseServerMessage(frame: unknown): ServerMessage | undefined {
  if (typeof frame !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const message = value as ServerMessage;
  if (!SERVER_TYPES.has(message.type)) return undefined;
  switch (message.type) {
    case "welcome":
      message.iceServers ??= [];
      if (!message.state) return undefined;
      fillState(message.state);
      break;
    case "state":
      fillState(message);
      break;
    case "answer":
      message.tracks ??= [];
      break;
  }
  return message;
}

function fillState(state: State): void {
  state.participants ??= [];
  for (const participant of state.participants) participant.tracks ??= [];
}
