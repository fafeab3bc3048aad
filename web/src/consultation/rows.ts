// Which lane is drawn at which height: the names beside them and the picture agree on it.

import type { Lane, Lanes } from "./lanes.ts";

export interface LaneRow {
  kind: "lane";
  lane: Lane;
  top: number;
}

/** A participant, or the server: the name, with marks of the events that concern it. */
export interface HeadRow {
  kind: "head";
  participant: string;
  open: boolean;
  top: number;
}

export type TimelineRow = LaneRow | HeadRow;

/** Heights in pixels. */
export const HEAD = 22;
export const LANE = 16;
export const SCALE = 20;

/** Lanes one below the other; of those that are folded, presence and recording are left. Empty lanes are left out. */
export function rowsOf(all: Lanes, folded: ReadonlySet<string>): { rows: TimelineRow[]; height: number } {
  const rows: TimelineRow[] = [];
  let top = SCALE;
  for (const participant of [...all.participants, ""]) {
    const open = !folded.has(participant);
    rows.push({ kind: "head", participant, open, top });
    top += HEAD;
    for (const lane of all.lanes) {
      if (lane.participant !== participant || lane.spans.length === 0) continue;
      if (!open && lane.kind !== "recorded") continue;
      rows.push({ kind: "lane", lane, top });
      top += LANE;
    }
    top += 6;
  }
  return { rows, height: top };
}
