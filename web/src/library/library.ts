// The list of consultations as it is now: searched, filtered, read as far as somebody scrolls, and kept up to date by
// what the server tells.

import { signal } from "@preact/signals";
import { Problem } from "../api/problem.ts";
import type { Consultation, ConsultationPage } from "../api/types.ts";
import { type Clock, systemClock } from "../signaling/client.ts";
import type { Follow, Progress } from "./changes.ts";
import { type Filters, narrows, none } from "./filters.ts";
import { heldAt, Pages } from "./pages.ts";

export type Fetch = (filters: Filters, cursor: string | undefined, abort: AbortSignal) => Promise<ConsultationPage>;

/** How long typing must rest before a search. */
const TYPING = 120;
/** The top is read again this long after something changed there, and now and then in case nothing was told. */
const GATHER = 500;
const REFRESH = 30_000;
/** After a failure. */
const AGAIN = 3_000;
/** Rows that are read before somebody scrolls to them. */
const AHEAD = 400;

export class Library {
  readonly filters = signal<Filters>(none);
  /** Grows with every change of the rows; who shows rows reads it. */
  readonly revision = signal(0);
  readonly loaded = signal(false); // a first answer to what is asked now is there
  readonly problem = signal<Problem | undefined>(undefined);
  #pages = new Pages();
  #fetch: Fetch;
  #follow: Follow;
  #clock: Clock;
  #visible = { first: 0, end: 30 };
  #asking = new AbortController();
  #reading = false;
  #topIsOld = false;
  #cancelTop: () => void = () => {};
  #cancelAsk: () => void = () => {};
  #unfollow: () => void = () => {};
  #stopped = false;

  constructor(fetch: Fetch, follow: Follow, clock: Clock = systemClock) {
    this.#fetch = fetch;
    this.#follow = follow;
    this.#clock = clock;
  }

  start(filters: Filters = none): void {
    this.filters.value = filters;
    this.#unfollow = this.#follow({
      consultation: (changed) => this.#changed(changed),
      progress: (told) => this.#progressed(told),
      reset: () => this.#refreshTop(0),
    });
    this.#refreshTop(REFRESH);
    void this.#read();
  }

  stop(): void {
    this.#stopped = true;
    this.#unfollow();
    this.#cancelTop();
    this.#cancelAsk();
    this.#asking.abort();
  }

  /** Rows that are known to be there. */
  get length(): number {
    return this.#pages.length;
  }

  /** Whether these are all. */
  get complete(): boolean {
    return this.#pages.complete;
  }

  at(index: number): Consultation | undefined {
    return this.#pages.at(index);
  }

  /** Asks for something else, once typing rests. */
  ask(change: Partial<Filters>, delay = TYPING): void {
    this.filters.value = { ...this.filters.value, ...change };
    this.#cancelAsk();
    this.#asking.abort(); // an answer to an older question must not overtake
    this.#reading = false;
    this.#cancelAsk = this.#clock.after(delay, () => {
      this.#pages.clear();
      this.#visible = { first: 0, end: 30 };
      this.loaded.value = false;
      void this.#read();
    });
  }

  /** Says which rows are looked at. */
  show(first: number, end: number): void {
    this.#visible = { first, end };
    void this.#read();
  }

  /** Reads the list again now. */
  retry(): void {
    this.#refreshTop(0);
  }

  #refreshTop(delay: number): void {
    if (this.#stopped) return;
    this.#cancelTop();
    this.#cancelTop = this.#clock.after(delay, () => {
      this.#topIsOld = true;
      this.#refreshTop(REFRESH);
      void this.#read();
    });
  }

  #changed(changed: Consultation): void {
    let moved = false;
    const known = this.#pages.change(changed.id, (item) => {
      const other = item.state !== changed.state || isHeld(item) !== isHeld(changed);
      moved = heldAt(item) !== heldAt(changed) || (other && narrows(this.filters.peek()));
      return { ...changed, ...keepProgress(item, changed) };
    });
    if (known) this.revision.value++;
    if (!known || moved) this.#refreshTop(GATHER);
  }

  #progressed({ id, version, progress, stage }: Progress): void {
    const changed = this.#pages.change(id, (item) => {
      if (item.archive?.version !== version || item.archive.state === "ready") return item;
      return { ...item, archive: { ...item.archive, state: "rendering", progress, ...(stage ? { stage } : {}) } };
    });
    if (changed) this.revision.value++;
  }

  // One request at a time: first what is on the screen, then the top when it is old, then what is ahead.
  async #read(): Promise<void> {
    while (!this.#reading && !this.#stopped) {
      const { first, end } = this.#visible;
      const missing = this.#pages.missing(first, end, AHEAD);
      const top = this.#topIsOld && !this.#pages.empty;
      if (!missing && !top) return;
      this.#reading = true;
      if (top) this.#topIsOld = false;
      const abort = new AbortController();
      this.#asking = abort;
      try {
        const answer = await this.#fetch(this.filters.peek(), top ? undefined : missing?.cursor, abort.signal);
        if (abort.signal.aborted) return;
        if (top) this.#pages.putTop(answer);
        else if (missing) this.#pages.put(missing.page, answer, missing.cursor);
        this.#pages.letGo(this.#visible.first, this.#visible.end);
        this.problem.value = undefined;
        this.loaded.value = true;
        this.revision.value++;
      } catch (error) {
        if (abort.signal.aborted) return;
        this.problem.value = error instanceof Problem ? error : new Problem(0, "network", String(error));
        this.#reading = false;
        if (this.problem.value.status === 401)
          this.stop(); // nothing changes until somebody opens a link
        else this.#refreshTop(AGAIN);
        return;
      }
      this.#reading = false;
    }
  }
}

// What the list can be asked for of holds.
function isHeld({ holds = 0, releaseRequestedAt = "" }: Consultation): string {
  return holds > 0 ? `held ${releaseRequestedAt}` : "";
}

// The list hears of progress apart from the rest: a row that is told anew must not jump back.
function keepProgress(old: Consultation, changed: Consultation): Partial<Consultation> {
  const [before, now] = [old.archive, changed.archive];
  if (!before || !now || before.version !== now.version || before.state !== now.state) return {};
  return { archive: { ...now, progress: Math.max(before.progress ?? 0, now.progress ?? 0) } };
}
