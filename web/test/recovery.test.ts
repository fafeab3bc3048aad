import assert from "node:assert/strict";
import { test } from "node:test";
import { Recovery, type Situation, type Step } from "../src/call/recovery.ts";

/** Runs situations, each for so many seconds, and lists the second and kind of each step. */
function run(...stretches: [seconds: number, situation: Partial<Situation>][]): [number, Step][] {
  const recovery = new Recovery();
  const steps: [number, Step][] = [];
  let second = 0;
  for (const [seconds, part] of stretches) {
    const situation: Situation = { ice: "connected", silent: false, signaling: true, ...part };
    for (let i = 0; i < seconds; i++, second++) {
      const step = recovery.step(second * 1000, situation);
      if (step !== "none") steps.push([second, step]);
    }
  }
  return steps;
}

test("a good connection is left alone", () => {
  assert.deepEqual(run([60, {}]), []);
});

test("a short loss mends by itself", () => {
  assert.deepEqual(run([3, {}], [1, { ice: "disconnected" }], [5, {}]), []);
});

test("a connection that stays disconnected is restarted, restarted over a relay, then given up", () => {
  assert.deepEqual(run([3, {}], [16, { ice: "disconnected" }]), [
    [5, "restart"],
    [10, "relay"],
    [17, "renew"],
  ]);
});

test("after a relay that helped, the next loss begins with the usual restart", () => {
  assert.deepEqual(run([3, {}], [7, { ice: "failed" }], [3, {}], [2, { ice: "failed" }]), [
    [3, "restart"],
    [8, "relay"],
    [13, "restart"],
  ]);
});

test("a failed connection is restarted at once", () => {
  assert.deepEqual(run([3, {}], [2, { ice: "failed" }]), [[3, "restart"]]);
});

test("silence on a connection that calls itself connected is a failure", () => {
  assert.deepEqual(run([3, {}], [2, { silent: true }]), [[3, "restart"]]);
});

test("without signaling nothing is done and time does not count", () => {
  assert.deepEqual(run([3, {}], [30, { ice: "failed", signaling: false }], [3, { ice: "failed" }]), [[33, "restart"]]);
});

test("a restart under way waits for signaling to come back", () => {
  const steps = run([3, {}], [2, { ice: "failed" }], [30, { ice: "failed", signaling: false }], [6, { ice: "failed" }]);
  assert.deepEqual(steps, [
    [3, "restart"],
    [39, "relay"],
  ]);
});

test("a connection that never connects is replaced after fifteen seconds, again and again", () => {
  assert.deepEqual(run([35, { ice: "checking" }]), [
    [15, "renew"],
    [31, "renew"],
  ]);
});

test("a connection that fails at once is not replaced in a frenzy", () => {
  assert.deepEqual(run([9, { ice: "failed" }]), [
    [3, "renew"],
    [7, "renew"],
  ]);
});

test("after a restart that helped, the next loss is restarted again", () => {
  assert.deepEqual(run([3, {}], [2, { ice: "failed" }], [3, {}], [2, { ice: "failed" }]), [
    [3, "restart"],
    [8, "restart"],
  ]);
});
