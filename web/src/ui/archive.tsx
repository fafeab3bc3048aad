// Where a video stands: a word, a bar while it is being made, and a mark when not all of it was checked.

import type { Archive } from "../api/types.ts";
import { enumerate, language, t, tMaybe } from "../text/text.ts";
import { lasting, percent } from "../text/time.ts";

export function ArchiveState({ archive, short = false }: { archive: Archive; short?: boolean }) {
  const { state, unverified = [] } = archive;
  return (
    <span class={`archive ${state}`} data-testid="archive-state" data-state={state}>
      <span>
        {(short && tMaybe(`archive.${state}.short`)) || t(`archive.${state}`)}
        {state === "rendering" && <Done archive={archive} short={short} />}
      </span>
      {state === "rendering" && <Bar progress={archive.progress ?? 0} />}
      {state === "ready" && unverified.length > 0 && <Unverified checks={unverified} />}
    </span>
  );
}

function Done({ archive, short }: { archive: Archive; short: boolean }) {
  const { progress = 0, leftMs = 0 } = archive;
  if (progress <= 0) return null;
  const done = percent(progress, language.value);
  if (short) return <> {done}</>;
  return (
    <>
      , {t("archive.progress", { percent: done })}
      {leftMs > 0 && `, ${t("archive.left", { length: lasting(Math.max(1000, leftMs), language.value) })}`}
    </>
  );
}

function Bar({ progress }: { progress: number }) {
  return (
    <progress value={progress > 0 ? progress : undefined} max={1} aria-label={t("archive.rendering")}>
      {percent(progress, language.value)}
    </progress>
  );
}

/** That a video can be watched, but not everything about it was looked into. */
export function Unverified({ checks }: { checks: readonly string[] }) {
  return (
    <span class="unverified" data-testid="unverified" title={unverifiedText(checks)}>
      {t("archive.unverified")}
    </span>
  );
}

/** What is not known of a video, as a sentence; a check that this page does not know stands there by its code. */
export function unverifiedText(checks: readonly string[]): string {
  return t("archive.unverified.what", { what: enumerate(checks.map((code) => tMaybe(`unverified.${code}`) ?? code)) });
}
