// Draws lanes on a canvas. It knows colours and pixels; what is true when, it is told.

import type { Axis } from "./axis.ts";
import type { LaneKind } from "./lanes.ts";
import { HEAD, LANE, SCALE, type TimelineRow } from "./rows.ts";
import type { Span } from "./spans.ts";

/** An event as a mark in its participant's head row. */
export interface Mark {
  seq: number;
  at: number;
  participant: string;
  tone: "plain" | "technical" | "bad";
}

export interface Scene {
  axis: Axis;
  rows: readonly TimelineRow[];
  height: number;
  marks: readonly Mark[];
  selected: number | undefined;
  /** The sound as a curve, tenths of seconds, 0 to 1. */
  peaks: readonly number[];
  /** The word of a span, for those that are wide enough. */
  word(kind: LaneKind, span: Span): string;
  /** The name of a moment on the scale. */
  tick(ms: number): string;
}

/** Colours by name, as consultation.css has them under --lane-NAME. */
const NAMES = [
  "ink",
  "soft",
  "line",
  "grid",
  "strip",
  "accent",
  "calm",
  "good",
  "fair",
  "bad",
  "media",
  "on",
  "paper",
] as const;
type Colours = Record<(typeof NAMES)[number], string>;

export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--lane-${name}`).trim()])) as Colours;
}

type Look = { fill: keyof Colours; how: "full" | "hatched" | "hollow" | "thin" };

const GAP: Look = { fill: "bad", how: "hatched" };

/** Colour never says it alone: what is missing is hatched, what is switched off is hollow, what is usual is thin. */
const looks: Partial<Record<LaneKind, Record<string, Look>>> = {
  present: { present: { fill: "calm", how: "full" } },
  consent: { given: { fill: "good", how: "thin" }, refused: GAP, withdrawn: GAP },
  network: {
    connected: { fill: "good", how: "thin" },
    connecting: { fill: "fair", how: "full" },
    disconnected: GAP,
    failed: { fill: "bad", how: "full" },
  },
  quality: {
    good: { fill: "good", how: "thin" },
    fair: { fill: "fair", how: "full" },
    poor: { fill: "bad", how: "full" },
    lost: GAP,
  },
  recorded: {
    recorded: { fill: "accent", how: "full" },
    muted: { fill: "soft", how: "hollow" },
    camera_off: { fill: "soft", how: "hollow" },
    paused: { fill: "fair", how: "hatched" },
  },
  hosting: { hosting: { fill: "calm", how: "thin" } },
  recording: { on: { fill: "accent", how: "thin" }, paused: { fill: "fair", how: "hatched" } },
  hold: { held: { fill: "calm", how: "full" } },
  stitcher: {
    queued: { fill: "soft", how: "hollow" },
    rendering: { fill: "media", how: "full" },
    failed: { fill: "bad", how: "full" },
  },
};

const media: Record<string, Look> = {
  on: { fill: "media", how: "full" },
  muted: { fill: "soft", how: "hollow" },
  stalled: GAP,
};

export function lookOf(kind: LaneKind, value: string): Look {
  const own =
    kind === "microphone" || kind === "camera" || kind === "screen" || kind === "device" ? media : looks[kind];
  return own?.[value] ?? GAP;
}

export class Painter {
  readonly #canvas: HTMLCanvasElement;
  #hatches = new Map<string, CanvasPattern>();
  #colours: Colours | undefined;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** Colours are read anew with the next drawing: the scheme has changed. */
  forgetColours(): void {
    this.#colours = undefined;
    this.#hatches.clear();
  }

  draw(scene: Scene): void {
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    if (!context) return;
    this.#colours ??= coloursOf(canvas);
    const { width } = scene.axis.options;
    const dense = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(width * dense), Math.round(scene.height * dense)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, scene.height);
    this.#ground(context, scene, this.#colours);
    for (const row of scene.rows) {
      if (row.kind === "lane") this.#lane(context, scene, row.lane.kind, row.lane.spans, row.top, this.#colours);
      else this.#marks(context, scene, row.participant, row.top, this.#colours);
    }
  }

  #ground(context: CanvasRenderingContext2D, scene: Scene, colours: Colours): void {
    const { axis, height } = scene;
    const { width, from, to, duration } = axis.options;
    context.fillStyle = colours.strip;
    if (axis.left > 0) context.fillRect(0, 0, axis.left, height);
    if (axis.right < width) context.fillRect(axis.right, 0, width - axis.right, height);
    this.#curve(context, scene, colours);
    const step = axis.step();
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let ms = Math.ceil(from / step) * step; ms <= Math.min(to, duration); ms += step) {
      const x = Math.round(axis.x(ms)) + 0.5;
      context.fillStyle = colours.grid;
      context.fillRect(x, SCALE, 1, height - SCALE);
      const name = scene.tick(ms);
      if (x + context.measureText(name).width + 6 > axis.right) continue;
      context.fillStyle = colours.soft;
      context.fillText(name, x + 4, SCALE / 2);
    }
    context.fillStyle = colours.line;
    for (const row of scene.rows) if (row.kind === "head") context.fillRect(0, row.top, width, 1);
  }

  // The sound of all, behind the scale.
  #curve(context: CanvasRenderingContext2D, { axis, peaks }: Scene, colours: Colours): void {
    if (peaks.length === 0) return;
    context.fillStyle = colours.grid;
    for (let x = axis.left; x < axis.right; x += 2) {
      const [from, to] = [axis.ms(x) / 100, axis.ms(x + 2) / 100];
      let peak = 0;
      for (let i = Math.floor(from); i < Math.max(from + 1, to) && i < peaks.length; i++) {
        peak = Math.max(peak, peaks[i] ?? 0);
      }
      const h = Math.max(1, peak * (SCALE - 4));
      context.fillRect(x, (SCALE - h) / 2, 1, h);
    }
  }

  #lane(
    context: CanvasRenderingContext2D,
    { axis, word }: Scene,
    kind: LaneKind,
    spans: readonly Span[],
    top: number,
    colours: Colours,
  ): void {
    const { width } = axis.options;
    context.font = "10.5px system-ui, sans-serif";
    for (const span of spans) {
      const from = Math.max(-2, axis.x(span.from));
      const to = Math.min(width + 2, axis.x(span.to));
      if (to < 0 || from > width) continue;
      const length = Math.max(2, to - from - (to - from > 4 ? 1 : 0));
      const look = lookOf(kind, span.value);
      this.#bar(context, look, from, top, length, colours);
      const name = length > 34 && look.how !== "thin" ? word(kind, span) : "";
      if (name && context.measureText(name).width + 10 < Math.min(to, width) - Math.max(from, 0)) {
        if (look.how === "hatched") {
          context.fillStyle = colours.paper;
          context.fillRect(Math.max(from, 0) + 3, top + 3, context.measureText(name).width + 5, LANE - 6);
        }
        context.fillStyle = look.how === "full" ? colours.on : colours.ink;
        context.fillText(name, Math.max(from, 0) + 5, top + LANE / 2);
      } else if (look.how === "thin" && length > 60) {
        // Not across the edge between what is to scale and what is not.
        const begin = from < axis.left && to > axis.left ? axis.left : from;
        this.#quietWord(context, word(kind, span), begin, to - begin, top, colours);
      }
    }
  }

  // What is as it should be is said in small letters on the line.
  #quietWord(
    context: CanvasRenderingContext2D,
    name: string,
    from: number,
    length: number,
    top: number,
    colours: Colours,
  ): void {
    const wide = context.measureText(name).width + 8;
    if (!name || wide + 12 > length) return;
    const x = Math.max(from, 0) + 8;
    context.clearRect(x, top + 2, wide, LANE - 4);
    context.fillStyle = colours.soft;
    context.fillText(name, x + 4, top + LANE / 2);
  }

  #bar(
    context: CanvasRenderingContext2D,
    { fill, how }: Look,
    x: number,
    top: number,
    length: number,
    colours: Colours,
  ): void {
    const [y, h] = [top + 2, LANE - 4];
    if (how === "thin") {
      context.fillStyle = colours[fill];
      context.fillRect(x, top + LANE / 2 - 1.5, length, 3);
      return;
    }
    if (how === "hollow") {
      context.strokeStyle = colours[fill];
      context.strokeRect(x + 0.5, y + 0.5, Math.max(1, length - 1), h - 1);
      return;
    }
    context.fillStyle = how === "hatched" ? this.#hatch(context, colours[fill]) : colours[fill];
    context.fillRect(x, y, length, h);
    if (how === "hatched") {
      context.strokeStyle = colours[fill];
      context.strokeRect(x + 0.5, y + 0.5, Math.max(1, length - 1), h - 1);
    }
  }

  #hatch(context: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
    const known = this.#hatches.get(colour);
    if (known) return known;
    const tile = new OffscreenCanvas(6, 6);
    const pen = tile.getContext("2d");
    if (!pen) return colour;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.4;
    for (const shift of [-6, 0, 6]) {
      pen.moveTo(shift, 6);
      pen.lineTo(shift + 6, 0);
    }
    pen.stroke();
    const pattern = context.createPattern(tile, "repeat");
    if (pattern) this.#hatches.set(colour, pattern);
    return pattern ?? colour;
  }

  #marks(
    context: CanvasRenderingContext2D,
    { axis, marks, selected }: Scene,
    participant: string,
    top: number,
    colours: Colours,
  ): void {
    const { width } = axis.options;
    const taken = new Set<number>(); // ten thousand marks do not need ten thousand strokes
    for (const mark of marks) {
      if (mark.participant !== participant) continue;
      const x = Math.round(axis.x(mark.at));
      if (x < 0 || x > width) continue;
      const key = x * 4 + (mark.tone === "bad" ? 2 : mark.tone === "plain" ? 1 : 0);
      if (mark.seq !== selected && taken.has(key)) continue;
      taken.add(key);
      this.#mark(context, mark, mark.seq === selected, x, top, colours);
    }
  }

  #mark(
    context: CanvasRenderingContext2D,
    { tone }: Mark,
    selected: boolean,
    x: number,
    top: number,
    colours: Colours,
  ): void {
    if (selected) {
      context.fillStyle = colours.accent;
      context.beginPath();
      context.arc(x + 0.5, top + HEAD / 2, 6, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    if (tone === "bad") {
      context.fillStyle = colours.bad;
      context.beginPath();
      context.moveTo(x + 0.5, top + 6);
      context.lineTo(x + 5.5, top + 16);
      context.lineTo(x - 4.5, top + 16);
      context.fill();
      return;
    }
    context.fillStyle = tone === "plain" ? colours.ink : colours.soft;
    const h = tone === "plain" ? 10 : 5;
    context.fillRect(x, top + HEAD / 2 + 5 - h, tone === "plain" ? 2 : 1, h);
  }
}
