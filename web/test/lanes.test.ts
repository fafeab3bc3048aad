import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parseNDJSON } from "../src/api/rest.ts";
import type { StoredEvent, Timeline } from "../src/api/types.ts";
import { Axis, STRIP } from "../src/consultation/axis.ts";
import { type LaneKind, type Lanes, lanesOf } from "../src/consultation/lanes.ts";
import { Moments } from "../src/consultation/moment.ts";
import { Placing } from "../src/consultation/placing.ts";
import { Growing, overlay, spanAt } from "../src/consultation/spans.ts";

const folder = "../internal/timeline/testdata";
const stories = readdirSync(folder)
  .filter((name) => name.endsWith(".events.ndjson"))
  .map((name) => name.replace(".events.ndjson", ""));

/** A history whose timeline Go has built, and which its own tests hold golden. */
function story(name: string): { events: StoredEvent[]; timeline: Timeline } {
  const { events } = parseNDJSON(readFileSync(`${folder}/${name}.events.ndjson`, "utf8"));
  return { events, timeline: JSON.parse(readFileSync(`${folder}/${name}.timeline.json`, "utf8")) as Timeline };
}

function lanes(name: string): Lanes {
  const { events, timeline } = story(name);
  return lanesOf(events, timeline);
}

/** "0-12 on, 12-20 muted", in seconds. */
function told(all: Lanes, kind: LaneKind, person = 0): string {
  return all.lanes
    .filter((lane) => lane.kind === kind && (lane.participant === all.participants[person] || lane.participant === ""))
    .map((lane) => lane.spans.map(({ from, to, value }) => `${from / 1000}-${to / 1000} ${value}`).join(", "))
    .join(" | ");
}

test("the golden histories are there", () => assert.ok(stories.length >= 10, stories.join()));

test("a muted microphone and a camera that was off are stretches of their lanes", () => {
  const all = lanes("mute");
  assert.equal(told(all, "microphone"), "0.54-10 on, 10-20 muted, 20-40.1 on");
  assert.equal(told(all, "camera"), "0.54-15 on, 15-25 muted, 25-40.1 on");
  assert.equal(told(all, "present"), "0-40.1 present");
});

test("who drops out and comes back has two connections, and the gap in the recording has its cause", () => {
  const all = lanes("drop_and_return");
  assert.equal(
    told(all, "network", 1),
    "1.05-1.2 connecting, 1.2-25 connected, 25-35 disconnected, 42.05-42.2 connecting, 42.2-60.1 connected",
  );
  assert.equal(told(all, "recorded", 1), "1.4935-19.9935 recorded, 19.9935-43 disconnected, 43-60.1 recorded");
  assert.match(told(all, "quality", 1), /lost/);
});

for (const name of stories) {
  test(`lanes of "${name}" are in order, do not overlap and lie within what is known`, () => {
    const all = lanes(name);
    assert.ok(all.lanes.length > 0);
    for (const { kind, spans } of all.lanes) {
      let before = Number.NEGATIVE_INFINITY;
      for (const { from, to, value } of spans) {
        assert.ok(from >= before && to >= from, `${kind}: ${from} to ${to} behind ${before}`);
        assert.ok(value, `${kind} at ${from} has no value`);
        assert.ok(to <= all.end, `${kind} ends at ${to}, all at ${all.end}`);
        before = to;
      }
    }
  });

  test(`the state at any moment of "${name}" is the fold of the events up to it`, () => {
    const { events, timeline } = story(name);
    const moments = new Moments(lanesOf(events, timeline));
    const placing = new Placing(timeline);
    const placed = events.map((event) => ({ event, at: placing.at(event) }));
    const edges = placed.flatMap(({ at }) => [at, at + 1, at + 2_345]);
    for (const ms of edges.filter((at) => at >= 0 && at < (timeline.durationNs ?? 0) / 1e6)) {
      const want = fold(placed.filter(({ at }) => at <= ms).map(({ event }) => event));
      const got = moments.at(ms);
      for (const person of got.people) {
        const { present, consent, network, microphone, camera } = person;
        assert.deepEqual({ present, consent, network, microphone, camera }, want.get(person.id) ?? nobody, `at ${ms}`);
        const hears = got.people
          .filter(({ id }) => id !== person.id && present && network === "connected" && audible(want.get(id) ?? nobody))
          .map(({ id }) => id);
        assert.deepEqual(person.hears, hears, `${person.id} at ${ms}`);
      }
    }
  });
}

const nobody = { present: false, consent: "", network: "", microphone: "", camera: "" };

const audible = (one: typeof nobody) => one.present && one.network === "connected" && one.microphone === "on";

// The slow way, from the words of docs/events.md.
function fold(events: StoredEvent[]): Map<string, typeof nobody> {
  const people = new Map<string, typeof nobody>();
  const connections = new Map<string, string>();
  const tracks = new Map<string, { id: string; key: "microphone" | "camera" }>();
  const newest = new Map<string, string>();
  const ice = { new: "connecting", checking: "connecting", connected: "connected", completed: "connected" };
  for (const { type, participant: id, data } of events) {
    if ((type === "conference.hosted" && (data.epoch as number) > 1) || type === "consultation.ended") {
      for (const one of people.values()) Object.assign(one, { network: "", microphone: "", camera: "" });
    }
    if (!id) continue;
    const one = people.get(id) ?? { ...nobody };
    people.set(id, one);
    const [noun, verb] = type.split(".") as [string, string];
    if (type === "participant.joined") one.present = true;
    if (type === "participant.left") Object.assign(one, { ...nobody, consent: one.consent });
    if (noun === "consent") one.consent = verb;
    if (type === "connection.opened") {
      connections.set(id, data.connection as string);
      one.network = "connecting";
    }
    if (noun === "connection" && data.connection === connections.get(id)) {
      const state = data.state as string;
      if (verb === "ice_changed") one.network = state === "closed" ? "" : (ice[state as keyof typeof ice] ?? state);
      if (verb === "closed") one.network = "";
      if (verb === "restarted") one.network = "connecting";
      if (verb === "timed_out") one.network = "failed";
    }
    if (type === "track.started" && (data.source === "microphone" || data.source === "camera")) {
      tracks.set(data.track as string, { id, key: data.source });
      newest.set(`${id}/${data.source}`, data.track as string);
      one[data.source] = "on";
    }
    const track = tracks.get(data.track as string);
    if (!track || noun !== "track" || newest.get(`${id}/${track.key}`) !== data.track) continue;
    const said = { ended: "", muted: "muted", unmuted: "on", stalled: "stalled", resumed: "on" }[verb];
    if (said !== undefined && (one[track.key] !== "" || said === "")) one[track.key] = said;
  }
  return people;
}

test("a path stands beside the connection, and a second process ends what the first one held", () => {
  let seq = 0;
  const event = (second: number, type: string, data: Record<string, unknown>, participant?: string): StoredEvent => ({
    id: "x",
    seq: ++seq,
    type,
    time: new Date(Date.parse("2026-01-01T09:00:00Z") + second * 1000).toISOString(),
    ...(participant ? { participant } : {}),
    data,
  });
  const events = [
    event(-5, "consultation.opened", {}),
    event(-5, "conference.hosted", { epoch: 1, node: "n" }),
    event(0, "participant.joined", {}, "a"),
    event(1, "connection.opened", { connection: "c1" }, "a"),
    event(2, "connection.pair_selected", { connection: "c1", remote: { kind: "relay", transport: "tls" } }, "a"),
    event(2, "connection.ice_changed", { connection: "c1", state: "connected" }, "a"),
    event(3, "track.started", { track: "t", kind: "audio", source: "microphone" }, "a"),
    event(10, "conference.hosted", { epoch: 2, node: "n" }),
    event(20, "consultation.ended", {}),
    event(30, "archive.requested", { version: 1 }),
    event(31, "archive.started", { version: 1 }),
    event(60, "archive.rendered", { version: 1 }),
  ];
  const all = lanesOf(events, { startTime: "2026-01-01T09:00:00Z", durationNs: 20e9 });
  assert.equal(told(all, "network"), "1-2 connecting, 2-10 connected");
  assert.equal(all.lanes.find((lane) => lane.kind === "network")?.spans[1]?.detail, "TLS relay");
  assert.equal(told(all, "microphone"), "3-10 on");
  assert.equal(told(all, "hosting"), "-5-10 hosting, 10-60 hosting");
  assert.equal(told(all, "stitcher"), "30-31 queued, 31-60 rendering");
  assert.deepEqual([all.begin, all.duration, all.end], [-5000, 20_000, 60_000]);
});

test("what lasts, lasts until the horizon", () => {
  const events = [
    { id: "x", seq: 1, type: "participant.joined", time: "2026-01-01T09:00:00Z", participant: "a", data: {} },
  ];
  const all = lanesOf(events, { startTime: "2026-01-01T09:00:00Z", durationNs: 0 }, 7_000);
  assert.equal(told(all, "present"), "0-7 present");
});

test("an event that comes late moves nothing that was before it", () => {
  const lane = new Growing();
  lane.become(10, "on");
  lane.become(30, "muted");
  lane.become(20, "on");
  assert.deepEqual(
    lane.spans.map(({ from, to, value }) => [from, to, value]),
    [
      [10, 30, "on"],
      [30, Number.POSITIVE_INFINITY, "on"],
    ],
  );
});

test("stretches that lie over others cut them", () => {
  const span = (from: number, to: number, value: string) => ({ from, to, value });
  assert.deepEqual(overlay([span(0, 10, "a"), span(20, 30, "a")], [span(5, 22, "b")]), [
    span(0, 5, "a"),
    span(5, 22, "b"),
    span(22, 30, "a"),
  ]);
  assert.equal(spanAt([span(0, 10, "a"), span(10, 12, "b")], 10)?.value, "b");
  assert.equal(spanAt([span(0, 10, "a")], 10), undefined);
});

test("the axis is to scale between beginning and end, and keeps the order outside", () => {
  const axis = new Axis({
    width: 1000,
    duration: 60_000,
    from: 0,
    to: 60_000,
    before: [-9e6, -5_000],
    after: [60_100, 9e9],
  });
  assert.equal(axis.x(0), STRIP);
  assert.equal(axis.x(60_000), 1000 - STRIP);
  assert.ok(Math.abs(axis.ms(axis.x(12_345)) - 12_345) < 1e-6);
  const outside = [-9e6, -5_000, 0, 60_000, 60_100, 9e9].map((ms) => axis.x(ms));
  assert.deepEqual(
    [...outside].sort((a, b) => a - b),
    outside,
  );
  assert.equal(axis.ms(-50), 0);
  assert.equal(axis.ms(5_000), 60_000);
  assert.ok(axis.step() * axis.scale >= 90);
});

test("looked at closely, the axis has no strips", () => {
  const axis = new Axis({ width: 1000, duration: 60_000, from: 10_000, to: 20_000, before: [-1], after: [61_000] });
  assert.equal(axis.x(10_000), 0);
  assert.equal(axis.x(20_000), 1000);
  assert.ok(axis.x(-1) < 0 && axis.x(61_000) > 1000);
});
