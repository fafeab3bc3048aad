import assert from "node:assert/strict";
import { test } from "node:test";
import { endingOf } from "../src/join/endpage.tsx";
import {
  afterCheck,
  firstStage,
  isShutOut,
  needsNotice,
  type Situation,
  type Stage,
  stepsOf,
} from "../src/join/visit.ts";

const situation = (policy: Situation["policy"], consent: Situation["consent"] = "", role = "patient"): Situation => ({
  policy,
  consent,
  role,
});

const ways: { name: string; at: Situation; wasIn?: boolean; first: Stage; next: Stage; steps: number }[] = [
  { name: "no answer yet, required", at: situation("required"), first: "check", next: "notice", steps: 3 },
  { name: "no answer yet, optional", at: situation("optional"), first: "check", next: "notice", steps: 3 },
  { name: "never recorded", at: situation("forbidden"), first: "check", next: "ready", steps: 2 },
  { name: "agreed before", at: situation("required", "given"), first: "check", next: "ready", steps: 2 },
  { name: "withdrawn", at: situation("required", "withdrawn"), first: "check", next: "notice", steps: 3 },
  {
    name: "said no where yes is needed",
    at: situation("required", "refused"),
    first: "refused",
    next: "refused",
    steps: 2,
  },
  { name: "said no where that is fine", at: situation("optional", "refused"), first: "check", next: "ready", steps: 2 },
  { name: "observers", at: situation("required", "", "observer"), first: "ready", next: "ready", steps: 1 },
  {
    name: "reload in the call",
    at: situation("required", "given"),
    wasIn: true,
    first: "call",
    next: "ready",
    steps: 2,
  },
  { name: "reload, no answer", at: situation("required"), wasIn: true, first: "check", next: "notice", steps: 3 },
];

for (const { name, at, wasIn = false, first, next, steps } of ways) {
  test(`the way of somebody: ${name}`, () => {
    assert.equal(firstStage(at, wasIn), first);
    assert.equal(afterCheck(at), next);
    assert.equal(stepsOf(at, false).length, steps);
  });
}

test("the notice stays a step once it was seen", () => {
  assert.deepEqual(stepsOf(situation("required", "given"), true), ["check", "notice", "ready"]);
});

test("the notice and being shut out exclude each other", () => {
  for (const { at } of ways) assert.ok(!(needsNotice(at) && isShutOut(at)));
});

test("each goodbye has its page", () => {
  assert.equal(endingOf({ kind: "ended", reason: "kicked" }), "kicked");
  assert.equal(endingOf({ kind: "ended", reason: "something new" }), "closed");
  assert.equal(endingOf({ kind: "refused", code: "token_expired", message: "" }), "expired");
  assert.equal(endingOf({ kind: "refused", code: "token_early", message: "" }), "early");
  assert.equal(endingOf({ kind: "refused", code: "unauthorized", message: "" }), "foreign");
  assert.equal(endingOf({ kind: "refused", code: "something new", message: "" }), "forbidden");
});
