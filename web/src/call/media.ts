// What this participant shows and says: the tracks of the own camera, microphone and screen, and their switches.
// Pages read the signals; a Call hands the tracks on.

import { type Signal, signal } from "@preact/signals";
import {
  acquire,
  type Choice,
  type DeviceInfo,
  type DeviceKind,
  type DeviceProblem,
  type Devices,
  list,
  shareScreen,
} from "./devices.ts";

export type OwnSource = DeviceKind | "screen";

export interface MediaListener {
  /** The track of source is another one now, or gone. */
  track(source: OwnSource, track: MediaStreamTrack | undefined): void;
  /** The person's switch. */
  muted(source: OwnSource, muted: boolean): void;
}

const KINDS: DeviceKind[] = ["microphone", "camera"];

export class LocalMedia {
  readonly tracks: Record<OwnSource, Signal<MediaStreamTrack | undefined>> = {
    microphone: signal(undefined),
    camera: signal(undefined),
    screen: signal(undefined),
  };
  /** The switches, as the person set them. */
  readonly on: Record<DeviceKind, Signal<boolean>> = { microphone: signal(true), camera: signal(true) };
  readonly problems = signal<Partial<Record<DeviceKind, DeviceProblem>>>({});
  /** The browser is asking the person, or the device starts. */
  readonly pending = signal(false);
  readonly choices = signal<Record<DeviceKind, DeviceInfo[]>>({ microphone: [], camera: [] });
  listener: MediaListener | undefined;
  #choice: Choice;
  #closed = false;

  constructor(choice: Choice = {}) {
    this.#choice = choice;
    navigator.mediaDevices?.addEventListener?.("devicechange", this.#refresh);
  }

  /** The devices in use, to be remembered for the next time. */
  get choice(): Choice {
    return { ...this.#choice };
  }

  /** Asks for both devices as far as their switches are on. Never rejects: problems tells. */
  async open(): Promise<void> {
    const wanted = KINDS.filter((kind) => this.on[kind].value && !this.tracks[kind].value);
    if (wanted.length === 0) return;
    this.pending.value = true;
    this.#take(wanted, await acquire(wanted, this.#choice));
    this.pending.value = false;
    await this.#refresh();
  }

  /** Takes another device. */
  async choose(kind: DeviceKind, deviceId: string): Promise<void> {
    this.#choice[kind] = deviceId;
    // Some phones open one camera at a time: the old one is let go first.
    if (kind === "camera") this.tracks.camera.value?.stop();
    this.#take([kind], await acquire([kind], this.#choice));
  }

  /** Turns a switch. A device that was never opened, or was let go, is opened now. */
  async toggle(kind: DeviceKind): Promise<void> {
    const track = this.tracks[kind].value;
    if (this.on[kind].value && track) {
      this.#switch(kind, false);
      return;
    }
    if (track) {
      this.#switch(kind, true);
      return;
    }
    this.on[kind].value = true;
    this.#take([kind], await acquire([kind], this.#choice));
    await this.#refresh();
  }

  /** Lets go of devices whose switch is off: a camera that is not used shows no light. */
  releaseUnused(): void {
    for (const kind of KINDS) {
      if (!this.on[kind].value) this.#set(kind, undefined);
    }
  }

  async startScreen(): Promise<void> {
    const track = await shareScreen();
    if (!track || this.#closed) {
      track?.stop();
      return;
    }
    track.addEventListener("ended", () => this.stopScreen());
    this.#set("screen", track);
  }

  stopScreen(): void {
    this.#set("screen", undefined);
  }

  close(): void {
    this.#closed = true;
    this.listener = undefined;
    navigator.mediaDevices?.removeEventListener?.("devicechange", this.#refresh);
    for (const source of [...KINDS, "screen"] as const) this.#set(source, undefined);
  }

  #take(kinds: DeviceKind[], found: Devices): void {
    if (this.#closed) {
      found.microphone?.stop();
      found.camera?.stop();
      return;
    }
    const problems = { ...this.problems.value };
    for (const kind of kinds) {
      const track = found[kind];
      if (track) {
        delete problems[kind];
        const id = track.getSettings().deviceId;
        if (id) this.#choice[kind] = id;
        track.enabled = this.on[kind].value;
        track.addEventListener("ended", () => void this.#unplugged(kind, track));
        this.#set(kind, track);
        if (this.on[kind].value) this.listener?.muted(kind, false);
      } else {
        problems[kind] = found.problems[kind] ?? "failed";
        this.#set(kind, undefined);
        this.#switch(kind, false);
      }
    }
    this.problems.value = problems;
  }

  // A device that disappears (a headset runs empty) is replaced by what the browser has left.
  async #unplugged(kind: DeviceKind, track: MediaStreamTrack): Promise<void> {
    if (this.#closed || this.tracks[kind].value !== track) return;
    this.#take([kind], await acquire([kind], {}));
    await this.#refresh();
  }

  #switch(kind: DeviceKind, on: boolean): void {
    this.on[kind].value = on;
    const track = this.tracks[kind].value;
    if (track) track.enabled = on;
    this.listener?.muted(kind, !on);
  }

  #set(source: OwnSource, track: MediaStreamTrack | undefined): void {
    const before = this.tracks[source].value;
    if (before === track) return;
    this.tracks[source].value = track;
    this.listener?.track(source, track);
    before?.stop(); // after the new one is in its place; stop() by ourselves fires no "ended"
  }

  #refresh = async (): Promise<void> => {
    this.choices.value = await list();
  };
}
