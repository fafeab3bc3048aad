import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { roleOf } from "../src/api/session.ts";
import type { Archive } from "../src/api/types.ts";
import { isMaking } from "../src/consultation/detail.ts";
import { layouts, mayOrder, orderOf, orderText, profiles } from "../src/consultation/versions.tsx";
import { tMaybe } from "../src/text/text.ts";
import { unverifiedText } from "../src/ui/archive.tsx";

const archive = (more: Partial<Archive> = {}): Archive => ({ version: 1, state: "ready", ...more });

test("who is offered the form may order, and nobody else is", () => {
  const lines = readFileSync(join(process.cwd(), "../docs/permissions.md"), "utf8").split("\n");
  const cells = (line = "") => line.split("|").map((cell) => cell.trim());
  const roles = cells(lines.find((line) => line.startsWith("| action ")));
  const row = cells(lines.find((line) => line.startsWith("| request an archive ")));
  const may = roles.filter((_, column) => column > 2 && ["any", "own"].includes(row[column] ?? ""));
  assert.deepEqual([...mayOrder].sort(), may.sort());
});

test("every choice is a word and a sentence, and is what the interface takes", () => {
  for (const layout of layouts) assert.ok(tMaybe(`layout.${layout}`) && tMaybe(`layout.${layout}.text`), layout);
  for (const profile of profiles) assert.ok(tMaybe(`profile.${profile}`) && tMaybe(`profile.${profile}.text`), profile);
  const generated = readFileSync(join(process.cwd(), "src/api/generated.ts"), "utf8");
  const known = (names: readonly string[]) => `?: ${[...names, ""].map((name) => `"${name}"`).join(" | ")};`;
  assert.ok(generated.includes(`layout${known(layouts)}`));
  assert.ok(generated.includes(`profile${known(profiles)}`));
});

test("the form begins with the version that is there, and with what is known of one made by a newer server", () => {
  assert.deepEqual(orderOf(archive({ layout: "speaker", profile: "fast", stamp: true, voices: true })), {
    layout: "speaker",
    profile: "fast",
    stamp: true,
    voices: true,
  });
  assert.deepEqual(orderOf(archive({ layout: "circle", profile: "huge" })), {
    layout: "grid",
    profile: "standard",
    stamp: false,
    voices: false,
  });
});

test("as what a version was made reads in words", () => {
  const full = { layout: "speaker", profile: "fast", stamp: true, voices: true };
  assert.equal(orderText(archive(full)), "Whoever speaks, Fast, Date and time, Single voices");
  assert.equal(orderText(archive({ layout: "grid", profile: "audio" })), "Sound only");
  assert.equal(orderText(archive({ layout: "circle" })), "circle");
});

test("what was not looked into is named, also by a code that is not known", () => {
  assert.equal(
    unverifiedText(["keyframes", "smell"]),
    "Not looked into, or not yet: whether the pictures can be decoded and smell",
  );
});

test("one version at a time is made", () => {
  assert.deepEqual(
    (["queued", "rendering", "ready", "failed"] as const).map((state) => isMaking(archive({ state }))),
    [true, true, false, false],
  );
});

test("a token says its role, and nonsense says none", () => {
  const token = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  assert.equal(roleOf(token({ role: "compliance", name: "Ž" })), "compliance");
  assert.equal(roleOf("nonsense"), "");
  assert.equal(roleOf(token({ role: 7 })), "");
});
