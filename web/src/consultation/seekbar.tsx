// The bar below the picture: where the video is, its chapters, and a small picture of what lies under the pointer.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../text/text.ts";
import { clock } from "../text/time.ts";
import { type Cue, cueAt, parseVTT, pictureIn } from "./cues.ts";
import type { Cursor } from "./cursor.ts";

export interface SeekBarProps {
  cursor: Cursor;
  duration: number;
  thumbnails: string;
  chapters: readonly Cue[];
}

export function SeekBar({ cursor, duration, thumbnails, chapters }: SeekBarProps) {
  const pictures = useSignal<readonly Cue[]>([]);
  const hover = useSignal<{ share: number } | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    pictures.value = [];
    fetch(thumbnails, { signal: abort.signal })
      .then((answer) => (answer.ok ? answer.text() : ""))
      .then((file) => {
        pictures.value = parseVTT(file);
      })
      .catch(() => {}); // without small pictures the bar seeks all the same
    return () => abort.abort();
  }, [thumbnails, pictures]);
  const move = (event: PointerEvent & { currentTarget: HTMLElement }) => {
    const box = event.currentTarget.getBoundingClientRect();
    hover.value = { share: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) };
  };
  const share = duration > 0 ? Math.min(1, cursor.now.value / duration) : 0;
  return (
    <div
      class="seek"
      onPointerMove={move}
      onPointerLeave={() => {
        hover.value = undefined;
      }}
    >
      <div class="groove" aria-hidden="true">
        <div class="done" style={{ transform: `scaleX(${share.toFixed(5)})` }} />
        {chapters.slice(1).map((chapter) => (
          <i key={chapter.from} style={{ left: `${(100 * chapter.from) / duration}%` }} />
        ))}
      </div>
      <input
        type="range"
        aria-label={t("player.seek")}
        min={0}
        max={Math.max(1, Math.round(duration))}
        step={100}
        value={Math.round(cursor.seconds.value * 1000)}
        aria-valuetext={clock(cursor.seconds.value * 1000)}
        onInput={(event) => cursor.seek(Number(event.currentTarget.value))}
      />
      {hover.value && (
        <Preview
          share={hover.value.share}
          ms={hover.value.share * duration}
          pictures={pictures.value}
          chapters={chapters}
          base={thumbnails}
        />
      )}
    </div>
  );
}

interface PreviewProps {
  share: number;
  ms: number;
  pictures: readonly Cue[];
  chapters: readonly Cue[];
  base: string;
}

function Preview({ share, ms, pictures, chapters, base }: PreviewProps) {
  const picture = pictureIn(cueAt(pictures, ms)?.text ?? "");
  return (
    <div class="preview" aria-hidden="true" style={{ left: `clamp(82px, ${100 * share}%, calc(100% - 82px))` }}>
      {picture && (
        <div
          class="thumbnail"
          data-testid="thumbnail"
          style={{
            width: `${picture.width}px`,
            height: `${picture.height}px`,
            backgroundImage: `url("${fileBeside(base, picture.file)}")`,
            backgroundPosition: `-${picture.x}px -${picture.y}px`,
          }}
        />
      )}
      <span>{[clock(ms), cueAt(chapters, ms)?.text].filter(Boolean).join(" · ")}</span>
    </div>
  );
}

/** A file that stands beside another one, asked for by the same right. */
export function fileBeside(base: string, file: string): string {
  const [path = "", asked] = base.split("?");
  const beside = path.replace(/[^/]*$/, "") + encodeURIComponent(file);
  return asked ? `${beside}?${asked}` : beside;
}
