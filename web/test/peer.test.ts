import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Peer, type Received } from "../src/call/peer.ts";
import { ConnectionLost, Refused } from "../src/signaling/client.ts";
import type { Answer, ClientMessage, Offer, ServerMessage } from "../src/signaling/messages.ts";
import { settle } from "./clock.ts";
import { FakePC } from "./fakepc.ts";

interface Asked {
  offer: Offer;
  answer(tracks?: Answer["tracks"], sdp?: string): Promise<void>;
  fail(error: Error): Promise<void>;
}

beforeEach(() => {
  globalThis.MediaStream = class {} as typeof MediaStream;
});

const SERVERS = [
  { urls: ["stun:elsewhere.example"] },
  { urls: ["turn:a:443?transport=udp", "turn:a:443?transport=tcp"], username: "u", credential: "c" },
];

function setUp() {
  const pc = new FakePC();
  const asked: Asked[] = [];
  const sent: ClientMessage[] = [];
  const received: Received[][] = [];
  const unusable: Error[] = [];
  const peer = new Peer({
    iceServers: SERVERS,
    make: (configuration) => {
      pc.configuration = configuration;
      return pc as unknown as RTCPeerConnection;
    },
    signaling: {
      request: (message) =>
        new Promise<ServerMessage>((resolve, reject) => {
          asked.push({
            offer: message as Offer,
            answer: async (tracks = [], sdp = "a=fingerprint:sha-256 AA\r\n") => {
              resolve({ type: "answer", sdp, tracks });
              await settle();
            },
            fail: async (error) => {
              reject(error);
              await settle();
            },
          });
        }),
      send: (message) => sent.push(message) > 0,
    },
    events: { received: (list) => received.push(list), ice: () => {}, unusable: (error) => unusable.push(error) },
  });
  const ask = (index: number) => asked[index] as Asked;
  return { pc, peer, asked, ask, sent, received, unusable };
}

const track = (kind: string, enabled = true) => ({ kind, enabled }) as MediaStreamTrack;
const lines = (pc: FakePC) => pc.transceivers.map((t) => `${t.kind} ${t.direction}`);

test("the first offer sends the own tracks and has two spare lines of each kind", async () => {
  const { pc, peer, ask } = setUp();
  peer.publish("microphone", track("audio"));
  peer.publish("camera", track("video", false));
  void peer.negotiate();
  await settle();
  assert.deepEqual(lines(pc), [
    "audio sendonly",
    "video sendonly",
    "audio recvonly",
    "audio recvonly",
    "video recvonly",
    "video recvonly",
  ]);
  assert.equal(ask(0).offer.new, true);
  assert.deepEqual(ask(0).offer.tracks, [
    { mid: "0", source: "microphone", muted: false },
    { mid: "1", source: "camera", muted: true },
  ]);
});

test("asks for abs-capture-time on what it sends", async () => {
  const { pc, peer } = setUp();
  peer.publish("camera", track("video"));
  const uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
  assert.equal(pc.transceivers[0]?.extensions?.find((extension) => extension.uri === uri)?.direction, "sendrecv");
});

test("one offer is in flight at a time, and what is wanted meanwhile becomes one more", async () => {
  const { peer, asked, ask } = setUp();
  void peer.negotiate();
  await settle();
  void peer.negotiate();
  peer.reserve(3, 3);
  void peer.negotiate();
  await settle();
  assert.equal(asked.length, 1);
  await ask(0).answer();
  assert.equal(asked.length, 2);
  assert.equal(ask(1).offer.new, undefined);
  await ask(1).answer();
  assert.equal(asked.length, 2);
});

test("the answer says whose track a line carries, and only free lines count as spare", async () => {
  const { pc, peer, ask, received } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).answer([{ mid: "0", participant: "a", track: "t1", source: "microphone" }]);
  assert.deepEqual(
    received[0]?.map(({ participant, trackId, mid }) => ({ participant, trackId, mid })),
    [{ participant: "a", trackId: "t1", mid: "0" }],
  );
  peer.reserve(2, 2); // one audio line is taken, so one more is needed; both video lines are free
  assert.equal(lines(pc).filter((line) => line === "audio recvonly").length, 3);
  assert.equal(lines(pc).filter((line) => line === "video recvonly").length, 2);
});

test("a server cannot make the page allocate without end", () => {
  const { pc, peer } = setUp();
  peer.reserve(10_000, 10_000);
  assert.equal(pc.transceivers.length, 100);
});

test("candidates of the server wait for the answer they belong to", async () => {
  const { pc, peer, ask } = setUp();
  void peer.negotiate();
  await settle();
  peer.candidate({ type: "candidate", candidate: "early" });
  assert.deepEqual(pc.candidates, []);
  await ask(0).answer();
  peer.candidate({ type: "candidate", candidate: "late" });
  peer.candidate({ type: "candidate", candidate: "" });
  assert.deepEqual(pc.candidates, ["early", "late"]);
});

test("late candidates of a connection that was given up are dropped, and so are those from before a restart", async () => {
  const { pc, peer, ask } = setUp();
  const of = (ufrag: string) => `candidate:1 1 udp 1 192.0.2.1 443 typ host ufrag ${ufrag} generation 0`;
  void peer.negotiate();
  await settle();
  peer.candidate({ type: "candidate", candidate: of("old") });
  peer.candidate({ type: "candidate", candidate: of("mine") });
  await ask(0).answer([], "a=ice-ufrag:mine\r\na=fingerprint:sha-256 AA\r\n");
  peer.candidate({ type: "candidate", candidate: of("old") });
  peer.candidate({ type: "candidate", candidate: "candidate:2 1 udp 1 192.0.2.1 443 typ host" });
  assert.deepEqual(pc.candidates, [of("mine"), "candidate:2 1 udp 1 192.0.2.1 443 typ host"]);
  void peer.restart();
  await settle();
  peer.candidate({ type: "candidate", candidate: of("next") });
  await ask(1).answer([], "a=ice-ufrag:next\r\na=fingerprint:sha-256 AA\r\n");
  peer.candidate({ type: "candidate", candidate: of("mine") });
  assert.deepEqual(pc.candidates.slice(2), [of("next")]);
});

test("own candidates go out as they come, and an empty one at the end", () => {
  const { pc, sent } = setUp();
  const tell = pc.onicecandidate as (event: { candidate: unknown }) => void;
  tell({ candidate: { candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 } });
  tell({ candidate: null });
  assert.deepEqual(sent, [
    { type: "candidate", candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 },
    { type: "candidate", candidate: "" },
  ]);
});

test("after a lost connection the same offer can be made again", async () => {
  const { peer, asked, ask, unusable } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).fail(new ConnectionLost("gone"));
  assert.deepEqual(unusable, []);
  void peer.negotiate();
  await settle();
  assert.equal(asked.length, 2);
  assert.equal(ask(1).offer.new, true); // nobody knows whether the first one arrived
});

test("a restart that was not answered is made again", async () => {
  const { pc, peer, ask } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).answer();
  void peer.restart();
  await settle();
  await ask(1).fail(new ConnectionLost("gone"));
  void peer.negotiate();
  await settle();
  assert.equal(pc.restarts, 2);
  await ask(2).answer();
  void peer.negotiate();
  await settle();
  assert.equal(pc.restarts, 2);
});

const DIRECT = [SERVERS[0], { urls: ["turn:a:443?transport=tcp"], username: "u", credential: "c" }];

test("a direct connection does not know of this server's relay over UDP, which stands on its own port for media", () => {
  assert.deepEqual(setUp().pc.configuration.iceServers, DIRECT);
});

test("a restart over the relays alone keeps the rest of the configuration, and the next usual one takes it back", async () => {
  const { pc, peer, ask } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).answer();
  void peer.restart(true);
  await settle();
  assert.deepEqual(pc.configuration, { bundlePolicy: "max-bundle", iceTransportPolicy: "relay", iceServers: SERVERS });
  await ask(1).answer();
  void peer.restart();
  await settle();
  assert.equal(pc.configuration.iceTransportPolicy, "all");
  assert.deepEqual(pc.configuration.iceServers, DIRECT);
  assert.equal(pc.restarts, 2);
});

test("an offer that is refused makes the connection unusable", async () => {
  const { peer, ask, unusable } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).fail(new Refused("bad_sdp", "No."));
  assert.equal(unusable.length, 1);
});

test("an answer of another connection makes this one unusable", async () => {
  const { pc, peer, ask, unusable } = setUp();
  void peer.negotiate();
  await settle();
  await ask(0).answer();
  void peer.negotiate();
  await settle();
  await ask(1).answer([], "a=fingerprint:sha-256 BB\r\n");
  assert.equal(unusable.length, 1);
  assert.match(pc.remoteDescription?.sdp ?? "", /AA/);
});

test("a shared screen that ends leaves its line, and the next one uses it again", async () => {
  const { pc, peer, ask } = setUp();
  peer.publish("screen", track("video"));
  void peer.negotiate();
  await settle();
  await ask(0).answer();
  peer.unpublish("screen");
  void peer.negotiate();
  await settle();
  assert.deepEqual(ask(1).offer.tracks, []);
  assert.equal(pc.transceivers[0]?.direction, "inactive");
  await ask(1).answer();
  peer.publish("screen", track("video"));
  void peer.negotiate();
  await settle();
  assert.deepEqual(ask(2).offer.tracks, [{ mid: "0", source: "screen", muted: false }]);
});

test("nothing is offered after close", async () => {
  const { pc, peer, asked } = setUp();
  peer.close();
  await peer.negotiate();
  assert.ok(pc.closed);
  assert.equal(asked.length, 0);
});
