// The page /consultations/{id}.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { explain } from "../api/problem.ts";
import type { Consultation, Participant } from "../api/types.ts";
import { SignIn } from "../library/page.tsx";
import { language, t, tMaybe } from "../text/text.ts";
import { clock, isoDuration, moment } from "../text/time.ts";
import { Icon } from "../ui/icons.tsx";
import { NoticePage, Shell } from "../ui/shell.tsx";
import type { Detail } from "./detail.ts";
import { EventList } from "./eventlist.tsx";
import { Video } from "./video.tsx";

export function ConsultationPage({ detail, refused }: { detail: Detail; refused: string }) {
  const now = useSignal(-1);
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    detail.start();
    return () => detail.stop();
  }, [detail]);
  const consultation = detail.consultation.value;
  const problem = detail.problem.value;
  if (refused || problem?.status === 401) return <SignIn refused={refused} />;
  if (!consultation) return <Missing status={problem?.status} reason={problem ? explain(problem) : ""} />;

  const playable = detail.shown.value?.state === "ready";
  if (playable && now.peek() < 0) now.value = 0;
  const seek = (ms: number) => {
    if (!video.current) return;
    video.current.currentTime = ms / 1000;
    now.value = ms;
  };
  return (
    <Shell title={consultation.title || t("list.untitled")} wide>
      <Back />
      <Head consultation={consultation} />
      {problem && <p class="problem">{t("list.stale")}</p>}
      <div class="detail">
        <div>
          <Video detail={detail} consultation={consultation} video={video} onTime={(ms) => (now.value = ms)} />
          <Participants consultation={consultation} />
        </div>
        <EventList detail={detail} consultation={consultation} now={now} seek={seek} />
      </div>
    </Shell>
  );
}

function Back() {
  return (
    <p class="back">
      <a href="/consultations">
        <Icon name="back" />
        {t("detail.back")}
      </a>
    </p>
  );
}

function Missing({ status, reason }: { status: number | undefined; reason: string }) {
  if (status === 404 || status === 403) {
    return (
      <NoticePage title={t("detail.missing.title")} text={t("detail.missing.text")} testId="missing">
        <Back />
      </NoticePage>
    );
  }
  if (reason) {
    return (
      <NoticePage title={t("detail.failed")} text={reason} testId="failed-page">
        <Back />
      </NoticePage>
    );
  }
  return <Shell title={t("app.loading")}>{t("app.loading")}</Shell>;
}

function Head({ consultation }: { consultation: Consultation }) {
  const { title, state, startedAt, createdAt, durationMs } = consultation;
  return (
    <header class="detail-head">
      <h1>{title || t("list.untitled")}</h1>
      <p>
        <span class={`state ${state}`} data-testid="state" data-state={state}>
          {t(`state.${state}`)}
        </span>
        <time dateTime={startedAt ?? createdAt}>{moment(startedAt ?? createdAt, language.value)}</time>
        {durationMs !== undefined && <time dateTime={isoDuration(durationMs)}>{clock(durationMs)}</time>}
      </p>
    </header>
  );
}

function Participants({ consultation }: { consultation: Consultation }) {
  return (
    <section class="participants card" aria-labelledby="participants-title">
      <h2 id="participants-title">{t("detail.participants")}</h2>
      <ul>
        {consultation.participants.map((participant) => (
          <li key={participant.id}>
            <strong>{participant.name}</strong>
            <span class="hint">{describe(participant, consultation)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function describe(participant: Participant, { recording, state }: Consultation): string {
  const words = [tMaybe(`role.${participant.role}`) ?? participant.role];
  if (participant.present) words.push(t("detail.present"));
  if (recording !== "forbidden" && participant.role !== "observer" && participant.role !== "device") {
    if (participant.consent) words.push(t(`detail.consent.${participant.consent}`));
    else if (state === "scheduled" || state === "open") words.push(t("detail.consent.none"));
  }
  return words.join(" · ");
}
