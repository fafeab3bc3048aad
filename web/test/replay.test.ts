import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../src/api/problem.ts";
import { bearerOf } from "../src/api/session.ts";
import type { StoredEvent } from "../src/api/types.ts";
import { cueAt, parseVTT, pictureIn } from "../src/consultation/cues.ts";
import { Cursor, FRAME, fragmentOf, type Playable, readFragment } from "../src/consultation/cursor.ts";
import { entriesOf, marksOf, shownOf } from "../src/consultation/entries.ts";
import { indexAt } from "../src/consultation/eventlist.tsx";
import { Played, type Receipts, Watching } from "../src/consultation/receipt.ts";
import { fileBeside } from "../src/consultation/seekbar.tsx";
import { zoomed } from "../src/consultation/timelineview.tsx";
import { FakeClock } from "./clock.ts";

/** A video that needs its time to get anywhere. */
class SlowVideo extends EventTarget {
  paused = true;
  duration = 60;
  readyState = 4;
  seeking = false;
  sought: number[] = [];
  #at = 0;

  get currentTime(): number {
    return this.#at;
  }

  set currentTime(at: number) {
    this.sought.push(at);
    this.#at = at;
    this.seeking = true;
  }

  arrive(): void {
    this.seeking = false;
    this.dispatchEvent(new Event("seeked"));
  }

  /** Stops behind the last place that it told of. */
  stop(seconds: number): void {
    this.#at = seconds;
    this.dispatchEvent(new Event("pause"));
  }

  playTo(seconds: number): void {
    this.#at = seconds;
    this.dispatchEvent(new Event("timeupdate"));
  }
}

const video = () => new SlowVideo();
const playable = (slow: SlowVideo) => slow as unknown as Playable;

test("a link names an event and a moment, and nonsense in it is left out", () => {
  assert.equal(fragmentOf({ event: 91, at: 428_200 }), "#e=91&t=428.2");
  assert.deepEqual(readFragment("#e=91&t=428.2"), { event: 91, at: 428_200 });
  assert.deepEqual(readFragment("#e=1.5&t=-3"), {});
  assert.deepEqual(readFragment("#token=a.b.c"), {});
});

test("while the video is on its way to one place, only the last wish counts", () => {
  const slow = video();
  const cursor = new Cursor();
  cursor.limit(60_000);
  cursor.attach(playable(slow));
  slow.arrive();
  slow.sought = [];
  for (const ms of [10_000, 20_000, 30_000]) cursor.seek(ms);
  assert.deepEqual(slow.sought, [10.001]);
  assert.equal(cursor.now.value, 30_000);
  slow.arrive();
  assert.deepEqual(slow.sought, [10.001, 30.001]);
  slow.arrive();
  assert.equal(slow.sought.length, 2);
  assert.equal(cursor.now.value, 30_000);
});

test("a step shows the next picture, and the one before again", () => {
  const cursor = new Cursor();
  cursor.seek(10 * FRAME);
  cursor.step(1);
  assert.ok(Math.abs(cursor.now.value - 11 * FRAME) < 1e-6);
  cursor.step(-1);
  assert.ok(Math.abs(cursor.now.value - 10 * FRAME) < 1e-6);
  cursor.step(-99);
  assert.equal(cursor.now.value, 0);
});

test("chapters and small pictures are read, and what is broken is left out", () => {
  const file =
    "WEBVTT\r\n\r\n1\r\n00:00.000 --> 00:04.000\r\nA &amp; B\r\n\r\nbroken --> x\r\n\r\n01:00:04.000 --> 01:00:05.500 line:0\r\nsheet.jpg#xywh=160,90,160,90\r\n";
  const cues = parseVTT(file);
  assert.deepEqual(cues[0], { from: 0, to: 4000, text: "A & B" });
  assert.equal(cueAt(cues, 3999)?.text, "A & B");
  assert.equal(cueAt(cues, 4000), undefined);
  assert.equal(cueAt(cues, 3_605_000)?.text, "sheet.jpg#xywh=160,90,160,90");
  assert.deepEqual(pictureIn(cues[1]?.text ?? ""), { file: "sheet.jpg", x: 160, y: 90, width: 160, height: 90 });
  assert.equal(pictureIn("javascript:alert(1)"), undefined);
  assert.equal(fileBeside("/a/1/archive.mp4?receipt=r", "../x.jpg"), "/a/1/..%2Fx.jpg?receipt=r");
});

const purposeNeeded = new Problem(403, "receipt_needed", "");

function receipts(refusal: Problem | undefined, calls: unknown[] = []): Receipts {
  return {
    refusalOf: async () => refusal,
    open: async (purpose) => {
      calls.push(purpose);
      return { id: "r1", videoUrl: "/v?receipt=r1", thumbnailsUrl: "/t?receipt=r1" };
    },
    watched: async (_, ranges) => calls.push(ranges),
    close: async () => calls.push("close"),
  };
}

test("without receipts a video is shown as it is, and nobody is told", async () => {
  const calls: unknown[] = [];
  const watching = new Watching(receipts(undefined, calls), "/c/1/archive.mp4", new FakeClock());
  await watching.ask();
  assert.deepEqual(watching.gate.value, { state: "open", src: "/c/1/archive.mp4", thumbnails: "/c/1/thumbnails.vtt" });
  watching.follow(playable(video()));
  await watching.close();
  assert.deepEqual(calls, []);
});

test("who sees no pictures is not asked for a purpose", async () => {
  const watching = new Watching(receipts(new Problem(403, "forbidden", "")), "/v", new FakeClock());
  await watching.ask();
  assert.deepEqual(watching.gate.value, { state: "none" });
});

test("what was really played is told, skipped parts are not, and the end is told too", async () => {
  const calls: unknown[] = [];
  const clock = new FakeClock();
  const watching = new Watching(receipts(purposeNeeded, calls), "/v", clock);
  await watching.ask();
  assert.deepEqual(watching.gate.value, { state: "purpose" });
  await watching.open("complaint");
  assert.equal(watching.gate.value.state, "open");
  const slow = video();
  watching.follow(playable(slow));
  slow.paused = false;
  for (const at of [0, 0.25, 0.5, 2]) slow.playTo(at);
  slow.seeking = true;
  slow.dispatchEvent(new Event("seeking"));
  slow.seeking = false;
  for (const at of [40, 40.25, 41]) slow.playTo(at);
  await clock.pass(30_000);
  for (const at of [41.25, 42]) slow.playTo(at);
  slow.paused = true;
  slow.stop(42.1);
  await watching.close();
  assert.deepEqual(calls, [
    "complaint",
    [{ fromMs: 0, toMs: 2000 }],
    [{ fromMs: 40_000, toMs: 41_000 }],
    [{ fromMs: 41_000, toMs: 42_100 }],
    "close",
  ]);
});

test("what could not be told is told the next time", () => {
  const played = new Played();
  played.at(0);
  played.at(1000);
  const taken = played.take();
  played.giveBack(taken);
  played.at(2000);
  assert.deepEqual(played.take(), [
    { fromMs: 0, toMs: 1000 },
    { fromMs: 1000, toMs: 2000 },
  ]);
});

test("the overlay names for whom the token was made", () => {
  const token = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;
  assert.equal(bearerOf(token({ name: "Jana Öberg", role: "compliance" })), "Jana Öberg");
  assert.equal(bearerOf(token({ role: "compliance" })), "compliance");
  assert.equal(bearerOf("nonsense"), "");
});

const start = Date.parse("2026-01-01T09:00:00Z");
const event = (seq: number, second: number, type: string, data: object = {}, participant = "a"): StoredEvent => ({
  id: String(seq),
  seq,
  type,
  time: new Date(start + second * 1000).toISOString(),
  participant,
  data: { ...data },
});

const entries = entriesOf(
  [
    event(1, -60, "consultation.opened", {}, ""),
    event(2, 0, "participant.joined"),
    event(3, 1, "segment.opened", { segment: "s", track: "t" }),
    event(4, 5, "segment.gap", { track: "t", cause: "loss" }),
    event(5, 6, "participant.left", { reason: "left" }, "b"),
    event(6, 90, "archive.rendered", { version: 1 }, ""),
  ],
  { startTime: new Date(start).toISOString(), durationNs: 60e9 },
  [{ id: "a", name: "Dr A", role: "clinician" }],
);
const seqs = (all: typeof entries) => all.map((entry) => entry.event.seq).join("");

test("the list has what people want to know and what went wrong, and the rest when it is asked for", () => {
  const all = { group: "", person: "", technical: false } as const;
  assert.equal(seqs(shownOf(entries, all)), "12456");
  assert.equal(seqs(shownOf(entries, { ...all, technical: true })), "123456");
  assert.equal(seqs(shownOf(entries, { ...all, person: "b" })), "5");
  assert.equal(seqs(shownOf(entries, { ...all, group: "video" })), "6");
  assert.equal(seqs(shownOf(entries, { ...all, group: "recording", technical: true })), "34");
});

test("events before and after the video keep their distance to it", () => {
  assert.deepEqual(
    entries.map(({ place, at }) => [place, at]),
    [
      ["before", -60_000],
      [0, 0],
      [1000, 1000],
      [5000, 5000],
      [6000, 6000],
      ["after", 90_000],
    ],
  );
  assert.equal(marksOf(entries)[3]?.tone, "bad");
  assert.deepEqual(
    [-1, 0, 4_999, 5_000, 59_000].map((ms) => indexAt(entries, ms)),
    [0, 1, 2, 3, 4],
  );
});

test("looking closer keeps the cursor where it is, and far enough away shows all", () => {
  const closer = zoomed(undefined, 100_000, 50_000, 2);
  assert.deepEqual(closer, { from: 25_000, to: 75_000 });
  assert.deepEqual(zoomed(closer, 100_000, 50_000, 0.5), undefined);
  assert.deepEqual(zoomed(undefined, 100_000, 0, 1000), { from: 0, to: 2_000 });
});
