import assert from "node:assert/strict";
import { test } from "node:test";
import { type Expected, type Sample, sample, Watchdog } from "../src/call/watchdog.ts";

const line = (packets: number, frames = 0) => ({ packets, frames });
const make = (transport: number, lines: Record<string, { packets: number; frames: number }> = {}): Sample => ({
  transport,
  payload: 0,
  sent: 0,
  lines: new Map(Object.entries(lines)),
});
const audio: Expected[] = [{ mid: "0", kind: "audio" }];
const video: Expected[] = [{ mid: "1", kind: "video" }];

test("five seconds without anything from the server are silence", () => {
  const dog = new Watchdog();
  dog.observe(0, make(1), []);
  dog.observe(1000, make(2), []);
  assert.equal(dog.observe(5000, make(2), []).silent, false);
  assert.equal(dog.observe(6000, make(2), []).silent, true);
  assert.equal(dog.observe(7000, make(3), []).silent, false);
});

test("five seconds of nothing but ICE checks are silence for who sends", () => {
  for (const sends of [true, false]) {
    const dog = new Watchdog();
    for (let s = 0; s <= 12; s++) {
      const came = { payload: Math.min(s, 4) * 100, sent: sends ? s * 50 : 0 };
      assert.equal(dog.observe(s * 1000, { ...make(s), ...came }, []).silent, sends && s >= 9, `${sends} ${s}`);
    }
  }
});

test("who begins to send again gets the time for a first report", () => {
  const dog = new Watchdog();
  for (let s = 0; s <= 20; s++) {
    const sent = s < 3 ? s * 50 : s < 15 ? 150 : s * 50; // a pause of twelve seconds
    assert.equal(
      dog.observe(s * 1000, { ...make(s), payload: Math.min(s, 3) * 100, sent }, []).silent,
      s >= 19,
      `${s}`,
    );
  }
});

test("counters that shrink, since the browser has dropped a pair, are a sign of life", () => {
  const dog = new Watchdog();
  dog.observe(0, make(10), []);
  dog.observe(1000, make(5000), []);
  for (let s = 2; s <= 12; s++) assert.equal(dog.observe(s * 1000, make(100 + s), []).silent, false);
});

test("a connection on which nothing ever came is not called silent", () => {
  const dog = new Watchdog();
  for (let at = 0; at <= 20_000; at += 1000) assert.equal(dog.observe(at, make(0), []).silent, false);
});

test("video stalls when no frame is decoded although packets come", () => {
  const dog = new Watchdog();
  dog.observe(0, make(1, { 1: line(10, 5) }), video);
  assert.deepEqual([...dog.observe(3000, make(2, { 1: line(20, 5) }), video).stalled], []);
  assert.deepEqual([...dog.observe(4000, make(3, { 1: line(30, 5) }), video).stalled], ["1"]);
  assert.deepEqual([...dog.observe(5000, make(4, { 1: line(40, 6) }), video).stalled], []);
});

test("audio stalls when no packet comes", () => {
  const dog = new Watchdog();
  dog.observe(0, make(1, { 0: line(10) }), audio);
  assert.deepEqual([...dog.observe(4000, make(2, { 0: line(10) }), audio).stalled], ["0"]);
});

test("a track that was muted meanwhile gets its time anew", () => {
  const dog = new Watchdog();
  dog.observe(0, make(1, { 0: line(10) }), audio);
  dog.observe(3000, make(2, { 0: line(10) }), []);
  dog.observe(9000, make(3, { 0: line(10) }), audio);
  assert.deepEqual([...dog.observe(10_000, make(4, { 0: line(10) }), audio).stalled], []);
});

test("a sample adds up what a browser reports", async () => {
  const reports = [
    { type: "candidate-pair", responsesReceived: 3, requestsReceived: 2, bytesReceived: 1000 },
    { type: "inbound-rtp", mid: "2", packetsReceived: 7, framesDecoded: 4 },
    { type: "inbound-rtp", mid: "3", packetsReceived: 5 },
    { type: "remote-inbound-rtp", roundTripTimeMeasurements: 1 },
    { type: "outbound-rtp", packetsSent: 9 },
    { type: "codec" },
  ];
  const pc = { getStats: async () => new Map(reports.map((report, index) => [String(index), report])) };
  const taken = await sample(pc as unknown as RTCPeerConnection);
  assert.equal(taken.transport, 3 + 2 + 1000 + 7 + 5 + 1);
  assert.equal(taken.payload, 1000);
  assert.equal(taken.sent, 9);
  assert.deepEqual(taken.lines.get("2"), { packets: 7, frames: 4 });
  assert.deepEqual(taken.lines.get("3"), { packets: 5, frames: 0 });
});
