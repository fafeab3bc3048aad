// The choice of one participant in the player: only their part of the picture is shown, and only their voice heard, where the
// version has single voices.

import { type ReadonlySignal, type Signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { Participant } from "../api/types.ts";
import { t } from "../text/text.ts";
import type { Cursor } from "./cursor.ts";
import { lookAt, type Manifest, playAlong, type Seen, seenOf, voiceOf } from "./focus.ts";
import { fileBeside } from "./seekbar.tsx";

export interface Alone {
  /** Whose, "" for everybody. */
  person: Signal<string>;
  manifest: ReadonlySignal<Manifest | undefined>;
  seen: ReadonlySignal<Seen | undefined>;
}

/** What is shown of whom; the manifest is read when somebody is chosen for the first time. */
export function useAlone(src: string, cursor: Cursor): Alone {
  const person = useSignal("");
  const manifest = useSignal<Manifest | undefined>(undefined);
  const wanted = useComputed(() => person.value !== "");
  useEffect(() => {
    manifest.value = undefined;
  }, [src, manifest]);
  useSignalEffect(() => {
    if (!wanted.value || manifest.value) return;
    fetch(fileBeside(src, "manifest.json"))
      .then((answer) => (answer.ok ? answer.json() : {}))
      .catch(() => ({}))
      .then((read: Manifest) => {
        manifest.value = read;
      });
  });
  // As text, so that the same place is not a new one at every frame.
  const text = useComputed(() => {
    if (person.value === "" || !manifest.value) return "";
    return JSON.stringify(seenOf(manifest.value, person.value, cursor.now.value));
  });
  const seen = useComputed(() => (text.value === "" ? undefined : (JSON.parse(text.value) as Seen)));
  return { person, manifest, seen };
}

export function PersonChoice({ alone, participants }: { alone: Alone; participants: readonly Participant[] }) {
  if (participants.length < 2) return null;
  return (
    <label class="speed person" title={t("alone.label")}>
      <span class="sr">{t("alone.label")}</span>
      <select
        data-testid="person"
        value={alone.person.value}
        onChange={(event) => {
          alone.person.value = event.currentTarget.value;
        }}
      >
        <option value="">{t("alone.everybody")}</option>
        {participants.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What is heard and seen of the one who was chosen, in words. */
export function AloneNote({ alone, participants }: { alone: Alone; participants: readonly Participant[] }) {
  const { person, manifest, seen } = alone;
  const name = participants.find(({ id }) => id === person.value)?.name ?? "";
  if (person.value === "" || !manifest.value) return <p class="sr" role="status" />;
  const voice = voiceOf(manifest.value, person.value) !== undefined;
  return (
    <p class="alone-note hint" role="status" data-testid="alone" data-seen={placeOf(seen.value)} data-voice={voice}>
      {seen.value === "nothing" && t("alone.away", { name })}
      {seen.value === "unknown" && t("alone.unknown")}
      {typeof seen.value === "object" && t("alone.seen", { name })} {t(voice ? "alone.voice" : "alone.mixed")}
    </p>
  );
}

function placeOf(seen: Seen | undefined): string {
  return typeof seen === "object" ? `${seen.x},${seen.y},${seen.width},${seen.height}` : (seen ?? "");
}

/** Moves the picture in its frame, and has the voice play along. */
export function useOnlyThem(alone: Alone, video: RefObject<HTMLVideoElement | null>, src: string): void {
  usePicture(alone, video);
  useSignalEffect(() => {
    const element = video.current;
    const file = alone.manifest.value && voiceOf(alone.manifest.value, alone.person.value);
    if (!element || !file) return;
    const voice = new Audio(fileBeside(src, file));
    const stop = playAlong(element, voice);
    return () => {
      stop();
      voice.removeAttribute("src");
      voice.load(); // lets the connection go
    };
  });
}

function usePicture({ seen }: Alone, video: RefObject<HTMLVideoElement | null>): void {
  const size = useSignal({ width: 0, height: 0 });
  useEffect(() => {
    const element = video.current;
    const frame = element?.parentElement;
    if (!element || !frame) return;
    const measure = () => {
      size.value = { width: frame.clientWidth, height: frame.clientHeight };
    };
    const resized = new ResizeObserver(measure);
    resized.observe(frame);
    element.addEventListener("loadedmetadata", measure);
    return () => {
      resized.disconnect();
      element.removeEventListener("loadedmetadata", measure);
    };
  }, [video, size]);
  useSignalEffect(() => {
    const element = video.current;
    const at = seen.value;
    const frame = size.value;
    if (!element) return;
    const picture = { width: element.videoWidth, height: element.videoHeight };
    const look = typeof at === "object" && picture.width > 0 && frame.width > 0 && lookAt(at, picture, frame);
    element.style.transform = look ? look.transform : "";
    element.style.clipPath = look ? look.clip : at === "nothing" ? "inset(100%)" : "";
  });
}
