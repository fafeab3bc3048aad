// Who is here and who is expected.

import type { State } from "../signaling/messages.ts";
import { t, tMaybe } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { RecordedMark } from "./tile.tsx";

export function People({ state, me }: { state: State; me: string }) {
  const { participants } = state;
  const present = participants.filter((participant) => participant.present).length;
  return (
    <details class="people" data-testid="people">
      <summary>
        <Icon name="people" />
        <span class="sr">{t("call.people")}: </span>
        {t("call.people.count", { present, all: participants.length })}
      </summary>
      <ul>
        {participants.map((participant) => (
          <li key={participant.id} data-participant={participant.id}>
            <span class="name">
              {participant.name}
              {participant.id === me && ` (${t("call.you")})`}
            </span>
            <span class="hint">{tMaybe(`role.${participant.role}`) ?? participant.role}</span>
            <span class={participant.present ? "here" : "hint"}>
              {participant.present ? t(participant.online ? "call.here" : "call.away") : t("call.not_here")}
            </span>
            {participant.present && <RecordedMark recorded={participant.recorded} />}
          </li>
        ))}
      </ul>
    </details>
  );
}
