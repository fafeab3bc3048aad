// The numbers of the network below the lanes, on the same axis and with the same cursor. They are read, and what draws them is
// loaded, when somebody gets there.

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { getQuality } from "../api/generated.ts";
import { language, t } from "../text/text.ts";
import { decimal } from "../text/time.ts";
import type { Axis } from "./axis.ts";
import { useCalm } from "./calm.ts";
import type { Cursor } from "./cursor.ts";
import type { Detail } from "./detail.ts";
import { Placing } from "./placing.ts";
import type { Pen, Plot, View } from "./plot.ts";
import { type Curve, type Graph, type Graphs, graphsOf, parseSamples, sampleAt } from "./samples.ts";

export interface GraphsViewProps {
  detail: Detail;
  cursor: Cursor;
  /** Of the lanes above. */
  axis: ReadonlySignal<Axis | undefined>;
  names: ReadonlyMap<string, string>;
}

/** Of a graph in pixels, with room for the name and the number of each curve beside it. */
const heightOf = ({ curves }: Graph) => Math.max(56, 21 + 16 * curves.length);

/** Dashes tell the curves apart where colours do not. */
const DASHES: number[][] = [[], [6, 3], [2, 2], [8, 3, 2, 3]];

export function GraphsView({ detail, cursor, axis, names }: GraphsViewProps) {
  const section = useRef<HTMLElement>(null);
  const graphs = useGraphs(section, detail);
  const known = graphs.value;
  const state = detail.consultation.value?.state;
  if (state !== "completed" && state !== "archived") return null;
  return (
    <section ref={section} class="timeline graphs card" aria-labelledby="graphs-title" data-testid="graphs">
      <h2 id="graphs-title">{t("graphs.title")}</h2>
      {known === "reading" && <p class="hint">{t("app.loading")}</p>}
      {known === "none" && <p class="hint">{t("graphs.none")}</p>}
      {typeof known === "object" && <Drawn {...{ known, cursor, axis, names }} />}
    </section>
  );
}

// Read when the place comes into sight.
function useGraphs(section: RefObject<HTMLElement | null>, detail: Detail) {
  const graphs = useSignal<Graphs | "reading" | "none">("reading");
  const samples = useSignal<ReturnType<typeof parseSamples> | undefined>(undefined);
  const there = detail.consultation.value?.state;
  useEffect(() => {
    const element = section.current;
    if (!element) return;
    const abort = new AbortController();
    const seen = new IntersectionObserver(
      (entries) => {
        // A busy page is told of several moments at once.
        if (!entries.some((entry) => entry.isIntersecting)) return;
        seen.disconnect();
        getQuality(detail.id, { signal: abort.signal })
          .then((answer) => answer.text())
          .catch(() => "")
          .then((file) => {
            if (!abort.signal.aborted) samples.value = parseSamples(file);
          });
      },
      { rootMargin: "200px" },
    );
    seen.observe(element);
    return () => {
      seen.disconnect();
      abort.abort();
    };
  }, [section, detail, samples, there]);
  useSignalEffect(() => {
    if (!samples.value) return;
    const placing = new Placing(detail.timeline.value);
    graphs.value = samples.value.length > 0 ? graphsOf(samples.value, (time) => placing.moment(time)) : "none";
  });
  return graphs;
}

interface DrawnProps extends Pick<GraphsViewProps, "cursor" | "axis" | "names"> {
  known: Graphs;
}

function Drawn({ known, cursor, axis, names }: DrawnProps) {
  const line = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    const x = axis.value?.x(cursor.now.value) ?? -2;
    if (!line.current) return;
    line.current.style.transform = `translateX(${x.toFixed(1)}px)`;
    line.current.hidden = x < -1 || x > (axis.value?.options.width ?? 0) + 1;
  });
  const at = useCalm(useComputed(() => sampleAt(known.times, cursor.now.value)));
  const seek = (event: PointerEvent & { currentTarget: HTMLElement }) => {
    const { left } = event.currentTarget.getBoundingClientRect();
    if (axis.value) cursor.seek(axis.value.ms(event.clientX - left));
  };
  return (
    <div class="lanes">
      <div class="graph-names">
        {known.graphs.map((graph) => (
          <Numbers key={graph.kind} graph={graph} index={at.value} names={names} />
        ))}
      </div>
      <div
        class="plot"
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          seek(event);
        }}
        onPointerMove={(event) => {
          if (event.currentTarget.hasPointerCapture(event.pointerId)) seek(event);
        }}
      >
        {known.graphs.map((graph) => (
          <Picture key={graph.kind} graph={graph} times={known.times} axis={axis} />
        ))}
        <div ref={line} class="cursor" />
      </div>
    </div>
  );
}

/** The same in numbers: at the cursor, and from the least to the most. */
function Numbers({ graph, index, names }: { graph: Graph; index: number; names: ReadonlyMap<string, string> }) {
  const number = (value: number) => decimal(value, language.value);
  const whole = ({ range }: Curve) => (range ? `${number(range.least)}–${number(range.most)}` : "–");
  return (
    <div class="graph-name" style={{ height: `${heightOf(graph)}px` }} data-testid="graph" data-kind={graph.kind}>
      <b>{t(`graphs.${graph.kind}`)}</b>
      <ul>
        {graph.curves.map((curve, pen) => (
          <li key={curve.participant} title={`${names.get(curve.participant) ?? ""}: ${whole(curve)}`}>
            <svg class={`pen p${pen % 4}`} viewBox="0 0 18 4" aria-hidden="true">
              <path d="M0 2h18" stroke-dasharray={DASHES[pen % DASHES.length]?.join(" ")} />
            </svg>
            <span class="graph-who">{names.get(curve.participant) ?? t("event.somebody")}</span>
            <span class="graph-value">{valueAt(curve, index, number)}</span>
            <span class="sr">{whole(curve)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function valueAt({ values }: Curve, index: number, number: (value: number) => string): string {
  const value = values[index];
  return typeof value === "number" ? number(value) : "–";
}

interface PictureProps {
  graph: Graph;
  times: readonly number[];
  axis: ReadonlySignal<Axis | undefined>;
}

function Picture({ graph, times, axis }: PictureProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  const dark = useDark();
  const scheme = dark.value;
  useEffect(() => {
    let gone = false;
    void import("./plot.ts").then(({ Plot }) => {
      const view = viewOf(axis.peek(), graph);
      if (gone || !place.current || !view) return;
      plot.current = new Plot(place.current, times, graph, view, pensOf(place.current));
      const now = viewOf(axis.peek(), graph);
      if (now) plot.current.look(now);
    });
    return () => {
      gone = true;
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [graph, times, axis, scheme]);
  useSignalEffect(() => {
    const view = viewOf(axis.value, graph);
    if (!view || !place.current) return;
    place.current.style.marginInlineStart = `${axis.value?.left ?? 0}px`;
    plot.current?.look(view);
  });
  return (
    <div class="graph" style={{ height: `${heightOf(graph)}px` }} aria-hidden="true">
      <span class="graph-top">{decimal(graph.top, language.value)}</span>
      <div ref={place} />
    </div>
  );
}

function viewOf(axis: Axis | undefined, graph: Graph): View | undefined {
  if (!axis) return undefined;
  const { from, to } = axis.options;
  return { width: Math.max(20, Math.floor(axis.right - axis.left)), height: heightOf(graph) - 2, from, to };
}

function pensOf(element: Element): Pen[] {
  const style = getComputedStyle(element);
  return DASHES.map((dash, index) => ({ colour: style.getPropertyValue(`--pen-${index}`).trim(), dash }));
}

function useDark(): ReadonlySignal<boolean> {
  const dark = useSignal(matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => {
      dark.value = query.matches;
    };
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [dark]);
  return dark;
}
