import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, ConnectionLost, type Farewell, Refused, socketURL } from "../src/signaling/client.ts";
import type { ServerMessage } from "../src/signaling/messages.ts";
import { FakeClock, settle } from "./clock.ts";
import { example } from "./examples.ts";
import { FakeSocket } from "./fakesocket.ts";

function setUp() {
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  const heard: ServerMessage[] = [];
  const farewells: Farewell[] = [];
  let welcomes = 0;
  const client = new Client({
    url: "ws://here/api/v1/signaling",
    token: "token",
    clock,
    random: () => 1,
    open: (url) => {
      const socket = new FakeSocket(url);
      sockets.push(socket);
      return socket;
    },
    events: {
      welcome: () => welcomes++,
      message: (message) => heard.push(message),
      farewell: (farewell) => farewells.push(farewell),
    },
  });
  const socket = () => sockets.at(-1) as FakeSocket;
  const greet = async () => {
    socket().onopen?.();
    socket().say({ ...example<object>("welcome"), re: socket().last("hello").id });
    await settle();
  };
  return { clock, client, sockets, socket, heard, farewells, greet, welcomes: () => welcomes };
}

test("says hello with the token and is ready after welcome", async () => {
  const { client, socket, greet, welcomes } = setUp();
  client.start();
  assert.equal(client.status, "connecting");
  assert.equal(client.send({ type: "join" }), false);
  await greet();
  assert.equal(socket().last("hello").token, "token");
  assert.equal(client.status, "ready");
  assert.equal(welcomes(), 1);
});

test("pairs answers with requests by id, in whatever order they come", async () => {
  const { client, socket, greet } = setUp();
  client.start();
  await greet();
  const first = client.request({ type: "join" });
  const second = client.request({ type: "offer", sdp: "v=0", tracks: [] });
  socket().say({ ...example<object>("answer"), re: socket().last("offer").id });
  socket().say({ ...example<object>("state"), re: socket().last("join").id });
  assert.equal((await first).type, "state");
  assert.equal((await second).type, "answer");
});

test("an error that answers a request rejects it with the code", async () => {
  const { client, socket, greet, heard } = setUp();
  client.start();
  await greet();
  const joining = client.request({ type: "join" });
  socket().say({ type: "error", re: socket().last("join").id, code: "consent_needed", message: "No." });
  await assert.rejects(joining, (error: unknown) => error instanceof Refused && error.code === "consent_needed");
  assert.deepEqual(heard, []);
});

test("messages that answer nothing reach the call", async () => {
  const { client, socket, greet, heard } = setUp();
  client.start();
  await greet();
  socket().say(example("please_offer"));
  socket().say(example("pong"));
  assert.deepEqual(
    heard.map((message) => message.type),
    ["please_offer"],
  );
});

test("a lost connection rejects what waits and is made again, slower and slower up to five seconds", async () => {
  const { client, sockets, socket, greet, clock } = setUp();
  client.start();
  await greet();
  const joining = client.request({ type: "join" });
  socket().onclose?.();
  await assert.rejects(joining, ConnectionLost);
  assert.equal(client.status, "waiting");
  const waits: number[] = [];
  for (let attempt = 0; attempt < 7; attempt++) {
    const before = sockets.length;
    let waited = 0;
    while (sockets.length === before) {
      await clock.pass(100);
      waited += 100;
    }
    waits.push(waited);
    socket().onclose?.();
  }
  assert.deepEqual(waits, [300, 600, 1200, 2400, 4800, 5000, 5000]);
});

test("a welcome resets the waiting time", async () => {
  const { client, socket, greet, clock, sockets } = setUp();
  client.start();
  for (let attempt = 0; attempt < 4; attempt++) {
    socket().onclose?.();
    await clock.pass(5000);
  }
  await greet();
  socket().onclose?.();
  const before = sockets.length;
  await clock.pass(300);
  assert.equal(sockets.length, before + 1);
});

test("hurry connects at once, but only while waiting", async () => {
  const { client, sockets, socket, greet } = setUp();
  client.start();
  await greet();
  client.hurry();
  assert.equal(sockets.length, 1);
  socket().onclose?.();
  client.hurry();
  assert.equal(sockets.length, 2);
});

test("pings, and five seconds of silence count as a lost connection", async () => {
  const { client, socket, greet, clock } = setUp();
  client.start();
  await greet();
  const first = socket();
  await clock.pass(3000);
  first.say({ type: "pong", re: first.last("ping").id });
  await clock.pass(4000);
  assert.equal(client.status, "ready");
  await clock.pass(2000);
  assert.ok(first.closed);
  assert.notEqual(client.status, "ready");
});

test("a page that was frozen asks before it gives the connection up", async () => {
  const { client, socket, greet, clock } = setUp();
  client.start();
  await greet();
  const first = socket();
  const pings = () => first.sent.filter((message) => message.type === "ping").length;
  const before = pings();
  await clock.freeze(60_000);
  assert.equal(client.status, "ready");
  assert.equal(pings(), before + 1);
  await clock.pass(6_000);
  assert.ok(first.closed);
});

test("a server that does not answer hello within ten seconds is left", async () => {
  const { client, sockets, socket, clock } = setUp();
  client.start();
  socket().onopen?.();
  await clock.pass(10_000);
  assert.ok(sockets[0]?.closed);
  assert.equal(client.status, "waiting");
});

for (const code of [
  "unauthorized",
  "token_expired",
  "token_early",
  "unknown_consultation",
  "forbidden",
  "ended",
  "kicked",
]) {
  test(`hello refused with ${code} is final`, async () => {
    const { client, sockets, socket, clock, farewells } = setUp();
    client.start();
    socket().onopen?.();
    socket().say({ type: "error", re: socket().last("hello").id, code, message: "No." });
    await clock.pass(60_000);
    assert.deepEqual(farewells, [{ kind: "refused", code, message: "No." }]);
    assert.equal(sockets.length, 1);
  });
}

test("hello refused for a reason of the server's own is tried again", async () => {
  const { client, sockets, socket, clock, farewells } = setUp();
  client.start();
  socket().onopen?.();
  socket().say({ type: "error", code: "internal", message: "Oops." });
  await clock.pass(1000);
  assert.equal(sockets.length, 2);
  assert.deepEqual(farewells, []);
});

for (const reason of ["closed", "abandoned", "kicked", "left", "replaced"]) {
  test(`ended: ${reason} is final`, async () => {
    const { client, sockets, socket, greet, clock, farewells } = setUp();
    client.start();
    await greet();
    socket().say({ type: "ended", reason });
    socket().onclose?.();
    await clock.pass(60_000);
    assert.deepEqual(farewells, [{ kind: "ended", reason }]);
    assert.equal(client.status, "closed");
    assert.equal(sockets.length, 1);
  });
}

test("ended as the answer to leave is final too", async () => {
  const { client, socket, greet, farewells } = setUp();
  client.start();
  await greet();
  const ending = client.request({ type: "end" });
  socket().say({ type: "ended", re: socket().last("end").id, reason: "closed" });
  assert.equal((await ending).type, "ended");
  assert.deepEqual(farewells, [{ kind: "ended", reason: "closed" }]);
});

for (const reason of ["shutdown", "timeout"]) {
  test(`ended: ${reason} brings the client back`, async () => {
    const { client, sockets, socket, greet, clock, farewells } = setUp();
    client.start();
    await greet();
    socket().say({ type: "ended", reason });
    await clock.pass(400);
    assert.equal(sockets.length, 2);
    assert.deepEqual(farewells, []);
  });
}

test("moved leads to the other node at once", async () => {
  const { client, sockets, socket, greet, clock } = setUp();
  client.start();
  await greet();
  socket().say(example("moved"));
  await clock.pass(1);
  assert.equal(sockets[1]?.url, example<{ url: string }>("moved").url);
});

test("an old socket that still speaks is not listened to", async () => {
  const { client, socket, greet, clock, heard } = setUp();
  client.start();
  await greet();
  const old = socket();
  old.onclose?.();
  await clock.pass(400);
  await greet();
  old.say(example("please_offer"));
  old.onclose?.();
  assert.deepEqual(heard, []);
  assert.equal(client.status, "ready");
});

test("close is final", async () => {
  const { client, sockets, greet, clock, farewells } = setUp();
  client.start();
  await greet();
  client.close();
  client.start();
  await clock.pass(60_000);
  assert.deepEqual(farewells, [{ kind: "closed" }]);
  assert.equal(sockets.length, 1);
});

test("http addresses become WebSocket addresses", () => {
  assert.equal(socketURL("https://a.example/x"), "wss://a.example/x");
  assert.equal(socketURL("ws://a.example/x"), "ws://a.example/x");
});
