// How much storage is left, for those who may know and only when it matters.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem } from "../api/problem.ts";
import { getStorage } from "../api/rest.ts";
import type { Storage, StoragePlace } from "../api/types.ts";
import { type Clock, systemClock } from "../signaling/client.ts";
import { language, t, tCount } from "../text/text.ts";
import { size } from "../text/time.ts";

const REFRESH = 30_000;

/** Asks again and again; who may not know it is not asked for twice. */
export class StorageWatch {
  readonly storage = signal<Storage | undefined>(undefined);
  /** The server does not tell this person. */
  readonly refused = signal(false);
  #fetch: () => Promise<Storage>;
  #clock: Clock;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(fetch: () => Promise<Storage> = () => getStorage(), clock: Clock = systemClock) {
    this.#fetch = fetch;
    this.#clock = clock;
  }

  start(): void {
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    try {
      this.storage.value = await this.#fetch();
    } catch (error) {
      this.refused.value =
        error instanceof Problem && (error.status === 401 || error.status === 403 || error.status === 404);
      if (this.refused.value) return;
    }
    if (!this.#stopped) this.#cancel = this.#clock.after(REFRESH, () => void this.#look());
  }
}

/** The place that matters most: the worst level, of these the least room. */
export function worst(storage: Storage): StoragePlace | undefined {
  const rank = { fine: 0, low: 1, full: 2 };
  return [...storage.places].sort((a, b) => rank[b.level] - rank[a.level] || a.freeBytes - b.freeBytes)[0];
}

/** How long the room lasts, as a sentence; "" where nobody knows, or nobody has to. */
export function lasts(daysLeft: number | undefined): string {
  if (daysLeft === undefined || daysLeft >= 1000) return "";
  return daysLeft < 1 ? t("storage.days.none") : tCount("storage.days", Math.floor(daysLeft));
}

export function StorageBanner({ watch }: { watch: StorageWatch }) {
  useEffect(() => {
    watch.start();
    return () => watch.stop();
  }, [watch]);
  const storage = watch.storage.value;
  const place = storage && worst(storage);
  if (!place || place.level === "fine") return null;
  const free = size(place.freeBytes, language.value);
  return (
    <div class={`storage ${place.level}`} role="status" data-testid="storage" data-level={place.level}>
      <p>
        <strong>{t(`storage.${place.level}`)}</strong> {t("storage.free", { free })}
        {` ${lasts(place.daysLeft)}`}
      </p>
      <p>{t(place.level === "full" ? "storage.full.text" : "storage.low.text")}</p>
    </div>
  );
}
