// How joining went: out of the connections of some consultations, how many came about, how long that took, by which way,
// and why others did not.

import type { ConnectionItem } from "../api/generated.ts";

export interface Failure {
  code: string;
  n: number;
  /** The consultation of the newest one. */
  consultation: string;
}

export interface Joins {
  tried: number;
  connected: number;
  /** Half of them took no longer, in milliseconds; undefined without any. */
  medianMs: number | undefined;
  /** Ways of those that came about ("UDP", "TCP", "UDP relay"), the most frequent first. */
  ways: { way: string; n: number }[];
  failures: Failure[];
}

/**
 * A connection that is still being made counts for nothing yet, and one that its own client gave up for another before
 * any deadline was over counts for nothing at all: every page does so when the server was started anew.
 */
export function joinsOf(consultations: readonly { id: string; connections: readonly ConnectionItem[] }[]): Joins {
  const took: number[] = [];
  const ways = new Map<string, number>();
  const failures = new Map<string, Failure & { at: string }>();
  let tried = 0;
  for (const { id, connections } of consultations) {
    for (const one of connections) {
      if (one.connectedAt) {
        tried++;
        took.push(Date.parse(one.connectedAt) - Date.parse(one.openedAt));
        const way = wayOf(one);
        ways.set(way, (ways.get(way) ?? 0) + 1);
      } else if (one.timeoutCode || (one.closedAt && one.closeReason !== "replaced")) {
        tried++;
        const code = one.timeoutCode || one.closeReason || "unknown";
        const known = failures.get(code) ?? { code, n: 0, consultation: id, at: "" };
        known.n++;
        if (one.openedAt > known.at) Object.assign(known, { consultation: id, at: one.openedAt });
        failures.set(code, known);
      }
    }
  }
  took.sort((a, b) => a - b);
  return {
    tried,
    connected: took.length,
    medianMs: took[Math.floor((took.length - 1) / 2)],
    ways: [...ways].map(([way, n]) => ({ way, n })).sort((a, b) => b.n - a.n),
    failures: [...failures.values()]
      .sort((a, b) => b.n - a.n)
      .map(({ code, n, consultation }) => ({ code, n, consultation })),
  };
}

function wayOf({ transport, localKind, remoteKind }: ConnectionItem): string {
  const relayed = localKind === "relay" || remoteKind === "relay";
  return [(transport || "?").toUpperCase(), relayed ? "relay" : ""].filter(Boolean).join(" ");
}
