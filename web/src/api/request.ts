// One request to the REST interface: where it goes, what it carries, and what a refusal becomes.

import { Problem, problemOf } from "./problem.ts";

const BASE = "/api/v1";

/** What every call takes beside its own: the bearer for what changes something, and an end. */
export interface Options {
  token?: string;
  signal?: AbortSignal;
  /** Arrives although the page goes away. */
  keepalive?: boolean;
}

/** What a call is. */
export interface Order {
  method: string;
  body?: unknown;
}

/** Options of a call that may be given up. */
export function until(signal: AbortSignal | undefined): Options {
  return signal ? { signal } : {};
}

/** Sends and gives the answer as it is; throws a Problem when it is a refusal or none came. */
export async function sendRaw(path: string, order: Order, options: Options): Promise<Response> {
  const headers: Record<string, string> = {};
  if (options.token) headers.Authorization = `Bearer ${options.token}`;
  if (order.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method: order.method,
      credentials: "same-origin",
      headers,
      ...(order.body === undefined ? {} : { body: JSON.stringify(order.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.keepalive ? { keepalive: true } : {}),
    });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new Problem(0, "network", "The request did not reach the server.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Sends and reads JSON. */
export async function sendJSON<T>(path: string, order: Order, options: Options): Promise<T> {
  return (await (await sendRaw(path, order, options)).json()) as T;
}

/** The part of an address behind the question mark, with it; empty when nothing is asked. */
export function query(asked: object): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== undefined && value !== "") search.set(name, String(value)); // a list becomes a,b,c
  }
  return search.size > 0 ? `?${search}` : "";
}
