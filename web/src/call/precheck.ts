// The check before the call: camera, microphone, speaker and the ways to the server. It runs by itself beside the preview
// of the camera, takes as long as the slowest way, and keeps nobody from going on.

import { computed, effect, signal } from "@preact/signals";
import type { Checked, CheckResult, IceServer, WayName } from "../signaling/messages.ts";
import type { FailureCode } from "../text/failures.ts";
import { codesOf } from "./devices.ts";
import { listen } from "./level.ts";
import type { LocalMedia } from "./media.ts";
import { relaysOf, type Tried, tryWay, WAYS } from "./ways.ts";

/** Nothing but zeros for so long is no silence of a room. */
const SILENT_AFTER = 8_000;

export type WayState = Tried | "trying";

export class PreCheck {
  readonly ways = signal<Partial<Record<WayName, WayState>>>({});
  readonly speaker = signal<CheckResult>("skipped");
  /** 0…1, for a meter. */
  readonly level = signal(0);
  /** The microphone gave sound that a person would call sound. */
  readonly heard = signal(false);
  readonly silent = signal(false);
  /** What the check found wrong, devices first. */
  readonly codes = computed<FailureCode[]>(() => [
    ...codesOf(this.#media.problems.value),
    ...(this.silent.value ? (["MIC-SILENT"] as const) : []),
    ...networkCodes(this.ways.value),
  ]);
  #media: LocalMedia;
  #began = performance.now();
  #tried = false;
  #stop: () => void;

  constructor(media: LocalMedia) {
    this.#media = media;
    this.#stop = effect(() => {
      const track = media.tracks.microphone.value;
      const on = media.on.microphone.value;
      this.level.value = 0;
      this.silent.value = false;
      if (track && on) return this.#listen(track);
    });
  }

  /** Tries the ways, once. */
  async try(servers: IceServer[], attempt: typeof tryWay = tryWay): Promise<void> {
    if (this.#tried) return;
    this.#tried = true;
    const relays = relaysOf(servers);
    const set = (way: WayName, state: WayState) => {
      this.ways.value = { ...this.ways.value, [way]: state };
    };
    await Promise.all(
      WAYS.map(async (way) => {
        const relay = relays[way];
        if (!relay) return set(way, { result: "absent", ms: 0 });
        set(way, "trying");
        set(way, await attempt(relay));
      }),
    );
  }

  /** What there is to tell now: what has not come to an end counts as skipped. */
  result(): Checked {
    const { tracks, on, problems } = this.#media;
    const of = (kind: "camera" | "microphone", good: CheckResult): CheckResult => {
      if (problems.value[kind]) return "failed";
      if (!on[kind].value) return "off";
      return tracks[kind].value ? good : "skipped";
    };
    return {
      type: "checked",
      camera: of("camera", "ok"),
      microphone: of("microphone", this.silent.value ? "failed" : this.heard.value ? "ok" : "skipped"),
      speaker: this.speaker.value,
      ways: WAYS.map((way) => {
        const state = this.ways.value[way];
        return { way, ...(state && state !== "trying" ? state : { result: "skipped" as const, ms: 0 }) };
      }),
      codes: this.codes.value,
      tookMs: Math.round(performance.now() - this.#began),
    };
  }

  /** Lets go of the microphone's meter. */
  close(): void {
    this.#stop();
  }

  #listen(track: MediaStreamTrack): () => void {
    let quietSince = performance.now();
    return listen(track, ({ level, sounding, running }) => {
      const now = performance.now();
      if (sounding || !running) quietSince = now;
      this.level.value = level;
      if (level > 0) this.heard.value = true;
      this.silent.value = now - quietSince >= SILENT_AFTER;
    });
  }
}

/** What the ways say of the network, once all have come to an end. */
export function networkCodes(ways: Partial<Record<WayName, WayState>>): FailureCode[] {
  const results = WAYS.flatMap((way) => {
    const state = ways[way];
    return state && state !== "trying" ? [{ way, result: state.result }] : [];
  });
  if (results.length < WAYS.length || results.every(({ result }) => result === "absent")) return [];
  if (!results.some(({ result }) => result === "ok")) return ["NET-BLOCKED"];
  return results.some(({ way, result }) => way === "udp" && result === "failed") ? ["NET-UDP-BLOCKED"] : [];
}

/** Plays the tone of the speaker test: two notes, a second together. */
export async function playTone(): Promise<void> {
  const context = new AudioContext();
  await context.resume();
  const gain = context.createGain();
  gain.connect(context.destination);
  gain.gain.setValueAtTime(0, context.currentTime);
  gain.gain.linearRampToValueAtTime(0.25, context.currentTime + 0.05);
  gain.gain.setValueAtTime(0.25, context.currentTime + 0.9);
  gain.gain.linearRampToValueAtTime(0, context.currentTime + 1);
  for (const [at, frequency] of [
    [0, 523.25],
    [0.5, 659.25],
  ] as const) {
    const tone = context.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(gain);
    tone.start(context.currentTime + at);
    tone.stop(context.currentTime + at + 0.5);
  }
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await context.close();
}
