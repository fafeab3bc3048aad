// One participant alone: where the picture of the archive shows them, and the file of their voice, as the manifest says.

import { FRAME } from "./cursor.ts";

/** Pixels of the archive. */
export interface Tile {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Scene {
  startFrame: number;
  endFrame: number;
  tiles: (Tile & { participant?: string; source?: string })[];
}

/** The part of an archive's manifest that this needs; an older one has less. */
export interface Manifest {
  scenes?: Scene[];
  voices?: { participant: string; file: string }[];
}

/** What is to be seen of somebody: a part of the picture, nothing because they are not in it, or it is not known. */
export type Seen = Tile | "nothing" | "unknown";

/** Where somebody is at a moment (milliseconds): their largest picture, or else their card, or the one card for everybody. */
export function seenOf({ scenes = [] }: Manifest, participant: string, ms: number): Seen {
  if (scenes.length === 0) return "unknown";
  const tiles = sceneAt(scenes, Math.floor(ms / FRAME + 0.01))?.tiles ?? [];
  const own = tiles.filter((tile) => tile.participant === participant || !tile.participant);
  const best = own.sort((a, b) => rank(b) - rank(a))[0];
  return best ? { x: best.x, y: best.y, width: best.width, height: best.height } : "nothing";
}

// A picture before a card, a large one before a small one.
function rank({ source, width, height }: Scene["tiles"][number]): number {
  return width * height + (source ? 1e9 : 0);
}

function sceneAt(scenes: readonly Scene[], frame: number): Scene | undefined {
  let low = 0;
  let high = scenes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((scenes[middle] as Scene).endFrame <= frame) low = middle + 1;
    else high = middle;
  }
  return scenes[low] ?? scenes.at(-1); // the last picture stands until the end
}

export function voiceOf({ voices = [] }: Manifest, participant: string): string | undefined {
  return voices.find((voice) => voice.participant === participant)?.file;
}

export interface Size {
  width: number;
  height: number;
}

/**
 * How a <video> that fills a frame, with its picture fitted into it, has to be moved and cut so that a part of the picture
 * fills that frame instead.
 */
export function lookAt({ x, y, width, height }: Tile, picture: Size, frame: Size): { transform: string; clip: string } {
  const scale = Math.min(frame.width / picture.width, frame.height / picture.height);
  const left = (frame.width - picture.width * scale) / 2 + x * scale;
  const top = (frame.height - picture.height * scale) / 2 + y * scale;
  const [w, h] = [width * scale, height * scale];
  const zoom = Math.min(frame.width / w, frame.height / h);
  const dx = (frame.width - w * zoom) / 2 - left * zoom;
  const dy = (frame.height - h * zoom) / 2 - top * zoom;
  const px = (value: number) => `${Number(value.toFixed(2))}px`;
  return {
    transform: `translate(${px(dx)}, ${px(dy)}) scale(${Number(zoom.toFixed(5))})`,
    clip: `inset(${px(top)} ${px(frame.width - left - w)} ${px(frame.height - top - h)} ${px(left)})`,
  };
}

/** By how many seconds a voice may be away from the picture before it is set right. */
export const APART = 0.08;

/** The part of a media element that a voice needs. */
export type Player = Pick<
  HTMLMediaElement,
  | "currentTime"
  | "paused"
  | "seeking"
  | "playbackRate"
  | "volume"
  | "muted"
  | "play"
  | "pause"
  | "addEventListener"
  | "removeEventListener"
>;

/** Has one voice heard in the place of everybody's until the answer is called: it does what the video does. */
export function playAlong(video: Player, voice: Player): () => void {
  const muted = video.muted;
  video.muted = true;
  const follow = () => {
    voice.playbackRate = video.playbackRate;
    voice.volume = video.volume;
    if (Math.abs(voice.currentTime - video.currentTime) > APART) voice.currentTime = video.currentTime;
    if (video.paused || video.seeking) voice.pause();
    else if (voice.paused) voice.play().catch(() => {}); // the video said already what does not play
  };
  const heard = [
    "play",
    "playing",
    "pause",
    "seeking",
    "seeked",
    "ratechange",
    "volumechange",
    "timeupdate",
    "waiting",
    "ended",
  ];
  for (const name of heard) video.addEventListener(name, follow);
  follow();
  return () => {
    for (const name of heard) video.removeEventListener(name, follow);
    voice.pause();
    video.muted = muted;
  };
}
