import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { explain, Problem } from "../src/api/problem.ts";
import { closeWord, codeWord, exportWord } from "../src/consultation/words.ts";
import { endingOf, pageOfCode, pageOfReason } from "../src/join/endpage.tsx";
import { isFinal, isReturning } from "../src/signaling/client.ts";
import { codes, codeText } from "../src/text/codes.ts";
import { de } from "../src/text/de.ts";
import { en } from "../src/text/en.ts";
import { failures } from "../src/text/failures.ts";
import { type Language, language } from "../src/text/text.ts";

const languages: [Language, Record<string, string>][] = [
  ["en", en],
  ["de", de],
];

/** The rows of the table in a document whose head begins so, as cells without their marks. */
function table(document: string, head: string): string[][] {
  const lines = readFileSync(`../docs/${document}.md`, "utf8").split("\n");
  const from = lines.findIndex((line) => line.startsWith(head));
  assert.ok(from >= 0, `${document}.md has no table ${head}`);
  const rows: string[][] = [];
  for (const line of lines.slice(from + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

/** The values that docs/events.md lists for a field of an event. */
function valuesOf(type: string, field: string): string[] {
  const row = readFileSync("../docs/events.md", "utf8")
    .split("\n")
    .find((line) => line.startsWith(`| \`${type}\` |`));
  const list = row?.split(new RegExp(`\`${field}\`(?: code)?: `))[1]?.split(/[;|]/)[0] ?? "";
  const values = codesIn(list);
  assert.ok(values.length > 1, `docs/events.md lists no values of ${field} of ${type}`);
  return values;
}

const codesIn = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string);

test("words of codes differ in the two languages, or they are not translated", () => {
  for (const [key, { en, de }] of Object.entries(codes)) assert.notEqual(en as string, de, key);
});

afterEach(() => {
  language.value = "en";
});

for (const [spoken, catalogue] of languages) {
  test(`every code of an event is words (${spoken})`, () => {
    language.value = spoken;
    const words = [
      ["receipt.purpose", valuesOf("access.opened", "purpose")],
      ["hold.reason", valuesOf("hold.placed", "reason")],
      ["hold.release.reason", valuesOf("hold.release_requested", "reason")],
      ["pause.reason", valuesOf("recording.paused", "reason")],
      ["cause", valuesOf("segment.gap", "cause").filter((cause) => cause !== "dtx")], // silence is no gap of the timeline
    ] as const;
    for (const [family, known] of words)
      for (const code of known) assert.ok(catalogue[`${family}.${code}`], `${family}.${code}`);
    const parts = [
      ["close", valuesOf("connection.closed", "reason")],
      ["ignored", valuesOf("connection.candidate_ignored", "reason")],
      ["ice", valuesOf("connection.ice_changed", "state")],
      ["failed", Object.keys(en).flatMap((key) => /^failure\.(?!other)(.+)/.exec(key)?.[1] ?? [])],
      ["code", Object.keys(failures)],
    ] as const;
    for (const [family, known] of parts)
      for (const code of known) assert.ok(codeText(family, code), `${family}.${code}`);
    for (const kind of valuesOf("export.made", "kind")) assert.notEqual(exportWord(kind), kind);
  });

  test(`every reason of a connection that did not come about is words on the live page (${spoken})`, () => {
    language.value = spoken;
    for (const code of valuesOf("connection.closed", "reason")) assert.equal(closeWord(code), codeText("close", code));
    for (const code of Object.keys(failures)) assert.equal(closeWord(code), `${codeText("code", code)}, ${code}`);
    assert.equal(closeWord("later_invented"), "later_invented");
    assert.equal(codeWord("LATER-INVENTED"), "LATER-INVENTED");
  });

  test(`every refusal of the interface is a sentence of this language, never the server's own (${spoken})`, () => {
    language.value = spoken;
    const rows = table("api", "| code | status |");
    assert.ok(rows.length > 30, `only ${rows.length} codes`);
    const sentences = new Set(Object.entries(catalogue).flatMap(([key, text]) => (/^problem\./.test(key) ? text : [])));
    for (const [cell, statuses] of rows) {
      const [code = ""] = codesIn(cell);
      for (const status of (statuses ?? "").split(",").map(Number)) {
        const said = explain(new Problem(status, code, "Title", "The server's own sentence."));
        const other = catalogue["problem.other"]?.replace("{code}", code) ?? "";
        assert.ok(sentences.has(said) || said === other, `${status} ${code}: ${said}`);
      }
    }
    for (const status of [400, 405, 406, 412, 415, 418, 428])
      assert.ok(explain(new Problem(status, "", "Title")).includes(String(status)), String(status));
  });

  test(`every end of a call and every refusal at its door has a page (${spoken})`, () => {
    const written = (page: string) => {
      for (const part of ["title", "text"])
        if (part === "title" || !["foreign", "missing"].includes(page))
          assert.ok(catalogue[`end.${page}.${part}`], `end.${page}.${part}`);
    };
    for (const [cell] of table("signaling", "| `ended.reason` |")) {
      const [reason = ""] = codesIn(cell);
      assert.ok(
        isReturning(reason) !== reason in pageOfReason,
        `${reason} neither brings the page back nor has an end`,
      );
      if (!isReturning(reason)) written(endingOf({ kind: "ended", reason }));
    }
    const codes = table("signaling", "| code | when |").flatMap(([cell]) => codesIn(cell));
    assert.ok(codes.length > 15, `only ${codes.length} codes`);
    for (const code of codes) {
      assert.ok(!isFinal(code) || code in pageOfCode, `${code} is final and has no page`);
      if (code in pageOfCode) written(endingOf({ kind: "refused", code, message: "" }));
    }
  });
}
