// Elements that play live tracks.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** The browser does not play sound before the person has touched the page. */
export const soundBlocked = signal(false);

const waiting = new Set<HTMLMediaElement>();

/** Plays what the browser held back; call it from a touch. */
export function unblockSound(): void {
  soundBlocked.value = false;
  for (const element of waiting) play(element);
}

function play(element: HTMLMediaElement): void {
  element.play().then(
    () => waiting.delete(element),
    (error: DOMException) => {
      // AbortError: another track came in between, and play goes on with it.
      if (error.name !== "NotAllowedError") return;
      waiting.add(element);
      soundBlocked.value = true;
    },
  );
}

interface PlaybackProps {
  track: MediaStreamTrack;
  participant?: string;
  source?: string;
  testId?: string;
}

function useTrack<E extends HTMLMediaElement>(track: MediaStreamTrack) {
  const ref = useRef<E>(null);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    element.srcObject = new MediaStream([track]);
    play(element);
    return () => {
      waiting.delete(element);
      element.srcObject = null;
    };
  }, [track]);
  return ref;
}

/** A picture. It is silent: sound has its own element, so that a browser's autoplay rule never stops the picture. */
export function Picture({
  track,
  participant,
  source,
  testId,
  label,
  mirrored,
}: PlaybackProps & { label: string; mirrored?: boolean }) {
  const ref = useTrack<HTMLVideoElement>(track);
  return (
    <video
      ref={ref}
      class={mirrored ? "mirrored" : undefined}
      autoplay
      playsInline
      muted
      aria-label={label}
      data-participant={participant}
      data-source={source}
      data-testid={testId}
    />
  );
}

export function Sound({ track, participant, source }: PlaybackProps) {
  const ref = useTrack<HTMLAudioElement>(track);
  // biome-ignore lint/a11y/useMediaCaption: a live voice has no captions
  return <audio ref={ref} autoplay data-participant={participant} data-source={source} data-testid="remote-audio" />;
}
