// A list of any length of which only the rows on the screen are in the document. All rows have one height, so that the
// place of each is known without looking at the others.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

/** Rows from first up to but not including end. */
export interface Range {
  first: number;
  end: number;
}

/** The rows that a window of `height` pixels shows, `offset` pixels below the list's top, and `extra` around them. */
export function rangeOf(offset: number, height: number, row: number, count: number, extra: number): Range {
  const first = Math.max(0, Math.min(count, Math.floor(offset / row) - extra));
  const end = Math.max(first, Math.min(count, Math.ceil((offset + height) / row) + extra));
  return { first, end };
}

/** Where to scroll to, so that a row is seen whole; undefined when it is. */
export function scrollFor(index: number, row: number, offset: number, height: number): number | undefined {
  const top = index * row;
  if (top < offset) return top;
  if (top + row > offset + height) return top + row - height;
  return undefined;
}

export interface VirtualListProps {
  count: number;
  /** Of a row, in pixels. */
  row: number;
  /** Rows that are kept ready above and below the visible ones. */
  extra?: number;
  /** "window" scrolls with the page, "self" within the list's own frame. */
  scroll: "window" | "self";
  label: string;
  testId?: string;
  class?: string;
  /** Gets what scrolls the list from outside. */
  control?: RefObject<VirtualControl | null>;
  onRange?(range: Range): void;
  onKeyDown?(event: KeyboardEvent): void;
  /**
   * A row. Who uses `slot` as its key has the elements of a row that goes used again by one that comes, which costs half of
   * making new ones; the row's <li> must then say by data-key what it shows, so that the focus stays with that.
   */
  children(index: number, slot: number): ComponentChildren;
}

export interface VirtualControl {
  /** Brings a row into view; `gently` leaves the list alone where it is in somebody's hands. */
  reveal(index: number, gently?: boolean): void;
  /** How many whole rows are on the screen. */
  page(): number;
}

export function VirtualList(props: VirtualListProps) {
  const { count, row, extra = 8, scroll, label, testId, control, onRange, children } = props;
  const frame = useRef<HTMLDivElement>(null);
  const range = useSignal<Range>({ first: 0, end: Math.min(count, 30) });
  const told = useRef(onRange);
  told.current = onRange;
  useLayoutEffect(() => {
    const look = () => measure(frame.current, scroll, row, count, extra, range, (now) => told.current?.(now));
    look();
    const target = scroll === "window" ? window : frame.current;
    target?.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(look);
    if (frame.current) resized.observe(scroll === "window" ? document.documentElement : frame.current);
    return () => {
      target?.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [scroll, row, count, extra, range]);
  useEffect(() => {
    if (control) control.current = controlOf(frame, scroll, row);
  }, [control, scroll, row]);
  const { first, end } = range.value;
  const slots = useRef(0);
  slots.current = Math.max(slots.current, end - first);
  const rows: ComponentChildren[] = [];
  for (let index = first; index < Math.min(end, count); index++) rows.push(children(index, index % slots.current));
  const focused = useFocusOfWhatIsShown(frame);
  return (
    <div ref={frame} class={`virtual ${scroll} ${props.class ?? ""}`}>
      <ul
        aria-label={label}
        data-testid={testId}
        style={{ height: `${count * row}px` }}
        onFocusIn={focused}
        {...(props.onKeyDown ? { onKeyDown: props.onKeyDown } : {})}
      >
        {rows}
      </ul>
    </div>
  );
}

// A row that shows something else now must not keep the focus: Enter would open what nobody chose. The focus goes along to
// where that is shown, or goes, as it does with elements that are removed.
function useFocusOfWhatIsShown(frame: RefObject<HTMLDivElement | null>): (event: FocusEvent) => void {
  const shown = useRef<string | undefined>(undefined);
  useLayoutEffect(() => {
    const active = document.activeElement;
    if (!(active instanceof HTMLElement) || !frame.current?.contains(active)) return;
    const row = active.closest("li");
    const key = row?.dataset.key;
    if (key === undefined && shown.current === undefined) return;
    if (key === shown.current) return;
    const there = [...frame.current.querySelectorAll<HTMLElement>("li[data-key]")].find(
      (one) => one.dataset.key === shown.current,
    );
    const target = there?.querySelector<HTMLElement>("[data-index]");
    if (target) target.focus({ preventScroll: true });
    else active.blur();
  });
  return ({ target }) => {
    shown.current = target instanceof HTMLElement ? target.closest("li")?.dataset.key : undefined;
  };
}

/** What a row needs to stand in its place. */
export function rowStyle(index: number, row: number): { top: string; height: string } {
  return { top: `${index * row}px`, height: `${row}px` };
}

interface View {
  offset: number;
  height: number;
}

function viewOf(frame: HTMLDivElement, scroll: "window" | "self"): View {
  if (scroll === "self") return { offset: frame.scrollTop, height: frame.clientHeight };
  return { offset: -frame.getBoundingClientRect().top, height: window.innerHeight };
}

function measure(
  frame: HTMLDivElement | null,
  scroll: "window" | "self",
  row: number,
  count: number,
  extra: number,
  range: Signal<Range>,
  onRange: (range: Range) => void,
): void {
  if (!frame) return;
  const { offset, height } = viewOf(frame, scroll);
  const next = rangeOf(offset, height, row, count, extra);
  const now = range.peek();
  // The rows at hand reach further than the screen: they change when half of that is used up.
  const slack = Math.floor(extra / 2);
  const near = Math.abs(next.first - now.first) <= slack && Math.abs(next.end - now.end) <= slack && now.end <= count;
  const edge = (next.end === count && now.end !== count) || (next.first === 0 && now.first !== 0);
  if (near && !edge) return;
  range.value = next;
  onRange(next);
}

function controlOf(frame: RefObject<HTMLDivElement | null>, scroll: "window" | "self", row: number): VirtualControl {
  return {
    reveal(index, gently = false) {
      const element = frame.current;
      if (!element) return;
      if (gently && (element.matches(":hover") || element.contains(document.activeElement))) return;
      const { offset, height } = viewOf(element, scroll);
      // What is pinned to the top of the window lies over the list.
      const lid = scroll === "window" ? lidHeight() : 0;
      const to = scrollFor(index, row, offset + lid, height - lid);
      if (to === undefined) return;
      if (scroll === "self") element.scrollTop = gently ? index * row - height / 3 : to;
      else window.scrollBy(0, to - offset - lid);
    },
    page() {
      const element = frame.current;
      return element ? Math.max(1, Math.floor(viewOf(element, scroll).height / row) - 1) : 10;
    },
  };
}

function lidHeight(): number {
  const lid = document.querySelector<HTMLElement>("[data-lid]");
  return lid && getComputedStyle(lid).position === "sticky" ? lid.offsetHeight : 0;
}

/** A length in rem as pixels, as the reader's letters are now. */
export function rem(length: number): number {
  return length * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}
