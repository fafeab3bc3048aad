import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, Problem, problemOf } from "../src/api/problem.ts";
import { parseNDJSON } from "../src/api/rest.ts";
import { takeToken, tokenIn, validity } from "../src/api/token.ts";

test("events are read line by line, and a broken line hides no other", () => {
  const line = (seq: number) => JSON.stringify({ seq, type: "participant.joined", data: { role: "patient" } });
  const { events, broken } = parseNDJSON(`${line(1)}\n{"seq":2,\n\n"text"\nnull\n${line(3)}`);
  assert.deepEqual(
    events.map((event) => event.seq),
    [1, 3],
  );
  assert.equal(broken, 3);
});

test("an empty log has no events", () => {
  assert.deepEqual(parseNDJSON(""), { events: [], broken: 0 });
});

test("a type that is not known survives reading", () => {
  assert.equal(parseNDJSON('{"seq":1,"type":"later.invented"}\n').events[0]?.type, "later.invented");
});

test("problem details are read, whatever else comes is worded by its status", async () => {
  const json = (status: number, body: object) =>
    problemOf(Response.json(body, { status, headers: { "Content-Type": "application/problem+json" } }));
  const conflict = await json(409, { title: "Conflict", code: "archive_pending", detail: "An archive is being made." });
  assert.equal(conflict.code, "archive_pending");
  assert.match(explain(conflict), /being made already/);
  assert.match(explain(await json(401, { code: "token_expired" })), /too old/);
  assert.match(explain(await json(401, { code: "unauthorized" })), /not valid here/);
  assert.match(explain(await problemOf(new Response("<html>", { status: 502 }))), /has a problem/);
  const long = { title: "No", code: "invalid", detail: "The title is too long." };
  assert.match(explain(await json(422, long)), /did not accept this \(invalid\)/);
  assert.match(explain(new Problem(0, "network", "")), /cannot be reached/);
});

test("the token is found in the fragment", () => {
  assert.equal(tokenIn("#token=a.b.c"), "a.b.c");
  assert.equal(tokenIn("#token=a%2Bb"), "a+b");
  assert.equal(tokenIn("#token="), undefined);
  assert.equal(tokenIn("#elsewhere"), undefined);
  assert.equal(tokenIn(""), undefined);
});

function place(hash: string, stored?: string) {
  const storage = new Map<string, string>(stored ? [["key", stored]] : []);
  const addresses: string[] = [];
  return {
    addresses,
    storage: {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, v: string) => void storage.set(key, v),
    },
    location: { hash, pathname: "/join", search: "?a=1" },
    history: { replaceState: (_: unknown, __: string, url: string) => void addresses.push(url) } as unknown as History,
  };
}

test("the token leaves the address and stays in the tab", () => {
  const first = place("#token=new", "old");
  assert.deepEqual(takeToken("key", first), { token: "new", fresh: true });
  assert.deepEqual(first.addresses, ["/join?a=1"]);
  assert.equal(first.storage.getItem("key"), "new");
});

test("a reload finds the token of the tab", () => {
  const reload = place("", "old");
  assert.deepEqual(takeToken("key", reload), { token: "old", fresh: false });
  assert.deepEqual(reload.addresses, []);
  assert.equal(takeToken("key", place("")), undefined);
});

test("a tab that must not store anything still takes the link", () => {
  const closed = place("#token=new");
  closed.storage.setItem = () => {
    throw new DOMException("no", "SecurityError");
  };
  assert.deepEqual(takeToken("key", closed), { token: "new", fresh: true });
});

test("a token tells when it is valid, and rubbish tells nothing", () => {
  const token = `x.${btoa(JSON.stringify({ nbf: 1_700_000_000, exp: 1_700_003_600 })).replace(/=+$/, "")}.x`;
  assert.deepEqual(validity(token), { from: new Date(1_700_000_000_000), until: new Date(1_700_003_600_000) });
  for (const rubbish of ["", "x", "a.b.c", "a.e30.c"]) assert.deepEqual(validity(rubbish), {});
});
