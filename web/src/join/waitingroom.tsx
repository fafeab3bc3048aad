// What the doctor sees of those who have not joined: who has the page open, what the check before the call found, and what
// keeps somebody out.

import type { CheckResult, ParticipantState, Policy, State, Welcome } from "../signaling/messages.ts";
import { failureText, t, tMaybe } from "../text/text.ts";

/**
 * Those at the door, those who stay out because they said no to a recording that is required, and those who are in and whose
 * devices or network have a problem.
 */
export function atTheDoor(state: State, me: string, policy: Policy): ParticipantState[] {
  return state.participants.filter(
    (one) =>
      one.id !== me &&
      (one.waiting || (saidNo(one) && policy === "required") || (one.present && (one.hindered?.length ?? 0) > 0)),
  );
}

/** Whether somebody who is not there does not want to be recorded. */
function saidNo({ present, consent }: ParticipantState): boolean {
  return !present && consent === "refused";
}

/** Hosts alone see it. */
export function WaitingRoom({ welcome, state }: { welcome: Welcome; state: State }) {
  const { policy } = welcome;
  const people = welcome.host ? atTheDoor(state, welcome.participant, policy) : [];
  if (people.length === 0) return null;
  return (
    <section class="waiting-room" aria-label={t("waiting.title")} data-testid="waiting-room">
      <h2>{t("waiting.title")}</h2>
      <ul>
        {people.map((participant) => (
          <li key={participant.id} data-participant={participant.id}>
            <strong>{participant.name}</strong>{" "}
            {saidNo(participant) ? (
              <span>{t(policy === "required" ? "waiting.refused.required" : "waiting.refused")}</span>
            ) : (
              <span class="hint">{t(participant.waiting ? "waiting.open" : "waiting.inside")}</span>
            )}
            <Check participant={participant} />
            {participant.hindered?.map((code) => (
              <p key={code} class="hint" data-code={code}>
                {failureText(code) ? t("waiting.told", { sentence: failureText(code) ?? "", code }) : code}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Check({ participant: { check } }: { participant: ParticipantState }) {
  if (!check) return null;
  const parts: [string, CheckResult | undefined][] = [
    [t("call.camera"), check.camera],
    [t("call.microphone"), check.microphone],
    [t("precheck.speaker"), check.speaker],
    ["UDP", check.ways.udp],
    ["TCP", check.ways.tcp],
    ["TLS", check.ways.tls],
  ];
  return (
    <ul class="checked" data-testid="checked">
      {parts.map(([name, result]) =>
        result && result !== "absent" ? (
          <li key={name} data-result={result}>
            {name}: {tMaybe(`precheck.result.${result}`) ?? result}
          </li>
        ) : null,
      )}
    </ul>
  );
}
