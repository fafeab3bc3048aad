// The recording notice and what follows a no.

import { notice } from "../text/notice.ts";
import { language, t } from "../text/text.ts";
import { Step } from "./step.tsx";
import type { Visit } from "./visit.ts";

export function Notice({ visit }: { visit: Visit }) {
  const policy = visit.situation.value?.policy;
  if (!policy || policy === "forbidden") return null;
  const sending = visit.answering.value === "sending";
  return (
    <Step visit={visit} stage="notice" title={t("notice.title")}>
      <div class="sentences" data-testid="notice-text" lang={language.value}>
        {notice(language.value, policy).map((sentence) => (
          <p key={sentence}>{sentence}</p>
        ))}
      </div>
      <div class="actions equal">
        <button type="button" class="choice" aria-disabled={sending} onClick={() => void visit.answer("given")}>
          {t("notice.agree")}
        </button>
        <button type="button" class="choice" aria-disabled={sending} onClick={() => void visit.answer("refused")}>
          {t("notice.refuse")}
        </button>
      </div>
      <p class="hint" role="status">
        {sending ? t("notice.sending") : ""}
      </p>
      {visit.answering.value === "failed" && (
        <p class="problem" role="alert">
          {t("notice.failed")}
        </p>
      )}
    </Step>
  );
}

export function RefusedPage({ visit }: { visit: Visit }) {
  return (
    <Step visit={visit} stage="refused" title={t("refused.title")}>
      <p>
        <strong>{t("refused.told")}</strong>
      </p>
      <p>{t("refused.why")}</p>
      <p>{t("refused.next")}</p>
      <div class="actions">
        <button type="button" onClick={() => visit.readAgain()}>
          {t("refused.again")}
        </button>
      </div>
    </Step>
  );
}
