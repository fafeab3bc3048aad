// The call: everybody's tiles, the own small picture, what is true of the recording, and the switches.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { canShareScreen, codesOf } from "../call/devices.ts";
import { recordingOf, soundsOf, tilesOf, unsure } from "../call/view.ts";
import { keepAwake } from "../call/wakelock.ts";
import type { State, Welcome } from "../signaling/messages.ts";
import { enumerate, failureText, t } from "../text/text.ts";
import { clock, isoDuration } from "../text/time.ts";
import { Icon } from "../ui/icons.tsx";
import { Picture, Sound, soundBlocked, unblockSound } from "../ui/media.tsx";
import { Ask, useQuestion } from "../ui/question.tsx";
import { Toggle } from "../ui/toggle.tsx";
import { OwnSwitches } from "./check.tsx";
import { ConsentNews, type ConsentProps, ConsentSwitch } from "./consent.tsx";
import { PauseSwitch, RecordingNews } from "./pause.tsx";
import { People } from "./people.tsx";
import { RecordedMark, TileView } from "./tile.tsx";
import { sends, type Visit } from "./visit.ts";
import { WaitingRoom } from "./waitingroom.tsx";

export function CallView({ visit, clockOffset }: { visit: Visit; clockOffset: number }) {
  const { call } = visit;
  const welcome = call.welcome.value;
  const heard = call.state.value;
  useEffect(() => keepAwake(), []);
  if (!welcome || !heard) return null;
  const cut = call.lost.value || (call.signaling.value !== "ready" && call.media.value === "lost");
  const state = cut ? unsure(heard) : heard;
  document.title = `${welcome.title || t("join.title")} – ${t("app.name")}`;
  const tiles = tilesOf(state, welcome.participant, call.received.value, call.stalled.value);
  return (
    <div class="call" data-testid="call">
      <header class="call-bar">
        <h1>{welcome.title || t("join.title")}</h1>
        <Recording state={state} />
        <Elapsed since={state.since} offset={clockOffset} />
        <People state={state} me={welcome.participant} />
      </header>
      <Banners visit={visit} welcome={welcome} state={state} />
      <WaitingRoom welcome={welcome} state={state} />
      <main
        class={`stage tiles-${Math.min(tiles.length, 9)}`}
        style={{ "--beside": Math.max(1, tiles.filter((tile) => tile.kind !== "screen").length) }}
        data-testid="stage"
      >
        {tiles.map((tile) => (
          <TileView key={tile.key} tile={tile} />
        ))}
        {tiles.length === 0 && state.joined && <p class="alone">{t("call.waiting")}</p>}
        <SelfView visit={visit} welcome={welcome} state={state} />
      </main>
      {soundsOf(call.received.value, welcome.participant).map((line) => (
        <Sound key={line.mid + line.trackId} track={line.track} participant={line.participant} source={line.source} />
      ))}
      <Controls visit={visit} welcome={welcome} state={state} />
    </div>
  );
}

function Recording({ state }: { state: State }) {
  const { kind, failed } = recordingOf(state);
  const text = kind === "failed" ? t("recording.failed", { names: enumerate(failed) }) : t(`recording.${kind}`);
  return (
    <p
      class={`recording ${kind}`}
      role={kind === "failed" ? "alert" : undefined}
      data-testid="recording"
      data-recording={kind}
    >
      <span class="dot" aria-hidden="true" />
      {text}
    </p>
  );
}

function Elapsed({ since, offset }: { since: string | undefined; offset: number }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!since) return null;
  const ms = now.value + offset - Date.parse(since);
  return (
    <time class="elapsed" dateTime={isoDuration(ms)} title={t("call.elapsed")} data-testid="elapsed">
      {clock(ms)}
    </time>
  );
}

function Banners({ visit, welcome, state }: ConsentProps) {
  const { call, media } = visit;
  const lost = call.signaling.value !== "ready" && call.signaling.value !== "closed";
  const trouble = call.trouble.value;
  // The most important one: what is lost, what the server misses, what the own devices refuse.
  const code = call.lost.value ? "SIG-LOST" : (state.hindered?.[0] ?? codesOf(media.problems.value)[0] ?? "");
  let text = "";
  if (call.lost.value) text = failureText(code) ?? "";
  else if (call.media.value === "lost") text = t("call.media_lost");
  else if (lost) text = t("call.signaling_lost");
  else if (code) text = failureText(code) ?? t("call.trouble", { code });
  else if (trouble) text = t("call.trouble", { code: trouble });
  else if (call.media.value === "connecting") text = t("call.connecting");
  const shown = text !== "" && text === failureText(code) ? code : "";
  return (
    <div class="banners">
      <RecordingNews state={state} />
      <ConsentNews welcome={welcome} state={state} />
      <p class="banner" role="status" data-testid="banner" data-code={shown} hidden={!text}>
        {text} {shown && <small class="code">{shown}</small>}
      </p>
      {media.tracks.screen.value && <p class="banner calm">{t("call.sharing")}</p>}
      {soundBlocked.value && (
        <p class="banner" role="alert">
          {t("call.sound.blocked")}{" "}
          <button type="button" onClick={unblockSound}>
            <Icon name="sound" />
            {t("call.sound")}
          </button>
        </p>
      )}
    </div>
  );
}

function SelfView({ visit, welcome, state }: { visit: Visit; welcome: Welcome; state: State }) {
  if (!sends(welcome.role)) return null;
  const camera = visit.media.tracks.camera.value;
  const on = visit.media.on.camera.value;
  const me = state.participants.find((participant) => participant.id === welcome.participant);
  return (
    <figure class="self" data-testid="self">
      {camera && on ? <Picture track={camera} label={t("check.preview")} mirrored /> : <Icon name="camera" off />}
      {me?.silenced && <p class="tile-note over">{t("consent.silenced.self")}</p>}
      <figcaption>
        {t("call.you")}
        {me && <RecordedMark recorded={me.recorded} />}
      </figcaption>
    </figure>
  );
}

function Controls({ visit, welcome, state }: ConsentProps) {
  const { call, media } = visit;
  const sharing = media.tracks.screen.value !== undefined;
  return (
    <footer class="controls">
      {sends(welcome.role) && <OwnSwitches media={media} />}
      {sends(welcome.role) && canShareScreen() && (
        <Toggle
          name={t("call.screen")}
          icon="screen"
          warnWhen="on"
          on={sharing}
          onToggle={() => (sharing ? media.stopScreen() : void media.startScreen())}
        />
      )}
      <ConsentSwitch visit={visit} welcome={welcome} state={state} />
      {welcome.host && <PauseSwitch visit={visit} state={state} />}
      <button type="button" class="toggle danger" onClick={() => call.leave()}>
        <Icon name="leave" />
        <span>{t("call.leave")}</span>
      </button>
      {welcome.host && <EndSwitch visit={visit} />}
    </footer>
  );
}

function EndSwitch({ visit }: { visit: Visit }) {
  const question = useQuestion();
  return (
    <>
      <button type="button" class="toggle danger" onClick={() => question.ask()}>
        <Icon name="end" />
        <span>{t("call.end")}</span>
      </button>
      <Ask
        question={question}
        name="end"
        title={t("call.end.title")}
        failure={t("call.end.failed")}
        actions={
          <>
            <button
              type="button"
              class="danger"
              aria-disabled={question.busy.value}
              onClick={() => void question.act(() => visit.call.end())}
            >
              {t("call.end.confirm")}
            </button>
            <button type="button" onClick={() => question.close()}>
              {t("call.end.cancel")}
            </button>
          </>
        }
      >
        <p>{t("call.end.text")}</p>
      </Ask>
    </>
  );
}
