import assert from "node:assert/strict";
import { test } from "node:test";
import type { Received } from "../src/call/peer.ts";
import { initials, recordingOf, soundsOf, tilesOf, unsure } from "../src/call/view.ts";
import { atTheDoor } from "../src/join/waitingroom.tsx";
import type { ParticipantState, Policy, State } from "../src/signaling/messages.ts";
import { example } from "./examples.ts";

const state = example<State>("state");
const [doctor, patient, device] = state.participants as [ParticipantState, ParticipantState, ParticipantState];

const line = (participant: string, trackId: string, source: string, kind: string, mid: string) =>
  ({ participant, trackId, source, mid, track: { kind } }) as unknown as Received;

const received = [
  line(doctor.id, "a101", "microphone", "audio", "2"),
  line(doctor.id, "a102", "camera", "video", "3"),
  line(doctor.id, "a103", "screen", "video", "4"),
  line(device.id, "c301", "device", "video", "5"),
];

const change = (participant: ParticipantState, changes: Partial<ParticipantState>): State => ({
  ...state,
  participants: state.participants.map((other) => (other === participant ? { ...participant, ...changes } : other)),
});

test("everybody else who is present has a tile, shared screens come first", () => {
  const tiles = tilesOf(state, patient.id, received, new Set());
  assert.deepEqual(
    tiles.map((tile) => [tile.kind, tile.participant.name, tile.video?.mid]),
    [
      ["screen", doctor.name, "4"],
      ["person", doctor.name, "3"],
      ["device", device.name, "5"],
    ],
  );
});

test("somebody who is not present has none", () => {
  assert.equal(tilesOf(change(doctor, { present: false }), patient.id, received, new Set()).length, 1);
});

test("a muted camera shows the card, a muted microphone its sign", () => {
  const tracks = doctor.tracks.map((track) => ({ ...track, muted: true }));
  const [tile] = tilesOf(change(doctor, { tracks }), patient.id, received, new Set());
  assert.equal(tile?.video, undefined);
  assert.equal(tile?.cameraOff, true);
  assert.equal(tile?.microphoneOff, true);
});

test("a tile says when its connection is lost, and before the first track that it connects", () => {
  const trouble = (changed: State) => tilesOf(changed, patient.id, received, new Set()).at(0)?.trouble;
  assert.equal(trouble(change(doctor, { online: false })), "away");
  assert.equal(trouble(change(doctor, { online: false, tracks: [] })), "connecting");
});

test("a picture that stands still is said on its own tile only", () => {
  const tiles = tilesOf(change(device, { online: true }), patient.id, received, new Set(["3"]));
  assert.deepEqual(
    tiles.map((tile) => tile.trouble),
    [undefined, "stalled", undefined],
  );
});

test("who is silenced for want of a consent has a card that says so, and no picture that stands still", () => {
  const tiles = (changed: State) =>
    tilesOf(changed, patient.id, received, new Set(["3", "5"])).map(({ kind, trouble, video }) => [
      kind,
      trouble,
      video?.mid,
    ]);
  assert.deepEqual(tiles(change(doctor, { consent: "withdrawn", silenced: true })), [
    ["person", "unconsented", undefined],
    ["device", "away", "5"],
  ]);
  assert.deepEqual(tiles(change(device, { online: true, silenced: true })).at(-1), [
    "device",
    "unconsented.device",
    undefined,
  ]);
  assert.deepEqual(
    tiles(change(doctor, { consent: "withdrawn" })).slice(0, 2),
    [
      ["screen", undefined, "4"],
      ["person", "stalled", "3"],
    ],
    "where the recording is not required, only the recording ends",
  );
});

test("own sound is never played", () => {
  assert.deepEqual(
    soundsOf([...received, line(patient.id, "b1", "microphone", "audio", "6")], patient.id).map((sound) => sound.mid),
    ["2"],
  );
});

test("the recording indicator tells the worst that is true", () => {
  const all = (recorded: ParticipantState["recorded"], recording = "on"): State => ({
    ...state,
    recording,
    participants: state.participants.map((participant) => ({ ...participant, recorded })),
  });
  assert.deepEqual(recordingOf(state), { kind: "failed", failed: [device.name] });
  assert.equal(recordingOf(all("yes")).kind, "on");
  assert.equal(recordingOf(all("waiting")).kind, "waiting");
  assert.equal(recordingOf(all("no")).kind, "off");
  assert.equal(recordingOf(all("no", "paused")).kind, "paused");
  assert.equal(recordingOf(all("waiting", "off")).kind, "off");
  assert.equal(recordingOf(change(device, { present: false })).kind, "on");
});

test("who hears nothing of the server does not claim that it records", () => {
  const { kind, failed } = recordingOf(unsure(state));
  assert.deepEqual([kind, failed], ["unknown", []]);
  assert.deepEqual(new Set(unsure(state).participants.map(({ recorded }) => recorded)), new Set(["unknown"]));
});

test("the doctor sees who said no to a recording that is required, with the page open and without", () => {
  const refused = (waiting: boolean) => ({
    ...state,
    participants: state.participants.map((one) =>
      one.present ? one : { ...one, waiting, hindered: [], consent: "refused" as const },
    ),
  });
  const names = (shown: State, policy: Policy) => atTheDoor(shown, doctor.id, policy).map(({ name }) => name);
  assert.deepEqual(names(refused(true), "required"), ["Petr Malý"]);
  assert.deepEqual(names(refused(false), "required"), ["Petr Malý"]);
  assert.deepEqual(names(refused(false), "optional"), []);
});

test("initials leave titles out", () => {
  assert.equal(initials("Dr Ota Novák"), "ON");
  assert.equal(initials("Jana"), "J");
  assert.equal(initials("MUDr. Åsa Öberg Ek"), "ME");
  assert.equal(initials("  "), "?");
});

test("a picture that this browser cannot show is a card that says so", () => {
  const plain = (codec: string) => codec !== "H264";
  const trouble = (online: boolean, lines: Received[]) =>
    tilesOf(change(device, { online }), patient.id, lines, new Set(), plain).map((tile) => tile.trouble);
  const without = received.filter((line) => line.source !== "device");
  assert.deepEqual(trouble(true, without), [undefined, undefined, "codec"]);
  assert.deepEqual(trouble(true, received), [undefined, undefined, undefined]);
  assert.deepEqual(trouble(false, without), [undefined, undefined, "away"]);
});
