// Pausing the recording: the host's switch, and what everybody is told.

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { PauseReason } from "../api/rest.ts";
import { type RecordingKind, recordingOf } from "../call/view.ts";
import type { State } from "../signaling/messages.ts";
import { type Key, t } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import type { Visit } from "./visit.ts";

/** How long "the recording goes on" stays on the screen, in milliseconds. */
const NEWS = 10_000;

/** What is new about the recording: a pause as long as it lasts, its end for a while. Screen readers say it. */
export function RecordingNews({ state }: { state: State }) {
  const { kind } = recordingOf(state);
  const before = useRef<RecordingKind>(kind);
  const resumed = useSignal(false);
  useEffect(() => {
    if (kind === "paused") resumed.value = false;
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
  const dialog = useRef<HTMLDialogElement>(null);
  const failed = useSignal(false);
  const busy = useSignal(false);
  const paused = state.recording === "paused";
  const possible = paused || state.recording === "on";
  // Before anything is painted: under a finger on its way a question must not turn into its opposite.
  useLayoutEffect(() => dialog.current?.close(), [paused]);
  const control = async (what: "pause" | "resume", reason: PauseReason) => {
    if (busy.value) return;
    busy.value = true;
    failed.value = false;
    try {
      await visit.controlRecording(what, reason);
      dialog.current?.close();
    } catch {
      failed.value = true;
      if (dialog.current && !dialog.current.open) dialog.current.showModal();
    }
    busy.value = false;
  };
  if (!possible) return null;
  return (
    <>
      <button
        type="button"
        class={`toggle${paused ? " marked" : ""}`}
        data-testid="pause"
        onClick={() => {
          failed.value = false;
          if (paused) void control("resume", "other");
          else dialog.current?.showModal();
        }}
      >
        <Icon name={paused ? "record" : "pause"} />
        <span>{t(paused ? "pause.resume" : "pause.pause")}</span>
      </button>
      <dialog ref={dialog} aria-labelledby="pause-title" aria-describedby="pause-text" class="card">
        <h2 id="pause-title">{t(paused ? "pause.resume" : "pause.title")}</h2>
        {!paused && <p id="pause-text">{t("pause.text")}</p>}
        {failed.value && (
          <p class="problem" role="alert">
            {t("pause.failed")}
          </p>
        )}
        <div class="actions column">
          {paused ? (
            <button type="button" class="primary" onClick={() => void control("resume", "other")}>
              {t("pause.resume")}
            </button>
          ) : (
            reasons.map((reason) => (
              <button key={reason} type="button" class="primary" onClick={() => void control("pause", reason)}>
                {t(`pause.reason.${reason}` as Key)}
              </button>
            ))
          )}
          <button type="button" onClick={() => dialog.current?.close()}>
            {t("pause.cancel")}
          </button>
        </div>
      </dialog>
    </>
  );
}
