// The page /consultations.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { explain } from "../api/problem.ts";
import type { Consultation } from "../api/types.ts";
import { enumerate, language, t, tCount } from "../text/text.ts";
import { clock, isoDuration, moment } from "../text/time.ts";
import { ArchiveState } from "../ui/archive.tsx";
import { Icon } from "../ui/icons.tsx";
import { NoticePage, Shell } from "../ui/shell.tsx";
import type { Library } from "./library.ts";
import { StorageBanner, type StorageWatch } from "./storage.tsx";

export interface LibraryPageProps {
  library: Library;
  storage: StorageWatch;
  refused: string;
}

export function LibraryPage({ library, storage, refused }: LibraryPageProps) {
  useEffect(() => {
    library.start();
    return () => library.stop();
  }, [library]);
  if (refused || library.problem.value?.status === 401) return <SignIn refused={refused} />;
  const items = library.items.value;
  return (
    <Shell title={t("list.title")} wide>
      <StorageBanner watch={storage} />
      <div class="list-head">
        <h1>{t("list.title")}</h1>
        <label class="search">
          <Icon name="search" />
          <span class="sr">{t("list.search")}</span>
          <input
            type="search"
            placeholder={t("list.search.hint")}
            value={library.query.value}
            onInput={(event) => library.search(event.currentTarget.value)}
          />
        </label>
      </div>
      <p class="hint" role="status" data-testid="count">
        {items ? count(library, items) : t("app.loading")}
      </p>
      <ListProblem library={library} />
      {items && items.length > 0 && (
        <ul class="consultations" data-testid="consultations">
          {items.map((item) => (
            <Row key={item.id} item={item} />
          ))}
        </ul>
      )}
      {library.more.value && (
        <div class="actions">
          <button type="button" onClick={() => library.showMore()} aria-disabled={library.busy.value}>
            {t("list.more")}
          </button>
        </div>
      )}
    </Shell>
  );
}

function count(library: Library, items: Consultation[]): string {
  const query = library.query.value.trim();
  if (items.length === 0) return query ? t("list.none", { query }) : t("list.empty");
  return library.more.value ? t("list.count.more", { n: items.length }) : tCount("list.count", items.length);
}

function ListProblem({ library }: { library: Library }) {
  const problem = library.problem.value;
  if (!problem) return null;
  return (
    <div class="problem" role="alert">
      <p>{library.items.value ? t("list.stale") : `${t("list.failed")} ${explain(problem)}`}</p>
      <button type="button" onClick={() => library.retry()}>
        {t("list.retry")}
      </button>
    </div>
  );
}

function Row({ item }: { item: Consultation }) {
  const when = moment(item.startedAt ?? item.createdAt, language.value);
  return (
    <li class="row card" data-testid="consultation" data-id={item.id} data-state={item.state}>
      <div class="row-what">
        <a href={`/consultations/${item.id}`}>{item.title || t("list.untitled")}</a>
        <span class="hint">
          {tCount("list.participants", item.participants.length)}
          {item.participants.length > 0 && `: ${enumerate(item.participants.map((participant) => participant.name))}`}
        </span>
      </div>
      <Cell name={t("list.column.when")}>
        <time dateTime={item.startedAt ?? item.createdAt}>{when}</time>
      </Cell>
      <Cell name={t("list.column.duration")}>
        {item.durationMs === undefined ? (
          "–"
        ) : (
          <time dateTime={isoDuration(item.durationMs)}>{clock(item.durationMs)}</time>
        )}
      </Cell>
      <Cell name={t("list.column.state")}>
        <span class={`state ${item.state}`}>{t(`state.${item.state}`)}</span>
      </Cell>
      <Cell name={t("list.column.video")}>
        <Video item={item} />
      </Cell>
    </li>
  );
}

function Video({ item }: { item: Consultation }) {
  if (item.archive) return <ArchiveState archive={item.archive} />;
  if (item.state === "ended" && item.awaitedSegments)
    return <span>{tCount("archive.awaited", item.awaitedSegments)}</span>;
  return <span class="hint">{t("archive.none")}</span>;
}

function Cell({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="cell">
      <span class="cell-name">{name}</span>
      {children}
    </div>
  );
}

export function SignIn({ refused }: { refused: string }) {
  return (
    <NoticePage title={t("signin.title")} testId="signin">
      {refused && <p class="problem">{t("signin.failed", { reason: refused })}</p>}
      <p>{t("signin.text")}</p>
      <p>
        {t("signin.admin")} <code>{t("signin.command")}</code>
      </p>
      {!refused && <p class="hint">{t("signin.used")}</p>}
    </NoticePage>
  );
}
