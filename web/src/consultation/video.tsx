// The video's part of the page: the player, the question for what it is opened, or why there is none.

import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { bearerOf } from "../api/session.ts";
import type { Archive, Consultation, Participant } from "../api/types.ts";
import { t, tCount, tMaybe } from "../text/text.ts";
import { ArchiveState, Unverified, unverifiedText } from "../ui/archive.tsx";
import { type Cue, parseVTT } from "./cues.ts";
import type { Cursor } from "./cursor.ts";
import type { Detail } from "./detail.ts";
import { Player } from "./player.tsx";
import { type Gate, type Purpose, purposes, receiptsOf, Watching } from "./receipt.ts";
import { fileBeside } from "./seekbar.tsx";

export interface VideoProps {
  detail: Detail;
  consultation: Consultation;
  cursor: Cursor;
  token: () => string;
  /** Gets the sound as a curve, tenths of seconds, 0 to 1. */
  peaks: { value: readonly number[] };
  jump(direction: 1 | -1): void;
}

export function Video({ detail, consultation, cursor, token, peaks, jump }: VideoProps) {
  // The list is read again and again: the player must not notice as long as the same file is shown.
  const src = useComputed(() => detail.shown.value?.videoUrl ?? "");
  const shown = detail.shown.value;
  const newest = detail.newest.value;
  const playable = shown?.state === "ready" && src.value !== "";
  return (
    <section class="video" aria-labelledby="video-title">
      <h2 id="video-title" class="sr">
        {t("detail.video")}
      </h2>
      {playable ? (
        <Watch
          key={src.value}
          id={detail.id}
          src={src.value}
          version={shown.version}
          duration={shown.durationMs ?? consultation.durationMs ?? 0}
          participants={consultation.participants}
          {...{ cursor, token, peaks, jump }}
        />
      ) : (
        <Screen>
          {newest && newest.state !== "ready" ? (
            <Making detail={detail} archive={newest} />
          ) : (
            <p>{whyNoVideo(consultation)}</p>
          )}
        </Screen>
      )}
      {playable && (shown.unverified?.length ?? 0) > 0 && (
        <p class="hint" data-testid="unverified-note">
          <Unverified checks={shown.unverified ?? []} /> {unverifiedText(shown.unverified ?? [])}
        </p>
      )}
      {playable && newest && newest.state !== "ready" && <Making detail={detail} archive={newest} />}
    </section>
  );
}

function Screen({ children }: { children: ComponentChildren }) {
  return <div class="no-video card">{children}</div>;
}

interface WatchProps extends Pick<VideoProps, "cursor" | "token" | "peaks" | "jump"> {
  id: string;
  src: string;
  version: number;
  duration: number;
  participants: readonly Participant[];
}

function Watch({ id, src, version, duration, participants, cursor, token, peaks, jump }: WatchProps) {
  const watching = useMemo(() => new Watching(receiptsOf(id, version, token), src), [id, version, src, token]);
  const chapters = useSignal<readonly Cue[]>([]);
  useEffect(() => {
    void watching.ask();
    read(fileBeside(src, "chapters.vtt"), (file) => {
      chapters.value = parseVTT(file);
    });
    const gone = () => void watching.close();
    window.addEventListener("pagehide", gone);
    return () => {
      window.removeEventListener("pagehide", gone);
      gone();
    };
  }, [watching, src, chapters]);
  const gate = watching.gate.value;
  const open = gate.state === "open" ? gate.src : "";
  useEffect(() => {
    peaks.value = [];
    if (!open) return;
    read(fileBeside(open, "peaks.json"), (file) => {
      const { max, peaks: all } = JSON.parse(file) as { max: number; peaks: number[] };
      peaks.value = all.map((peak) => peak / max);
    });
  }, [open, peaks]);
  if (gate.state !== "open") {
    return (
      <Screen>
        <Closed gate={gate} watching={watching} />
      </Screen>
    );
  }
  return (
    <Player
      src={gate.src}
      thumbnails={gate.thumbnails}
      chapters={chapters.value}
      overlay={gate.receipt ? <Overlay receipt={gate.receipt} token={token} /> : null}
      {...{ duration, participants, cursor, watching, jump }}
    />
  );
}

// What cannot be had leaves a page that works without it.
function read(url: string, use: (file: string) => void): void {
  fetch(url)
    .then((answer) => (answer.ok ? answer.text() : undefined))
    .then((file) => {
      if (file !== undefined) use(file);
    })
    .catch(() => {});
}

function Closed({ gate, watching }: { gate: Exclude<Gate, { state: "open" }>; watching: Watching }) {
  if (gate.state === "asking") return <p role="status">{t("app.loading")}</p>;
  if (gate.state === "none") return <p data-testid="no-media">{t("receipt.none")}</p>;
  if (gate.state === "failed") return <p role="alert">{gate.text}</p>;
  return <PurposeForm gate={gate} watching={watching} />;
}

function PurposeForm({ gate, watching }: { gate: Extract<Gate, { state: "purpose" }>; watching: Watching }) {
  const purpose = useSignal<Purpose | undefined>(undefined);
  const missing = useSignal(false);
  const submit = (event: Event) => {
    event.preventDefault();
    missing.value = purpose.value === undefined;
    if (purpose.value && !gate.sending) void watching.open(purpose.value);
  };
  return (
    <form class="purpose" data-testid="purpose" onSubmit={submit}>
      <fieldset aria-describedby="purpose-why">
        <legend>{t("receipt.title")}</legend>
        <p id="purpose-why" class="hint">
          {t("receipt.why")}
        </p>
        <div class="choices">
          {purposes.map((one) => (
            <label key={one}>
              <input
                type="radio"
                name="purpose"
                value={one}
                checked={purpose.value === one}
                onChange={() => {
                  purpose.value = one;
                  missing.value = false;
                }}
              />
              {t(`receipt.purpose.${one}`)}
            </label>
          ))}
        </div>
      </fieldset>
      {(missing.value || gate.problem) && (
        <p class="problem" role="alert">
          {gate.problem ?? t("receipt.missing")}
        </p>
      )}
      <button type="submit" class="primary" aria-disabled={gate.sending}>
        {t("receipt.open")}
      </button>
    </form>
  );
}

/** Who watches, by which receipt: a picture that is taken of the screen says it. */
function Overlay({ receipt, token }: { receipt: string; token: () => string }) {
  return (
    <div class="overlay" aria-hidden="true" data-testid="overlay">
      {[bearerOf(token()), receipt.slice(-12)].filter(Boolean).join(" · ")}
    </div>
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
        <ArchiveState archive={archive} />
      </div>
    );
  }
  return (
    <div class="problem" data-testid="failed" data-code={archive.code}>
      <p role="alert">
        <strong>{t("detail.video.failed")}</strong> {failureText(archive.code)}
      </p>
      <button type="button" onClick={() => void detail.order()} aria-disabled={reorder.state === "sending"}>
        {t("detail.retry")}
      </button>
      <p class="hint" role="status">
        {reorder.state === "ordered" && t("detail.retrying")}
        {reorder.state === "failed" && t("detail.retry.failed", { reason: reorder.text })}
      </p>
    </div>
  );
}
