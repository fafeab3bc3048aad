// The list of consultations as it is now: searched, paged and kept up to date.

import { signal } from "@preact/signals";
import { Problem } from "../api/problem.ts";
import type { Consultation, ConsultationPage } from "../api/types.ts";
import { type Clock, systemClock } from "../signaling/client.ts";

export type Fetch = (query: string, cursor: string | undefined, abort: AbortSignal) => Promise<ConsultationPage>;

/** How long typing must rest before a search, and how often the list is read again (for each page of it). */
const TYPING = 200;
const REFRESH = 2_000;

export class Library {
  readonly items = signal<Consultation[] | undefined>(undefined); // undefined until the first answer
  readonly more = signal(false);
  readonly busy = signal(false);
  readonly query = signal("");
  readonly problem = signal<Problem | undefined>(undefined);
  #fetch: Fetch;
  #clock: Clock;
  #pages = 1;
  #abort = new AbortController();
  #cancelTimer: () => void = () => {};
  #stopped = false;

  constructor(fetch: Fetch, clock: Clock = systemClock) {
    this.#fetch = fetch;
    this.#clock = clock;
  }

  start(): void {
    void this.#load();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
    this.#abort.abort();
  }

  search(query: string): void {
    if (query === this.query.value) return;
    this.query.value = query;
    this.#pages = 1;
    this.#again(TYPING);
  }

  showMore(): void {
    this.#pages++;
    this.#again(0);
  }

  /** Reads the list again now. */
  retry(): void {
    this.#again(0);
  }

  #again(delay: number): void {
    if (this.#stopped) return;
    this.#cancelTimer();
    this.#abort.abort(); // an answer to an older question must not overtake
    this.#cancelTimer = this.#clock.after(delay, () => void this.#load());
  }

  async #load(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.busy.value = true;
    try {
      const { items, next } = await this.#read(abort.signal);
      if (abort.signal.aborted) return;
      this.items.value = items;
      this.more.value = next !== undefined;
      this.problem.value = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem.value = error instanceof Problem ? error : new Problem(0, "network", String(error));
    }
    this.busy.value = false;
    if (this.problem.value?.status === 401) return; // nothing changes until somebody opens a link
    this.#again(REFRESH * this.#pages);
  }

  // All pages that are on the screen, from the top: what moved between two of them appears once.
  async #read(abort: AbortSignal): Promise<{ items: Consultation[]; next: string | undefined }> {
    const found = new Map<string, Consultation>();
    let cursor: string | undefined;
    for (let page = 0; page < this.#pages; page++) {
      const { items, nextCursor } = await this.#fetch(this.query.value.trim(), cursor, abort);
      for (const item of items) found.set(item.id, item);
      cursor = nextCursor || undefined;
      if (!cursor) break;
    }
    return { items: [...found.values()], next: cursor };
  }
}
