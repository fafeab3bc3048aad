import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../src/api/problem.ts";
import type { Archive, Consultation, ConsultationPage } from "../src/api/types.ts";
import { byVersion, idIn, isBusy, newestReady } from "../src/consultation/detail.ts";
import { failureText, whyNoVideo } from "../src/consultation/video.tsx";
import { Library } from "../src/library/library.ts";
import { FakeClock, settle } from "./clock.ts";

const item = (id: string, state = "open") => ({ id, state, participants: [] }) as unknown as Consultation;

function setUp(pages: Record<string, ConsultationPage>) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const control = { fail: undefined as Problem | undefined, hold: undefined as Promise<void> | undefined };
  const library = new Library(async (query, cursor) => {
    asked.push(`${query}/${cursor ?? ""}`);
    await control.hold;
    if (control.fail) throw control.fail;
    return pages[`${query}/${cursor ?? ""}`] ?? { items: [] };
  }, clock);
  const ids = () => library.items.value?.map(({ id }) => id).join("");
  return { clock, library, asked, control, ids, pages };
}

test("the list is read again every two seconds", async () => {
  const { clock, library, ids, pages } = setUp({ "/": { items: [item("a")] } });
  library.start();
  await settle();
  assert.equal(ids(), "a");
  pages["/"] = { items: [item("b"), item("a")] };
  await clock.pass(2000);
  assert.equal(ids(), "ba");
  library.stop();
});

test("Show more adds a page, and both stay up to date", async () => {
  const { clock, library, ids, pages } = setUp({
    "/": { items: [item("a")], nextCursor: "2" },
    "/2": { items: [item("b")] },
  });
  library.start();
  await settle();
  assert.equal(library.more.value, true);
  library.showMore();
  await clock.pass(0);
  assert.equal(ids(), "ab");
  assert.equal(library.more.value, false);
  pages["/"] = { items: [item("n")], nextCursor: "1" };
  pages["/1"] = { items: [item("a"), item("b")] };
  await clock.pass(4000);
  assert.equal(ids(), "nab");
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
  library.search("n");
  await clock.pass(100);
  library.search("no");
  await clock.pass(200);
  assert.equal(ids(), "b");
  release();
  await settle();
  assert.deepEqual(asked, ["/", "no/"]);
  assert.equal(ids(), "b");
  library.stop();
});

test("a passing failure keeps the list and is tried again", async () => {
  const { clock, library, ids, control } = setUp({ "/": { items: [item("a")] } });
  library.start();
  await settle();
  control.fail = new Problem(0, "network", "");
  await clock.pass(2000);
  assert.equal(ids(), "a");
  assert.equal(library.problem.value?.status, 0);
  control.fail = undefined;
  await clock.pass(2000);
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
