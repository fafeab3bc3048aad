import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../src/api/problem.ts";
import type { Storage, StoragePlace } from "../src/api/types.ts";
import { lasts, StorageWatch, worst } from "../src/library/storage.tsx";
import { FakeClock } from "./clock.ts";

const place = (name: string, level: StoragePlace["level"], freeBytes: number): StoragePlace => ({
  name,
  level,
  freeBytes,
  totalBytes: 100,
});

test("the place that matters is the worst, then the smallest", () => {
  const of = (...places: StoragePlace[]) => worst({ level: "fine", places })?.name;
  assert.equal(of(), undefined);
  assert.equal(of(place("data", "fine", 5), place("log", "full", 50), place("blobs", "low", 1)), "log");
  assert.equal(of(place("data", "low", 5), place("log", "low", 2)), "log");
});

test("how long the room lasts is said in days, or that it is less than one", () => {
  assert.equal(lasts(0.4), "At the present rate that lasts less than a day.");
  assert.equal(lasts(1.9), "At the present rate that lasts 1 day.");
  assert.equal(lasts(12), "At the present rate that lasts 12 days.");
  assert.deepEqual([lasts(undefined), lasts(5000)], ["", ""]);
});

test("it is asked for again, and who may not know it asks once", async () => {
  const clock = new FakeClock();
  let asked = 0;
  let answer: () => Promise<Storage> = () => Promise.resolve({ level: "low", places: [place("data", "low", 1)] });
  const watch = new StorageWatch(() => {
    asked++;
    return answer();
  }, clock);
  watch.start();
  await clock.pass(0);
  assert.equal(watch.storage.value?.level, "low");
  answer = () => Promise.reject(new Problem(0, "network", ""));
  await clock.pass(31_000);
  assert.equal(asked, 2);
  assert.equal(watch.storage.value?.level, "low", "what was known stays while the server is away");
  answer = () => Promise.reject(new Problem(403, "forbidden", ""));
  await clock.pass(31_000);
  await clock.pass(310_000);
  assert.equal(watch.refused.value, true, "the live page shows no tile that loads for ever");
  assert.equal(asked, 3);
});
