// When to restart ICE and when to give a connection up for a new one. Pure: it is told what is, and says what to do.

/** relay: a restart over the relays alone, when the usual one has not helped. */
export type Step = "none" | "restart" | "relay" | "renew";

export interface Situation {
  ice: RTCIceConnectionState;
  /** The watchdog heard nothing from the server. */
  silent: boolean;
  /** Offers can be sent: the WebSocket lives and this participant is present. */
  signaling: boolean;
}

/** How long ICE may stay disconnected before a restart: short losses mend by themselves. */
export const DISCONNECTED_LIMIT = 1_500;
/** How long a restart may take before one over the relays alone is made. */
export const RESTART_LIMIT = 5_000;
/** How long that one may take. A new connection costs a gap, so it gets the time of a lossy path. */
export const RELAY_LIMIT = 7_000;
/** How long a new connection may take to connect the first time. */
export const CONNECT_LIMIT = 15_000;

/** A connection that fails at once is tried again no faster than this. */
export const FAILED_LIMIT = 3_000;

export class Recovery {
  #connected = false; // this connection has been connected at least once
  #badSince: number | undefined;
  #triedAt: number | undefined; // the restart under way
  #relayed = false; // it goes over the relays alone
  #bornAt: number | undefined;

  /** Call it about once a second, and after each change, with `now` in milliseconds. */
  step(now: number, { ice, silent, signaling }: Situation): Step {
    this.#bornAt ??= now;
    const good = (ice === "connected" || ice === "completed") && !silent;
    if (good) {
      this.#connected = true;
      this.#badSince = undefined;
      this.#triedAt = undefined;
      this.#relayed = false;
      return "none";
    }
    // Without signaling nothing can be done, and time does not count: the other side may be just as alone.
    if (!signaling) {
      if (!this.#connected) this.#bornAt = now;
      if (this.#triedAt !== undefined) this.#triedAt = now;
      return "none";
    }
    if (ice === "closed") return this.#renew();
    if (!this.#connected) {
      const limit = ice === "failed" ? FAILED_LIMIT : CONNECT_LIMIT;
      return now - this.#bornAt >= limit ? this.#renew() : "none";
    }
    if (this.#triedAt !== undefined) return this.#afterRestart(now, now - this.#triedAt);
    this.#badSince ??= now;
    if (ice === "failed" || silent || now - this.#badSince >= DISCONNECTED_LIMIT) {
      this.#triedAt = now;
      return "restart";
    }
    return "none";
  }

  #afterRestart(now: number, tried: number): Step {
    if (tried < (this.#relayed ? RELAY_LIMIT : RESTART_LIMIT)) return "none";
    if (this.#relayed) return this.#renew();
    this.#relayed = true;
    this.#triedAt = now;
    return "relay";
  }

  // The caller makes a new connection; everything starts anew with it.
  #renew(): Step {
    this.#connected = false;
    this.#badSince = undefined;
    this.#triedAt = undefined;
    this.#relayed = false;
    this.#bornAt = undefined;
    return "renew";
  }
}
