import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { HoldSummary } from "../src/api/generated.ts";
import { roleOf } from "../src/api/session.ts";
import type { StoredEvent } from "../src/api/types.ts";
import { holdReasons, holdTitle, mayPlace, mayRelease, releaseReasons, stepsOf } from "../src/consultation/holds.tsx";
import { lanesOf } from "../src/consultation/lanes.ts";
import { spanWord } from "../src/consultation/words.ts";
import { unaware } from "../src/library/filterbar.tsx";
import { holds } from "../src/library/filters.ts";
import { de } from "../src/text/de.ts";
import { tMaybe } from "../src/text/text.ts";
import { counts } from "../src/ui/held.tsx";

const read = (...path: string[]) => readFileSync(join(process.cwd(), ...path), "utf8");

test("who is offered a step may take it, and nobody else is", () => {
  const lines = read("../docs/permissions.md").split("\n");
  const cells = (line = "") => line.split("|").map((cell) => cell.trim());
  const roles = cells(lines.find((line) => line.startsWith("| action "))).slice(3, -1);
  const may = (action: string) => {
    const row = cells(lines.find((line) => line.startsWith(`| ${action} `))).slice(3, -1);
    return roles.filter((_, column) => row[column] === "any" || row[column] === "own").sort();
  };
  assert.deepEqual([...mayPlace].sort(), may("place a hold"));
  assert.deepEqual([...mayRelease].sort(), may("release a hold, with a second person"));
  const aware = may("see the holds of a consultation");
  assert.deepEqual([...unaware].sort(), roles.filter((role) => !aware.includes(role)).sort());
  assert.equal(roleOf(""), "", "somebody without a token in this tab is offered the filter");
});

test("every reason is a word and a sentence in both languages, and is what the interface takes", () => {
  const generated = read("src/api/generated.ts");
  const known = (codes: readonly string[]) => `reason: ${codes.map((code) => `"${code}"`).join(" | ")};`;
  for (const [family, codes] of [
    ["hold.reason", holdReasons],
    ["hold.release.reason", releaseReasons],
  ] as const) {
    assert.ok(generated.includes(known(codes)), family);
    for (const code of codes) {
      assert.ok(tMaybe(`${family}.${code}`) && tMaybe(`${family}.${code}.text`), code);
      assert.ok(`${family}.${code}` in de);
    }
  }
  for (const value of holds) assert.ok(tMaybe(`list.held.${value}`), value);
});

const at = "2026-03-01T09:00:00Z";
const hold = (more: Partial<HoldSummary> = {}): HoldSummary => ({
  id: "h",
  reason: "audit",
  placed: { at, role: "compliance" },
  ...more,
});
const release = (you: boolean): NonNullable<HoldSummary["release"]> => ({
  requested: { at, role: "compliance", ...(you ? { you } : {}) },
  reason: "resolved",
  expiresAt: "2026-03-08T09:00:00Z",
});

test("who requested a release is not asked to approve it, and a request that is too old is made anew", () => {
  const soon = Date.parse(at) + 1;
  assert.deepEqual(stepsOf(hold(), soon), ["release"]);
  assert.deepEqual(stepsOf(hold({ release: release(true) }), soon), ["decline"]);
  assert.deepEqual(stepsOf(hold({ release: release(false) }), soon), ["approve", "decline"]);
  assert.deepEqual(stepsOf(hold({ release: release(false) }), Date.parse("2026-03-08T09:00:00Z")), ["release"]);
  assert.deepEqual(stepsOf(hold({ release: release(false), released: { at, role: "compliance" } }), soon), []);
});

test("the heading says how many holds are in force, and of released ones that they are", () => {
  assert.equal(holdTitle(2, 3), "Holds (2)");
  assert.equal(holdTitle(0, 1), "Holds (none in force, 1 released)");
  assert.equal(holdTitle(0, 0), "Holds");
});

test("the mark says that a release is requested as long as the request counts", () => {
  assert.equal(counts(undefined), false);
  assert.equal(counts(at, Date.parse("2026-03-08T08:59:59Z")), true);
  assert.equal(counts(at, Date.parse("2026-03-08T09:00:00Z")), false);
});

test("the lane shows that something is held, and why, until the last hold is released", () => {
  const event = (seq: number, type: string, data: Record<string, unknown>): StoredEvent => ({
    ...{ id: `${seq}`, seq, type, data, participant: "", actor: "" },
    time: new Date(Date.parse("2026-03-01T09:00:00Z") + seq * 1000).toISOString(),
  });
  const timeline = { startTime: "2026-03-01T09:00:00Z", durationNs: 60e9 };
  const all = [
    event(1, "hold.placed", { hold: "a", reason: "litigation" }),
    event(2, "hold.placed", { hold: "b", reason: "complaint" }),
    event(3, "hold.release_requested", { hold: "a", reason: "resolved" }),
    event(4, "hold.released", { hold: "a", reason: "resolved" }),
    event(5, "hold.released", { hold: "b", reason: "resolved" }),
    event(6, "hold.placed", { hold: "c", reason: "later_invented" }),
  ];
  const lane = lanesOf(all, timeline).lanes.find(({ kind }) => kind === "hold");
  assert.deepEqual(
    lane?.spans.map((span) => [span.from, span.to, spanWord("hold", span)]),
    [
      [1000, 2000, "Held, Court case"],
      [2000, 4000, "Held, Complaint, Court case"],
      [4000, 5000, "Held, Complaint"],
      [6000, 60_000, "Held, later_invented"],
    ],
  );
  assert.equal(
    lanesOf([], timeline).lanes.find(({ kind }) => kind === "hold"),
    undefined,
    "a consultation that never was held has no such lane",
  );
});
