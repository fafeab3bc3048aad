// The personal link: its token arrives in the fragment, is taken out of the address at once, and stays in this tab.
// Two links in two tabs of one browser do not disturb each other.

/** The token of a fragment such as "#token=eyJ…"; undefined when there is none. */
export function tokenIn(fragment: string): string | undefined {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token") || undefined;
}

interface Place {
  location: Pick<Location, "hash" | "pathname" | "search">;
  history: Pick<History, "replaceState">;
  storage: Pick<Storage, "getItem" | "setItem">;
}

/**
 * Takes the token from the address (and the address is clean afterwards, also in the browser's history) or from what
 * this tab remembers under key. `fresh` says that it came by the address just now.
 */
export function takeToken(key: string, place: Place): { token: string; fresh: boolean } | undefined {
  const arrived = tokenIn(place.location.hash);
  if (arrived) {
    place.history.replaceState(null, "", place.location.pathname + place.location.search);
    remember(place.storage, key, arrived);
    return { token: arrived, fresh: true };
  }
  const known = recall(place.storage, key);
  return known ? { token: known, fresh: false } : undefined;
}

/** What this tab remembers over a reload; where the browser forbids that, over nothing. */
export function tabStorage(): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  try {
    return window.sessionStorage;
  } catch {
    return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
}

// A browser that forbids storage costs the reload, not the call.
export function remember(storage: Pick<Storage, "setItem">, key: string, value: string): void {
  try {
    storage.setItem(key, value);
  } catch {}
}

export function recall(storage: Pick<Storage, "getItem">, key: string): string | undefined {
  try {
    return storage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** From when and until when a token is valid, as it says itself; nothing is proved by it, it only words an apology. */
export function validity(token: string): { from?: Date; until?: Date } {
  try {
    const body = token.split(".")[1] ?? "";
    const claims = JSON.parse(atob(body.replace(/-/g, "+").replace(/_/g, "/"))) as { nbf?: unknown; exp?: unknown };
    const date = (seconds: unknown) => (typeof seconds === "number" ? new Date(seconds * 1000) : undefined);
    const from = date(claims.nbf);
    const until = date(claims.exp);
    return { ...(from ? { from } : {}), ...(until ? { until } : {}) };
  } catch {
    return {};
  }
}
