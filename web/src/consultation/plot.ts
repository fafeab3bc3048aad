// Draws one graph with uPlot. It is a file of its own that is loaded when somebody looks: most do not.

import uPlot from "uplot";
import type { Graph } from "./samples.ts";

export interface View {
  /** Of the drawing, in pixels. */
  width: number;
  height: number;
  /** What is to be seen of the archive, in milliseconds. */
  from: number;
  to: number;
}

/** How the curve of the nth participant looks: never by colour alone. */
export interface Pen {
  colour: string;
  dash: number[];
}

export class Plot {
  readonly #plot: uPlot;
  #view: View;

  constructor(into: HTMLElement, times: readonly number[], graph: Graph, view: View, pens: readonly Pen[]) {
    this.#view = view;
    const few = (_: uPlot, __: number, first: number, last: number) => last - first < 40;
    const options: uPlot.Options = {
      width: view.width,
      height: view.height,
      legend: { show: false },
      cursor: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      padding: [2, 0, 2, 0],
      scales: {
        x: { time: false, range: () => [this.#view.from, this.#view.to] },
        y: { range: [0, graph.top] },
      },
      axes: [{ show: false }, { show: false }],
      series: [
        {},
        ...graph.curves.map((_, index) => {
          const { colour, dash } = pens[index % pens.length] as Pen;
          return { stroke: colour, dash, width: 1.5, points: { show: few, size: 4, fill: colour } };
        }),
      ],
    };
    this.#plot = new uPlot(options, [[...times], ...graph.curves.map(({ values }) => values)], into);
  }

  look(view: View): void {
    const { width, height } = this.#view;
    this.#view = view;
    if (width !== view.width || height !== view.height) this.#plot.setSize({ width: view.width, height: view.height });
    this.#plot.setScale("x", { min: view.from, max: view.to });
  }

  destroy(): void {
    this.#plot.destroy();
  }
}
