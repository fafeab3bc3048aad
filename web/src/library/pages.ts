// A list of unknown length that arrives page by page. Pages far from what is looked at are let go, and asked for again by
// their cursor, so that a hundred thousand rows cost no more memory than a thousand.

import type { Consultation, ConsultationPage } from "../api/types.ts";

interface Page {
  /** Of this page; undefined for the first one. */
  cursor: string | undefined;
  count: number;
  items: Consultation[] | undefined; // undefined: let go
}

/** Pages on either side of the visible rows that are kept. */
const KEEP = 6;

export class Pages {
  #pages: Page[] = [];
  #starts: number[] = []; // of each page, in rows
  #length = 0;
  #next: string | undefined;

  /** Rows that are known to be there. */
  get length(): number {
    return this.#length;
  }

  /** Whether there is nothing behind them. */
  get complete(): boolean {
    return this.#pages.length > 0 && this.#next === undefined;
  }

  get empty(): boolean {
    return this.#pages.length === 0;
  }

  /** undefined when the row was let go. */
  at(index: number): Consultation | undefined {
    const page = this.#pageOf(index);
    return this.#pages[page]?.items?.[index - (this.#starts[page] ?? 0)];
  }

  /** What has to be read so that the rows up to end are there and `ahead` more; undefined when all is. */
  missing(first: number, end: number, ahead: number): { page: number; cursor: string | undefined } | undefined {
    if (this.#pages.length === 0) return { page: 0, cursor: undefined };
    for (let page = this.#pageOf(first); page < this.#pages.length && (this.#starts[page] ?? 0) < end; page++) {
      const known = this.#pages[page];
      if (known && !known.items) return { page, cursor: known.cursor };
    }
    if (this.#next !== undefined && end + ahead > this.#length) return { page: this.#pages.length, cursor: this.#next };
    return undefined;
  }

  /** Takes the answer to what was missing. */
  put(page: number, answer: ConsultationPage, cursor: string | undefined): void {
    const elsewhere = new Set<string>();
    for (const [index, other] of this.#pages.entries()) {
      if (index !== page) for (const item of other.items ?? []) elsewhere.add(item.id);
    }
    // What moved between two answers appears once.
    const items = answer.items.filter((item) => !elsewhere.has(item.id));
    this.#pages[page] = { cursor, count: items.length, items };
    if (page === this.#pages.length - 1) this.#next = answer.nextCursor || undefined;
    this.#count();
  }

  /** Takes the newest rows as they are now: what is new comes in on top, what moved up or is gone leaves its old place. */
  putTop(answer: ConsultationPage): void {
    const top = new Set(answer.items.map(({ id }) => id));
    const last = answer.items.at(-1);
    const first = this.#pages[0];
    if (!first || !answer.nextCursor || !last) {
      this.#pages = [];
      this.put(0, answer, undefined);
      return;
    }
    const pushedOut = (first.items ?? []).filter((item) => !top.has(item.id) && heldAt(item) <= heldAt(last));
    for (const page of this.#pages.slice(1)) {
      if (!page.items?.some((item) => top.has(item.id))) continue;
      page.items = page.items.filter((item) => !top.has(item.id));
      page.count = page.items.length;
    }
    const items = [...answer.items, ...pushedOut];
    this.#pages[0] = { cursor: undefined, count: items.length, items };
    if (this.#pages.length === 1 && pushedOut.length === 0) this.#next = answer.nextCursor;
    this.#count();
  }

  /** Changes a row in its place; false when it is not at hand. */
  change(id: string, change: (item: Consultation) => Consultation): boolean {
    for (const page of this.#pages) {
      const index = page.items?.findIndex((item) => item.id === id) ?? -1;
      const item = page.items?.[index];
      if (!page.items || !item) continue;
      page.items = page.items.with(index, change(item));
      return true;
    }
    return false;
  }

  /** Lets go what is far from the visible rows; the first page stays, because it is kept up to date. */
  letGo(first: number, end: number): void {
    const from = this.#pageOf(first) - KEEP;
    const to = this.#pageOf(end) + KEEP;
    for (const [index, page] of this.#pages.entries()) {
      if (index > 0 && (index < from || index > to)) page.items = undefined;
    }
  }

  clear(): void {
    this.#pages = [];
    this.#next = undefined;
    this.#count();
  }

  #count(): void {
    this.#starts = [];
    this.#length = 0;
    for (const { count } of this.#pages) {
      this.#starts.push(this.#length);
      this.#length += count;
    }
  }

  // The last page that begins at or before the row.
  #pageOf(index: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }
}

/** By what the list is ordered. */
export function heldAt(item: Consultation): number {
  return Date.parse(item.startedAt ?? item.createdAt);
}
