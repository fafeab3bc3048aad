// The pages instead of the call: it is over, or it never could begin.

import { validity } from "../api/token.ts";
import type { Farewell } from "../signaling/client.ts";
import { type Key, language, t } from "../text/text.ts";
import { moment } from "../text/time.ts";
import { NoticePage } from "../ui/shell.tsx";
import { Failure } from "./failure.tsx";

export type Ending =
  | "closed"
  | "abandoned"
  | "kicked"
  | "left"
  | "replaced"
  | "expired"
  | "early"
  | "foreign"
  | "missing"
  | "forbidden"
  | "full"
  | "unknown";

export const pageOfReason: Record<string, Ending> = {
  closed: "closed",
  abandoned: "abandoned",
  kicked: "kicked",
  left: "left",
  replaced: "replaced",
};

export const pageOfCode: Record<string, Ending> = {
  token_expired: "expired",
  token_early: "early",
  unauthorized: "foreign",
  unknown_consultation: "unknown",
  unknown_participant: "unknown",
  kicked: "kicked",
  ended: "closed",
  forbidden: "forbidden",
  insufficient_storage: "full",
};

/** The failures behind pages that are one: docs/failures.md. */
const codes: Partial<Record<Ending, string>> = {
  expired: "TOKEN-EXPIRED",
  early: "TOKEN-EARLY",
  foreign: "TOKEN-INVALID",
  missing: "TOKEN-INVALID",
};

/** Which page a farewell leads to. */
export function endingOf(farewell: Farewell): Ending {
  switch (farewell.kind) {
    case "ended":
      return pageOfReason[farewell.reason] ?? "closed";
    case "refused":
      return pageOfCode[farewell.code] ?? "forbidden";
    case "closed":
      return "left";
  }
}

export interface EndPageProps {
  ending: Ending;
  token?: string;
  /** Starts anew, as somebody who is in the call or not. */
  comeBack?: (joined: boolean) => void;
}

export function EndPage({ ending, token = "", comeBack }: EndPageProps) {
  const time = ending === "early" ? validity(token).from : validity(token).until;
  const at = time ? moment(time.toISOString(), language.value) : "";
  const code = codes[ending];
  const timed = ending === "expired" || ending === "early";
  const text = code ? timed && at && t(`end.${ending}.text`, { time: at }) : t(`end.${ending}.text` as Key);
  return (
    <NoticePage title={t(`end.${ending}.title` as Key)} text={text || undefined} testId={`end-${ending}`}>
      {code && <Failure code={code} />}
      {comeBack && (ending === "left" || ending === "early" || ending === "replaced" || ending === "full") && (
        <div class="actions">
          <button type="button" onClick={() => comeBack(ending === "replaced")}>
            {t(`end.${ending}.again`)}
          </button>
        </div>
      )}
    </NoticePage>
  );
}
