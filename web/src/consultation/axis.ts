// Which pixel is which moment. Between its beginning and its end the consultation is drawn to scale; what was before and
// after it, hours or years, gets a narrow strip on each side in which only the order counts.

export interface AxisOptions {
  /** Of the drawing, in pixels. */
  width: number;
  /** Of the consultation, in milliseconds. */
  duration: number;
  /** The stretch that is looked at, in milliseconds. */
  from: number;
  to: number;
  /** Moments outside the consultation, in order. */
  before: readonly number[];
  after: readonly number[];
}

/** Width of a side strip in pixels, when there is anything in it; less on a narrow screen. */
export const STRIP = 56;

export class Axis {
  readonly options: AxisOptions;
  /** Where the part that is to scale begins and ends, in pixels. */
  readonly left: number;
  readonly right: number;
  readonly #perMs: number;

  constructor(options: AxisOptions) {
    this.options = options;
    const { width, duration, from, to, before, after } = options;
    const wide = Math.min(STRIP, Math.round(width / 10));
    this.left = before.length > 0 && from <= 0 ? wide : 0;
    this.right = after.length > 0 && to >= duration ? Math.max(this.left + 1, width - wide) : width;
    this.#perMs = (this.right - this.left) / Math.max(1, to - from);
  }

  /** Pixels from the left edge; beyond the edges for what is not looked at. */
  x(ms: number): number {
    const { duration, from, before, after, width } = this.options;
    if (ms < 0 && before.length > 0) return this.left === 0 ? -1e6 : strip(0, this.left, before, ms);
    if (ms > duration && after.length > 0) {
      return this.right === width ? 1e6 : strip(this.right, width, after, ms);
    }
    return this.left + (ms - from) * this.#perMs;
  }

  /** The moment of the consultation at a pixel; the strips belong to its edges. */
  ms(x: number): number {
    const { duration, from } = this.options;
    return Math.max(0, Math.min(duration, from + (x - this.left) / this.#perMs));
  }

  /** Distance of the scale's lines, in milliseconds: a round number that leaves room for its words. */
  step(room = 90): number {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].map(
      (seconds) => seconds * 1000,
    );
    return steps.find((step) => step * this.#perMs >= room) ?? 28_800_000;
  }

  /** Pixels of a millisecond. */
  get scale(): number {
    return this.#perMs;
  }
}

// By rank: the nth of the moments stands at its share of the strip.
function strip(left: number, right: number, moments: readonly number[], ms: number): number {
  let low = 0;
  let high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((moments[middle] as number) < ms) low = middle + 1;
    else high = middle;
  }
  const inset = 6;
  return left + inset + ((right - left - 2 * inset) * (low + 0.5)) / moments.length;
}
