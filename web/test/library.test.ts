import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../src/api/problem.ts";
import type { Archive, Consultation, ConsultationPage } from "../src/api/types.ts";
import { byVersion, idIn, isBusy, newestReady } from "../src/consultation/detail.ts";
import { failureText, whyNoVideo } from "../src/consultation/video.tsx";
import type { Listener } from "../src/library/changes.ts";
import { addressOf, askedOf, type Filters, filtersIn, none } from "../src/library/filters.ts";
import { Library } from "../src/library/library.ts";
import { Pages } from "../src/library/pages.ts";
import { rangeOf, scrollFor } from "../src/ui/virtual.tsx";
import { FakeClock, settle } from "./clock.ts";

const item = (id: string, state = "open", createdAt = "2026-01-01T00:00:00Z") =>
  ({ id, state, createdAt, participants: [] }) as unknown as Consultation;

function setUp(pages: Record<string, ConsultationPage>) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const control = { fail: undefined as Problem | undefined, hold: undefined as Promise<void> | undefined };
  let told: Listener | undefined;
  const library = new Library(
    async ({ query }, cursor) => {
      asked.push(`${query}/${cursor ?? ""}`);
      await control.hold;
      if (control.fail) throw control.fail;
      return pages[`${query}/${cursor ?? ""}`] ?? { items: [] };
    },
    (listener) => {
      told = listener;
      return () => {
        told = undefined;
      };
    },
    clock,
  );
  const ids = () => Array.from({ length: library.length }, (_, index) => library.at(index)?.id ?? "?").join("");
  return { clock, library, asked, control, ids, pages, tell: () => told as Listener };
}

test("a consultation that is new comes in on top as soon as it is told", async () => {
  const { clock, library, ids, pages, tell } = setUp({ "/": { items: [item("a")] } });
  library.start();
  await settle();
  assert.equal(ids(), "a");
  pages["/"] = { items: [item("b"), item("a")] };
  tell().consultation(item("b"));
  await clock.pass(500);
  assert.equal(ids(), "ba");
  library.stop();
});

test("a row changes in its place without a question", async () => {
  const { library, asked, tell } = setUp({ "/": { items: [item("a")] } });
  library.start();
  await settle();
  tell().consultation(item("a", "ended"));
  assert.equal(library.at(0)?.state, "ended");
  assert.deepEqual(asked, ["/"]);
  library.stop();
});

test("progress of a video moves the bar of its own version only", async () => {
  const rendering = { ...item("a", "completed"), archive: { version: 2, state: "queued" as const } };
  const { library, tell } = setUp({ "/": { items: [rendering] } });
  library.start();
  await settle();
  tell().progress({ id: "a", version: 1, progress: 0.9 });
  assert.equal(library.at(0)?.archive?.progress, undefined);
  tell().progress({ id: "a", version: 2, progress: 0.4, stage: "render" });
  assert.deepEqual(library.at(0)?.archive, { version: 2, state: "rendering", progress: 0.4, stage: "render" });
  tell().consultation({ ...rendering, archive: { version: 2, state: "rendering", progress: 0.1 } });
  assert.equal(library.at(0)?.archive?.progress, 0.4);
  library.stop();
});

test("pages are read as somebody scrolls, and those that were let go are read again", async () => {
  const clock = new FakeClock();
  const asked: number[] = [];
  const library = new Library(
    async (_, cursor) => {
      const from = Number(cursor ?? 0);
      asked.push(from);
      const items = Array.from({ length: 200 }, (__, n) => item(String(from + n)));
      return { items, ...(from < 9_800 ? { nextCursor: String(from + 200) } : {}) };
    },
    () => () => {},
    clock,
  );
  library.start();
  await settle();
  assert.ok(library.length >= 400 && library.length <= 800, `${library.length} rows were read at once`);
  while (!library.complete) {
    library.show(library.length - 40, library.length);
    await settle();
  }
  assert.equal(library.length, 10_000);
  assert.equal(library.at(9_999)?.id, "9999");
  assert.equal(library.at(4_000), undefined, "rows in the middle are still kept");
  library.show(4_000, 4_040);
  await settle();
  assert.equal(library.at(4_000)?.id, "4000");
  assert.equal(new Set(asked).size, 50);
  library.stop();
});

test("typing searches once it rests, and an answer to an older question is thrown away", async () => {
  const { clock, library, ids, asked, control } = setUp({ "/": { items: [item("a")] }, "no/": { items: [item("b")] } });
  let release = () => {};
  control.hold = new Promise((resolve) => {
    release = resolve;
  });
  library.start();
  control.hold = undefined;
  library.ask({ query: "n" });
  await clock.pass(60);
  library.ask({ query: "no" });
  await clock.pass(120);
  assert.equal(ids(), "b");
  release();
  await settle();
  assert.deepEqual(asked, ["/", "no/"]);
  assert.equal(ids(), "b");
  library.stop();
});

test("a passing failure keeps the list and is tried again", async () => {
  const { clock, library, ids, control, tell } = setUp({ "/": { items: [item("a")] } });
  library.start();
  await settle();
  control.fail = new Problem(0, "network", "");
  tell().reset();
  await clock.pass(0);
  assert.equal(ids(), "a");
  assert.equal(library.problem.value?.status, 0);
  control.fail = undefined;
  await clock.pass(3000);
  assert.equal(library.problem.value, undefined);
  library.stop();
});

test("without a session nothing is asked again", async () => {
  const { clock, library, asked, control } = setUp({});
  control.fail = new Problem(401, "unauthorized", "");
  library.start();
  await clock.pass(60_000);
  assert.deepEqual(asked, ["/"]);
});

test("what moved to the top leaves its old place, and rows keep their order", () => {
  const pages = new Pages();
  const row = (id: string, minute: number) => item(id, "open", `2026-01-01T00:${String(minute).padStart(2, "0")}:00Z`);
  pages.put(0, { items: [row("e", 50), row("d", 40)], nextCursor: "x" }, undefined);
  pages.put(1, { items: [row("c", 30), row("b", 20)], nextCursor: "y" }, "x");
  pages.put(2, { items: [row("a", 10)] }, "y");
  pages.putTop({ items: [row("b", 55), row("e", 50)], nextCursor: "z" });
  const ids = Array.from({ length: pages.length }, (_, index) => pages.at(index)?.id).join("");
  assert.equal(ids, "bedca");
});

test("the address holds days and states, never names or words of a search", () => {
  const filters: Filters = { ...none, query: "Novak", person: "Maly", from: "2026-03-01", state: "open" };
  assert.equal(addressOf(filters), "?from=2026-03-01&state=open");
  assert.deepEqual(filtersIn("?from=2026-03-01&state=open&problem=<b>&to=never&query=Novak"), {
    ...none,
    from: "2026-03-01",
    state: "open",
  });
});

test("holds are asked for by the address too", () => {
  assert.equal(addressOf({ ...none, held: "release_requested" }), "?held=release_requested");
  assert.equal(filtersIn("?held=true").held, "true");
  assert.equal(filtersIn("?held=perhaps").held, "");
  assert.equal(askedOf({ ...none, held: "false" }, undefined).held, "false");
});

test("the last day belongs to the stretch, and a day that makes no sense is not asked for", () => {
  const asked = askedOf({ ...none, from: "2026-03-01", to: "2026-03-01", query: " knee " }, "x");
  assert.equal(Date.parse(asked.to ?? "") - Date.parse(asked.from ?? ""), 86_400_000);
  assert.deepEqual([asked.query, asked.cursor, asked.state], ["knee", "x", undefined]);
  assert.equal(askedOf({ ...none, from: "2026-99-99" }, undefined).from, undefined);
});

test("only rows on the screen and some around them are drawn", () => {
  assert.deepEqual(rangeOf(0, 500, 50, 100_000, 5), { first: 0, end: 15 });
  assert.deepEqual(rangeOf(5_000, 500, 50, 100_000, 5), { first: 95, end: 115 });
  assert.deepEqual(rangeOf(5_000_000, 500, 50, 100_000, 5), { first: 99_995, end: 100_000 });
  assert.deepEqual(rangeOf(-300, 500, 50, 0, 5), { first: 0, end: 0 });
  assert.equal(scrollFor(3, 50, 0, 500), undefined);
  assert.equal(scrollFor(10, 50, 0, 500), 50);
  assert.equal(scrollFor(3, 50, 400, 500), 150);
});

const archives: Archive[] = [
  { version: 1, state: "ready" },
  { version: 3, state: "failed" },
  { version: 2, state: "ready" },
];

test("the newest version that is ready is shown, whatever the newest one does", () => {
  assert.equal(newestReady(archives)?.version, 2);
  assert.deepEqual(
    byVersion(archives).map(({ version }) => version),
    [3, 2, 1],
  );
});

test("the page looks often only while something can change soon", () => {
  assert.equal(isBusy(item("a", "archived"), archives), false);
  assert.equal(isBusy(item("a", "scheduled"), []), false);
  assert.equal(isBusy(item("a", "ended"), []), true);
  assert.equal(isBusy(item("a", "archived"), [{ version: 4, state: "queued" }]), true);
});

test("there is always a plain reason why there is no video", () => {
  assert.match(whyNoVideo(item("a", "open")), /when the consultation has ended/);
  assert.match(whyNoVideo({ ...item("a", "ended"), awaitedSegments: 2 }), /2 parts of the recording/);
  assert.match(whyNoVideo({ ...item("a", "ended"), recording: "forbidden" }), /not recorded/);
  assert.match(whyNoVideo(item("a", "completed")), /made next/);
  assert.match(failureText("FFMPEG-MISSING"), /apt-get install ffmpeg/);
  for (const code of ["SOURCE-DAMAGED", "RENDER-FAILED", "NO-SPACE", "INTERNAL"]) {
    assert.doesNotMatch(failureText(code), new RegExp(code), `${code} has no words of its own`);
  }
  assert.match(failureText("later_invented"), /later_invented/);
  assert.match(failureText(undefined), /\?/);
});

test("the id is the second part of the address", () => {
  assert.equal(idIn("/consultations/0192-a"), "0192-a");
  assert.equal(idIn("/consultations"), "");
});
