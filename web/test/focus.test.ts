import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME } from "../src/consultation/cursor.ts";
import { lookAt, type Manifest, type Player, playAlong, seenOf, voiceOf } from "../src/consultation/focus.ts";

const tile = (participant: string, x: number, width: number, source?: string) => ({
  participant,
  x,
  y: 0,
  width,
  height: 90,
  ...(source ? { source } : {}),
});

const manifest: Manifest = {
  scenes: [
    { startFrame: 0, endFrame: 30, tiles: [tile("a", 0, 160, "camera")] },
    {
      startFrame: 30,
      endFrame: 60,
      tiles: [tile("a", 0, 400, "screen"), tile("a", 400, 160, "camera"), tile("b", 560, 800)],
    },
    { startFrame: 60, endFrame: 90, tiles: [{ x: 0, y: 0, width: 1280, height: 720 }] },
  ],
  voices: [{ participant: "b", file: "voice-b.m4a" }],
};
const place = (x: number, width: number) => ({ x, y: 0, width, height: 90 });

test("somebody is where the scene of the moment says, to the frame", () => {
  assert.deepEqual(seenOf(manifest, "a", 0), place(0, 160));
  assert.deepEqual(seenOf(manifest, "b", 29 * FRAME), "nothing");
  assert.deepEqual(seenOf(manifest, "b", 30 * FRAME), place(560, 800));
});

test("of two pictures of one person the larger is shown, and a picture before a card", () => {
  assert.deepEqual(seenOf(manifest, "a", 1500), place(0, 400));
  const both = { startFrame: 0, endFrame: 9, tiles: [tile("a", 0, 900), tile("a", 900, 160, "camera")] };
  assert.deepEqual(seenOf({ scenes: [both] }, "a", 0), place(900, 160));
});

test("the card over a pause is everybody's, and what lies behind the end is as the end", () => {
  for (const ms of [60 * FRAME, 99_000]) {
    assert.deepEqual(seenOf(manifest, "b", ms), { x: 0, y: 0, width: 1280, height: 720 });
  }
});

test("a manifest that does not say who is where shows everybody", () => {
  assert.equal(seenOf({}, "a", 0), "unknown");
  assert.equal(voiceOf({}, "a"), undefined);
  assert.equal(voiceOf(manifest, "b"), "voice-b.m4a");
});

test("a part of the picture fills the frame, also beside bars", () => {
  const picture = { width: 1280, height: 720 };
  assert.deepEqual(lookAt({ x: 640, y: 180, width: 640, height: 360 }, picture, { width: 640, height: 360 }), {
    transform: "translate(-640px, -180px) scale(2)",
    clip: "inset(90px 0px 90px 320px)",
  });
  // In a frame that is too high there are 140 pixels above the picture.
  assert.deepEqual(lookAt({ x: 0, y: 0, width: 1280, height: 720 }, picture, { width: 640, height: 640 }), {
    transform: "translate(0px, 0px) scale(1)",
    clip: "inset(140px 0px 140px 0px)",
  });
});

class Fake extends EventTarget {
  currentTime = 0;
  paused = true;
  seeking = false;
  playbackRate = 1;
  volume = 1;
  muted = false;
  play() {
    this.paused = false;
    return Promise.resolve();
  }
  pause() {
    this.paused = true;
  }
}

test("a voice plays, waits, jumps and is as loud and fast as the video, which is silent meanwhile", () => {
  const video = new Fake();
  const voice = new Fake();
  const stop = playAlong(video as unknown as Player, voice as unknown as Player);
  const says = (name: string, now: Partial<Fake>) => {
    Object.assign(video, now);
    video.dispatchEvent(new Event(name));
  };
  assert.ok(video.muted && voice.paused);
  says("playing", { paused: false, currentTime: 5, playbackRate: 2, volume: 0.5 });
  assert.deepEqual([voice.paused, voice.currentTime, voice.playbackRate, voice.volume], [false, 5, 2, 0.5]);
  says("timeupdate", { currentTime: 5.05 });
  assert.deepEqual([voice.paused, voice.currentTime], [false, 5]);
  says("seeking", { seeking: true, currentTime: 9 });
  assert.deepEqual([voice.paused, voice.currentTime], [true, 9]);
  says("seeked", { seeking: false });
  assert.ok(!voice.paused);
  stop();
  assert.ok(voice.paused && !video.muted);
  says("playing", { currentTime: 20 });
  assert.ok(voice.paused);
});
