// What was true at the moment of the cursor: who was there, who could hear whom, what was being recorded.

import { type ReadonlySignal, useComputed } from "@preact/signals";
import { enumerate, t, tMaybe } from "../text/text.ts";
import { Icon, type IconName } from "../ui/icons.tsx";
import type { Cursor } from "./cursor.ts";
import type { Moment, Moments, PersonAt } from "./moment.ts";
import { valueWord } from "./words.ts";

export interface StatePanelProps {
  moments: ReadonlySignal<Moments>;
  cursor: Cursor;
  names: ReadonlyMap<string, string>;
}

export function StatePanel({ moments, cursor, names }: StatePanelProps) {
  // As text, so that what has not changed is not drawn again at every frame.
  const state = useComputed(() => JSON.stringify(moments.value.at(cursor.now.value)));
  const moment = JSON.parse(state.value) as Moment;
  return (
    <section class="state-panel card" aria-labelledby="state-title" data-testid="moment">
      <div class="panel-head">
        <h2 id="state-title">{t("moment.title")}</h2>
        <span class={`recording ${moment.recording || "off"}`} data-testid="moment-recording">
          <span class="dot" /> {t(`moment.recording.${(moment.recording || "off") as "on" | "paused" | "off"}`)}
        </span>
      </div>
      <ul>
        {moment.people.map((person) => (
          <Person key={person.id} person={person} names={names} />
        ))}
      </ul>
    </section>
  );
}

function Person({ person, names }: { person: PersonAt; names: ReadonlyMap<string, string> }) {
  const { id, present, network, path, quality, recorded, hears } = person;
  const name = names.get(id) ?? t("event.somebody");
  return (
    <li class={present ? "" : "away"} data-testid="person-at" data-id={id} data-present={present}>
      <span class="who">
        <strong>{name}</strong>
        <span class="hint">{present ? hearing(hears, names, network) : t("moment.away")}</span>
      </span>
      <span class="media">
        <Media kind="microphone" value={person.microphone} icon="microphone" />
        <Media kind="camera" value={person.camera} icon="camera" />
        {person.screen && <Media kind="screen" value={person.screen} icon="screen" />}
      </span>
      <span class="facts">
        {network && (
          <span class={`net ${network} ${quality}`}>
            {network === "connected" && path ? path : valueWord("network", network)}
          </span>
        )}
        <span class={`rec ${recorded === "recorded" ? "yes" : recorded ? "gap" : "no"}`} data-value={recorded}>
          {recorded ? valueWord("recorded", recorded) : consentWord(person)}
        </span>
      </span>
    </li>
  );
}

function hearing(hears: string[], names: ReadonlyMap<string, string>, network: string): string {
  if (network !== "connected") return t("moment.unconnected");
  if (hears.length === 0) return t("moment.hears.nobody");
  return t("moment.hears", { names: enumerate(hears.map((id) => names.get(id) ?? t("event.somebody"))) });
}

function consentWord({ consent, present }: PersonAt): string {
  if (!present) return "";
  return consent === "given"
    ? t("moment.recorded.no")
    : (tMaybe(`span.consent.${consent}`) ?? t("moment.consent.none"));
}

function Media({ kind, value, icon }: { kind: "microphone" | "camera" | "screen"; value: string; icon: IconName }) {
  const label = `${t(`lane.${kind}`)}: ${value ? valueWord(kind, value) : t("moment.media.none")}`;
  return (
    <span class={`medium ${value || "none"}`} title={label}>
      <Icon name={icon} off={value !== "on"} />
      <span class="sr">{label}</span>
    </span>
  );
}
