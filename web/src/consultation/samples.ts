// What was measured of each connection every few seconds, as graphs: one for each kind of number, a curve for each participant.

export const kinds = ["rtt", "loss", "bits", "frames"] as const;
export type Kind = (typeof kinds)[number];

/** A line of GET …/quality, as far as this needs it. */
export interface Sample {
  time: string;
  participant: string;
  rtt_ms?: number;
  loss_in?: number;
  loss_out?: number;
  bits_per_second_in?: number;
  bits_per_second_out?: number;
  frames_per_second_in?: number;
}

export interface Curve {
  participant: string;
  /** As many as there are times; null where nothing is known. */
  values: (number | null)[];
  /** Of all that is known; undefined when nothing is. */
  range: { least: number; most: number } | undefined;
}

export interface Graph {
  kind: Kind;
  curves: Curve[];
  /** At least as large as every value, and never 0. */
  top: number;
}

export interface Graphs {
  /** Milliseconds of the archive, in order, each once. */
  times: number[];
  graphs: Graph[];
}

/** Milliseconds without a sample behind which a curve is broken. */
const HOLE = 15_000;

/** Lines that make no sense are left out, so that one does not hide the others. */
export function parseSamples(file: string): Sample[] {
  return file.split("\n").flatMap((line) => {
    try {
      const sample = JSON.parse(line) as Sample;
      return typeof sample?.participant === "string" && typeof sample.time === "string" ? [sample] : [];
    } catch {
      return [];
    }
  });
}

/** The graphs of samples; `place` says where a time of the conference clock is in the archive. */
export function graphsOf(samples: readonly Sample[], place: (time: string) => number): Graphs {
  const rows = new Map<number, Map<string, Sample>>();
  for (const sample of samples) {
    const at = place(sample.time);
    if (!Number.isFinite(at)) continue;
    const row = rows.get(at) ?? new Map<string, Sample>();
    rows.set(at, row.set(sample.participant, sample));
  }
  const times = withHoles([...rows.keys()].sort((a, b) => a - b));
  const people = [...new Set(samples.map(({ participant }) => participant))];
  const graphs = kinds.map((kind) => {
    const curves = people.map((participant) => {
      const values = times.map((at) => numberOf(kind, rows.get(at)?.get(participant)));
      return { participant, values, range: rangeOf(values) };
    });
    return { kind, curves, top: roundUp(Math.max(least[kind], ...curves.map(({ range }) => range?.most ?? 0))) };
  });
  return { times, graphs };
}

/** Up to here a graph reaches at least: a difference that is none must not look like one. */
const least: Record<Kind, number> = { rtt: 50, loss: 5, bits: 100, frames: 30 };

function numberOf(kind: Kind, sample: Sample | undefined): number | null {
  if (!sample) return null;
  const { rtt_ms = 0, loss_in = 0, loss_out = 0, bits_per_second_in: bits = 0, frames_per_second_in: frames } = sample;
  if (kind === "rtt") return rtt_ms > 0 ? rtt_ms : null;
  // The first sample of a connection has no rates yet.
  if (bits === 0 && (sample.bits_per_second_out ?? 0) === 0 && loss_in === 0) return null;
  if (kind === "loss") return 100 * Math.max(loss_in, loss_out);
  if (kind === "bits") return bits / 1000;
  return frames ?? null;
}

function withHoles(times: readonly number[]): number[] {
  return times.flatMap((at, index) => {
    const before = times[index - 1];
    return before !== undefined && at - before > HOLE ? [before + 1, at] : [at];
  });
}

function rangeOf(values: readonly (number | null)[]): Curve["range"] {
  let range: Curve["range"];
  for (const value of values) {
    if (value === null) continue;
    range = { least: Math.min(range?.least ?? value, value), most: Math.max(range?.most ?? value, value) };
  }
  return range;
}

/** 1, 2 or 5 with noughts behind it. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * unit >= value - 1e-9) ?? 10) * unit;
}

/** The place of the last time that is not after a moment, and not so long before it that nothing is known; else −1. */
export function sampleAt(times: readonly number[], ms: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= ms) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  return index >= 0 && ms - (times[index] as number) <= HOLE ? index : -1;
}
