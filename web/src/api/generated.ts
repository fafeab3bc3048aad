// Written by `go test ./internal/api -run TestTypeScriptClient -update` from the OpenAPI document. Do not edit.

import { type Options, query, sendJSON, sendRaw } from "./request.ts";

export interface AccessItem {
  actor?: string;
  closedAt?: string;
  /** Of the actor, as last seen. Never in the log. */
  name?: string;
  openedAt: string;
  purpose: string;
  receipt: string;
  role?: string;
  /** Of the archive. */
  version: number;
  /** Sorted; they do not touch. */
  watched: RangeMS[];
  watchedMs: number;
}

export interface AccessesOutBody {
  exports: ExportItem[];
  receipts: AccessItem[];
}

export interface AddWebhookRequest {
  /** Position in the log of the first event that is told. Missing: what comes from now on. */
  from?: number;
  /** Of events. Empty: those that docs/webhooks.md names. */
  types?: string[];
  /** https://… */
  url: string;
}

export interface AddedWebhookOutBody {
  /** Signs all messages. Nobody can read it again. */
  secret: string;
  webhook: WebhookItem;
}

export interface AnswerConsentRequest {
  answer: "given" | "refused" | "withdrawn";
  language: string;
  /** Hex SHA-256 of the text that was shown. */
  textSha256: string;
}

export interface ArchiveSummary {
  bytes?: number;
  /** Why it failed. */
  code?: string;
  durationMs: number;
  layout: string;
  /** Estimate of the time until it is ready; missing: not known. */
  leftMs?: number;
  /** Empty until it is ready. */
  manifestUrl: string;
  profile: string;
  /** 0 to 1 */
  progress: number;
  /** What is being done while it is rendered. */
  stage?: string;
  /** Date and time of day stand in the picture. */
  stamp: boolean;
  state: "queued" | "rendering" | "ready" | "failed";
  /** Of a ready one: the checks that could not be made. What was found wrong fails it instead. */
  unverified?: string[];
  version: number;
  /** Empty until it is ready. */
  videoUrl: string;
  /** The sound of each participant also lies in a file of its own. */
  voices: boolean;
}

export interface ChangeWebhookRequest {
  /** Empty: those that docs/webhooks.md names. Missing: as they are. */
  types?: string[];
  url?: string;
}

export interface Clip {
  bytes: number;
  clockRate: number;
  codec: string;
  concealedNs?: number;
  endNs: number;
  errorNs: number;
  fileStartNs: number;
  frames: number;
  height?: number;
  key: string;
  quality: string;
  rate: number;
  segment: string;
  sha256: string;
  startNs: number;
  width?: number;
}

export interface ConnectionItem {
  /** Family and major version. */
  browser?: string;
  closeReason?: string;
  closedAt?: string;
  /** For the first time. */
  connectedAt?: string;
  id: string;
  /** Of the selected pair: host, srflx, prflx, relay. */
  localKind?: string;
  openedAt: string;
  participant: string;
  remoteKind?: string;
  restarts: number;
  /** Newest ICE state. */
  state: string;
  timeoutCode?: string;
  timeoutPhase?: string;
  /** udp, tcp or tls */
  transport?: string;
  /** websocket or whip */
  via: string;
}

export interface CreatedBody {
  id: string;
  participants: Invited[];
  state: string;
  title: string;
}

export interface Envelope {
  actor?: string;
  causationid?: string;
  data: unknown;
  id: string;
  participant?: string;
  prevhash: string;
  seq: number;
  source: string;
  specversion: string;
  subject: string;
  time: string;
  type: string;
  typeversion: number;
}

export interface ExportEventsRequest {
  kind: "events.ndjson" | "events.csv";
}

export interface ExportItem {
  actor?: string;
  at: string;
  kind: string;
  seq: number;
  sha256: string;
}

export interface FailureCount {
  code: string;
  count: number;
  /** Of the event. */
  type: string;
}

export interface Gap {
  cause: string;
  endNs: number;
  startNs: number;
}

export interface HoldStep {
  at: string;
  /** Only for those who may place holds. */
  name?: string;
  role: string;
  /** Whether it was who asks. */
  you?: boolean;
}

export interface HoldSummary {
  id: string;
  placed: HoldStep;
  reason: "litigation" | "authority" | "complaint" | "incident" | "patient_request" | "audit" | "other";
  /** Of the case. Only for those who may place holds. */
  reference?: string;
  /** The newest request to release it, unless it was declined. */
  release?: ReleaseSummary;
  /** Missing while the hold is in force. */
  released?: HoldStep;
}

export interface HoldsOutBody {
  holds: HoldSummary[];
}

export interface Interval {
  endNs: number;
  startNs: number;
}

export interface Invited {
  id: string;
  /** The participant's own link. Its token sits in the fragment and reaches no server log. */
  joinUrl: string;
  name: string;
  role: string;
}

export interface LanesOutBody {
  connections: ConnectionItem[];
  spans: SpanItem[];
  tracks: TrackItem[];
}

export interface ListedBody {
  items: Summary[];
  nextCursor?: string;
}

export interface Marker {
  atNs: number;
  participant?: string;
  seq: number;
  type: string;
}

export interface MarkerItem {
  actor?: string;
  at: string;
  /** Of a failure. */
  code?: string;
  participant?: string;
  seq: number;
  type: string;
}

export interface MarkersOutBody {
  items: MarkerItem[];
  /** after of the next page; missing on the last one. */
  nextAfter?: number;
}

export interface NewConsultation {
  /** The calling system's own reference. */
  externalRef?: string;
  /** BCP 47 */
  language?: string;
  /** Of the first version of the archive. */
  layout?: "grid" | "speaker" | "";
  participants?: NewParticipant[];
  recording?: "required" | "optional" | "forbidden" | "";
  /** IANA name, for times in the archive. */
  timeZone?: string;
  title: string;
}

export interface NewParticipant {
  /** The calling system asserts that the participant agreed to the recording. */
  consent?: boolean;
  /** Devices only: the participants whose consent the device needs, by id; on creation also by name. */
  for?: string[];
  /** Shown to the others and in the archive. Never in the log. */
  name: string;
  role: "clinician" | "patient" | "interpreter" | "observer" | "device";
}

export interface OpenReceiptRequest {
  purpose: "treatment" | "quality" | "complaint" | "legal" | "patient_request" | "technical";
}

export interface OverviewOutBody {
  /** Now. */
  archivesQueued: number;
  /** Now. */
  archivesRendering: number;
  /** Of those, the ones over which media could go. */
  connectionsConnected: number;
  /** Since then. */
  connectionsOpened: number;
  /** Events in the log that lists do not show yet. */
  eventsBehind: number;
  /** Since then, the most frequent first. */
  failures: FailureCount[];
  /** Now. */
  openConsultations: number;
  /** Now. */
  presentParticipants: number;
  since: string;
}

export interface Participant {
  absent: Gap[];
  consent: string;
  for?: string[];
  id: string;
  present: Interval[];
  role: string;
  tracks: Track[];
}

export interface ParticipantSummary {
  consent?: "given" | "refused" | "withdrawn" | "";
  id: string;
  joinedAt?: string;
  name: string;
  present: boolean;
  role: "clinician" | "patient" | "interpreter" | "observer" | "device";
}

export interface PlaceHoldRequest {
  reason: "litigation" | "authority" | "complaint" | "incident" | "patient_request" | "audit" | "other";
  /** Of the case: a number or a name. Never in the log. */
  reference?: string;
}

export interface PlacedBody {
  id: string;
}

export interface QualitySample {
  bits_per_second_in: number;
  bits_per_second_out: number;
  connection: string;
  /** Pictures of all video tracks of the client together. */
  frames_per_second_in?: number;
  /** Fraction of the packets from the client that never came, since the sample before. */
  loss_in: number;
  /** Largest fraction that the client misses of a track, as it reports. */
  loss_out?: number;
  participant: string;
  /** Milliseconds; 0: not known. */
  rtt_ms: number;
  time: string;
}

export interface RangeMS {
  fromMs: number;
  toMs: number;
}

export interface ReceiptOutBody {
  /** Later with every use. */
  expiresAt: string;
  id: string;
  purpose: string;
  thumbnailsUrl: string;
  version: number;
  videoUrl: string;
}

export interface ReleaseSummary {
  /** After that it cannot be approved any more. */
  expiresAt: string;
  reason: "resolved" | "mistake" | "superseded" | "other";
  requested: HoldStep;
}

export interface ReplayWebhookRequest {
  consultation?: string;
  /** Position in the log, 1 and more. */
  from?: number;
  /** Of the consultation; missing: from its first event on. */
  seq?: number;
}

export interface ReportWatchedRequest {
  ranges: RangeMS[];
}

export interface RequestArchiveRequest {
  /** What is left out is as in the version before. */
  layout?: "grid" | "speaker" | "";
  profile?: "standard" | "fast" | "audio" | "";
  /** Date and time of day stand in the picture. */
  stamp?: boolean;
  /** The sound of each participant also lies in a file of its own, as long as the archive: voice-PARTICIPANT.m4a. */
  voices?: boolean;
}

export interface RequestReleaseRequest {
  reason: "resolved" | "mistake" | "superseded" | "other";
}

export interface RequestedBody {
  version: number;
}

export interface SendWebhookLettersRequest {
  /** Of the dead letter; missing: all of them. */
  position?: number;
}

export interface SpanItem {
  /** Missing while it lasts. */
  endedAt?: string;
  /** present, consent, ice, track, gap or paused */
  lane: string;
  participant?: string;
  /** Of the event that began it. */
  seq: number;
  startedAt: string;
  /** Connection or track. */
  subject?: string;
  /** ICE state; on, muted, stalled; cause of a gap; answer. */
  value?: string;
}

export interface StoragePlace {
  /** At the growth of the last days or of the last minutes, whichever is faster. Missing: it does not grow. */
  daysLeft?: number;
  freeBytes: number;
  level: "fine" | "low" | "full";
  /** data, blobs, database: file systems; log: what the limit of the event log leaves. */
  name: string;
  totalBytes: number;
}

export interface StorageSummary {
  /** The worst of all places. With full, no recorded consultation can be begun. */
  level: "fine" | "low" | "full";
  places: StoragePlace[];
}

export interface Summary {
  /** The newest version. */
  archive?: ArchiveSummary;
  /** Segments of the recording that have not reached the blob store yet. */
  awaitedSegments?: number;
  /** Of the stored segments. */
  bytes: number;
  /** Answers that occur among those who may send: given, refused, withdrawn, none. */
  consents: string[];
  createdAt: string;
  durationMs?: number;
  endedAt?: string;
  /** Sum of all tracks, once the recording is complete. */
  expectedMs: number;
  externalRef?: string;
  /** In force: nothing of the consultation may be deleted. Missing for those who may not know. */
  holds?: number;
  id: string;
  language: string;
  missingSegments?: number;
  participants: ParticipantSummary[];
  /** Whether the recording is paused. */
  paused?: boolean;
  /** Participants who are there now. */
  present: number;
  /** Stable codes, see docs/read-model.md. */
  problems: string[];
  /** What of it is there; the rest are gaps with causes. */
  recordedMs: number;
  recording: "required" | "optional" | "forbidden";
  /** Newest request to release one of the holds. */
  releaseRequestedAt?: string;
  /** Of the newest event that this answer knows. */
  seq: number;
  startedAt?: string;
  state: "scheduled" | "open" | "ended" | "completed" | "archived";
  title: string;
}

export interface Timeline {
  consultation: string;
  durationNs: number;
  markers: Marker[];
  participants: Participant[];
  policy?: string;
  startTime: string;
}

export interface Track {
  clips: Clip[];
  endNs: number;
  gaps: Gap[];
  id: string;
  kind: string;
  source: string;
  startNs: number;
}

export interface TrackItem {
  codec: string;
  connection: string;
  endReason?: string;
  endedAt?: string;
  expectedMs: number;
  id: string;
  /** audio or video */
  kind: string;
  muted: boolean;
  participant: string;
  recordedMs: number;
  /** microphone, camera, screen or device */
  source: string;
  stalls: number;
  startedAt: string;
}

export interface WebhookItem {
  /** In vain, one after another, while nobody takes anything. */
  attempts: number;
  awaySince?: string;
  /** Events in the log behind the position. */
  behind: number;
  createdAt: string;
  createdBy: string;
  deadLetters: number;
  /** Newest success. */
  deliveredAt?: string;
  id: string;
  /** Of the newest failure since then. */
  lastCode?: string;
  /** Of the next attempt, while nobody takes anything. */
  nextAt?: string;
  /** Until then the secret before signs as well. */
  oldSecretUntil?: string;
  /** In the log. Every event up to here is delivered, set aside as a letter, or of no concern. */
  position: number;
  /** Why it is suspended: gone, away, log, secret, rules. */
  reason?: string;
  state: "active" | "paused" | "suspended";
  /** Of events. Empty: those that docs/webhooks.md names. */
  types: string[];
  url: string;
  waitingLetters: number;
}

export interface WebhookLetter {
  /** 0: it waits behind another of its consultation. */
  attempts: number;
  /** Of the newest failure: http_404, timeout, dns, connect, tls, address … */
  code?: string;
  consultation: string;
  dead: boolean;
  /** Id, as in webhook-id. */
  event: string;
  /** Not before; missing when it is dead. */
  nextAt?: string;
  /** In the log. */
  position: number;
  seq: number;
  setAsideAt: string;
  type: string;
}

export interface WebhookLettersOutBody {
  items: WebhookLetter[];
}

export interface WebhookSecretOutBody {
  /** Nobody can read it again. */
  secret: string;
}

export interface WebhooksOutBody {
  items: WebhookItem[];
}

/** List and search consultations, newest first: GET /api/v1/consultations */
export function listConsultations(asked: {
  /** Words of title, names or external reference; all must occur. One or two letters count where a word begins with them. */
  query?: string;
  /** Words that must all occur in one participant's name. */
  person?: string;
  /** Only those of the participant with this id. */
  participant?: string;
  /** Held at or after this time. */
  from?: string;
  /** Held before this time. */
  to?: string;
  state?: "scheduled" | "open" | "ended" | "completed" | "archived" | "";
  /** any: with a problem; no: without; else with this one. */
  problem?: "any" | "no" | "abandoned" | "archive_failed" | "connection_failed" | "crash" | "gap" | "participant_lost" | "reindexed" | "segment_missing" | "stall" | "";
  /** given: everybody who may send has agreed; else somebody has refused, withdrawn, or not answered. */
  consent?: "given" | "refused" | "withdrawn" | "none" | "";
  /** true: a hold is in force; false: none is; release_requested: a second person is asked to release one. */
  held?: "true" | "false" | "release_requested" | "";
  /** nextCursor of the page before. */
  cursor?: string;
  limit?: number;
} = {}, options: Options = {}): Promise<ListedBody> {
  return sendJSON(`/consultations${query(asked)}`, { method: "GET" }, options);
}

/** Schedule a consultation: POST /api/v1/consultations */
export function scheduleConsultation(body: NewConsultation, options: Options = {}): Promise<CreatedBody> {
  return sendJSON("/consultations", { method: "POST", body }, options);
}

/** One consultation: GET /api/v1/consultations/{id} */
export function getConsultation(id: string, options: Options = {}): Promise<Summary> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}`, { method: "GET" }, options);
}

/** Who opened an archive for what, what was watched, and what was taken out: GET /api/v1/consultations/{id}/accesses */
export function listAccesses(id: string, options: Options = {}): Promise<AccessesOutBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/accesses`, { method: "GET" }, options);
}

/** All versions of the archive: GET /api/v1/consultations/{id}/archives */
export function listArchives(id: string, options: Options = {}): Promise<ArchiveSummary[]> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/archives`, { method: "GET" }, options);
}

/** Order one more version of the archive: POST /api/v1/consultations/{id}/archives */
export function requestArchive(id: string, body?: RequestArchiveRequest, options: Options = {}): Promise<RequestedBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/archives`, { method: "POST", body }, options);
}

/** Say for what an archive is opened: POST /api/v1/consultations/{id}/archives/{version}/receipts */
export function openReceipt(id: string, version: number, body: OpenReceiptRequest, options: Options = {}): Promise<ReceiptOutBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/archives/${encodeURIComponent(version)}/receipts`, { method: "POST", body }, options);
}

/** End the watching: POST /api/v1/consultations/{id}/archives/{version}/receipts/{receipt}/close */
export function closeReceipt(id: string, version: number, receipt: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/archives/${encodeURIComponent(version)}/receipts/${encodeURIComponent(receipt)}/close`, { method: "POST" }, options);
}

/** Say what was really watched: POST /api/v1/consultations/{id}/archives/{version}/receipts/{receipt}/watched */
export function reportWatched(id: string, version: number, receipt: string, body: ReportWatchedRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/archives/${encodeURIComponent(version)}/receipts/${encodeURIComponent(receipt)}/watched`, { method: "POST", body }, options);
}

/** End the consultation for everybody: POST /api/v1/consultations/{id}/end */
export function endConsultation(id: string, asked: {
  reason?: "examination" | "private" | "other";
} = {}, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/end${query(asked)}`, { method: "POST" }, options);
}

/** All events as stored, byte for byte, one a line, in order: GET /api/v1/consultations/{id}/events */
export function getEvents(id: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/events`, { method: "GET" }, options);
}

/** Take the events out as a file, which becomes an event itself: POST /api/v1/consultations/{id}/exports */
export function exportEvents(id: string, body: ExportEventsRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/exports`, { method: "POST", body }, options);
}

/** What forbids to delete anything of this consultation, and what did: GET /api/v1/consultations/{id}/holds */
export function listHolds(id: string, options: Options = {}): Promise<HoldsOutBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/holds`, { method: "GET" }, options);
}

/** Forbid to delete anything of this consultation: POST /api/v1/consultations/{id}/holds */
export function placeHold(id: string, body: PlaceHoldRequest, options: Options = {}): Promise<PlacedBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/holds`, { method: "POST", body }, options);
}

/** Ask a second person to release a hold: POST /api/v1/consultations/{id}/holds/{hold}/release */
export function requestRelease(id: string, hold: string, body: RequestReleaseRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/holds/${encodeURIComponent(hold)}/release`, { method: "POST", body }, options);
}

/** Release a hold as somebody else has requested: POST /api/v1/consultations/{id}/holds/{hold}/release/approve */
export function approveRelease(id: string, hold: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/holds/${encodeURIComponent(hold)}/release/approve`, { method: "POST" }, options);
}

/** Refuse to release a hold, or take one's own request back: POST /api/v1/consultations/{id}/holds/{hold}/release/decline */
export function declineRelease(id: string, hold: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/holds/${encodeURIComponent(hold)}/release/decline`, { method: "POST" }, options);
}

/** Connections, tracks, and stretches of time to draw beside each other: GET /api/v1/consultations/{id}/lanes */
export function getLanes(id: string, options: Options = {}): Promise<LanesOutBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/lanes`, { method: "GET" }, options);
}

/** Events by page and filter: when, what, about whom, by whom. What else they say is in the events: GET /api/v1/consultations/{id}/markers */
export function listMarkers(id: string, asked: {
  /** Only events behind this seq. */
  after?: number;
  /** Only these types, with commas between them. */
  type?: string[];
  participant?: string;
  /** Only events with a code. */
  failures?: boolean;
  limit?: number;
} = {}, options: Options = {}): Promise<MarkersOutBody> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/markers${query(asked)}`, { method: "GET" }, options);
}

/** Invite one more participant: POST /api/v1/consultations/{id}/participants */
export function inviteParticipant(id: string, body: NewParticipant, options: Options = {}): Promise<Invited> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/participants`, { method: "POST", body }, options);
}

/** Remove a participant: DELETE /api/v1/consultations/{id}/participants/{pid} */
export function removeParticipant(id: string, pid: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/participants/${encodeURIComponent(pid)}`, { method: "DELETE" }, options);
}

/** Answer the recording notice: POST /api/v1/consultations/{id}/participants/{pid}/consent */
export function answerConsent(id: string, pid: string, body: AnswerConsentRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/participants/${encodeURIComponent(pid)}/consent`, { method: "POST", body }, options);
}

/** How well each connection did, every few seconds; 404 until the recordings are complete, or when nothing was measured: GET /api/v1/consultations/{id}/quality */
export function getQuality(id: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/quality`, { method: "GET" }, options);
}

/** Stop all writing for a while: POST /api/v1/consultations/{id}/recording/pause */
export function pauseRecording(id: string, asked: {
  reason?: "examination" | "private" | "other";
} = {}, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/recording/pause${query(asked)}`, { method: "POST" }, options);
}

/** Let writing go on: POST /api/v1/consultations/{id}/recording/resume */
export function resumeRecording(id: string, asked: {
  reason?: "examination" | "private" | "other";
} = {}, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/recording/resume${query(asked)}`, { method: "POST" }, options);
}

/** Take back the end, for 15 minutes: POST /api/v1/consultations/{id}/reopen */
export function reopenConsultation(id: string, asked: {
  reason?: "examination" | "private" | "other";
} = {}, options: Options = {}): Promise<Response> {
  return sendRaw(`/consultations/${encodeURIComponent(id)}/reopen${query(asked)}`, { method: "POST" }, options);
}

/** What the archive shows: clips, gaps with causes, markers: GET /api/v1/consultations/{id}/timeline */
export function getTimeline(id: string, options: Options = {}): Promise<Timeline> {
  return sendJSON(`/consultations/${encodeURIComponent(id)}/timeline`, { method: "GET" }, options);
}

/** How the whole is doing: what runs, who got in, what failed, what stitchers have to do: GET /api/v1/overview */
export function getOverview(asked: {
  /** How far back connections and failures are counted. */
  hours?: number;
} = {}, options: Options = {}): Promise<OverviewOutBody> {
  return sendJSON(`/overview${query(asked)}`, { method: "GET" }, options);
}

/** Exchange a token for a session cookie that counts on GET and on the WebSocket: POST /api/v1/session */
export function openSession(body: {
  token: string;
}, options: Options = {}): Promise<{
  consultation: string;
  expiresAt: string;
  role: string;
}> {
  return sendJSON("/session", { method: "POST", body }, options);
}

/** How much room is left: GET /api/v1/storage */
export function getStorage(options: Options = {}): Promise<StorageSummary> {
  return sendJSON("/storage", { method: "GET" }, options);
}

/** Which systems are told of events, and how far each of them is: GET /api/v1/webhooks */
export function listWebhooks(options: Options = {}): Promise<WebhooksOutBody> {
  return sendJSON("/webhooks", { method: "GET" }, options);
}

/** Tell one more system of events: POST /api/v1/webhooks */
export function addWebhook(body: AddWebhookRequest, options: Options = {}): Promise<AddedWebhookOutBody> {
  return sendJSON("/webhooks", { method: "POST", body }, options);
}

/** One system that is told of events: GET /api/v1/webhooks/{webhook} */
export function getWebhook(webhook: string, options: Options = {}): Promise<WebhookItem> {
  return sendJSON(`/webhooks/${encodeURIComponent(webhook)}`, { method: "GET" }, options);
}

/** Tell a system nothing any more, and forget its letters: DELETE /api/v1/webhooks/{webhook} */
export function removeWebhook(webhook: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/webhooks/${encodeURIComponent(webhook)}`, { method: "DELETE" }, options);
}

/** Give a webhook another address or other types: PATCH /api/v1/webhooks/{webhook} */
export function changeWebhook(webhook: string, body: ChangeWebhookRequest, options: Options = {}): Promise<WebhookItem> {
  return sendJSON(`/webhooks/${encodeURIComponent(webhook)}`, { method: "PATCH", body }, options);
}

/** Events that a receiver has refused, and those behind them: dead ones were given up, the others are tried again: GET /api/v1/webhooks/{webhook}/letters */
export function listWebhookLetters(webhook: string, asked: {
  /** Only behind this position of the log. */
  after?: number;
  limit?: number;
} = {}, options: Options = {}): Promise<WebhookLettersOutBody> {
  return sendJSON(`/webhooks/${encodeURIComponent(webhook)}/letters${query(asked)}`, { method: "GET" }, options);
}

/** Send a dead letter once more, or all of them: POST /api/v1/webhooks/{webhook}/letters/again */
export function sendWebhookLetters(webhook: string, body: SendWebhookLettersRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/webhooks/${encodeURIComponent(webhook)}/letters/again`, { method: "POST", body }, options);
}

/** Tell a system nothing until it is resumed: POST /api/v1/webhooks/{webhook}/pause */
export function pauseWebhook(webhook: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/webhooks/${encodeURIComponent(webhook)}/pause`, { method: "POST" }, options);
}

/** Tell what was told before once more: POST /api/v1/webhooks/{webhook}/replay */
export function replayWebhook(webhook: string, body: ReplayWebhookRequest, options: Options = {}): Promise<Response> {
  return sendRaw(`/webhooks/${encodeURIComponent(webhook)}/replay`, { method: "POST", body }, options);
}

/** Go on where it stopped, after a pause or a suspension: POST /api/v1/webhooks/{webhook}/resume */
export function resumeWebhook(webhook: string, options: Options = {}): Promise<Response> {
  return sendRaw(`/webhooks/${encodeURIComponent(webhook)}/resume`, { method: "POST" }, options);
}

/** Make a new secret: POST /api/v1/webhooks/{webhook}/secret */
export function rotateWebhookSecret(webhook: string, options: Options = {}): Promise<WebhookSecretOutBody> {
  return sendJSON(`/webhooks/${encodeURIComponent(webhook)}/secret`, { method: "POST" }, options);
}
