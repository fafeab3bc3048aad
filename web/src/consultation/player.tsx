// The archive video with controls that keyboards and screen readers can use (media-chrome).

import "media-chrome";
import "media-chrome/lang/de";
import { useSignal } from "@preact/signals";
import type { HTMLAttributes, RefObject } from "preact";
import { useEffect } from "preact/hooks";
import { explain } from "../api/problem.ts";
import { refusalOf } from "../api/rest.ts";
import { language, t } from "../text/text.ts";

type Control = HTMLAttributes<HTMLElement> & Record<string, unknown>;

declare module "preact" {
  namespace JSX {
    interface IntrinsicElements {
      "media-controller": Control;
      "media-control-bar": Control;
      "media-play-button": Control;
      "media-seek-backward-button": Control;
      "media-seek-forward-button": Control;
      "media-time-range": Control;
      "media-time-display": Control;
      "media-mute-button": Control;
      "media-volume-range": Control;
      "media-playback-rate-button": Control;
      "media-pip-button": Control;
      "media-fullscreen-button": Control;
      "media-loading-indicator": Control;
    }
  }
}

export interface PlayerProps {
  src: string;
  chapters: string;
  video: RefObject<HTMLVideoElement | null>;
  onTime(ms: number): void;
}

export function Player({ src, chapters, video, onTime }: PlayerProps) {
  const problem = useSignal("");
  useEffect(() => {
    problem.value = "";
  }, [src]);
  // The element says only that it cannot play; the server knows why.
  const failed = async () => {
    const refusal = await refusalOf(src);
    problem.value = refusal ? t("detail.video.refused", { reason: explain(refusal) }) : t("detail.video.broken");
  };
  return (
    <>
      <media-controller class="player" data-testid="player">
        {/* biome-ignore lint/a11y/useMediaCaption: nobody writes captions of consultations; chapters name what happens */}
        <video
          slot="media"
          ref={video}
          key={src}
          src={src}
          playsInline
          preload="metadata"
          data-testid="archive-video"
          onTimeUpdate={(event) => onTime(event.currentTarget.currentTime * 1000)}
          onSeeking={(event) => onTime(event.currentTarget.currentTime * 1000)}
          onError={() => void failed()}
        >
          <track kind="chapters" src={chapters} srclang={language.value} default />
        </video>
        <media-loading-indicator slot="centered-chrome" noautohide />
        <media-control-bar class="player-time">
          <media-time-range />
        </media-control-bar>
        <media-control-bar>
          <media-play-button />
          <media-seek-backward-button seekoffset="10" />
          <media-seek-forward-button seekoffset="10" />
          <media-mute-button />
          <media-volume-range />
          <media-time-display showduration />
          <span class="player-space" />
          <media-playback-rate-button rates="0.5 1 1.5 2" />
          <media-pip-button />
          <media-fullscreen-button />
        </media-control-bar>
      </media-controller>
      {problem.value && (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      )}
    </>
  );
}
