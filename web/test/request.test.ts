import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { answerConsent, listMarkers } from "../src/api/generated.ts";
import { Problem } from "../src/api/problem.ts";
import { query } from "../src/api/request.ts";

const real = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = real;
});

/** Answers every request and remembers the last one. */
function server(status: number, body: unknown): { url: string; init: RequestInit } {
  const seen = { url: "", init: {} as RequestInit };
  globalThis.fetch = (async (url: string, init: RequestInit) => {
    Object.assign(seen, { url, init });
    const type = status < 400 ? "application/json" : "application/problem+json";
    return new Response(status === 204 ? null : JSON.stringify(body), { status, headers: { "Content-Type": type } });
  }) as typeof fetch;
  return seen;
}

test("what is not asked for is not in the address", () => {
  assert.equal(query({}), "");
  assert.equal(query({ a: undefined, b: "" }), "");
  assert.equal(
    query({ query: "knee & hip", limit: 5, type: ["x", "y"], failures: false }),
    "?query=knee+%26+hip&limit=5&type=x%2Cy&failures=false",
  );
});

test("ids are encoded, so that none becomes a path", async () => {
  const seen = server(200, { items: [] });
  assert.deepEqual(await listMarkers("../session", { after: 7 }), { items: [] });
  assert.equal(seen.url, "/api/v1/consultations/..%2Fsession/markers?after=7");
  assert.equal(seen.init.method, "GET");
});

test("a change carries the token and a body", async () => {
  const seen = server(204, null);
  await answerConsent("c", "p", { answer: "given", language: "en", textSha256: "" }, { token: "T" });
  assert.deepEqual(seen.init.headers, { Authorization: "Bearer T", "Content-Type": "application/json" });
  assert.equal(seen.init.body, '{"answer":"given","language":"en","textSha256":""}');
});

test("a refusal is a problem with its code", async () => {
  server(403, { code: "receipt_needed", title: "Forbidden" });
  await assert.rejects(
    listMarkers("c"),
    (error) => error instanceof Problem && error.code === "receipt_needed" && error.status === 403,
  );
});

test("a server that cannot be reached is a problem, a call that was given up is not", async () => {
  globalThis.fetch = (async () => {
    throw new TypeError("failed to fetch");
  }) as typeof fetch;
  await assert.rejects(listMarkers("c"), (error) => error instanceof Problem && error.status === 0);
  const gone = new AbortController();
  gone.abort();
  globalThis.fetch = (async () => {
    throw new DOMException("gone", "AbortError");
  }) as typeof fetch;
  await assert.rejects(listMarkers("c", {}, { signal: gone.signal }), { name: "AbortError" });
});
