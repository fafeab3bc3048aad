// Stretches of time that lie one behind the other: the stuff that lanes are made of. Times are milliseconds of the archive.

export interface Span {
  from: number;
  /** Infinity while it lasts. */
  to: number;
  /** A code; what it means depends on the lane. */
  value: string;
  /** What an expert wants to know beyond it; never a name. */
  detail?: string;
  /** Of the event that began it. */
  seq?: number;
}

/** Grows a lane from its beginning: what starts, ends what was before. */
export class Growing {
  readonly spans: Span[] = [];

  /** Goes over into another value; the same value and detail change nothing. */
  become(at: number, value: string, detail?: string, seq?: number): void {
    const last = this.spans.at(-1);
    if (last && last.to === Number.POSITIVE_INFINITY && last.value === value && last.detail === detail) return;
    const from = this.end(at);
    this.spans.push({
      from,
      to: Number.POSITIVE_INFINITY,
      value,
      ...(detail === undefined ? {} : { detail }),
      ...(seq === undefined ? {} : { seq }),
    });
  }

  /** Ends what lasts. Gives the moment, which is never before what was there already. */
  end(at: number): number {
    const last = this.spans.at(-1);
    if (!last) return at;
    const to = Math.max(at, last.from);
    if (last.to !== Number.POSITIVE_INFINITY) return Math.max(at, last.to);
    if (to === last.from)
      this.spans.pop(); // nothing lasted no time
    else last.to = to;
    return to;
  }

  /** What lasts now; undefined between two spans. */
  get now(): Span | undefined {
    const last = this.spans.at(-1);
    return last?.to === Number.POSITIVE_INFINITY ? last : undefined;
  }
}

/** The span that a moment lies in; its end does not belong to it. */
export function spanAt(spans: readonly Span[], at: number): Span | undefined {
  let low = 0;
  let high = spans.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const span = spans[middle] as Span;
    if (at < span.from) high = middle - 1;
    else if (at >= span.to) low = middle + 1;
    else return span;
  }
  return undefined;
}

/** Lays stretches over others, which are cut where they are covered. Both are in order. */
export function overlay(below: readonly Span[], above: readonly Span[]): Span[] {
  const cut: Span[] = [];
  for (const span of below) {
    let from = span.from;
    for (const over of above) {
      if (over.to <= from || over.from >= span.to) continue;
      if (over.from > from) cut.push({ ...span, from, to: over.from });
      from = Math.max(from, over.to);
    }
    if (from < span.to) cut.push({ ...span, from });
  }
  return [...cut, ...above].sort((a, b) => a.from - b.from);
}

/** Joins neighbours that say the same. */
export function join(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last && last.to === span.from && last.value === span.value && last.detail === span.detail) last.to = span.to;
    else if (span.to > span.from) joined.push({ ...span });
  }
  return joined;
}
