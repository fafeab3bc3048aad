// Consultations as they change, told by the server (server-sent events).

import type { Consultation } from "../api/types.ts";

export interface Progress {
  id: string;
  version: number;
  /** 0 to 1 */
  progress: number;
  stage?: string;
  /** Estimate of what is left, in milliseconds. */
  leftMs?: number;
}

export interface Listener {
  consultation(changed: Consultation): unknown;
  progress(told: Progress): void;
  /** More has changed than was told, or something may have been missed. */
  reset(): void;
}

/** Follows until the answer is called. */
export type Follow = (listener: Listener) => () => void;

/**
 * Follows while the page is looked at: browsers open only six connections to a server without HTTP/2, and a tab in the
 * background must not hold one of them.
 */
export const followChanges: Follow = (listener) => {
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  const open = () => {
    clearTimeout(retry);
    if (source || document.hidden) return;
    const opened = new EventSource("/api/v1/changes");
    source = opened;
    const told = <T>(name: string, hear: (data: T) => void) =>
      opened.addEventListener(name, (event) => hear(JSON.parse((event as MessageEvent<string>).data) as T));
    told<Consultation>("consultation", (changed) => listener.consultation(changed));
    told<Progress>("progress", (progress) => listener.progress(progress));
    told("reset", () => listener.reset());
    opened.addEventListener("error", () => {
      if (opened.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      close();
      listener.reset(); // reading the list says why
      retry = setTimeout(open, 10_000);
    });
  };
  const close = () => {
    source?.close();
    source = undefined;
  };
  const seen = () => {
    if (document.hidden) return close();
    if (source) return;
    listener.reset();
    open();
  };
  document.addEventListener("visibilitychange", seen);
  open();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    clearTimeout(retry);
    close();
  };
};
