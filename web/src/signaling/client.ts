// The client's end of the WebSocket: connects, says hello, keeps the connection alive, connects again for as long as
// that can help, and pairs answers with requests. It knows nothing of media.

import {
  type ClientMessage,
  type EndReason,
  parseServerMessage,
  type ServerMessage,
  SUBPROTOCOL,
  type Welcome,
} from "./messages.ts";

/** The part of a WebSocket that the client uses; tests put their own in its place. */
export interface Socket {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
}

/** Clock and timers, so that tests need not wait. Times are in milliseconds. */
export interface Clock {
  now(): number;
  /** Calls back once; the result cancels. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** Why the client has given up for good. */
export type Farewell =
  | { kind: "refused"; code: string; message: string } // the server will not talk to this token
  | { kind: "ended"; reason: EndReason } // this participant's part is over
  | { kind: "closed" }; // close() was called

/** connecting: no answer to hello yet; ready: messages flow; waiting: between two attempts; closed: for good. */
export type Status = "connecting" | "ready" | "waiting" | "closed";

export interface ClientEvents {
  status?(status: Status): void;
  welcome(welcome: Welcome): void;
  /** Every message that is neither an answer to a request nor handled here (pong, moved, ended). */
  message(message: ServerMessage): void;
  farewell(farewell: Farewell): void;
}

export interface ClientOptions {
  url: string;
  token: string;
  events: ClientEvents;
  open?: (url: string) => Socket;
  clock?: Clock;
  random?: () => number;
}

/** The request could not be delivered or its answer got lost; what the server did with it is not known. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** The server answered a request with an error. */
export class Refused extends Error {
  override name = "Refused";
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const GREETING_LIMIT = 10_000;
const TICK = 1_000;
const PING_EVERY = 2_000;
const SILENCE_LIMIT = 5_000;
const FIRST_RETRY = 300;
const LAST_RETRY = 5_000;

// Codes after which another hello with the same token cannot go better.
const FINAL_CODES = new Set([
  "unauthorized",
  "token_expired",
  "token_early",
  "unknown_consultation",
  "unknown_participant",
  "forbidden",
  "kicked",
  "ended",
]);

// A server that shuts down comes back, or another one takes over; who was given up for gone and still is here joins
// again. Every other end is for good.
const RETURNING = new Set(["shutdown", "timeout"]);

/** Whether a refusal with this code stands, however often one asks. */
export function isFinal(code: string): boolean {
  return FINAL_CODES.has(code);
}

/** Whether the client comes back by itself after this end. */
export function isReturning(reason: string): boolean {
  return RETURNING.has(reason);
}

interface Pending {
  resolve(message: ServerMessage): void;
  reject(error: Error): void;
}

export class Client {
  status: Status = "waiting";
  #options: ClientOptions;
  #clock: Clock;
  #url: string;
  #socket: Socket | undefined;
  #nextId = 1;
  #pending = new Map<number, Pending>();
  #attempts = 0; // since the last welcome
  #cancelTimer: () => void = () => {};
  #lastHeard = 0;
  #lastPing = 0;
  #lastTick = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#url = options.url;
  }

  /** Connects, and from then on again and again until close() or a farewell. */
  start(): void {
    if (this.status === "closed") return;
    this.#connect();
  }

  /** Cuts a waiting time short: the network is back, or somebody looks at the page again. */
  hurry(): void {
    if (this.status === "waiting" && this.#attempts > 0) this.#connect();
  }

  /** Sends a message that needs no answer. Returns false when there is no connection to send it on. */
  send(message: ClientMessage): boolean {
    if (this.status !== "ready" || !this.#socket) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Sends a message and waits for its answer. Rejects with Refused or ConnectionLost. */
  request(message: ClientMessage): Promise<ServerMessage> {
    if (this.status !== "ready") return Promise.reject(new ConnectionLost("no connection"));
    return this.#ask(message);
  }

  close(): void {
    this.#finish({ kind: "closed" });
  }

  #ask(message: ClientMessage): Promise<ServerMessage> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket?.send(JSON.stringify({ ...message, id }));
    });
  }

  #connect(): void {
    this.#cancelTimer();
    this.#setStatus("connecting");
    const open = this.#options.open ?? ((url: string) => new WebSocket(url, SUBPROTOCOL) as Socket);
    const socket = open(this.#url);
    this.#socket = socket;
    // A socket that is not ours any more may still speak: each callback asks first.
    const ours = (callback: () => void) => {
      if (this.#socket === socket) callback();
    };
    socket.onopen = () => ours(() => this.#greet());
    socket.onmessage = (event) => ours(() => this.#hear(event.data));
    socket.onclose = () => ours(() => this.#lost());
    this.#cancelTimer = this.#clock.after(GREETING_LIMIT, () => ours(() => this.#lost()));
  }

  #greet(): void {
    this.#ask({ type: "hello", token: this.#options.token }).then(
      (answer) => {
        if (answer.type === "welcome") this.#welcomed(answer);
        else this.#lost();
      },
      (error: unknown) => {
        if (error instanceof Refused) this.#refused(error.code, error.message);
      },
    );
  }

  #welcomed(welcome: Welcome): void {
    this.#attempts = 0;
    const now = this.#clock.now();
    this.#lastHeard = now;
    this.#lastPing = now;
    this.#lastTick = now;
    this.#cancelTimer();
    this.#scheduleTick();
    this.#setStatus("ready");
    this.#options.events.welcome(welcome);
  }

  #refused(code: string, message: string): void {
    if (isFinal(code)) this.#finish({ kind: "refused", code, message });
    else this.#lost();
  }

  #hear(frame: unknown): void {
    this.#lastHeard = this.#clock.now();
    const message = parseServerMessage(frame);
    if (!message) return;
    if (this.#answered(message)) return;
    switch (message.type) {
      case "pong":
        return;
      case "moved":
        this.#url = socketURL(message.url);
        this.#again(0);
        return;
      case "ended":
        if (isReturning(message.reason)) this.#lost();
        else this.#finish({ kind: "ended", reason: message.reason });
        return;
      case "error":
        if (this.status !== "ready") this.#refused(message.code, message.message);
        else if (message.code === "unauthorized")
          this.#finish({ kind: "refused", code: message.code, message: message.message });
        else this.#options.events.message(message);
        return;
      default:
        if (this.status === "ready") this.#options.events.message(message);
    }
  }

  // Gives an answer to whoever asked. An answer that ends everything (ended, moved) is for the client itself too.
  #answered(message: ServerMessage): boolean {
    const pending = message.re === undefined ? undefined : this.#pending.get(message.re);
    if (!pending || message.re === undefined) return false;
    this.#pending.delete(message.re);
    if (message.type === "error") pending.reject(new Refused(message.code, message.message));
    else pending.resolve(message);
    return message.type !== "ended" && message.type !== "moved";
  }

  #scheduleTick(): void {
    this.#cancelTimer = this.#clock.after(TICK, () => this.#tick());
  }

  // Pings, and notices silence. A page that was frozen (a phone in a pocket) wakes up with an old lastHeard: it asks
  // before it judges.
  #tick(): void {
    const now = this.#clock.now();
    const frozen = now - this.#lastTick > 3 * TICK;
    this.#lastTick = now;
    if (frozen) this.#lastHeard = now;
    if (now - this.#lastHeard >= SILENCE_LIMIT) {
      this.#lost();
      return;
    }
    if (frozen || now - this.#lastPing >= PING_EVERY) {
      this.#lastPing = now;
      this.send({ type: "ping" });
    }
    this.#scheduleTick();
  }

  #lost(): void {
    const random = this.#options.random ?? Math.random;
    const delay = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#attempts) * (0.5 + random() / 2);
    this.#again(delay);
  }

  #again(delay: number): void {
    if (this.status === "closed") return;
    this.#attempts++;
    this.#drop();
    this.#setStatus("waiting");
    this.#cancelTimer = this.#clock.after(delay, () => this.#connect());
  }

  #finish(farewell: Farewell): void {
    if (this.status === "closed") return;
    this.#drop();
    this.#setStatus("closed");
    this.#options.events.farewell(farewell);
  }

  #drop(): void {
    this.#cancelTimer();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(1000);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.reject(new ConnectionLost("the connection was lost"));
  }

  #setStatus(status: Status): void {
    if (this.status === status) return;
    this.status = status;
    this.#options.events.status?.(status);
  }
}

/** The WebSocket form of an http(s) or ws(s) address. */
export function socketURL(url: string): string {
  return url.replace(/^http/, "ws");
}
