import assert from "node:assert/strict";
import { test } from "node:test";
import { signal } from "@preact/signals";
import { Call } from "../src/call/call.ts";
import type { LocalMedia } from "../src/call/media.ts";
import type { State } from "../src/signaling/messages.ts";
import { FakeClock, settle } from "./clock.ts";
import { example } from "./examples.ts";
import { FakePC } from "./fakepc.ts";
import { FakeSocket } from "./fakesocket.ts";

/** A call that is in, with its first connection answered. */
async function inTheCall() {
  Object.assign(globalThis, { window: new EventTarget(), document: new EventTarget(), MediaStream: class {} });
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  const connections: FakePC[] = [];
  const tracks = { microphone: signal(undefined), camera: signal(undefined), screen: signal(undefined) };
  const call = new Call({
    url: "ws://here/api/v1/signaling",
    token: "token",
    media: { tracks } as unknown as LocalMedia,
    clock,
    open: (url) => {
      const socket = new FakeSocket(url);
      sockets.push(socket);
      return socket;
    },
    make: () => {
      const pc = new FakePC();
      connections.push(pc);
      return pc as unknown as RTCPeerConnection;
    },
  });
  const socket = () => sockets.at(-1) as FakeSocket;
  const answer = async (type: string, message: object) => {
    socket().say({ ...message, re: socket().last(type).id });
    await settle();
  };
  /** The server greets, lets in, and says whether it holds a connection of ours. */
  const letIn = async (hasConnection: boolean) => {
    socket().onopen?.();
    await answer("hello", example<object>("welcome"));
    await answer("join", { ...example<State>("state"), joined: true, hasConnection });
  };
  call.join();
  call.start();
  await letIn(false);
  await answer("offer", { type: "answer", sdp: "a=fingerprint:sha-256 AA\r\n", tracks: [] });
  const lose = async () => {
    socket().onclose?.();
    await clock.pass(10_000);
  };
  return { call, connections, socket, letIn, lose };
}

test("a server that was started anew gets one new connection, and none that is thrown away", async () => {
  const { call, connections, socket, letIn, lose } = await inTheCall();
  assert.equal(connections.length, 1);
  await lose();
  await letIn(false);
  assert.equal(connections.length, 2);
  assert.equal(connections[0]?.closed, true);
  assert.deepEqual(
    socket()
      .sent.filter(({ type }) => type === "offer")
      .map((offer) => offer.new),
    [true],
  );
  call.close();
});

test("a server that still holds the connection is offered to over it", async () => {
  const { call, connections, socket, letIn, lose } = await inTheCall();
  await lose();
  await letIn(true);
  assert.equal(connections.length, 1);
  assert.equal(socket().last("offer").new, undefined);
  call.close();
});
