// One participant's call: the WebSocket and the PeerConnection held together, and brought back when they break.
// In go the person's wishes (join, leave, end) and own tracks; out come signals that pages show.

import { signal } from "@preact/signals";
import { Client, type ClientOptions, type Farewell, isFinal, Refused, type Status } from "../signaling/client.ts";
import type { Checked, ServerMessage, State, Welcome } from "../signaling/messages.ts";
import type { FailureCode } from "../text/failures.ts";
import type { LocalMedia, OwnSource } from "./media.ts";
import { Peer, type PeerOptions, type Received } from "./peer.ts";
import { Recovery } from "./recovery.ts";
import { type Expected, sample, Watchdog } from "./watchdog.ts";

/** none: not joined; connecting: never connected yet; good; lost: was good and is being brought back. */
export type MediaStatus = "none" | "connecting" | "good" | "lost";

const LEAVE_LIMIT = 1_500;
/** How long the server may be away before that is a failure. Shorter absences mend unnoticed. */
export const LOST_AFTER = 8_000;
const REJOIN_AFTER = 2_000; // when the server could not let us in for a reason of its own
const SOURCES: OwnSource[] = ["microphone", "camera", "screen"];

export interface CallOptions {
  url: string;
  token: string;
  media: LocalMedia;
  open?: ClientOptions["open"];
  clock?: ClientOptions["clock"]; // of the WebSocket's
  make?: PeerOptions["make"];
}

export class Call {
  readonly signaling = signal<Status>("connecting");
  readonly welcome = signal<Welcome | undefined>(undefined);
  readonly state = signal<State | undefined>(undefined);
  readonly received = signal<Received[]>([]);
  /** M-lines on which something should come and does not. */
  readonly stalled = signal<ReadonlySet<string>>(new Set());
  readonly media = signal<MediaStatus>("none");
  readonly farewell = signal<Farewell | undefined>(undefined);
  /** Why the server does not let this participant in: a code of docs/signaling.md, "" when it does. */
  readonly refusal = signal("");
  /** Why sound or picture cannot be set up: a code of docs/signaling.md, "" when all is well. */
  readonly trouble = signal("");
  /** The server has been away for LOST_AFTER. */
  readonly lost = signal(false);

  #options: CallOptions;
  #client: Client;
  #peer: Peer | undefined;
  #recovery = new Recovery();
  #watchdog = new Watchdog();
  #silent = false;
  #wanted = false; // the person wants to be in
  #entered = false; // the server knows it, on this WebSocket
  #renewals = 0; // since the last good connection
  #timer: ReturnType<typeof setInterval> | undefined;
  #lostTimer: ReturnType<typeof setTimeout> | undefined;
  #hindered: FailureCode[] = [];
  #stopListening: () => void;

  constructor(options: CallOptions) {
    this.#options = options;
    this.#client = new Client({
      url: options.url,
      token: options.token,
      ...(options.open ? { open: options.open } : {}),
      ...(options.clock ? { clock: options.clock } : {}),
      events: {
        status: (status) => this.#statusChanged(status),
        welcome: (welcome) => this.#welcomed(welcome),
        message: (message) => this.#heard(message),
        farewell: (farewell) => this.#over(farewell),
      },
    });
    const hurry = () => this.#client.hurry();
    window.addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    // A page that goes away does not leave: whoever reloads comes back as the same participant.
    this.#stopListening = () => {
      window.removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
    };
  }

  /** Says hello; presence begins with join(). */
  start(): void {
    this.#client.start();
  }

  join(): void {
    this.#wanted = true;
    this.refusal.value = "";
    this.#options.media.listener = {
      track: (source, track) => this.#trackChanged(source, track),
      muted: (source, muted) => this.#client.send({ type: "mute", source, muted }),
    };
    void this.#enter();
  }

  /** Says goodbye; farewell follows in any case. */
  leave(): void {
    this.#wanted = false;
    const sent = this.#client.send({ type: "leave" });
    setTimeout(() => this.#over({ kind: "ended", reason: "left" }), sent ? LEAVE_LIMIT : 0);
  }

  /** Ends the consultation for everybody; farewell follows. Rejects with Refused or ConnectionLost. */
  async end(): Promise<void> {
    try {
      await this.#client.request({ type: "end" });
    } catch (error) {
      // The goodbye itself may be what cut the answer off.
      if (!this.farewell.value) throw error;
    }
  }

  /** Tells what hinders this participant now: the whole list. The server forgets it with the WebSocket. */
  tell(codes: FailureCode[]): void {
    if (codes.join() === this.#hindered.join()) return;
    this.#hindered = codes;
    this.#client.send({ type: "hindered", codes });
  }

  /** Tells what the check before the call found. */
  checked(result: Checked): void {
    this.#client.send(result);
  }

  /** Lets go of everything without leaving. */
  close(): void {
    this.#client.close();
  }

  #statusChanged(status: Status): void {
    this.signaling.value = status;
    if (status === "ready") return;
    this.#entered = false;
    if (this.welcome.value && status !== "closed") {
      this.#lostTimer ??= setTimeout(() => (this.lost.value = true), LOST_AFTER);
    }
  }

  #welcomed(welcome: Welcome): void {
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    if (this.lost.value) this.#client.send({ type: "hindered", codes: ["SIG-LOST", ...this.#hindered] });
    if (this.lost.value || this.#hindered.length > 0) this.#client.send({ type: "hindered", codes: this.#hindered });
    this.lost.value = false;
    this.welcome.value = welcome;
    this.state.value = welcome.state;
    if (this.#wanted) void this.#enter();
  }

  async #enter(): Promise<void> {
    let kept = true; // the server still has the connection
    try {
      const answer = await this.#client.request({ type: "join" });
      if (answer.type === "state") {
        this.state.value = answer;
        kept = answer.hasConnection;
      }
      this.#entered = true;
    } catch (error) {
      // Without a connection the next welcome tries again.
      if (error instanceof Refused) this.#turnedAway(error.code);
      return;
    }
    if (this.#peer && kept) void this.#peer.negotiate();
    else this.#connect();
  }

  #turnedAway(code: string): void {
    if (isFinal(code) || code.startsWith("consent_") || code === "insufficient_storage") {
      this.#wanted = false;
      this.refusal.value = code;
      return;
    }
    setTimeout(() => {
      if (this.#wanted && !this.#entered) void this.#enter();
    }, REJOIN_AFTER);
  }

  #connect(): void {
    this.#peer?.close();
    this.#watchdog = new Watchdog();
    this.#recovery = new Recovery();
    this.#silent = false;
    this.stalled.value = new Set();
    if (this.media.value === "none") this.media.value = "connecting";
    const peer = new Peer({
      iceServers: this.welcome.value?.iceServers ?? [],
      signaling: this.#client,
      ...(this.#options.make ? { make: this.#options.make } : {}),
      events: {
        received: (list) => {
          this.received.value = list;
        },
        ice: () => this.#judge(),
        unusable: (error) => this.#unusable(peer, error),
      },
    });
    this.#peer = peer;
    for (const source of SOURCES) {
      const track = this.#options.media.tracks[source].value;
      if (track) peer.publish(source, track);
    }
    void peer.negotiate();
    this.#timer ??= setInterval(() => void this.#watch(), 1_000);
  }

  #heard(message: ServerMessage): void {
    switch (message.type) {
      case "state":
        this.state.value = message;
        // Forgotten by the server, for instance after too long a silence: come back.
        if (this.#wanted && this.#entered && !message.joined) {
          this.#entered = false;
          void this.#enter();
        }
        break;
      case "candidate":
        this.#peer?.candidate(message);
        break;
      case "please_offer":
        this.#peer?.reserve(message.audio, message.video);
        void this.#peer?.negotiate();
        break;
      case "error":
        if (message.code !== "not_joined") this.trouble.value = message.code;
        break;
    }
  }

  #trackChanged(source: OwnSource, track: MediaStreamTrack | undefined): void {
    if (!this.#peer) return;
    if (track) this.#peer.publish(source, track);
    else this.#peer.unpublish(source);
    if (this.#entered) void this.#peer.negotiate();
  }

  async #watch(): Promise<void> {
    const peer = this.#peer;
    if (!peer) return;
    try {
      const verdict = this.#watchdog.observe(performance.now(), await sample(peer.pc), this.#expected());
      if (peer !== this.#peer) return;
      this.#silent = verdict.silent;
      if (!sameSet(this.stalled.value, verdict.stalled)) this.stalled.value = verdict.stalled;
    } catch {
      // A connection that is being closed has no statistics.
    }
    this.#judge();
  }

  // Where media should flow: somebody is there, and their switch is on.
  #expected(): Expected[] {
    const flowing = new Map<string, Expected["kind"]>();
    for (const participant of this.state.value?.participants ?? []) {
      if (!participant.online) continue;
      for (const track of participant.tracks) if (!track.muted) flowing.set(track.id, track.kind);
    }
    return this.received.value.flatMap(({ mid, trackId }) => {
      const kind = flowing.get(trackId);
      return kind ? [{ mid, kind }] : [];
    });
  }

  #judge(): void {
    const peer = this.#peer;
    if (!peer) return;
    const ice = peer.pc.iceConnectionState;
    const step = this.#recovery.step(performance.now(), { ice, silent: this.#silent, signaling: this.#entered });
    if (step === "restart") void peer.restart();
    if (step === "relay") void peer.restart(true);
    if (step === "renew") this.#connect();
    const good = (ice === "connected" || ice === "completed") && !this.#silent;
    if (good) {
      this.#renewals = 0;
      this.trouble.value = "";
    }
    if (good || this.media.value === "good") this.media.value = good ? "good" : "lost";
  }

  #unusable(peer: Peer, error: Error): void {
    if (peer !== this.#peer) return;
    if (error instanceof Refused && error.code === "not_joined") {
      this.#entered = false;
      this.#turnedAway(error.code);
      return;
    }
    if (error instanceof Refused) this.trouble.value = error.code;
    // At once the first time; slower and slower when it does not help.
    const wait = this.#renewals === 0 ? 0 : Math.min(10_000, 1_000 * 2 ** (this.#renewals - 1));
    this.#renewals++;
    setTimeout(() => {
      if (peer === this.#peer && this.#entered) this.#connect();
    }, wait);
  }

  #over(farewell: Farewell): void {
    if (this.farewell.value) return;
    this.farewell.value = farewell;
    this.#wanted = false;
    clearInterval(this.#timer);
    clearTimeout(this.#lostTimer);
    this.#stopListening();
    this.#peer?.close();
    this.#peer = undefined;
    this.#client.close();
    this.received.value = [];
    this.media.value = "none";
  }
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((item) => b.has(item));
}

/** The address of the WebSocket beside this page. */
export function signalingURL(location: { protocol: string; host: string }): string {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/v1/signaling`;
}
