// Where a video stands: a word, and a bar while it is being made.

import type { Archive } from "../api/types.ts";
import { language, t } from "../text/text.ts";
import { percent } from "../text/time.ts";

export function ArchiveState({ archive, short = false }: { archive: Archive; short?: boolean }) {
  const { state, progress = 0 } = archive;
  const done = percent(progress, language.value);
  return (
    <span class={`archive ${state}`} data-testid="archive-state" data-state={state}>
      <span>
        {short && state === "rendering" ? t("archive.rendering.short") : t(`archive.${state}`)}
        {state === "rendering" &&
          progress > 0 &&
          (short ? ` ${done}` : `, ${t("archive.progress", { percent: done })}`)}
      </span>
      {state === "rendering" && (
        <progress value={progress > 0 ? progress : undefined} max={1} aria-label={t("archive.rendering")}>
          {done}
        </progress>
      )}
    </span>
  );
}
