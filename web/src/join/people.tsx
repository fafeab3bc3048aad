// Who is here and who is expected.

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { State } from "../signaling/messages.ts";
import { t, tMaybe } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { RecordedMark } from "./tile.tsx";

export function People({ state, me }: { state: State; me: string }) {
  const list = useRef<HTMLDetailsElement>(null);
  useEffect(() => closedFromOutside(list), []);
  const { participants } = state;
  const present = participants.filter((participant) => participant.present).length;
  return (
    <details ref={list} class="people" data-testid="people">
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

/** The list lies over what is said about the call: it goes by a press beside it, or by Escape. */
function closedFromOutside(list: RefObject<HTMLDetailsElement | null>): () => void {
  const pressed = ({ target }: Event) => {
    if (list.current?.open && !(target instanceof Node && list.current.contains(target))) list.current.open = false;
  };
  const typed = ({ key }: KeyboardEvent) => {
    if (key !== "Escape" || !list.current?.open) return;
    const inside = list.current.contains(document.activeElement);
    list.current.open = false;
    if (inside) list.current.querySelector("summary")?.focus();
  };
  document.addEventListener("pointerdown", pressed);
  document.addEventListener("keydown", typed);
  return () => {
    document.removeEventListener("pointerdown", pressed);
    document.removeEventListener("keydown", typed);
  };
}
