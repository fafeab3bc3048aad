// Words for lanes and what is on them.

import { codeText } from "../text/codes.ts";
import { t, tMaybe } from "../text/text.ts";
import type { Lane, LaneKind } from "./lanes.ts";
import type { Span } from "./spans.ts";

export function laneName(kind: LaneKind, media: Lane["media"]): string {
  if (kind === "device" && media) return t(`lane.device.${media}`);
  return tMaybe(`lane.${kind}`) ?? kind;
}

/** "Connected, TLS relay". */
export function spanWord(kind: LaneKind, { value, detail }: Span): string {
  const family = kind === "microphone" || kind === "camera" || kind === "screen" || kind === "device" ? "media" : kind;
  const word = tMaybe(`span.${family}.${value}`) ?? tMaybe(`cause.${value}`) ?? value;
  return [word, detailWord(kind, detail)].filter(Boolean).join(", ");
}

/** Why a hold was placed, or its release requested; a code that this page does not know stands there as it is. */
export function holdReason(placed: boolean, code: string): string {
  return tMaybe(`hold.${placed ? "" : "release."}reason.${code}`) ?? code;
}

/** What a failure's code says, and the code itself, by which it is found in docs/failures.md. */
export function codeWord(code: string): string {
  const word = codeText("code", code);
  return word ? `${word}, ${code}` : code;
}

/** Why a connection was closed, or never came about. */
export function closeWord(code: string): string {
  return codeText("close", code) ?? codeWord(code);
}

/** What was taken out: "events.csv" → "Events as CSV". */
export function exportWord(kind: string): string {
  return tMaybe(kind.replace(/^events\./, "export.")) ?? kind;
}

function detailWord(kind: LaneKind, detail: string | undefined): string {
  if (!detail) return "";
  if (kind === "recorded")
    return detail
      .split(" ")
      .map((source) => tMaybe(`lane.${source}`) ?? source)
      .join(", ");
  if (kind === "hold")
    return detail
      .split(" ")
      .map((code) => holdReason(true, code))
      .join(", ");
  if (kind === "network") return codeWord(detail);
  if (kind === "stitcher") return codeText("failed", detail) ?? detail;
  if (kind === "recording") return tMaybe(`pause.reason.${detail}`) ?? detail;
  return detail;
}

/** The value of a lane at a moment, for the panel: "" becomes a dash. */
export function valueWord(kind: LaneKind, value: string): string {
  return value ? spanWord(kind, { from: 0, to: 0, value }) : "–";
}
