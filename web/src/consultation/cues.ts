// Tracks of text beside a video (WebVTT), as far as ours go: chapters, and pictures on a sheet.

export interface Cue {
  /** Milliseconds. */
  from: number;
  to: number;
  text: string;
}

/** Cues in the order of the file. What cannot be read is left out. */
export function parseVTT(file: string): Cue[] {
  const cues: Cue[] = [];
  for (const block of file.replace(/\r\n?/g, "\n").split(/\n{2,}/)) {
    const lines = block.split("\n");
    const timing = lines.findIndex((line) => line.includes("-->"));
    const [from, to] = (lines[timing] ?? "").split("-->").map((part) => time(part.trim().split(/\s/)[0] ?? ""));
    if (from === undefined || to === undefined || Number.isNaN(from + to)) continue;
    cues.push({
      from,
      to,
      text: plain(
        lines
          .slice(timing + 1)
          .join("\n")
          .trim(),
      ),
    });
  }
  return cues;
}

function time(text: string): number {
  const parts = text.split(":").map(Number);
  return parts.reduce((sum, part) => sum * 60 + part, 0) * 1000;
}

function plain(text: string): string {
  return text
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&nbsp;/g, " ")
    .replace(/&amp;/g, "&");
}

/** The cue of a moment; undefined between two. */
export function cueAt(cues: readonly Cue[], ms: number): Cue | undefined {
  let low = 0;
  let high = cues.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const cue = cues[middle] as Cue;
    if (ms < cue.from) high = middle - 1;
    else if (ms >= cue.to) low = middle + 1;
    else return cue;
  }
  return undefined;
}

export interface Picture {
  /** Of the sheet, as the file names it. */
  file: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** "thumbnails.jpg#xywh=160,90,160,90"; undefined for anything else. */
export function pictureIn(text: string): Picture | undefined {
  const found = /^([^#\s]+)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(text.trim());
  if (!found) return undefined;
  const [x = 0, y = 0, width = 0, height = 0] = found.slice(2).map(Number);
  return { file: found[1] ?? "", x, y, width, height };
}
