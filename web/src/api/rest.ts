// Calls of the REST interface as the pages want them; the calls themselves are written from the OpenAPI document
// (generated.ts). Reading rides on the session cookie; whatever changes something needs the token itself as a bearer, so
// that no other site can have a browser do it.

import type { Consent } from "../signaling/messages.ts";
import * as api from "./generated.ts";
import { Problem, problemOf } from "./problem.ts";
import { until } from "./request.ts";
import type { Archive, Consultation, ConsultationPage, Storage, StoredEvent, Timeline } from "./types.ts";

/** Exchanges a token for the session cookie. */
export async function openSession(token: string): Promise<void> {
  await api.openSession({ token });
}

/**
 * How many milliseconds the server's clock is ahead of this device's, from the Date of an answer; 0 when the difference
 * is within what such a date can tell, or when there is none.
 */
export async function serverClockOffset(path: string): Promise<number> {
  try {
    const response = await fetch(path, { method: "HEAD", cache: "no-store" });
    const offset = Date.parse(response.headers.get("Date") ?? "") + 500 - Date.now();
    return Math.abs(offset) > 2_000 ? offset : 0;
  } catch {
    return 0;
  }
}

export interface ConsentAnswer {
  answer: Exclude<Consent, "">;
  /** Hex SHA-256 of the exact text shown. */
  textSha256: string;
  /** Of that text, BCP 47. */
  language: string;
}

export async function answerConsent(
  token: string,
  consultation: string,
  participant: string,
  answer: ConsentAnswer,
): Promise<void> {
  await api.answerConsent(consultation, participant, answer, { token });
}

/** Why a recording is paused: stable codes of the log. */
export type PauseReason = "examination" | "private" | "other";

export async function controlRecording(
  token: string,
  consultation: string,
  what: "pause" | "resume",
  reason: PauseReason,
): Promise<void> {
  const order = what === "pause" ? api.pauseRecording : api.resumeRecording;
  await order(consultation, { reason }, { token });
}

/** How much room is left; only some roles may know. */
export function getStorage(signal?: AbortSignal): Promise<Storage> {
  return api.getStorage(until(signal));
}

/** What the list can be asked for; what is empty is not. */
export type Asked = Parameters<typeof api.listConsultations>[0];

/** One page of the list, newest first. */
export function listConsultations(asked: Asked, signal?: AbortSignal): Promise<ConsultationPage> {
  return api.listConsultations(asked, until(signal));
}

export function getConsultation(id: string, signal?: AbortSignal): Promise<Consultation> {
  return api.getConsultation(id, until(signal));
}

export function getArchives(id: string, signal?: AbortSignal): Promise<Archive[]> {
  return api.listArchives(id, until(signal));
}

export async function requestArchive(id: string, order: api.RequestArchiveRequest, token: string): Promise<void> {
  await api.requestArchive(id, order, { token });
}

export function getTimeline(id: string, signal?: AbortSignal): Promise<Timeline> {
  return api.getTimeline(id, until(signal));
}

/** Why a file cannot be had; undefined when it can. */
export async function refusalOf(url: string): Promise<Problem | undefined> {
  try {
    // GET, because a refusal's reason is in the body; one byte, because it may not be refused.
    const response = await fetch(url, { headers: { Range: "bytes=0-0" } });
    return response.ok ? undefined : await problemOf(response);
  } catch {
    return new Problem(0, "network", "The request did not reach the server.");
  }
}

/**
 * The stored events in order. `broken` counts lines that could not be read; `digest` is the SHA-256 of what was read, in hex,
 * or "" where browsers make none: on pages over http from another machine.
 */
export async function getEvents(
  id: string,
  signal?: AbortSignal,
): Promise<{ events: StoredEvent[]; broken: number; digest: string }> {
  const response = await api.getEvents(id, until(signal));
  const stored = await response.arrayBuffer();
  const digest = crypto.subtle && new Uint8Array(await crypto.subtle.digest("SHA-256", stored));
  const hex = Array.from(digest ?? [], (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { ...parseNDJSON(new TextDecoder().decode(stored)), digest: hex };
}

/** One JSON object a line. A line that cannot be read does not hide the others. */
export function parseNDJSON(text: string): { events: StoredEvent[]; broken: number } {
  const events: StoredEvent[] = [];
  let broken = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    try {
      const event = JSON.parse(line) as StoredEvent;
      if (typeof event?.seq !== "number" || typeof event.type !== "string") throw new TypeError("no event");
      event.data ??= {};
      events.push(event);
    } catch {
      broken++;
    }
  }
  return { events, broken };
}
