// The session of the pages that only read: a link's token becomes a cookie, and stays in this tab for what changes
// something, because the cookie alone may change nothing.

import { explain, Problem } from "./problem.ts";
import { openSession } from "./rest.ts";
import { recall, tabStorage, takeToken } from "./token.ts";

const KEY = "consilium.token";

/** Takes the link's token, if the page was opened by one. Returns why it was refused, or "". */
export async function signIn(): Promise<string> {
  const link = takeToken(KEY, { location, history, storage: tabStorage() });
  if (!link?.fresh) return "";
  try {
    await openSession(link.token);
    return "";
  } catch (error) {
    if (error instanceof Problem && error.status === 401) tabStorage().removeItem(KEY);
    return explain(error);
  }
}

/** The token of this tab; "" when the page was opened without a link. */
export function token(): string {
  return recall(tabStorage(), KEY) ?? "";
}

/** For whom a token was made, as it says itself: a name, or else a role. Nothing is proved by it. */
export function bearerOf(token: string): string {
  const { name, role } = claimsOf(token);
  return name || role;
}

/** For which role a token was made, as it says itself; "" when it says nothing. */
export function roleOf(token: string): string {
  return claimsOf(token).role;
}

function claimsOf(token: string): { name: string; role: string } {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  try {
    const body = atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(body, (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { name?: unknown; role?: unknown };
    return { name: text(claims.name), role: text(claims.role) };
  } catch {
    return { name: "", role: "" };
  }
}
