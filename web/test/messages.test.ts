import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseServerMessage, type ServerMessage } from "../src/signaling/messages.ts";
import { examples } from "./examples.ts";

// Every field that a message may have; * = must be there.
const fields: Record<string, string> = {
  hello: "id token",
  join: "id",
  offer: "id sdp* tracks* new",
  candidate: "id re candidate* sdpMid sdpMLineIndex",
  mute: "id source* muted*",
  hindered: "id codes*",
  checked: "id camera* microphone* speaker* ways* codes* tookMs*",
  leave: "id",
  end: "id",
  ping: "id",
  welcome: "re consultation* participant* name* role* title* language* policy* consent* host* iceServers* state*",
  state: "re phase* recording* since joined* hasConnection* hindered participants*",
  answer: "re sdp* tracks*",
  please_offer: "audio* video*",
  ended: "re reason*",
  moved: "re url*",
  pong: "re",
  error: "re code* message*",
};

const server = "welcome state answer candidate please_offer ended moved pong error".split(" ");

test("there is an example of every message and no other", () => {
  assert.deepEqual([...examples().keys()].sort(), Object.keys(fields).sort());
});

for (const [type, example] of examples()) {
  test(`the example of ${type} has the fields that the pages know`, () => {
    const known = (fields[type] ?? "").split(" ");
    const names = known.map((name) => name.replace("*", ""));
    assert.equal(example.type, type);
    for (const name of Object.keys(example))
      if (name !== "type") assert.ok(names.includes(name), `${name} is not known`);
    for (const name of known) if (name.endsWith("*")) assert.ok(name.slice(0, -1) in example, `${name} is missing`);
  });
}

for (const type of server) {
  test(`a ${type} of the server is read unchanged`, () => {
    const text = JSON.stringify(examples().get(type));
    assert.deepEqual(parseServerMessage(text), JSON.parse(text));
  });
}

test("what is no message of this protocol is skipped", () => {
  for (const frame of ["", "null", "7", "[]", "{", '{"type":"later"}', '{"type":"welcome"}', new ArrayBuffer(2)]) {
    assert.equal(parseServerMessage(frame), undefined);
  }
});

test("lists that are null become empty", () => {
  const read = (message: unknown) =>
    parseServerMessage(JSON.stringify(message)) as ServerMessage & Record<string, unknown>;
  assert.deepEqual(read({ type: "answer", sdp: "", tracks: null }).tracks, []);
  const state = read({
    type: "state",
    phase: "open",
    recording: "on",
    joined: true,
    participants: [{ id: "a", tracks: null }],
  });
  assert.deepEqual(state.participants, [{ id: "a", tracks: [] }]);
});

test("docs/signaling.md has a heading for every message and shows its example", () => {
  const text = readFileSync("../docs/signaling.md", "utf8");
  for (const type of Object.keys(fields)) {
    assert.ok(text.includes(`\`${type}\``), `${type} is not described`);
    assert.ok(text.includes(`${type}.json`), `${type}.json is not referred to`);
  }
});
