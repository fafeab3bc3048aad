// The own answer to the recording notice during the call: to take it back is as easy as to give it. And what everybody is
// told of the answers of others.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Consent, State, Welcome } from "../signaling/messages.ts";
import { notice } from "../text/notice.ts";
import { enumerate, language, t, tCount } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { Ask, useQuestion } from "../ui/question.tsx";
import { sends, type Visit } from "./visit.ts";

/** How long news of somebody's answer stays on the screen, in milliseconds. */
const NEWS = 10_000;

export interface ConsentProps {
  visit: Visit;
  welcome: Welcome;
  state: State;
}

/** The switch for one's own recording: one question to stop it, the whole notice to begin it. */
export function ConsentSwitch({ visit, welcome, state }: ConsentProps) {
  const given = state.participants.find(({ id }) => id === welcome.participant)?.consent === "given";
  const question = useQuestion(given);
  if (!sends(welcome.role) || welcome.policy === "forbidden") return null;
  return (
    <>
      <button
        type="button"
        class={`toggle${given ? "" : " marked"}`}
        data-testid="consent"
        onClick={() => question.ask()}
      >
        <Icon name="record" off={given} />
        <span>{t(given ? "consent.stop" : "consent.start")}</span>
      </button>
      <Ask
        question={question}
        name="consent"
        title={t(given ? "consent.stop.title" : "notice.title")}
        failure={t("notice.failed")}
        answers="equal"
        actions={
          <>
            <button
              type="button"
              class="choice"
              aria-disabled={question.busy.value}
              onClick={() => void question.act(() => visit.changeAnswer(given ? "withdrawn" : "given"))}
            >
              {t(given ? "consent.stop.confirm" : "notice.agree")}
            </button>
            <button type="button" class="choice" onClick={() => question.close()}>
              {t(given ? "consent.stop.cancel" : "consent.start.cancel")}
            </button>
          </>
        }
      >
        {given ? (
          <>
            <p>{t("consent.stop.text")}</p>
            {welcome.policy === "required" && <p>{t("consent.stop.required")}</p>}
          </>
        ) : (
          <div class="sentences" lang={language.value}>
            {notice(language.value, welcome.policy).map((sentence) => (
              <p key={sentence}>{sentence}</p>
            ))}
          </div>
        )}
      </Ask>
    </>
  );
}

/** That somebody is neither seen nor heard, as long as it is so; and for a while, what somebody else has answered. */
export function ConsentNews({ welcome, state }: Omit<ConsentProps, "visit">) {
  const news = useAnswers(welcome.participant, state);
  const silenced = state.participants.filter((one) => one.silenced && one.role !== "device");
  const me = silenced.some(({ id }) => id === welcome.participant);
  const others = silenced.filter(({ id }) => id !== welcome.participant).map(({ name }) => name);
  const told = welcome.host && others.length > 0;
  return (
    <>
      <p class={me ? "banner paused" : "sr"} role="status" data-testid="silenced">
        {me && t("consent.silenced", { again: t("consent.start"), leave: t("call.leave") })}
      </p>
      <p class={told ? "banner paused" : "sr"} role="status" data-testid="silenced-others">
        {told && tCount("consent.silenced.others", others.length, { names: enumerate(others) })}
      </p>
      <p class={news && !told ? "banner calm" : "sr"} role="status" data-testid="consent-news">
        {!told && news}
      </p>
    </>
  );
}

/** What somebody else has answered just now. */
function useAnswers(me: string, state: State): string {
  const before = useRef(new Map<string, Consent>());
  const news = useSignal("");
  useEffect(() => {
    for (const { id, name, present, consent } of state.participants) {
      const old = before.current.get(id);
      before.current.set(id, consent);
      if (old === undefined || old === consent || id === me) continue;
      if (consent === "refused" || (present && (consent === "withdrawn" || consent === "given")))
        news.value = t(`consent.news.${consent}`, { name });
    }
  }, [state]);
  useEffect(() => {
    if (!news.value) return;
    const timer = setTimeout(() => (news.value = ""), NEWS);
    return () => clearTimeout(timer);
  }, [news.value]);
  return news.value;
}
