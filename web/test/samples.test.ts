import assert from "node:assert/strict";
import { test } from "node:test";
import { graphsOf, kinds, parseSamples, type Sample, sampleAt } from "../src/consultation/samples.ts";
import { decimal } from "../src/text/time.ts";

const start = Date.parse("2026-01-01T00:00:00Z");
const place = (time: string) => Date.parse(time) - start;
const sample = (seconds: number, participant: string, more: Partial<Sample> = {}): Sample => ({
  time: new Date(start + 1000 * seconds).toISOString(),
  participant,
  rtt_ms: 20,
  bits_per_second_in: 900_000,
  bits_per_second_out: 800_000,
  loss_in: 0,
  loss_out: 0,
  frames_per_second_in: 30,
  ...more,
});
const graph = (samples: Sample[], kind: (typeof kinds)[number]) => {
  const { times, graphs } = graphsOf(samples, place);
  return { times, ...(graphs[kinds.indexOf(kind)] as (typeof graphs)[number]) };
};

test("each participant has a curve on common times, and nothing where nothing was measured", () => {
  const { times, curves } = graph([sample(5, "a"), sample(5, "b", { rtt_ms: 300 }), sample(10, "b")], "rtt");
  assert.deepEqual(times, [5_000, 10_000]);
  assert.deepEqual(
    curves.map(({ participant, values, range }) => [participant, values, range]),
    [
      ["a", [20, null], { least: 20, most: 20 }],
      ["b", [300, 20], { least: 20, most: 300 }],
    ],
  );
});

test("where nobody was measured for a while the curve is broken", () => {
  const { times, curves } = graph([sample(5, "a"), sample(60, "a")], "bits");
  assert.deepEqual(times, [5_000, 5_001, 60_000]);
  assert.deepEqual(curves[0]?.values, [900, null, 900]);
});

test("the first sample of a connection, which has no rates, is no drop to zero", () => {
  const first = sample(5, "a", { bits_per_second_in: 0, bits_per_second_out: 0, frames_per_second_in: 0, rtt_ms: 0 });
  for (const kind of kinds) assert.deepEqual(graph([first, sample(10, "a")], kind).curves[0]?.values[0], null, kind);
});

test("loss is the greater of both ways, in per cent, and silence of a camera is a number", () => {
  const lossy = [sample(5, "a", { loss_in: 0.02, loss_out: 0.1, frames_per_second_in: 0 })];
  assert.deepEqual(graph(lossy, "loss").curves[0]?.values, [10]);
  assert.deepEqual(graph(lossy, "frames").curves[0]?.values, [0]);
  const old = { ...sample(5, "a") };
  delete old.frames_per_second_in;
  assert.deepEqual(graph([old], "frames").curves[0]?.values, [null]);
});

test("a graph reaches to a round number above all values", () => {
  assert.equal(graph([sample(5, "a", { rtt_ms: 1 })], "rtt").top, 50);
  assert.equal(graph([sample(5, "a", { rtt_ms: 230 })], "rtt").top, 500);
  assert.equal(graph([sample(5, "a", { bits_per_second_in: 2_000_000 })], "bits").top, 2_000);
});

test("lines that make no sense do not hide the others", () => {
  const file = `${JSON.stringify(sample(5, "a"))}\n{"time":5}\nnonsense\n\n${JSON.stringify(sample(10, "a"))}\n`;
  assert.equal(parseSamples(file).length, 2);
  assert.equal(graphsOf([sample(5, "a"), { time: "never", participant: "a" }], place).times.length, 1);
});

test("the number at the cursor is the last one that was measured, unless that is long ago", () => {
  const times = [5_000, 10_000];
  assert.deepEqual(
    [4_999, 5_000, 9_999, 24_999, 25_001].map((ms) => sampleAt(times, ms)),
    [-1, 0, 0, 1, -1],
  );
});

test("numbers have a place behind the point only where it says something", () => {
  assert.deepEqual([decimal(3.24, "en"), decimal(1234.5, "en"), decimal(0.25, "de")], ["3.2", "1,235", "0,3"]);
});
