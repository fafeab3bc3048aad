// Pausing the recording: the host's switch, and what everybody is told.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { PauseReason } from "../api/rest.ts";
import { type RecordingKind, recordingOf } from "../call/view.ts";
import type { State } from "../signaling/messages.ts";
import { type Key, t } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { Ask, useQuestion } from "../ui/question.tsx";
import type { Visit } from "./visit.ts";

/** How long "the recording goes on" stays on the screen, in milliseconds. */
const NEWS = 10_000;

/** What is new about the recording: a pause as long as it lasts, its end for a while. Screen readers say it. */
export function RecordingNews({ state }: { state: State }) {
  const { kind } = recordingOf(state);
  const before = useRef<RecordingKind>(kind);
  const resumed = useSignal(false);
  useEffect(() => {
    if (kind === "paused" || kind === "unknown") resumed.value = false;
    else if (before.current === "paused" && state.recording === "on") resumed.value = true;
    before.current = kind;
  }, [kind]);
  useEffect(() => {
    if (!resumed.value) return;
    const timer = setTimeout(() => (resumed.value = false), NEWS);
    return () => clearTimeout(timer);
  }, [resumed.value]);
  const paused = kind === "paused";
  const shown = paused || resumed.value;
  return (
    <p
      class={shown ? `banner ${paused ? "paused" : "calm"}` : "sr"}
      role="status"
      data-testid="recording-news"
      data-news={paused ? "paused" : resumed.value ? "resumed" : ""}
    >
      {paused && <Icon name="pause" />}
      {paused
        ? t("pause.paused")
        : resumed.value
          ? t("pause.resumed")
          : kind === "failed"
            ? ""
            : t(`recording.${kind}`)}
    </p>
  );
}

const reasons: PauseReason[] = ["examination", "private", "other"];

/** The host's switch. To pause takes a reason, which goes into the log and is shown to nobody in the call. */
export function PauseSwitch({ visit, state }: { visit: Visit; state: State }) {
  const paused = state.recording === "paused";
  const question = useQuestion(paused);
  if (!paused && state.recording !== "on") return null;
  const pause = (reason: PauseReason) => void question.act(() => visit.controlRecording("pause", reason));
  const resume = () => void question.act(() => visit.controlRecording("resume", "other"));
  return (
    <>
      <button
        type="button"
        class={`toggle${paused ? " marked" : ""}`}
        data-testid="pause"
        onClick={() => (paused ? resume() : question.ask())}
      >
        <Icon name={paused ? "record" : "pause"} />
        <span>{t(paused ? "pause.resume" : "pause.pause")}</span>
      </button>
      <Ask
        question={question}
        name="pause"
        title={t(paused ? "pause.resume" : "pause.title")}
        failure={t("pause.failed")}
        answers="column"
        actions={
          <>
            {paused ? (
              <button type="button" class="primary" aria-disabled={question.busy.value} onClick={resume}>
                {t("pause.resume")}
              </button>
            ) : (
              reasons.map((reason) => (
                <button
                  key={reason}
                  type="button"
                  class="primary"
                  aria-disabled={question.busy.value}
                  onClick={() => pause(reason)}
                >
                  {t(`pause.reason.${reason}` as Key)}
                </button>
              ))
            )}
            <button type="button" onClick={() => question.close()}>
              {t(paused ? "pause.stay" : "pause.cancel")}
            </button>
          </>
        }
      >
        {!paused && <p>{t("pause.text")}</p>}
      </Ask>
    </>
  );
}
