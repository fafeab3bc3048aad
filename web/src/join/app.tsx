// Chooses what the join page shows.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { serverClockOffset } from "../api/rest.ts";
import { t } from "../text/text.ts";
import { NoticePage } from "../ui/shell.tsx";
import { CallView } from "./callview.tsx";
import { Check } from "./check.tsx";
import { type Ending, EndPage, endingOf } from "./endpage.tsx";
import { Notice, RefusedPage } from "./notice.tsx";
import { Ready } from "./ready.tsx";
import type { Visit } from "./visit.ts";

export function App({ visit, token }: { visit: Visit; token: string }) {
  const offset = useSignal(0);
  useEffect(() => {
    void serverClockOffset(window.location.pathname).then((ms) => (offset.value = ms));
  }, []);
  const { farewell, refusal, signaling, welcome } = visit.call;
  if (farewell.value) {
    return <EndPage ending={endingOf(farewell.value)} token={token} comeBack={(joined) => visit.comeBack(joined)} />;
  }
  if (refusal.value && refusal.value !== "consent_needed" && refusal.value !== "consent_refused") {
    const ending: Ending = endingOf({ kind: "refused", code: refusal.value, message: "" });
    return <EndPage ending={ending} token={token} comeBack={(joined) => visit.comeBack(joined)} />;
  }
  if (!welcome.value) {
    const lost = signaling.value === "waiting";
    return (
      <NoticePage title={t("join.connecting")} text={lost ? t("problem.network") : undefined} testId="connecting" />
    );
  }
  switch (visit.stage.value) {
    case "notice":
      return <Notice visit={visit} />;
    case "refused":
      return <RefusedPage visit={visit} />;
    case "ready":
      return <Ready visit={visit} />;
    case "call":
      return <CallView visit={visit} clockOffset={offset.value} />;
    default:
      return <Check visit={visit} token={token} />;
  }
}
