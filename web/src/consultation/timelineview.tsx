// The lanes on the screen: names on the left, the picture on the right, and one line through all that says where the
// video is. Only the line moves while something is played or dragged; the picture is drawn anew when it changes.

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { t } from "../text/text.ts";
import { clock } from "../text/time.ts";
import { Icon } from "../ui/icons.tsx";
import { Axis } from "./axis.ts";
import type { Cursor } from "./cursor.ts";
import { type Mark, Painter } from "./draw.ts";
import type { LaneKind, Lanes } from "./lanes.ts";
import { HEAD, LANE, rowsOf, type TimelineRow } from "./rows.ts";
import { type Span, spanAt } from "./spans.ts";
import { laneName, spanWord } from "./words.ts";

export interface TimelineViewProps {
  lanes: ReadonlySignal<Lanes>;
  marks: ReadonlySignal<Mark[]>;
  names: ReadonlyMap<string, string>;
  peaks: ReadonlySignal<readonly number[]>;
  cursor: Cursor;
  /** Gets which pixel is which moment, for what stands below. */
  shared: { value: Axis | undefined };
  select(seq: number): void;
}

/** The stretch that is looked at, in milliseconds. */
interface Window {
  from: number;
  to: number;
}

/** From this many participants on, they are folded at first. */
const MANY = 5;
/** As close as one can look, in milliseconds. */
const CLOSEST = 2_000;

export function TimelineView({ lanes, marks, names, peaks, cursor, shared, select }: TimelineViewProps) {
  const folded = useSignal<ReadonlySet<string>>(
    new Set(lanes.peek().participants.length >= MANY ? lanes.peek().participants : []),
  );
  const looked = useSignal<Window | undefined>(undefined); // undefined: all of it
  const width = useSignal(800);
  const plot = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const layout = useComputed(() => rowsOf(lanes.value, folded.value));
  const axis = useComputed(() => {
    const { duration } = lanes.value;
    const outside = marks.value.map(({ at }) => at).sort((a, b) => a - b);
    const { from, to } = looked.value ?? { from: 0, to: Math.max(duration, 1) };
    return new Axis({
      width: width.value,
      duration,
      from,
      to,
      before: outside.filter((at) => at < 0),
      after: outside.filter((at) => at > duration),
    });
  });
  useSignalEffect(() => {
    shared.value = axis.value;
  });
  useWidth(plot, width);
  usePicture(canvas, { axis, layout, marks, peaks, cursor });
  const line = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    const x = axis.value.x(cursor.now.value);
    if (line.current) line.current.style.transform = `translateX(${x.toFixed(1)}px)`;
    if (line.current) line.current.hidden = x < -1 || x > width.value + 1;
  });
  useSignalEffect(() => tell(plot.current, cursor.seconds.value, lanes.value.duration));
  useFollowing(axis, looked, cursor);
  const pointer = usePointer({ axis, layout, marks, cursor, select, plot });
  const zoom = (factor: number) => {
    looked.value = zoomed(looked.peek(), lanes.peek().duration, cursor.now.peek(), factor);
  };
  useWheel(plot, axis, looked, lanes);
  return (
    <section class="timeline card" aria-labelledby="timeline-title" data-testid="timeline">
      <div class="timeline-head">
        <h2 id="timeline-title">{t("lanes.title")}</h2>
        <Legend />
        <div class="zoom">
          <button type="button" class="small" onClick={() => zoom(2)} aria-label={t("lanes.zoom.in")}>
            +
          </button>
          <button type="button" class="small" onClick={() => zoom(0.5)} aria-label={t("lanes.zoom.out")}>
            −
          </button>
          <button
            type="button"
            class="small"
            aria-disabled={looked.value === undefined}
            onClick={() => {
              looked.value = undefined;
            }}
          >
            {t("lanes.zoom.all")}
          </button>
        </div>
      </div>
      <div class="lanes">
        <Names rows={layout.value.rows} height={layout.value.height} names={names} folded={folded} />
        <div
          ref={plot}
          class="plot"
          role="slider"
          tabIndex={0}
          aria-label={t("lanes.cursor")}
          aria-valuemin={0}
          aria-valuenow={0}
          style={{ height: `${layout.value.height}px` }}
          {...pointer.handlers}
        >
          <canvas ref={canvas} style={{ width: `${width.value}px`, height: `${layout.value.height}px` }} />
          <div ref={line} class="cursor" />
          <Hover hover={pointer.hover} width={width} />
        </div>
      </div>
    </section>
  );
}

function Legend() {
  return (
    <p class="legend" aria-hidden="true">
      <span class="key full" /> {t("lanes.legend.on")}
      <span class="key hollow" /> {t("lanes.legend.off")}
      <span class="key hatched" /> {t("lanes.legend.gap")}
    </p>
  );
}

interface NamesProps {
  rows: TimelineRow[];
  height: number;
  names: ReadonlyMap<string, string>;
  folded: { value: ReadonlySet<string> };
}

function Names({ rows, height, names, folded }: NamesProps) {
  const fold = (participant: string) => {
    const next = new Set(folded.value);
    if (!next.delete(participant)) next.add(participant);
    folded.value = next;
  };
  return (
    <div class="names" style={{ height: `${height}px` }}>
      {rows.map((row) => {
        if (row.kind === "lane") {
          const { kind, participant, media } = row.lane;
          return (
            <span key={`${participant}/${kind}/${media}`} class="lane-name" style={at(row.top, LANE)}>
              {laneName(kind, media)}
            </span>
          );
        }
        return (
          <button
            key={row.participant}
            type="button"
            class="lane-head"
            style={at(row.top, HEAD)}
            aria-expanded={row.open}
            onClick={() => fold(row.participant)}
          >
            <Icon name="chevron" />
            <span>
              {row.participant === "" ? t("lanes.server") : (names.get(row.participant) ?? t("event.somebody"))}
            </span>
          </button>
        );
      })}
    </div>
  );
}

// For who listens. Written by hand, because it changes with every movement and nothing else here does.
function tell(plot: HTMLElement | null, seconds: number, duration: number): void {
  plot?.setAttribute("aria-valuemax", String(Math.round(duration / 1000)));
  plot?.setAttribute("aria-valuenow", String(seconds));
  plot?.setAttribute("aria-valuetext", clock(seconds * 1000));
}

function at(top: number, height: number) {
  return { top: `${top}px`, height: `${height}px` };
}

function useWidth(plot: RefObject<HTMLDivElement | null>, width: { value: number }): void {
  useLayoutEffect(() => {
    const element = plot.current;
    if (!element) return;
    const resized = new ResizeObserver(() => {
      width.value = Math.max(120, element.clientWidth);
    });
    resized.observe(element);
    width.value = Math.max(120, element.clientWidth);
    return () => resized.disconnect();
  }, [plot, width]);
}

interface PictureOf {
  axis: ReadonlySignal<Axis>;
  layout: ReadonlySignal<{ rows: TimelineRow[]; height: number }>;
  marks: ReadonlySignal<Mark[]>;
  peaks: ReadonlySignal<readonly number[]>;
  cursor: Cursor;
}

function usePicture(
  canvas: RefObject<HTMLCanvasElement | null>,
  { axis, layout, marks, peaks, cursor }: PictureOf,
): void {
  const scheme = useSignal(0);
  const painter = useMemo(() => ({ current: undefined as Painter | undefined }), []);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => {
      painter.current?.forgetColours();
      scheme.value++;
    };
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, [painter, scheme]);
  const pending = useRef(0);
  useSignalEffect(() => {
    scheme.value;
    const scene = {
      axis: axis.value,
      rows: layout.value.rows,
      height: layout.value.height,
      marks: marks.value,
      selected: cursor.selected.value,
      peaks: peaks.value,
      word: spanWord,
      tick: clock,
    };
    cancelAnimationFrame(pending.current);
    pending.current = requestAnimationFrame(() => {
      if (!canvas.current) return;
      painter.current ??= new Painter(canvas.current);
      painter.current.draw(scene);
    });
  });
}

// Looked at closely, the picture goes along with what is played.
function useFollowing(
  axis: ReadonlySignal<Axis>,
  looked: { value: Window | undefined; peek(): Window | undefined },
  cursor: Cursor,
): void {
  useSignalEffect(() => {
    const now = cursor.now.value;
    const window = looked.peek();
    if (!window || !cursor.playing.value || (now >= window.from && now <= window.to)) return;
    const length = window.to - window.from;
    const { duration } = axis.peek().options;
    const from = Math.max(0, Math.min(duration - length, now - length / 10));
    looked.value = { from, to: from + length };
  });
}

/** Twice as close (factor 2) or half as close to a moment, which stays where it is. */
export function zoomed(window: Window | undefined, duration: number, at: number, factor: number): Window | undefined {
  const { from, to } = window ?? { from: 0, to: duration };
  const length = Math.max(Math.min(CLOSEST, duration), (to - from) / factor);
  if (length >= duration) return undefined;
  const share = Math.min(1, Math.max(0, (at - from) / (to - from)));
  const begin = Math.max(0, Math.min(duration - length, at - share * length));
  return { from: begin, to: begin + length };
}

function useWheel(
  plot: RefObject<HTMLDivElement | null>,
  axis: ReadonlySignal<Axis>,
  looked: { value: Window | undefined; peek(): Window | undefined },
  lanes: ReadonlySignal<Lanes>,
): void {
  useEffect(() => {
    const element = plot.current;
    const turned = (event: WheelEvent) => {
      const { duration } = lanes.peek();
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        const at = axis.peek().ms(event.offsetX);
        looked.value = zoomed(looked.peek(), duration, at, 2 ** (-event.deltaY / 200));
        return;
      }
      const window = looked.peek();
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (!window || sideways === 0) return;
      event.preventDefault();
      const length = window.to - window.from;
      const from = Math.max(0, Math.min(duration - length, window.from + sideways / axis.peek().scale));
      looked.value = { from, to: from + length };
    };
    element?.addEventListener("wheel", turned, { passive: false });
    return () => element?.removeEventListener("wheel", turned);
  }, [plot, axis, looked, lanes]);
}

interface HoverAt {
  x: number;
  y: number;
  text: string;
  time: string;
}

interface PointerOf {
  axis: ReadonlySignal<Axis>;
  layout: ReadonlySignal<{ rows: TimelineRow[]; height: number }>;
  marks: ReadonlySignal<Mark[]>;
  cursor: Cursor;
  select(seq: number): void;
  plot: RefObject<HTMLDivElement | null>;
}

function usePointer({ axis, layout, marks, cursor, select, plot }: PointerOf) {
  const hover = useSignal<HoverAt | undefined>(undefined);
  // Measured once a drag: to measure while the page changes makes the browser lay it out twice a frame.
  const box = useRef<DOMRect | undefined>(undefined);
  const place = (event: PointerEvent) => {
    const dragged = plot.current?.hasPointerCapture(event.pointerId);
    if (!dragged || !box.current) box.current = plot.current?.getBoundingClientRect();
    const { left, top } = box.current ?? { left: 0, top: 0 };
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    box.current = undefined;
    const { x, y } = place(event);
    plot.current?.setPointerCapture(event.pointerId);
    const row = rowAt(layout.peek().rows, y);
    const mark = row?.kind === "head" ? nearest(marks.peek(), axis.peek(), row.participant, x) : undefined;
    if (mark) select(mark.seq);
    else cursor.seek(axis.peek().ms(x));
  };
  const move = (event: PointerEvent) => {
    const { x, y } = place(event);
    if (plot.current?.hasPointerCapture(event.pointerId)) {
      hover.value = undefined;
      cursor.seek(axis.peek().ms(x));
      return;
    }
    hover.value = hoverAt(axis.peek(), layout.peek().rows, x, y);
  };
  const handlers = {
    onPointerDown: down,
    onPointerMove: move,
    onPointerLeave: () => {
      hover.value = undefined;
    },
  };
  return { hover, handlers };
}

function rowAt(rows: readonly TimelineRow[], y: number): TimelineRow | undefined {
  return rows.find((row) => y >= row.top && y < row.top + (row.kind === "head" ? HEAD : LANE));
}

function nearest(marks: readonly Mark[], axis: Axis, participant: string, x: number): Mark | undefined {
  let best: Mark | undefined;
  let distance = 6;
  for (const mark of marks) {
    if (mark.participant !== participant) continue;
    const away = Math.abs(axis.x(mark.at) - x);
    // Of two at the same place the one that a person would look for.
    if (away < distance || (away === distance && best?.tone === "technical")) {
      best = mark;
      distance = away;
    }
  }
  return best;
}

function hoverAt(axis: Axis, rows: readonly TimelineRow[], x: number, y: number): HoverAt {
  const ms = axis.ms(x);
  const row = rowAt(rows, y);
  const time = clock(ms);
  if (row?.kind !== "lane") return { x, y, text: "", time };
  const span = x >= axis.left && x <= axis.right ? spanAt(row.lane.spans, ms) : outside(row.lane.spans, axis, x);
  return { x, y, text: span ? wordOf(row.lane.kind, span) : "", time: x > axis.right || x < axis.left ? "" : time };
}

function outside(spans: readonly Span[], axis: Axis, x: number): Span | undefined {
  return spans.find((span) => axis.x(span.from) <= x && axis.x(span.to) >= x);
}

function wordOf(kind: LaneKind, span: Span): string {
  return [laneName(kind, ""), spanWord(kind, span)].filter(Boolean).join(": ");
}

function Hover({ hover, width }: { hover: ReadonlySignal<HoverAt | undefined>; width: ReadonlySignal<number> }) {
  const at = hover.value;
  if (!at) return null;
  const left = at.x > width.value - 220;
  return (
    <div
      class="hover"
      aria-hidden="true"
      style={{
        top: `${at.y + 14}px`,
        ...(left ? { right: `${width.value - at.x + 10}px` } : { left: `${at.x + 12}px` }),
      }}
    >
      {at.time && <b>{at.time}</b>} {at.text}
    </div>
  );
}
