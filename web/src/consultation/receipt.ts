// Watching with a receipt: for what a recording is opened is said first, and what was really played is told while it is.

import { signal } from "@preact/signals";
import * as api from "../api/generated.ts";
import { explain, Problem } from "../api/problem.ts";
import { refusalOf } from "../api/rest.ts";
import { type Clock, systemClock } from "../signaling/client.ts";
import { t } from "../text/text.ts";
import type { Playable } from "./cursor.ts";

export const purposes = ["treatment", "quality", "complaint", "legal", "patient_request", "technical"] as const;
export type Purpose = (typeof purposes)[number];

/** Whether the video of a version can be shown, and what is missing. */
export type Gate =
  | { state: "asking" }
  | { state: "open"; src: string; thumbnails: string; receipt?: string }
  | { state: "purpose"; problem?: string; sending?: boolean }
  | { state: "none" } // this role sees no pictures
  | { state: "failed"; text: string };

/** How often what was played is told while it is being played. */
const TELL = 30_000;

export interface Receipts {
  refusalOf(url: string): Promise<Problem | undefined>;
  open(purpose: Purpose): Promise<{ id: string; videoUrl: string; thumbnailsUrl: string }>;
  watched(receipt: string, ranges: api.RangeMS[]): Promise<unknown>;
  close(receipt: string): Promise<unknown>;
}

/** The server's receipts for one version. What is told while the page goes away still arrives. */
export function receiptsOf(id: string, version: number, token: () => string): Receipts {
  const options = () => ({ token: token(), keepalive: true });
  return {
    refusalOf,
    open: (purpose) => api.openReceipt(id, version, { purpose }, { token: token() }),
    watched: (receipt, ranges) => api.reportWatched(id, version, receipt, { ranges }, options()),
    close: (receipt) => api.closeReceipt(id, version, receipt, options()),
  };
}

export class Watching {
  readonly gate = signal<Gate>({ state: "asking" });
  #receipts: Receipts;
  #clock: Clock;
  #src: string;
  #receipt = "";
  #played = new Played();
  #cancel: () => void = () => {};

  constructor(receipts: Receipts, src: string, clock: Clock = systemClock) {
    this.#receipts = receipts;
    this.#src = src;
    this.#clock = clock;
  }

  /** Finds out whether the video can be had as it is. */
  async ask(): Promise<void> {
    const refusal = await this.#receipts.refusalOf(this.#src);
    if (!refusal) this.gate.value = { state: "open", src: this.#src, thumbnails: thumbnailsOf(this.#src) };
    else if (refusal.code === "receipt_needed") this.gate.value = { state: "purpose" };
    else if (refusal.status === 403) this.gate.value = { state: "none" };
    else this.gate.value = { state: "failed", text: t("detail.video.refused", { reason: explain(refusal) }) };
  }

  /** Says for what. */
  async open(purpose: Purpose): Promise<void> {
    this.gate.value = { state: "purpose", sending: true };
    try {
      const { id, videoUrl, thumbnailsUrl } = await this.#receipts.open(purpose);
      this.#receipt = id;
      this.gate.value = { state: "open", src: videoUrl, thumbnails: thumbnailsUrl, receipt: id };
    } catch (error) {
      const signedOut = error instanceof Problem && error.status === 401;
      this.gate.value = { state: "purpose", problem: signedOut ? t("detail.retry.signin") : explain(error) };
    }
  }

  /** Watches a video being watched, until the answer is called; without a receipt nobody is told. */
  follow(video: Playable): () => void {
    if (!this.#receipt) return () => {};
    const at = () => video.currentTime * 1000;
    const moved = () => {
      if (!video.paused && !video.seeking) this.#played.at(at());
    };
    const stopped = () => {
      this.#played.stop();
      void this.#tell();
    };
    const paused = () => {
      if (!video.seeking) this.#played.end(at());
      stopped();
    };
    const heard = { playing: moved, timeupdate: moved, seeking: stopped, pause: paused, ended: paused } as const;
    for (const [name, listener] of Object.entries(heard)) video.addEventListener(name, listener);
    const again = () => {
      void this.#tell();
      this.#cancel = this.#clock.after(TELL, again);
    };
    this.#cancel = this.#clock.after(TELL, again);
    return () => {
      for (const [name, listener] of Object.entries(heard)) video.removeEventListener(name, listener);
      this.#cancel();
    };
  }

  /** Tells the rest and ends the receipt. */
  async close(): Promise<void> {
    if (!this.#receipt) return;
    const receipt = this.#receipt;
    this.#receipt = "";
    this.#cancel();
    this.#played.stop();
    const ranges = this.#played.take();
    try {
      if (ranges.length > 0) await this.#receipts.watched(receipt, ranges);
      await this.#receipts.close(receipt);
    } catch {
      // The log then shows an opening without an end, which is what happened.
    }
  }

  async #tell(): Promise<void> {
    const ranges = this.#played.take();
    if (ranges.length === 0 || !this.#receipt) return;
    try {
      await this.#receipts.watched(this.#receipt, ranges);
    } catch (error) {
      if (error instanceof Problem && error.code === "receipt_needed") {
        this.#receipt = ""; // an hour without a use: it has to be said anew
        this.gate.value = { state: "purpose" };
      } else this.#played.giveBack(ranges);
    }
  }
}

/** Seconds at a stretch that were played. A player reports its place about four times a second. */
export class Played {
  #ranges: { from: number; to: number }[] = [];
  #open: { from: number; to: number } | undefined;

  /** The video plays, and is here. */
  at(ms: number): void {
    // Twice as fast and reported late, two reports are still less than this apart.
    const goesOn = this.#open && ms >= this.#open.to && ms - this.#open.to < 3_000;
    if (this.#open && goesOn) this.#open.to = ms;
    else {
      this.stop();
      this.#open = { from: ms, to: ms };
    }
  }

  /** It has stopped here; where nothing was played, nothing ends. */
  end(ms: number): void {
    if (this.#open) this.at(ms);
  }

  stop(): void {
    if (this.#open && this.#open.to > this.#open.from) this.#ranges.push(this.#open);
    this.#open = undefined;
  }

  /** What was played since the last time; what is being played goes on from here. */
  take(): api.RangeMS[] {
    const open = this.#open;
    this.stop();
    if (open) this.#open = { from: open.to, to: open.to };
    const taken = this.#ranges.map(({ from, to }) => ({ fromMs: Math.floor(from), toMs: Math.ceil(to) }));
    this.#ranges = [];
    return taken.filter(({ fromMs, toMs }) => toMs > fromMs).slice(-200);
  }

  giveBack(ranges: api.RangeMS[]): void {
    this.#ranges.unshift(...ranges.map(({ fromMs, toMs }) => ({ from: fromMs, to: toMs })));
  }
}

function thumbnailsOf(src: string): string {
  return src.replace(/archive\.mp4/, "thumbnails.vtt");
}
