// Problem details (RFC 9457) as the server answers them, and what they mean to a reader.

import { type Key, t } from "../text/text.ts";

/** A request that the server refused, or that never reached it (status 0). */
export class Problem extends Error {
  override name = "Problem";
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail = "",
  ) {
    super(`${status} ${code}: ${title}`);
  }
}

/** Reads the problem out of an answer that is not ok; makes one up from the status when the body is none. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: { title?: unknown; detail?: unknown; code?: unknown } = {};
  try {
    if (/json/.test(response.headers.get("Content-Type") ?? "")) body = (await response.json()) as typeof body;
  } catch {
    // The status says enough.
  }
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return new Problem(response.status, text(body.code), text(body.title) || response.statusText, text(body.detail));
}

const byCode: Record<string, Key> = {
  token_expired: "problem.expired",
  token_early: "problem.early",
  archive_pending: "problem.archive_pending",
  not_complete: "problem.not_complete",
  insufficient_storage: "problem.full",
  second_person: "problem.second_person",
  release_pending: "problem.release_pending",
  release_expired: "problem.release_expired",
  release_not_requested: "problem.release_not_requested",
  hold_released: "problem.hold_released",
  receipt_needed: "problem.receipt",
  held: "problem.held",
  ended: "problem.ended",
  not_open: "problem.ended",
  not_ended: "problem.notended",
  too_late: "problem.toolate",
  answered: "problem.answered",
  consent_needed: "problem.consent",
  consent_refused: "problem.consent",
  kicked: "problem.kicked",
};

const byStatus: Record<number, Key> = {
  0: "problem.network",
  401: "problem.unauthorized",
  403: "problem.forbidden",
  404: "problem.notfound",
  409: "problem.conflict",
  429: "problem.toomany",
};

/** One sentence for the reader, in the reader's language; what the server says in English is never shown. */
export function explain(error: unknown): string {
  if (!(error instanceof Problem)) return t("problem.network");
  const key = byCode[error.code] ?? byStatus[error.status] ?? (error.status >= 500 ? "problem.server" : undefined);
  return key ? t(key) : t("problem.other", { code: error.code || error.status });
}
