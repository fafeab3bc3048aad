// The page /live.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { explain } from "../api/problem.ts";
import type { Consultation } from "../api/types.ts";
import { closeWord } from "../consultation/words.ts";
import { SignIn } from "../library/page.tsx";
import { lasts, type StorageWatch } from "../library/storage.tsx";
import { enumerate, language, t, tCount } from "../text/text.ts";
import { clock, lasting, moment, percent, size } from "../text/time.ts";
import { ArchiveState } from "../ui/archive.tsx";
import { Shell } from "../ui/shell.tsx";
import { JUDGED, type Live } from "./live.ts";

export interface LivePageProps {
  live: Live;
  storage: StorageWatch;
  refused: string;
}

export function LivePage({ live, storage, refused }: LivePageProps) {
  useEffect(() => {
    live.start();
    storage.start();
    return () => {
      live.stop();
      storage.stop();
    };
  }, [live, storage]);
  const problem = live.problem.value;
  if (refused || problem?.status === 401) return <SignIn refused={refused} />;
  return (
    <Shell title={t("live.title")} wide nav="live">
      <h1>{t("live.title")}</h1>
      {problem && (
        <p class="problem" role="alert">
          {explain(problem)}
        </p>
      )}
      <div class="tiles">
        <Now live={live} />
        <Joining live={live} />
        <Making live={live} />
        <Disk storage={storage} />
      </div>
      <Rooms live={live} />
    </Shell>
  );
}

function Tile({ title, testId, children }: { title: string; testId: string; children: ComponentChildren }) {
  return (
    <section class="card tile" data-testid={testId}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Now({ live }: { live: Live }) {
  const open = live.open.value ?? [];
  const people = open.reduce((sum, one) => sum + (one.present ?? 0), 0);
  const paused = open.filter((one) => one.paused).length;
  return (
    <Tile title={t("live.now")} testId="live-now">
      <p class="figure">{open.length}</p>
      <p>{tCount("live.people", people)}</p>
      {paused > 0 && <p>{t("live.paused", { n: paused })}</p>}
    </Tile>
  );
}

function Joining({ live }: { live: Live }) {
  const { tried, connected, medianMs, ways, failures } = live.joins.value;
  return (
    <Tile title={t("live.joins")} testId="live-joins">
      <p class="figure">{tried === 0 ? "–" : `${connected} / ${tried}`}</p>
      {medianMs !== undefined && (
        <p>{t("live.median", { length: lasting(Math.max(100, medianMs), language.value) })}</p>
      )}
      {ways.length > 0 && (
        <p>{ways.map(({ way, n }) => `${way} ${percent(n / Math.max(1, connected), language.value)}`).join(" · ")}</p>
      )}
      {failures.length > 0 && (
        <ul class="failures">
          {failures.map(({ code, n, consultation }) => (
            <li key={code}>
              <a href={`/consultations/${consultation}`}>{closeWord(code)}</a> {n}
            </li>
          ))}
        </ul>
      )}
      <p class="hint">{t("live.judged", { n: JUDGED })}</p>
    </Tile>
  );
}

function Making({ live }: { live: Live }) {
  const waiting = live.making.value;
  return (
    <Tile title={t("live.making")} testId="live-making">
      <p class="figure">{waiting.length}</p>
      <ul>
        {waiting.slice(0, 4).map((one) => (
          <li key={one.id}>
            <a href={`/consultations/${one.id}`}>{one.title || t("list.untitled")}</a>
            {one.archive && <ArchiveState archive={one.archive} />}
          </li>
        ))}
      </ul>
    </Tile>
  );
}

function Disk({ storage }: { storage: StorageWatch }) {
  if (storage.refused.value) return null;
  const places = storage.storage.value?.places ?? [];
  return (
    <Tile title={t("live.disk")} testId="live-disk">
      {places.length === 0 && <p class="hint">{t("app.loading")}</p>}
      <ul>
        {places.map(({ name, freeBytes, totalBytes, level, daysLeft }) => (
          <li key={name} class={`place ${level}`}>
            <span>{t(`live.disk.${name as "data" | "blobs" | "database" | "log"}`)}</span>
            <meter
              min={0}
              max={1}
              low={0.1}
              value={totalBytes > 0 ? freeBytes / totalBytes : 0}
              aria-label={t("live.disk.free")}
            />
            <span>
              {t("storage.free", { free: size(freeBytes, language.value) })}
              {` ${lasts(daysLeft)}`}
            </span>
          </li>
        ))}
      </ul>
    </Tile>
  );
}

function Rooms({ live }: { live: Live }) {
  const open = live.open.value;
  return (
    <section class="card rooms" aria-labelledby="rooms-title">
      <h2 id="rooms-title">{t("live.rooms")}</h2>
      {open?.length === 0 && <p class="hint">{t("live.none")}</p>}
      <ul data-testid="rooms">
        {(open ?? []).map((one) => (
          <Room key={one.id} one={one} />
        ))}
      </ul>
    </section>
  );
}

function Room({ one }: { one: Consultation }) {
  const here = one.participants.filter((participant) => participant.present).map((participant) => participant.name);
  const since = one.startedAt ? Date.now() - Date.parse(one.startedAt) : undefined;
  return (
    <li data-testid="room" data-id={one.id}>
      <a href={`/consultations/${one.id}`}>{one.title || t("list.untitled")}</a>
      <span>{here.length > 0 ? enumerate(here) : t("live.empty")}</span>
      <span>{one.paused ? t("list.paused") : ""}</span>
      <time dateTime={one.startedAt ?? one.createdAt} title={moment(one.startedAt ?? one.createdAt, language.value)}>
        {since === undefined ? "–" : clock(since)}
      </time>
    </li>
  );
}
