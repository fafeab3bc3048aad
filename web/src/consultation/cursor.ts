// The one place in time that video, lanes, state and events show, and the event that is looked at.

import { computed, signal } from "@preact/signals";

/** "#e=91&t=428.2": event 91, 428.2 seconds from the beginning. */
export interface Fragment {
  event?: number;
  /** Milliseconds. */
  at?: number;
}

export function fragmentOf({ event, at }: Fragment): string {
  const parts = [];
  if (event !== undefined) parts.push(`e=${event}`);
  if (at !== undefined) parts.push(`t=${Math.round(at) / 1000}`);
  return parts.length > 0 ? `#${parts.join("&")}` : "";
}

/** What makes no sense in a fragment is left out. */
export function readFragment(fragment: string): Fragment {
  const asked = new URLSearchParams(fragment.replace(/^#/, ""));
  const number = (name: string) => {
    const value = Number(asked.get(name) || Number.NaN);
    return Number.isFinite(value) && value >= 0 ? value : undefined;
  };
  const event = number("e");
  const seconds = number("t");
  return {
    ...(event !== undefined && Number.isInteger(event) ? { event } : {}),
    ...(seconds !== undefined ? { at: seconds * 1000 } : {}),
  };
}

/** The part of a <video> that the cursor needs. */
export type Playable = Pick<
  HTMLVideoElement,
  "currentTime" | "paused" | "seeking" | "duration" | "readyState" | "addEventListener" | "removeEventListener"
>;

/** A frame of an archive: they have 30 a second. */
export const FRAME = 1000 / 30;

export class Cursor {
  /** Milliseconds of the archive. */
  readonly now = signal(0);
  /** The newest moment is shown, of a consultation that goes on. */
  readonly follows = signal(false);
  readonly playing = signal(false);
  readonly selected = signal<number | undefined>(undefined);
  readonly seconds = computed(() => Math.floor(this.now.value / 1000));
  #video: Playable | undefined;
  #wanted: number | undefined; // where the video is to go when it has got to where it is going
  #frame = 0;
  #duration = 0;

  /** Ties the cursor to a video until the answer is called; the video goes to where the cursor is. */
  attach(video: Playable): () => void {
    this.#video = video;
    const arrived = () => {
      if (this.#wanted === undefined) this.#show();
      else this.#go();
    };
    const played = () => {
      this.playing.value = true;
      this.follows.value = false;
      this.#run();
    };
    const paused = () => {
      this.playing.value = false;
      cancelAnimationFrame(this.#frame);
      if (this.#wanted === undefined) this.#show();
    };
    const loaded = () => this.seek(this.now.peek());
    const heard = { loadedmetadata: loaded, seeked: arrived, play: played, pause: paused, ended: paused } as const;
    for (const [name, listener] of Object.entries(heard)) video.addEventListener(name, listener);
    if (video.readyState >= 1) loaded();
    return () => {
      for (const [name, listener] of Object.entries(heard)) video.removeEventListener(name, listener);
      cancelAnimationFrame(this.#frame);
      this.playing.value = false;
      if (this.#video === video) this.#video = undefined;
    };
  }

  /** How long the consultation is. */
  limit(duration: number): void {
    this.#duration = duration;
  }

  /** Goes to a moment. The video follows as fast as it can: while it is on its way only the last wish counts. */
  seek(ms: number): void {
    const to = Math.max(0, this.#duration > 0 ? Math.min(ms, this.#duration) : ms);
    this.now.value = to;
    this.follows.value = false;
    this.#wanted = to;
    if (this.#video && this.#video.readyState >= 1 && !this.#video.seeking) this.#go();
  }

  /** Goes to the frame behind or before the one that is shown. */
  step(frames: number): void {
    const shown = Math.floor(this.now.peek() / FRAME + 0.01);
    this.seek((shown + frames) * FRAME);
  }

  #go(): void {
    const to = this.#wanted;
    this.#wanted = undefined;
    // A frame begins at its time: a moment later is surely it, and not the one before.
    if (to !== undefined && this.#video) this.#video.currentTime = to / 1000 + 0.001;
  }

  #show(): void {
    if (this.#video && Math.abs(this.#video.currentTime * 1000 - this.now.peek()) > 2) {
      this.now.value = this.#video.currentTime * 1000;
    }
  }

  #run(): void {
    cancelAnimationFrame(this.#frame);
    if (!this.#video || this.#video.paused) return;
    if (!this.#video.seeking && this.#wanted === undefined) this.#show();
    this.#frame = requestAnimationFrame(() => this.#run());
  }
}
