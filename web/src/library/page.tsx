// The page /consultations.

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { explain } from "../api/problem.ts";
import { language, t, tCount } from "../text/text.ts";
import { NoticePage, Shell } from "../ui/shell.tsx";
import { rem, type VirtualControl, VirtualList } from "../ui/virtual.tsx";
import { FilterBar } from "./filterbar.tsx";
import { narrows, rememberedFilters, rememberFilters } from "./filters.ts";
import type { Library } from "./library.ts";
import { Row, type RowProps } from "./row.tsx";
import { StorageBanner, type StorageWatch } from "./storage.tsx";

export interface LibraryPageProps {
  library: Library;
  storage: StorageWatch;
  refused: string;
}

/** Heights of a row in rem, as library.css has them: a line on a wide screen, a card on a narrow one. */
const LINE = 3.25;
const CARD = 8.5;
const NARROW = "(max-width: 62rem)";

export function LibraryPage({ library, storage, refused }: LibraryPageProps) {
  useEffect(() => {
    library.start(rememberedFilters(location.search));
    return () => library.stop();
  }, [library]);
  useSignalEffect(() => rememberFilters(library.filters.value));
  const list = useRef<ListHandle>(null);
  const search = useRef<HTMLInputElement>(null);
  useSearchFirst(search);
  if (refused || library.problem.value?.status === 401) return <SignIn refused={refused} />;
  return (
    <Shell title={t("list.title")} wide nav="library">
      <StorageBanner watch={storage} />
      <div class="list-lid" data-lid>
        <div class="list-head">
          <h1>{t("list.title")}</h1>
          <p role="status" data-testid="count">
            {count(library)}
          </p>
        </div>
        <FilterBar library={library} search={search} into={() => list.current?.enter()} />
        <Columns />
      </div>
      <ListProblem library={library} />
      <List library={library} handle={list} search={search} />
    </Shell>
  );
}

function count(library: Library): string {
  library.revision.value;
  if (!library.loaded.value) return library.problem.value ? "" : t("app.loading");
  const query = library.filters.value.query.trim();
  if (library.length === 0) {
    if (!narrows(library.filters.value)) return t("list.empty");
    return query ? t("list.none", { query }) : t("list.none.filters");
  }
  const n = new Intl.NumberFormat(language.value).format(library.length);
  return library.complete ? tCount("list.count", library.length, { n }) : t("list.count.more", { n });
}

/** The names of the columns, for eyes: each row says them itself to who listens. */
function Columns() {
  const names = ["what", "when", "duration", "state", "kept", "consent", "problems"] as const;
  return (
    <div class="columns" aria-hidden="true">
      {names.map((name) => (
        <span key={name}>{t(`list.column.${name}`)}</span>
      ))}
    </div>
  );
}

function ListProblem({ library }: { library: Library }) {
  const problem = library.problem.value;
  if (!problem) return null;
  return (
    <div class="problem" role="alert">
      <p>{library.length > 0 ? t("list.stale") : `${t("list.failed")} ${explain(problem)}`}</p>
      <button type="button" onClick={() => library.retry()}>
        {t("list.retry")}
      </button>
    </div>
  );
}

interface ListHandle {
  /** Goes to the row that was looked at last. */
  enter(): void;
}

interface ListProps {
  library: Library;
  handle: { current: ListHandle | null };
  search: { current: HTMLInputElement | null };
}

function List({ library, handle, search }: ListProps) {
  const height = useRowHeight();
  const active = useSignal(0);
  const control = useRef<VirtualControl>(null);
  library.revision.value;
  const length = library.length;
  const go = (index: number) => {
    const to = Math.max(0, Math.min(length - 1, index));
    active.value = to;
    control.current?.reveal(to);
    focusWhenThere(to);
  };
  handle.current = { enter: () => go(active.peek()) };
  const keys = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = control.current?.page() ?? 10;
    const to = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    if (event.key === "/" || (event.key === "ArrowUp" && active.peek() === 0)) search.current?.focus();
    else if (to !== undefined) go(active.peek() + to);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(length - 1);
    else return;
    event.preventDefault();
  };
  const drawn = useDrawn((focused) => {
    active.value = focused;
  });
  if (length === 0) return null;
  return (
    <VirtualList
      count={length}
      row={height.value}
      extra={24}
      scroll="window"
      label={t("list.title")}
      testId="consultations"
      class={`consultations${library.complete ? "" : " more"}`}
      control={control}
      onRange={({ first, end }) => library.show(first, end)}
      onKeyDown={keys}
    >
      {(index, slot) =>
        drawn(slot, {
          item: library.at(index),
          index,
          height: height.value,
          all: library.complete ? length : -1,
          active: index === Math.min(active.value, length - 1),
        })
      }
    </VirtualList>
  );
}

// A row that shows what it showed is the same object, and is not looked at again: while somebody scrolls, most are.
function useDrawn(onFocus: (index: number) => void): (slot: number, row: Omit<RowProps, "onFocus">) => VNode {
  const focus = useRef(onFocus);
  focus.current = onFocus;
  const rows = useRef(new Map<number, { row: Omit<RowProps, "onFocus">; node: VNode }>());
  return (slot, row) => {
    const was = rows.current.get(slot);
    if (was && sameRow(was.row, row)) return was.node;
    const node = <Row key={slot} {...row} onFocus={(index) => focus.current(index)} />;
    rows.current.set(slot, { row, node });
    return node;
  };
}

function sameRow(a: Omit<RowProps, "onFocus">, b: Omit<RowProps, "onFocus">): boolean {
  return a.item === b.item && a.index === b.index && a.height === b.height && a.all === b.all && a.active === b.active;
}

// The row is drawn when the list has scrolled there, which takes a frame or two.
function focusWhenThere(index: number, tries = 6): void {
  const link = document.querySelector<HTMLElement>(`.consultations a[data-index="${index}"]`);
  if (link) link.focus({ preventScroll: true });
  else if (tries > 0) requestAnimationFrame(() => focusWhenThere(index, tries - 1));
}

function useRowHeight() {
  const narrow = useSignal(matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const changed = () => {
      narrow.value = query.matches;
    };
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [narrow]);
  return useComputed(() => Math.round(rem(narrow.value ? CARD : LINE)));
}

// Who has a keyboard begins to type: the page is for finding. On a phone the keyboard would hide the list.
function useSearchFirst(search: { current: HTMLInputElement | null }): void {
  useEffect(() => {
    const free = document.activeElement === document.body || document.activeElement === null;
    if (free && matchMedia("(pointer: fine)").matches) search.current?.focus({ preventScroll: true });
  }, [search]);
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
