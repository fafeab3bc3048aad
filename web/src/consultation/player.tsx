// The archive video: a plain <video> with controls of our own, so that the seek bar, the lanes and the events share one
// cursor. Every control is a native one, for keyboards and screen readers.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { explain } from "../api/problem.ts";
import { refusalOf } from "../api/rest.ts";
import type { Participant } from "../api/types.ts";
import { t } from "../text/text.ts";
import { clock } from "../text/time.ts";
import { Icon, type IconName } from "../ui/icons.tsx";
import { type Cue, cueAt } from "./cues.ts";
import type { Cursor } from "./cursor.ts";
import { AloneNote, PersonChoice, useAlone, useOnlyThem } from "./person.tsx";
import type { Watching } from "./receipt.ts";
import { SeekBar } from "./seekbar.tsx";

export interface PlayerProps {
  src: string;
  thumbnails: string;
  chapters: readonly Cue[];
  /** Of whom one may be seen and heard alone. */
  participants: readonly Participant[];
  /** Of the archive, in milliseconds. */
  duration: number;
  cursor: Cursor;
  watching: Watching;
  /** What lies over the picture: who watches by which receipt. */
  overlay: ComponentChildren;
  /** The event before (−1) or behind (1) the cursor. */
  jump(direction: 1 | -1): void;
}

export function Player(props: PlayerProps) {
  const { src, thumbnails, chapters, participants, duration, cursor, watching, overlay, jump } = props;
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const problem = useSignal("");
  useEffect(() => {
    problem.value = "";
    const element = video.current;
    if (!element) return;
    const detach = cursor.attach(element);
    const unfollow = watching.follow(element);
    return () => {
      unfollow();
      detach();
    };
  }, [src, cursor, watching, problem]);
  const alone = useAlone(src, cursor);
  useOnlyThem(alone, video, src);
  // The element says only that it cannot play; the server knows why.
  const failed = async () => {
    const refusal = await refusalOf(src);
    problem.value = refusal ? t("detail.video.refused", { reason: explain(refusal) }) : t("detail.video.broken");
  };
  const toggle = () => void togglePlay(video.current);
  return (
    <div ref={frame} class="player" data-testid="player">
      <div class="screen">
        {/* biome-ignore lint/a11y/useMediaCaption: nobody writes captions of consultations; events say what happens */}
        <video
          ref={video}
          key={src}
          src={src}
          playsInline
          preload="auto"
          data-testid="archive-video"
          aria-label={t("detail.video")}
          onClick={toggle}
          onError={() => void failed()}
        />
        {overlay}
      </div>
      {problem.value && (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      )}
      <AloneNote alone={alone} participants={participants} />
      <SeekBar cursor={cursor} duration={duration} thumbnails={thumbnails} chapters={chapters} />
      <div class="controls" role="toolbar" aria-label={t("player.controls")}>
        <Button name="previous" label={t("player.event.previous")} press={() => jump(-1)} />
        <Button name="frameback" label={t("player.frame.back")} press={() => stepFrame(video.current, cursor, -1)} />
        <Button
          name={cursor.playing.value ? "pause" : "play"}
          label={t(cursor.playing.value ? "player.pause" : "player.play")}
          press={toggle}
          strong
        />
        <Button name="frame" label={t("player.frame.forward")} press={() => stepFrame(video.current, cursor, 1)} />
        <Button name="next" label={t("player.event.next")} press={() => jump(1)} />
        <Clock cursor={cursor} duration={duration} chapters={chapters} />
        <PersonChoice alone={alone} participants={participants} />
        <Speed video={video} />
        <Volume video={video} />
        {document.pictureInPictureEnabled && (
          <Button name="pip" label={t("player.pip")} press={() => void pictureInPicture(video.current)} />
        )}
        <a
          class="button tool"
          href={`${src}${src.includes("?") ? "&" : "?"}download`}
          download
          aria-label={t("detail.download")}
          title={t("detail.download")}
        >
          <Icon name="download" />
        </a>
        <Button name="full" label={t("player.full")} press={() => void fullScreen(frame.current)} />
      </div>
    </div>
  );
}

interface ButtonProps {
  name: IconName;
  label: string;
  press(): void;
  strong?: boolean;
}

function Button({ name, label, press, strong }: ButtonProps) {
  return (
    <button type="button" class={`tool${strong ? " strong" : ""}`} aria-label={label} title={label} onClick={press}>
      <Icon name={name} />
    </button>
  );
}

function Clock({ cursor, duration, chapters }: { cursor: Cursor; duration: number; chapters: readonly Cue[] }) {
  const now = cursor.seconds.value * 1000;
  const chapter = cueAt(chapters, now)?.text;
  return (
    <span class="clock">
      <span>
        <b>{clock(now)}</b> / {clock(duration)}
      </span>
      {chapter && <span class="chapter">{chapter}</span>}
    </span>
  );
}

const SPEEDS = [0.25, 0.5, 1, 1.25, 1.5, 2, 4];

function Speed({ video }: { video: { current: HTMLVideoElement | null } }) {
  const speed = useSignal(1);
  useSignalEffect(() => {
    if (video.current) video.current.playbackRate = speed.value;
  });
  return (
    <label class="speed" title={t("player.speed")}>
      <span class="sr">{t("player.speed")}</span>
      <select
        value={String(speed.value)}
        onChange={(event) => {
          speed.value = Number(event.currentTarget.value);
        }}
      >
        {SPEEDS.map((value) => (
          <option key={value} value={String(value)}>
            {value}×
          </option>
        ))}
      </select>
    </label>
  );
}

function Volume({ video }: { video: { current: HTMLVideoElement | null } }) {
  const volume = useSignal(1);
  useSignalEffect(() => {
    if (video.current) video.current.volume = volume.value;
  });
  return (
    <label class="volume" title={t("player.volume")}>
      <Icon name="sound" off={volume.value === 0} />
      <span class="sr">{t("player.volume")}</span>
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value={volume.value}
        onInput={(event) => {
          volume.value = Number(event.currentTarget.value);
        }}
      />
    </label>
  );
}

export async function togglePlay(video: HTMLVideoElement | null): Promise<void> {
  if (!video?.paused) video?.pause();
  else await video.play().catch(() => {}); // what does not play says so by its own event
}

function stepFrame(video: HTMLVideoElement | null, cursor: Cursor, frames: number): void {
  video?.pause();
  cursor.step(frames);
}

async function pictureInPicture(video: HTMLVideoElement | null): Promise<void> {
  if (document.pictureInPictureElement) await document.exitPictureInPicture();
  else await video?.requestPictureInPicture().catch(() => {});
}

async function fullScreen(frame: HTMLElement | null): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await frame?.requestFullscreen?.().catch(() => {});
}
