// The page /consultations/{id}: the video, what was true when, and all that happened, with one cursor through all of it.

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { explain } from "../api/problem.ts";
import type { Consultation } from "../api/types.ts";
import { SignIn } from "../library/page.tsx";
import { language, t } from "../text/text.ts";
import { clock, isoDuration, moment } from "../text/time.ts";
import { Held } from "../ui/held.tsx";
import { Icon } from "../ui/icons.tsx";
import { NoticePage, Shell } from "../ui/shell.tsx";
import { Accesses } from "./accesses.tsx";
import { Actions } from "./actions.tsx";
import type { Axis } from "./axis.ts";
import { Cursor, fragmentOf, readFragment } from "./cursor.ts";
import type { Detail } from "./detail.ts";
import { type Entry, entriesOf, marksOf, type Shown, shownOf } from "./entries.ts";
import { EventList } from "./eventlist.tsx";
import { GraphsView } from "./graphs.tsx";
import { Holds } from "./holds.tsx";
import { type Lanes, lanesOf } from "./lanes.ts";
import { Moments } from "./moment.ts";
import { usePaper } from "./paper.tsx";
import { togglePlay } from "./player.tsx";
import { StatePanel } from "./statepanel.tsx";
import { LanesTable } from "./table.tsx";
import { TimelineView } from "./timelineview.tsx";
import { Versions } from "./versions.tsx";
import { Video } from "./video.tsx";

export interface ConsultationPageProps {
  detail: Detail;
  token: () => string;
  refused: string;
}

export function ConsultationPage({ detail, token, refused }: ConsultationPageProps) {
  useEffect(() => {
    detail.start();
    return () => detail.stop();
  }, [detail]);
  const consultation = detail.consultation.value;
  const problem = detail.problem.value;
  if (refused || problem?.status === 401) return <SignIn refused={refused} />;
  if (!consultation) return <Missing status={problem?.status} reason={problem ? explain(problem) : ""} />;
  return (
    <Shell title={consultation.title || t("list.untitled")} wide nav="consultation">
      <Head detail={detail} consultation={consultation} token={token} />
      {problem && <p class="problem">{t("list.stale")}</p>}
      <Replay detail={detail} consultation={consultation} token={token} />
    </Shell>
  );
}

function Missing({ status, reason }: { status: number | undefined; reason: string }) {
  const back = (
    <p>
      <a href="/consultations">{t("detail.back")}</a>
    </p>
  );
  if (status === 404 || status === 403) {
    return (
      <NoticePage title={t("detail.missing.title")} text={t("detail.missing.text")} testId="missing">
        {back}
      </NoticePage>
    );
  }
  if (reason) {
    return (
      <NoticePage title={t("detail.failed")} text={reason} testId="failed-page">
        {back}
      </NoticePage>
    );
  }
  return <Shell title={t("app.loading")}>{t("app.loading")}</Shell>;
}

function Head({ detail, consultation, token }: { detail: Detail; consultation: Consultation; token: () => string }) {
  const { title, state, startedAt, createdAt, durationMs, externalRef } = consultation;
  return (
    <header class="detail-head">
      <a class="back" href="/consultations" aria-label={t("detail.back")} title={t("detail.back")}>
        <Icon name="back" />
      </a>
      <h1>{title || t("list.untitled")}</h1>
      <p>
        <span class={`state ${state}`} data-testid="state" data-state={state}>
          {t(`state.${state}`)}
        </span>
        <time dateTime={startedAt ?? createdAt}>{moment(startedAt ?? createdAt, language.value)}</time>
        {durationMs !== undefined && <time dateTime={isoDuration(durationMs)}>{clock(durationMs)}</time>}
        {externalRef && <span>{externalRef}</span>}
        <Held item={consultation} />
      </p>
      <Actions detail={detail} token={token} />
    </header>
  );
}

function Replay({ detail, consultation, token }: { detail: Detail; consultation: Consultation; token: () => string }) {
  const cursor = useMemo(() => new Cursor(), []);
  const names = useNames(detail);
  const shown = useSignal<Shown>({ group: "", person: "", technical: false });
  const peaks = useSignal<readonly number[]>([]);
  const axis = useSignal<Axis | undefined>(undefined);
  const lanes = useLanes(detail, cursor);
  const all = useComputed(() =>
    entriesOf(detail.events.value ?? [], detail.timeline.value, detail.consultation.value?.participants ?? []),
  );
  const entries = useComputed(() => shownOf(all.value, shown.value));
  const marks = useComputed(() => marksOf(all.value));
  const moments = useComputed(() => new Moments(lanes.value));
  const select = (seq: number) => {
    const entry = all.peek().find(({ event }) => event.seq === seq);
    if (!entry) return;
    cursor.selected.value = seq;
    if (Number.isFinite(entry.at)) cursor.seek(entry.at);
    history.replaceState(null, "", fragmentOf({ event: seq, at: Math.max(0, entry.at) }));
  };
  const jump = (direction: 1 | -1) => {
    const next = neighbour(entries.peek(), cursor, direction);
    if (next) select(next.event.seq);
  };
  useFragment(cursor, all);
  usePaper(detail, all);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys count only while something in here has the focus
    <div class="replay" onKeyDown={(event) => shortcut(event, cursor, jump)}>
      <div class="stage">
        <Video {...{ detail, consultation, cursor, token, peaks, jump }} />
        <div class="beside">
          {lanes.value.participants.length > 0 && <StatePanel {...{ moments, cursor, names: names.value }} />}
          <EventList {...{ detail, entries, shown, cursor, select, names: names.value }} />
        </div>
      </div>
      {lanes.value.lanes.length > 0 && (
        <>
          <TimelineView {...{ lanes, marks, peaks, cursor, select, shared: axis, names: names.value }} />
          <GraphsView {...{ detail, cursor, axis, names: names.value }} />
          <LanesTable {...{ lanes, cursor, names: names.value }} />
        </>
      )}
      <Versions detail={detail} token={token} />
      <Holds detail={detail} token={token} />
      <Accesses detail={detail} />
      <Keys />
    </div>
  );
}

// Read again and again, but the same names are the same map.
function useNames(detail: Detail): ReadonlySignal<ReadonlyMap<string, string>> {
  const text = useComputed(() =>
    JSON.stringify((detail.consultation.value?.participants ?? []).map(({ id, name }) => [id, name])),
  );
  return useComputed(() => new Map(JSON.parse(text.value) as [string, string][]));
}

/** How often lanes grow while people talk. */
const GROW = 1_000;

// While a consultation goes on, what lasts grows to the present, and the cursor stays at its edge until somebody moves it.
function useLanes(detail: Detail, cursor: Cursor): ReadonlySignal<Lanes> {
  const now = useSignal(0);
  const live = detail.consultation.value?.state === "open";
  useEffect(() => {
    if (!live) return;
    cursor.follows.value = true;
    const tick = () => {
      now.value = detail.present();
    };
    tick();
    const timer = setInterval(tick, GROW);
    return () => {
      clearInterval(timer);
      now.value = 0;
      cursor.follows.value = false;
    };
  }, [live, detail, cursor, now]);
  const lanes = useComputed(() => {
    const grown = lanesOf(detail.events.value ?? [], detail.timeline.value, now.value);
    return now.value > 0 ? { ...grown, duration: Math.max(grown.duration, now.value) } : grown;
  });
  useSignalEffect(() => {
    cursor.limit(lanes.value.duration);
    if (cursor.follows.value && now.value > 0) cursor.now.value = lanes.value.duration - 1;
  });
  return lanes;
}

// "#e=91&t=428.2", when the page is opened by it and when such a link is followed in it.
function useFragment(cursor: Cursor, all: ReadonlySignal<Entry[]>): void {
  const asked = useSignal(readFragment(location.hash));
  useEffect(() => {
    const changed = () => {
      asked.value = readFragment(location.hash);
    };
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, [asked]);
  useSignalEffect(() => {
    const { event, at } = asked.value;
    if ((event === undefined && at === undefined) || all.value.length === 0) return;
    const entry = all.value.find((one) => one.event.seq === event);
    if (entry) cursor.selected.value = entry.event.seq;
    const to = at ?? entry?.at;
    if (to !== undefined) cursor.seek(to);
    asked.value = {};
  });
}

function neighbour(entries: readonly Entry[], cursor: Cursor, direction: 1 | -1): Entry | undefined {
  const picked = entries.findIndex(({ event }) => event.seq === cursor.selected.peek());
  const near = (at: number) => Math.abs(at - cursor.now.peek()) < 50;
  const entry = entries[picked];
  // From the picked event, as long as the cursor is still there; else from the cursor.
  if (entry && near(Math.max(0, entry.at))) return entries[picked + direction];
  if (direction > 0) return entries.find(({ at }) => at > cursor.now.peek());
  return entries.findLast(({ at }) => at < cursor.now.peek());
}

function shortcut(event: KeyboardEvent, cursor: Cursor, jump: (direction: 1 | -1) => void): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches("input:not([type=range]), select, textarea, summary")) return;
  const slider = target.matches(".plot, input[type=range]");
  const video = document.querySelector<HTMLVideoElement>("[data-testid=archive-video]");
  const far = event.shiftKey ? 10_000 : 1_000;
  const keys: Record<string, () => void> = {
    ArrowRight: () => cursor.seek(cursor.now.peek() + far),
    ArrowLeft: () => cursor.seek(cursor.now.peek() - far),
    ".": () => cursor.step(1),
    ",": () => cursor.step(-1),
    j: () => jump(1),
    k: () => jump(-1),
  };
  if (!target.matches("button, a, summary")) keys[" "] = () => void togglePlay(video);
  if (slider) {
    keys.Home = () => cursor.seek(0);
    keys.End = () => cursor.seek(Number.MAX_SAFE_INTEGER);
  }
  if (target.closest(".volume")) return;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function Keys() {
  const keys = ["space", "arrows", "frames", "events"] as const;
  return (
    <p class="keys hint">
      {keys.map((key) => (
        <span key={key}>
          <kbd>{t(`keys.${key}.key`)}</kbd> {t(`keys.${key}`)}
        </span>
      ))}
    </p>
  );
}
