import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionItem } from "../src/api/generated.ts";
import { joinsOf } from "../src/live/joins.ts";
import { Live } from "../src/live/live.ts";
import { FakeClock } from "./clock.ts";

const connection = (more: Partial<ConnectionItem>): ConnectionItem => ({
  id: "c",
  participant: "p",
  via: "websocket",
  state: "",
  restarts: 0,
  openedAt: "2026-01-01T09:00:00.000Z",
  ...more,
});

test("joining is judged by what came about and by what did not, not by what is still on its way or was given up for another", () => {
  const got = joinsOf([
    {
      id: "one",
      connections: [
        connection({ connectedAt: "2026-01-01T09:00:00.400Z", transport: "udp", remoteKind: "prflx" }),
        connection({ connectedAt: "2026-01-01T09:00:01.000Z", transport: "udp", remoteKind: "relay" }),
        connection({ connectedAt: "2026-01-01T09:00:00.600Z", transport: "udp" }),
        connection({}),
      ],
    },
    {
      id: "two",
      connections: [
        connection({ timeoutCode: "ICE-TIMEOUT", openedAt: "2026-01-01T08:00:00Z" }),
        connection({ timeoutCode: "ICE-TIMEOUT" }),
        connection({ closedAt: "2026-01-01T09:00:02Z", closeReason: "left" }),
        connection({ closedAt: "2026-01-01T09:00:00.150Z", closeReason: "replaced" }),
      ],
    },
  ]);
  assert.deepEqual(got, {
    tried: 6,
    connected: 3,
    medianMs: 600,
    ways: [
      { way: "UDP", n: 2 },
      { way: "UDP relay", n: 1 },
    ],
    failures: [
      { code: "ICE-TIMEOUT", n: 2, consultation: "two" },
      { code: "left", n: 1, consultation: "two" },
    ],
  });
  assert.equal(joinsOf([]).medianMs, undefined);
});

test("connections are read again only where something has happened", async () => {
  const clock = new FakeClock();
  const asked: string[] = [];
  let seq = 1;
  const item = (id: string) => ({ id, seq: id === "a" ? seq : 1, startedAt: "2026-01-01T09:00:00Z", participants: [] });
  const live = new Live(
    {
      list: (async ({ state = "" } = {}) => ({ items: state === "completed" ? [] : [item("a"), item("b")] })) as never,
      lanes: (async (id: string) => {
        asked.push(id);
        return { connections: [], tracks: [], spans: [] };
      }) as never,
    },
    () => () => {},
    clock,
  );
  live.start();
  await clock.pass(0);
  assert.deepEqual(asked, ["a", "b"]);
  seq = 2;
  await clock.pass(20_000);
  assert.deepEqual(asked, ["a", "b", "a"]);
  assert.equal(live.open.value?.length, 2);
  live.stop();
});
