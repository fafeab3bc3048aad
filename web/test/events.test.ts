import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { StoredEvent } from "../src/api/types.ts";
import { currentIndex, Placing } from "../src/consultation/placing.ts";
import { isTechnical, Sentences } from "../src/consultation/sentences.ts";

let seq = 0;
const event = (type: string, data: Record<string, unknown> = {}, participant = "a"): StoredEvent => ({
  id: "x",
  seq: ++seq,
  type,
  time: "2026-01-01T09:30:10Z",
  participant,
  data,
});

const history = [
  event("track.started", { track: "t1", kind: "audio", source: "microphone" }, "a"),
  event("track.started", { track: "t2", kind: "video", source: "screen" }, "a"),
  event("segment.opened", { segment: "s1", track: "t2" }, ""),
];
const sentences = new Sentences([{ id: "a", name: "Dr Novák", role: "clinician" }], history);

const cases: [StoredEvent, string, technical?: boolean][] = [
  [
    event("consultation.ended", { reason: "abandoned" }, ""),
    "The consultation ended because nobody was there any more.",
  ],
  [event("consultation.ended", { reason: "later" }, ""), "The consultation was ended."],
  [event("consultation.completed", { segments: 12, missing: [] }, ""), "All recordings are stored (12)."],
  [event("consultation.completed", { segments: 12, missing: [{}] }, ""), "The recordings are stored (12); missing: 1."],
  [event("participant.invited", { role: "clinician" }), "Dr Novák was invited (doctor)."],
  [event("participant.joined", { role: "clinician" }), "Dr Novák joined."],
  [event("participant.joined", {}, "stranger"), "Somebody joined."],
  [event("participant.left", { reason: "timeout" }), "Dr Novák was gone: the connection did not come back."],
  [event("consent.given", { by: "self" }), "Dr Novák agreed to the recording."],
  [event("consent.given", { by: "service" }), "Dr Novák had agreed to the recording beforehand."],
  [event("track.muted", { track: "t1" }), "The sound of Dr Novák was switched off."],
  [event("track.resumed", { track: "t2", after_ms: 4200 }), "The shared screen of Dr Novák is back after 4.2 sec."],
  [event("track.ended", { track: "lost" }), "A track of Dr Novák ended."],
  [
    event("connection.timed_out", { phase: "ice", code: "ICE-TIMEOUT" }),
    "The connection of Dr Novák was not made in time (no way through the network, ICE-TIMEOUT).",
  ],
  [
    event("connection.opened", { browser: { family: "Firefox", major: 153 } }),
    "A connection for Dr Novák was opened (Firefox 153).",
    true,
  ],
  [
    event("connection.pair_selected", { remote: { kind: "srflx", transport: "udp" } }),
    "Dr Novák is connected by UDP srflx.",
    true,
  ],
  [
    event("connection.candidate_ignored", { count: 1, reason: "private" }),
    "1 network address of Dr Novák was not used (not reachable from the server).",
    true,
  ],
  [
    event("connection.candidate_ignored", { count: 2, reason: "private" }),
    "2 network addresses of Dr Novák were not used (not reachable from the server).",
    true,
  ],
  [
    event("segment.gap", { track: "t1", from: "2026-01-01T09:30:00Z", to: "2026-01-01T09:30:02.5Z", cause: "loss" }),
    "The sound of Dr Novák is missing for 2.5 sec (Lost on the way).",
    true,
  ],
  [
    event("segment.sealed", { segment: "s1", bytes: 2_000_000 }, ""),
    "A recording file of Dr Novák was closed (2 MB).",
    true,
  ],
  [
    event("archive.failed", { version: 2, code: "ffmpeg_missing" }, ""),
    "Version 2 of the video could not be made (the program ffmpeg is missing).",
  ],
  [
    event("hold.placed", { hold: "h", reason: "litigation", by: "compliance" }, ""),
    "A hold was placed: nothing may be deleted (Court case).",
  ],
  [event("hold.released", { hold: "h", reason: "mistake" }, ""), "A hold was released (Placed by mistake)."],
  [event("later.invented", {}, ""), "Other event: later.invented.", true],
];

for (const [given, want, technical = false] of cases) {
  test(`${given.type} reads: ${want}`, () => {
    assert.equal(sentences.of(given), want);
    assert.equal(isTechnical(given), technical);
  });
}

test("every type of event has a sentence without holes", () => {
  const folder = "../internal/events/testdata";
  const stored = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
  assert.ok(stored.length > 30, "where are the golden files of the events?");
  for (const name of stored) {
    const golden = JSON.parse(readFileSync(`${folder}/${name}`, "utf8")) as StoredEvent;
    if (!golden.type || !golden.data) continue;
    const sentence = new Sentences([], [golden]).of(golden);
    assert.doesNotMatch(sentence, /[{}]|Other event/, `${name}: ${sentence}`);
  }
});

const timeline = {
  startTime: "2026-01-01T09:30:00Z",
  durationNs: 60e9,
  markers: [{ seq: 1, atNs: 1_500_000_000, type: "participant.joined" }],
};

test("a marker of the timeline places its event, the conference clock the others", () => {
  const placing = new Placing(timeline);
  const at = (number: number, time: string) => placing.of({ ...event("x"), seq: number, time });
  assert.equal(at(1, "2026-01-01T09:30:01Z"), 1500);
  assert.equal(at(2, "2026-01-01T09:30:10.25Z"), 10_250);
  assert.equal(at(3, "2026-01-01T09:29:59Z"), "before");
  assert.equal(at(4, "2026-01-01T09:31:01Z"), "after");
});

test("without a video no event has a place", () => {
  assert.equal(new Placing(undefined).of(event("x")), undefined);
  assert.equal(new Placing({ startTime: "0001-01-01T00:00:00Z", durationNs: 0 }).of(event("x")), undefined);
});

test("the current event is the last one that has happened", () => {
  const places = ["before", 0, 1000, undefined, 1000, 5000, "after"] as const;
  assert.equal(currentIndex([...places], 0), 1);
  assert.equal(currentIndex([...places], 999), 1);
  assert.equal(currentIndex([...places], 1000), 4);
  assert.equal(currentIndex([...places], 99_999), 5);
  assert.equal(currentIndex([...places], -1), -1);
  assert.equal(currentIndex([], 5), -1);
});
