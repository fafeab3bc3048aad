import assert from "node:assert/strict";
import { test } from "node:test";
import { codesOf } from "../src/call/devices.ts";
import { networkCodes, type WayState } from "../src/call/precheck.ts";
import { relaysOf, tryWay, wayOf } from "../src/call/ways.ts";
import { failures } from "../src/text/failures.ts";
import { failureText, speak } from "../src/text/text.ts";
import { settle } from "./clock.ts";

test("an address of a relay stands for a way, one of a STUN server for none", () => {
  assert.equal(wayOf("turn:203.0.113.10:443?transport=udp"), "udp");
  assert.equal(wayOf("turn:[2001:db8::1]:443?transport=tcp"), "tcp");
  assert.equal(wayOf("turns:clinic.example:443?transport=tcp"), "tls");
  assert.equal(wayOf("turn:clinic.example"), "udp");
  assert.equal(wayOf("stun:clinic.example"), undefined);
});

test("only relays with a credential are tried, each way once", () => {
  const own = { urls: ["turn:a:1?transport=udp", "turn:a:1?transport=tcp"], username: "u", credential: "c" };
  const relays = relaysOf([{ urls: ["turn:open:1?transport=udp"] }, own]);
  assert.deepEqual(Object.keys(relays), ["udp", "tcp"]);
  assert.deepEqual(relays.tcp, { urls: ["turn:a:1?transport=tcp"], username: "u", credential: "c" });
});

/** A connection that finds these candidates. */
function gathering(...candidates: (string | null)[]) {
  const made: { closed: boolean; configuration: RTCConfiguration }[] = [];
  const make = (configuration: RTCConfiguration) => {
    const pc = {
      closed: false,
      configuration,
      onicecandidate: null as ((event: { candidate: { candidate: string } | null }) => void) | null,
      addTransceiver() {},
      async createOffer() {
        return {};
      },
      async setLocalDescription() {
        for (const line of candidates) this.onicecandidate?.({ candidate: line === null ? null : { candidate: line } });
      },
      close() {
        this.closed = true;
      },
    };
    made.push(pc);
    return pc as unknown as RTCPeerConnection;
  };
  return { make, made };
}

const RELAY = { urls: ["turn:a:1?transport=udp"], username: "u", credential: "c" };

test("a candidate of the relay proves the way, and everything is let go", async () => {
  const { make, made } = gathering("candidate:1 1 udp 41885439 203.0.113.10 443 typ relay raddr 0.0.0.0 rport 0");
  const { result, ms } = await tryWay(RELAY, make);
  assert.equal(result, "ok");
  assert.ok(ms > 0);
  assert.deepEqual(made[0]?.configuration, { iceServers: [RELAY], iceTransportPolicy: "relay" });
  assert.equal(made[0]?.closed, true);
});

test("a way that gives no candidate, or takes too long, or cannot be tried at all, has failed", async () => {
  assert.equal((await tryWay(RELAY, gathering(null).make)).result, "failed");
  assert.equal((await tryWay(RELAY, gathering().make, 20)).result, "failed");
  const broken = () => {
    throw new Error("no PeerConnection here");
  };
  assert.equal((await tryWay(RELAY, broken)).result, "failed");
  await settle();
});

const state = (result: "ok" | "failed" | "absent" | "trying"): WayState =>
  result === "trying" ? result : { result, ms: 1 };

for (const [udp, tcp, tls, codes] of [
  ["ok", "ok", "ok", []],
  ["ok", "failed", "absent", []],
  ["failed", "ok", "ok", ["NET-UDP-BLOCKED"]],
  ["failed", "failed", "ok", ["NET-UDP-BLOCKED"]],
  ["failed", "failed", "failed", ["NET-BLOCKED"]],
  ["failed", "absent", "absent", ["NET-BLOCKED"]],
  ["failed", "trying", "failed", []],
  ["absent", "absent", "absent", []],
] as const) {
  test(`UDP ${udp}, TCP ${tcp}, TLS ${tls} means ${codes.join() || "nothing"}`, () => {
    assert.deepEqual(networkCodes({ udp: state(udp), tcp: state(tcp), tls: state(tls) }), codes);
  });
}

test("each problem of a device has its code, and one that is true of both is said once", () => {
  assert.deepEqual(codesOf({ camera: "denied", microphone: "busy" }), ["CAM-DENIED", "MIC-BUSY"]);
  assert.deepEqual(codesOf({ camera: "none" }), ["NO-CAMERA"]);
  assert.deepEqual(codesOf({ camera: "none", microphone: "none" }), ["NO-DEVICE"]);
  assert.deepEqual(codesOf({ camera: "insecure", microphone: "insecure" }), ["PAGE-INSECURE"]);
  assert.deepEqual(codesOf({}), []);
});

test("a failure is told in the reader's language, an unknown one not at all", () => {
  globalThis.document = { documentElement: {} } as Document;
  assert.equal(failureText("CAM-DENIED"), failures["CAM-DENIED"].en);
  speak("de");
  assert.equal(failureText("CAM-DENIED"), failures["CAM-DENIED"].de);
  speak("en");
  assert.equal(failureText("SOMETHING-NEW"), undefined);
  assert.equal(failureText("toString"), undefined);
});
