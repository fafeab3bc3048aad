// What somebody asks the list for, and the part of it that an address may hold: names and words of a search may not,
// because addresses end up in histories, logs and screenshots.

import type { Asked } from "../api/rest.ts";
import { recall, remember, tabStorage } from "../api/token.ts";

export interface Filters {
  /** Words of titles, names and references. */
  query: string;
  /** Words of one participant's name. */
  person: string;
  /** Days, YYYY-MM-DD in the reader's time zone; both belong to the stretch. */
  from: string;
  to: string;
  state: string;
  problem: string;
  consent: string;
  held: string;
}

export const none: Filters = { query: "", person: "", from: "", to: "", state: "", problem: "", consent: "", held: "" };

export const states = ["open", "scheduled", "ended", "completed", "archived"] as const;
export const problems = [
  "any",
  "no",
  "gap",
  "segment_missing",
  "connection_failed",
  "participant_lost",
  "stall",
  "crash",
  "archive_failed",
  "abandoned",
  "reindexed",
] as const;
export const consents = ["given", "refused", "withdrawn", "none"] as const;

export const holds = ["true", "release_requested", "false"] as const;

const inAddress = ["from", "to", "state", "problem", "consent", "held"] as const;
const KEY = "consilium.library.words";

/** Whether anything narrows the list down. */
export function narrows(filters: Filters): boolean {
  return Object.values(filters).some((value) => value.trim() !== "");
}

/** The search part of the address, "" when nothing is asked that may stand there. */
export function addressOf(filters: Filters): string {
  const search = new URLSearchParams();
  for (const name of inAddress) if (filters[name]) search.set(name, filters[name]);
  return search.size > 0 ? `?${search}` : "";
}

/** What an address asks for; what makes no sense is left out. */
export function filtersIn(search: string): Filters {
  const asked = new URLSearchParams(search);
  const one = (name: string, known: readonly string[]) => {
    const value = asked.get(name) ?? "";
    return known.includes(value) ? value : "";
  };
  const day = (name: string) => (isDay(asked.get(name) ?? "") ? (asked.get(name) ?? "") : "");
  return {
    ...none,
    from: day("from"),
    to: day("to"),
    state: one("state", states),
    problem: one("problem", problems),
    consent: one("consent", consents),
    held: one("held", holds),
  };
}

/** Where the stretch of days begins and ends for the server; a day that makes no sense is not asked for. */
export function timesOf({ from, to }: Pick<Filters, "from" | "to">): { from?: string; to?: string } {
  const begin = isDay(from) ? new Date(`${from}T00:00:00`) : undefined;
  const end = isDay(to) ? new Date(`${to}T00:00:00`) : undefined;
  end?.setDate(end.getDate() + 1); // not 24 hours: a day may have 23 or 25
  return { ...(begin ? { from: begin.toISOString() } : {}), ...(end ? { to: end.toISOString() } : {}) };
}

/** Rows of one answer: the most that the server gives. */
const PAGE = 200;

/** The question for the server, without what is empty. */
export function askedOf(filters: Filters, cursor: string | undefined): NonNullable<Asked> {
  const { query, person, state, problem, consent, held } = filters;
  const asked = { query: query.trim(), person: person.trim(), state, problem, consent, held, cursor: cursor ?? "" };
  const given = Object.entries(asked).filter(([, value]) => value !== "");
  return { ...(Object.fromEntries(given) as NonNullable<Asked>), ...timesOf(filters), limit: PAGE };
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(new Date(`${text}T00:00:00`).getTime());
}

/** What this tab was asked for last: days and states by the address, words by the tab's own memory. */
export function rememberedFilters(search: string): Filters {
  const filters = filtersIn(search);
  try {
    const words = JSON.parse(recall(tabStorage(), KEY) ?? "{}") as Partial<Filters>;
    if (typeof words.query === "string") filters.query = words.query;
    if (typeof words.person === "string") filters.person = words.person;
  } catch {
    // Nothing was remembered.
  }
  return filters;
}

/** Keeps what is asked for, so that coming back to the list finds it as it was. */
export function rememberFilters(filters: Filters): void {
  history.replaceState(history.state, "", location.pathname + addressOf(filters));
  remember(tabStorage(), KEY, JSON.stringify({ query: filters.query, person: filters.person }));
}
