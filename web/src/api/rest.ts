// Calls of the REST interface under /api/v1. Reading rides on the session cookie; whatever changes something needs the
// token itself as a bearer, so that no other site can have a browser do it.

import type { Consent } from "../signaling/messages.ts";
import { Problem, problemOf } from "./problem.ts";
import type { Archive, Consultation, ConsultationPage, Storage, StoredEvent, Timeline } from "./types.ts";

const BASE = "/api/v1";

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(BASE + path, { credentials: "same-origin", ...init });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new Problem(0, "network", "The request did not reach the server.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) });
  return (await response.json()) as T;
}

function post(path: string, body: unknown, token = ""): Promise<Response> {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
}

/** Exchanges a token for the session cookie. */
export async function openSession(token: string): Promise<void> {
  await post("/session", { token });
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
  const path = `/consultations/${encodeURIComponent(consultation)}/participants/${encodeURIComponent(participant)}/consent`;
  await post(path, answer, token);
}

/** Why a recording is paused: stable codes of the log. */
export type PauseReason = "examination" | "private" | "other";

export async function controlRecording(
  token: string,
  consultation: string,
  what: "pause" | "resume",
  reason: PauseReason,
): Promise<void> {
  await post(`/consultations/${encodeURIComponent(consultation)}/recording/${what}?reason=${reason}`, {}, token);
}

/** How much room is left; only some roles may know. */
export function getStorage(signal?: AbortSignal): Promise<Storage> {
  return get("/storage", signal);
}

/** One page of the list, newest first. */
export function listConsultations(query: string, cursor?: string, signal?: AbortSignal): Promise<ConsultationPage> {
  const search = new URLSearchParams();
  if (query) search.set("query", query);
  if (cursor) search.set("cursor", cursor);
  return get(`/consultations${search.size > 0 ? `?${search}` : ""}`, signal);
}

export function getConsultation(id: string, signal?: AbortSignal): Promise<Consultation> {
  return get(`/consultations/${encodeURIComponent(id)}`, signal);
}

export function getArchives(id: string, signal?: AbortSignal): Promise<Archive[]> {
  return get(`/consultations/${encodeURIComponent(id)}/archives`, signal);
}

export async function requestArchive(id: string, token: string): Promise<void> {
  await post(`/consultations/${encodeURIComponent(id)}/archives`, {}, token);
}

export function getTimeline(id: string, signal?: AbortSignal): Promise<Timeline> {
  return get(`/consultations/${encodeURIComponent(id)}/timeline`, signal);
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

/** The stored events in order. `broken` counts lines that could not be read. */
export async function getEvents(id: string, signal?: AbortSignal): Promise<{ events: StoredEvent[]; broken: number }> {
  const response = await request(`/consultations/${encodeURIComponent(id)}/events`, {
    headers: { Accept: "application/x-ndjson" },
    ...(signal ? { signal } : {}),
  });
  return parseNDJSON(await response.text());
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
