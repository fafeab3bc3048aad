// The tests beside the camera's preview: the speaker's tone, and whether this network lets sound and picture through.

import { useSignal } from "@preact/signals";
import { type PreCheck, playTone, type WayState } from "../call/precheck.ts";
import { WAYS } from "../call/ways.ts";
import { t } from "../text/text.ts";

export function Tests({ check }: { check: PreCheck }) {
  return (
    <dl class="tests">
      <dt>{t("precheck.speaker")}</dt>
      <dd>
        <Speaker check={check} />
      </dd>
      <dt>{t("precheck.network")}</dt>
      <dd>
        <Network check={check} />
      </dd>
    </dl>
  );
}

function Speaker({ check }: { check: PreCheck }) {
  const asked = useSignal(false);
  const play = async () => {
    asked.value = true;
    try {
      await playTone();
    } catch {
      check.speaker.value = "failed";
    }
  };
  const { speaker } = check;
  return (
    <>
      <button type="button" class="quiet" onClick={() => void play()}>
        {t("precheck.play")}
      </button>
      {/* One place for question and answer: nothing on the page moves when one takes the place of the other. */}
      <div class="speaker">
        {asked.value && speaker.value === "skipped" && (
          <>
            <button type="button" onClick={() => (speaker.value = "ok")}>
              {t("precheck.heard")}
            </button>
            <button type="button" onClick={() => (speaker.value = "failed")}>
              {t("precheck.unheard")}
            </button>
          </>
        )}
        {!asked.value && <span class="hint">{t("precheck.explain")}</span>}
        <span role="status" data-testid="speaker" data-result={speaker.value}>
          {speaker.value === "ok" && t("precheck.speaker.ok")}
          {speaker.value === "failed" && t("precheck.speaker.failed")}
        </span>
      </div>
    </>
  );
}

function Network({ check }: { check: PreCheck }) {
  const ways = check.ways.value;
  const results = WAYS.map((way) => ({ way, result: resultOf(ways[way]) }));
  const trying = results.some(({ result }) => result === "trying");
  const open = results.some(({ result }) => result === "ok");
  const summary = trying
    ? "precheck.network.trying"
    : open
      ? "precheck.network.ok"
      : results.every(({ result }) => result === "absent")
        ? "precheck.network.absent"
        : "precheck.network.failed";
  return (
    <>
      <span role="status" data-testid="network" data-result={trying ? "trying" : open ? "ok" : "failed"}>
        {t(summary)}
      </span>
      <ul class="ways">
        {results
          .filter(({ result }) => result !== "absent")
          .map(({ way, result }) => (
            <li key={way} data-testid={`way-${way}`} data-result={result}>
              {t(`precheck.way.${way}`)}: {t(`precheck.result.${result}`)}
            </li>
          ))}
      </ul>
    </>
  );
}

function resultOf(state: WayState | undefined): "ok" | "failed" | "absent" | "trying" {
  if (!state || state === "trying") return "trying";
  return state.result === "ok" || state.result === "absent" ? state.result : "failed";
}
