// The video's part of the page: the player, or what there is instead of it.

import { computed } from "@preact/signals";
import type { RefObject } from "preact";
import { useMemo } from "preact/hooks";
import type { Archive, Consultation } from "../api/types.ts";
import { t, tCount, tMaybe } from "../text/text.ts";
import { ArchiveState } from "../ui/archive.tsx";
import { Icon } from "../ui/icons.tsx";
import { byVersion, type Detail } from "./detail.ts";
import { Player } from "./player.tsx";

export interface VideoProps {
  detail: Detail;
  consultation: Consultation;
  video: RefObject<HTMLVideoElement | null>;
  onTime(ms: number): void;
}

export function Video({ detail, consultation, video, onTime }: VideoProps) {
  // The list is read again and again: the player must not notice as long as the same file is shown.
  const src = useMemo(() => computed(() => detail.shown.value?.videoUrl ?? ""), [detail]);
  const shown = detail.shown.value;
  const versions = byVersion(detail.archives.value);
  const newest = versions[0];
  return (
    <section class="video" aria-labelledby="video-title">
      <h2 id="video-title" class="sr">
        {t("detail.video")}
      </h2>
      {shown?.state === "ready" && src.value ? (
        <Player
          src={src.value}
          chapters={src.value.replace(/archive\.mp4$/, "chapters.vtt")}
          video={video}
          onTime={onTime}
        />
      ) : (
        <div class="no-video card">
          {newest && newest.state !== "ready" ? (
            <Making detail={detail} archive={newest} />
          ) : (
            <p>{whyNoVideo(consultation)}</p>
          )}
        </div>
      )}
      {shown?.state === "ready" && newest && newest.state !== "ready" && <Making detail={detail} archive={newest} />}
      <div class="video-actions">
        {shown?.state === "ready" && src.value && (
          <a class="button" href={`${src.value}?download`} download>
            <Icon name="download" />
            {t("detail.download")}
          </a>
        )}
        {versions.length > 1 && (
          <label class="version">
            {t("detail.version")}
            <select
              value={String(shown?.version ?? newest?.version ?? "")}
              onChange={(event) => (detail.picked.value = Number(event.currentTarget.value))}
            >
              {versions.map((archive) => (
                <option key={archive.version} value={String(archive.version)}>
                  {archive.state === "ready"
                    ? t("detail.version.option", { n: archive.version })
                    : t("detail.version.state", { n: archive.version, state: t(`archive.${archive.state}`) })}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
    </section>
  );
}

/** One sentence on why there is no video and none being made. */
export function whyNoVideo(consultation: Consultation): string {
  if (consultation.recording === "forbidden") return t("detail.video.forbidden");
  switch (consultation.state) {
    case "scheduled":
    case "open":
      return t(`detail.video.${consultation.state}`);
    case "ended":
      return consultation.awaitedSegments
        ? tCount("detail.video.awaited", consultation.awaitedSegments)
        : t("detail.video.ended");
    default:
      return t("detail.video.completed");
  }
}

/** The plain reason behind a stable failure code. */
export function failureText(code: string | undefined): string {
  const key = code?.toLowerCase().replaceAll("-", "_");
  return (key && tMaybe(`failure.${key}`)) || t("failure.other", { code: code || "?" });
}

function Making({ detail, archive }: { detail: Detail; archive: Archive }) {
  const reorder = detail.reorder.value;
  if (archive.state !== "failed") {
    return (
      <div class="making" role="status" data-testid="making">
        <p>{t(`detail.video.${archive.state === "rendering" ? "rendering" : "queued"}`)}</p>
        <ArchiveState archive={archive} />
      </div>
    );
  }
  return (
    <div class="problem" data-testid="failed" data-code={archive.code}>
      <p role="alert">
        <strong>{t("detail.video.failed")}</strong> {failureText(archive.code)}
      </p>
      <button type="button" onClick={() => void detail.tryAgain()} aria-disabled={reorder.state === "sending"}>
        {t("detail.retry")}
      </button>
      <p class="hint" role="status">
        {reorder.state === "ordered" && t("detail.retrying")}
        {reorder.state === "failed" && t("detail.retry.failed", { reason: reorder.text })}
      </p>
    </div>
  );
}
