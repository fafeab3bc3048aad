import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { de } from "../src/text/de.ts";
import { en, type Key } from "../src/text/en.ts";
import { notice, noticeText, sha256 } from "../src/text/notice.ts";
import { choose, fill, t, tCount } from "../src/text/text.ts";
import { clock, isoDuration, lasting, moment, percent, size } from "../src/text/time.ts";

test("each German sentence takes the same values as the English one", () => {
  const names = (sentence: string) => [...sentence.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  for (const key of Object.keys(en) as Key[]) assert.deepEqual(names(de[key]), names(en[key]), key);
});

test("the names of the buttons stay what tests and manuals know them by", () => {
  const names = ["check.continue", "notice.agree", "notice.refuse", "ready.join"] as const;
  const switches = ["call.microphone", "call.camera", "call.screen", "call.leave", "call.end"] as const;
  assert.deepEqual(
    [...names, ...switches].map((key) => en[key]),
    [
      ...["Continue", "I agree", "Do not record me", "Join"],
      ...["Microphone", "Camera", "Share screen", "Leave", "End consultation"],
    ],
  );
});

test("sentences are filled in, and what is missing stays visible", () => {
  assert.equal(fill("{a} and {b}", { a: "x" }), "x and {b}");
  assert.equal(t("ready.as", { name: "<b>Jana</b>" }), "You join as <b>Jana</b>.");
  assert.equal(tCount("list.count", 1), "1 consultation");
  assert.equal(tCount("list.count", 0), "0 consultations");
});

test("the first language that there are texts in is spoken", () => {
  assert.equal(choose(["cs-CZ", "de-AT", "en"]), "de");
  assert.equal(choose(["cs"]), "en");
  assert.equal(choose([]), "en");
});

for (const [ms, shown, iso] of [
  [0, "0:00", "PT0H0M0S"],
  [999, "0:00", "PT0H0M0S"],
  [75_000, "1:15", "PT0H1M15S"],
  [3_599_999, "59:59", "PT0H59M59S"],
  [3_723_000, "1:02:03", "PT1H2M3S"],
  [-5, "0:00", "PT0H0M0S"],
] as const) {
  test(`${ms} ms are shown as ${shown}`, () => {
    assert.equal(clock(ms), shown);
    assert.equal(isoDuration(ms), iso);
  });
}

test("lengths of time, sizes and shares read like a sentence", () => {
  assert.equal(lasting(400, "en"), "0.4 sec");
  assert.equal(lasting(12_400, "en"), "12 sec");
  assert.equal(lasting(185_000, "en"), "3 min 5 sec");
  assert.equal(lasting(120_000, "en"), "2 min");
  assert.equal(size(999, "en"), "999 byte");
  assert.equal(size(1_536_000, "en"), "1.5 MB");
  assert.equal(percent(0.999, "en"), "99%");
  assert.equal(percent(Number.NaN, "en"), "0%");
  assert.equal(percent(3, "en"), "100%");
});

test("moments are in the reader's time zone, and no date is no text", () => {
  assert.match(moment("2026-01-01T23:30:00Z", "en", "Europe/Prague"), /Jan 2, 2026.*12:30\sAM/);
  assert.equal(moment(undefined, "en"), "");
  assert.equal(moment("soon", "en"), "");
});

test("the digest is the SHA-256 of the UTF-8 text", async () => {
  const text = "Ärztin\nzwei";
  assert.equal(await sha256(text), createHash("sha256").update(text, "utf8").digest("hex"));
});

// A consent names the digest of the text: every text that was ever shown must stay findable by it.
for (const language of ["en", "de"] as const) {
  for (const policy of ["required", "optional"] as const) {
    test(`the ${language} notice for ${policy} recording is kept under its digest`, async () => {
      const text = noticeText(notice(language, policy));
      const file = `notices/${await sha256(text)}.txt`;
      if (process.env.UPDATE) {
        mkdirSync("notices", { recursive: true });
        writeFileSync(file, text);
      }
      assert.ok(existsSync(file), "the notice has changed: run npm test -- --update and keep the old file too");
      assert.equal(readFileSync(file, "utf8"), text);
    });
  }
}

test("every kept notice is named after its content", () => {
  for (const name of readdirSync("notices")) {
    const digest = createHash("sha256")
      .update(readFileSync(`notices/${name}`))
      .digest("hex");
    assert.equal(name, `${digest}.txt`);
  }
});
