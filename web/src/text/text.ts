// Chooses the sentences of the reader's language and fills them in. What comes out is plain text, only ever shown as text.

import { signal } from "@preact/signals";
import { de } from "./de.ts";
import { en, type Key } from "./en.ts";
import { type FailureCode, failures } from "./failures.ts";
import { kept } from "./kept.ts";

export type { Key };
export type Language = "en" | "de";

const plurals = kept((locale: string) => new Intl.PluralRules(locale));
const lists = kept((locale: string) => new Intl.ListFormat(locale, { type: "conjunction" }));
const catalogues: Record<Language, Record<Key, string>> = { en, de };

/** The language of the page, BCP 47. Components that call t() follow it. */
export const language = signal<Language>("en");

/** The first of the wanted languages (BCP 47, best first) that there are texts in; English if none. */
export function choose(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const primary = tag.toLowerCase().split("-")[0];
    if (primary === "en" || primary === "de") return primary;
  }
  return "en";
}

/** Sets the language for the whole page. */
export function speak(chosen: Language): void {
  language.value = chosen;
  document.documentElement.lang = chosen;
}

export type Values = Record<string, string | number>;

/** The sentence for key with {names} filled in. */
export function t(key: Key, values: Values = {}): string {
  return fill(catalogues[language.value][key], values);
}

/** The sentence for a key made at run time, or undefined when there is none. */
export function tMaybe(key: string, values: Values = {}): string | undefined {
  return key in en ? t(key as Key, values) : undefined;
}

/** What the patient is told of a failure; undefined for a code that this page does not know. */
export function failureText(code: string): string | undefined {
  return code in failures ? failures[code as FailureCode][language.value] : undefined;
}

/** The form of a counting sentence (`key.one`, `key.other`) for n. */
export function tCount(key: string, n: number, values: Values = {}): string {
  const form = plurals(language.value, "").select(n) === "one" ? "one" : "other";
  return tMaybe(`${key}.${form}`, { n, ...values }) ?? key;
}

export function fill(sentence: string, values: Values): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** "A, B and C" in the language of the page. */
export function enumerate(names: string[]): string {
  return lists(language.value, "").format(names);
}
