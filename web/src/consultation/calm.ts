// What changes at every frame, slowed down to what an eye follows.

import { type ReadonlySignal, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** Milliseconds between two changes: a drag through thousands of events is none of each of them. */
const CALM = 90;

/** The same value, a moment later when it changes all the time. */
export function useCalm(fast: ReadonlySignal<number>): ReadonlySignal<number> {
  const calm = useSignal(fast.peek());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const moved = useRef(0);
  useSignalEffect(() => {
    fast.value;
    if (timer.current !== undefined) return;
    const wait = Math.max(0, moved.current + CALM - performance.now());
    timer.current = setTimeout(() => {
      timer.current = undefined;
      moved.current = performance.now();
      calm.value = fast.peek();
    }, wait);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
  return calm;
}
