// Each event as one plain sentence. Names come from outside: the log has none.

import type { Participant, StoredEvent } from "../api/types.ts";
import { codeText } from "../text/codes.ts";
import { language, t, tMaybe, type Values } from "../text/text.ts";
import { lasting, size } from "../text/time.ts";
import { closeWord, codeWord, exportWord, holdReason } from "./words.ts";

/** What happened only inside the machinery; hidden unless somebody asks for all. */
const TECHNICAL = new Set([
  "conference.hosted",
  "connection.opened",
  "connection.closed",
  "connection.ice_changed",
  "connection.pair_selected",
  "connection.candidate_ignored",
  "connection.restarted",
  "segment.opened",
  "segment.anchored",
  "segment.discontinuity",
  "segment.gap",
  "segment.sealed",
  "segment.stored",
  "access.watched",
  "access.closed",
]);

/** Whether an event is of use to engineers only. Types that this page does not know are: nobody can word them. */
export function isTechnical(event: StoredEvent): boolean {
  return TECHNICAL.has(event.type) || tMaybe(baseKey(event)) === undefined;
}

/** Words events of one consultation: it remembers which track was whose and what. */
export class Sentences {
  #names: Map<string, string>;
  #sources = new Map<string, string>(); // track → microphone, camera, screen, device
  #tracks = new Map<string, string>(); // segment → track
  #owners = new Map<string, string>(); // track → participant

  constructor(participants: Participant[], events: StoredEvent[]) {
    this.#names = new Map(participants.map((participant) => [participant.id, participant.name]));
    for (const { type, participant, data } of events) {
      const track = text(data.track);
      if (type === "track.started" && track) {
        this.#sources.set(track, text(data.source) || text(data.kind));
        if (participant) this.#owners.set(track, participant);
      }
      if (type === "segment.opened" && track) this.#tracks.set(text(data.segment), track);
    }
  }

  of(event: StoredEvent): string {
    const sentence = tMaybe(baseKey(event), this.#values(event)) ?? t("event.unknown", { type: event.type });
    return sentence.charAt(0).toLocaleUpperCase(language.value) + sentence.slice(1);
  }

  #values({ type, participant, data }: StoredEvent): Values {
    const track = text(data.track) || this.#tracks.get(text(data.segment)) || "";
    const source = this.#sources.get(track) ?? "unknown";
    const whose = participant || this.#owners.get(track) || "";
    return {
      who: this.#names.get(whose) ?? t("event.somebody"),
      what: tMaybe(`what.${source}`) ?? t("what.unknown"),
      role: word("role", text(data.role)),
      n: number(data.version) || number(data.segments) || number(data.count),
      missing: Array.isArray(data.missing) ? data.missing.length : 0,
      node: text(data.node),
      reason: type === "connection.closed" ? closeWord(text(data.reason)) : ofCode("ignored", text(data.reason)),
      why: type.startsWith("hold.") ? holdReason(type === "hold.placed", text(data.reason)) : "",
      state: ofCode("ice", text(data.state)),
      cause: word("cause", text(data.cause)),
      code:
        type === "archive.failed" ? ofCode("failed", text(data.code)) : codeWord(text(data.code) || text(data.phase)),
      kind: exportWord(text(data.kind)),
      browser: browserOf(data.browser) || text(data.via),
      remote: pathOf(data.remote),
      after: lasting(lengthOf(data), language.value),
      size: size(number(data.bytes), language.value),
      type,
    };
  }
}

// Some types have one sentence for each of a few values.
function baseKey({ type, data }: StoredEvent): string {
  const reason = text(data.reason);
  if ((type === "consultation.ended" || type === "participant.left") && tMaybe(`event.${type}.${reason}`)) {
    return `event.${type}.${reason}`;
  }
  if (type === "consultation.ended") return "event.consultation.ended.closed";
  if (type === "participant.left") return "event.participant.left.left";
  if (type === "connection.candidate_ignored" && data.count === 1) return `event.${type}.one`;
  if (type === "consent.given" && data.by === "service") return "event.consent.given.service";
  if (type === "consultation.completed" && Array.isArray(data.missing) && data.missing.length > 0) {
    return "event.consultation.completed.missing";
  }
  return `event.${type}`;
}

function lengthOf(data: Record<string, unknown>): number {
  if (typeof data.after_ms === "number") return data.after_ms;
  const span = Date.parse(text(data.to)) - Date.parse(text(data.from));
  return Number.isFinite(span) ? span : 0;
}

function browserOf(value: unknown): string {
  const { family, major } = (value ?? {}) as { family?: unknown; major?: unknown };
  return [text(family), number(major) || ""].join(" ").trim();
}

function pathOf(value: unknown): string {
  const { kind, transport } = (value ?? {}) as { kind?: unknown; transport?: unknown };
  return [text(transport).toUpperCase(), text(kind)].filter(Boolean).join(" ");
}

// A code that this page does not know stands there as it is.
const word = (family: string, code: string): string => tMaybe(`${family}.${code}`) ?? code;
const ofCode = (family: "ignored" | "ice" | "failed", code: string): string => codeText(family, code) ?? code;
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
