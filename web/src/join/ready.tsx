// The last step: who is there, and Join.

import { enumerate, t, tCount } from "../text/text.ts";
import { Step } from "./step.tsx";
import type { Visit } from "./visit.ts";
import { WaitingRoom } from "./waitingroom.tsx";

export function Ready({ visit }: { visit: Visit }) {
  const welcome = visit.call.welcome.value;
  if (!welcome) return null;
  const others = (visit.call.state.value?.participants ?? []).filter((p) => p.present && p.id !== welcome.participant);
  const names = enumerate(others.map((p) => p.name));
  return (
    <Step visit={visit} stage="ready" title={t("ready.title")}>
      <p>{t("ready.as", { name: welcome.name })}</p>
      <p aria-live="polite">
        {others.length === 0 ? t("ready.alone") : tCount("ready.present", others.length, { names })}
      </p>
      {visit.call.state.value && <WaitingRoom welcome={welcome} state={visit.call.state.value} />}
      {welcome.host && <p class="hint">{t("ready.host")}</p>}
      {visit.consent.value === "refused" && welcome.policy === "optional" && <p class="hint">{t("recorded.no")}</p>}
      <div class="actions">
        <button type="button" class="primary" onClick={() => visit.join()}>
          {t("ready.join")}
        </button>
      </div>
    </Step>
  );
}
