// What runs now, for who keeps the service running: consultations, how joining goes, and the videos that are being made.

import { computed, signal } from "@preact/signals";
import type * as api from "../api/generated.ts";
import { Problem } from "../api/problem.ts";
import type { Consultation } from "../api/types.ts";
import type { Follow } from "../library/changes.ts";
import { type Clock, systemClock } from "../signaling/client.ts";
import { joinsOf } from "./joins.ts";

/** Joining is judged by this many of the newest consultations that were held. */
export const JUDGED = 25;
/** How long after a change everything is read again, and how often it is in any case. */
const GATHER = 1_000;
const REFRESH = 20_000;

export interface Source {
  list: typeof api.listConsultations;
  lanes: typeof api.getLanes;
}

export class Live {
  readonly open = signal<Consultation[] | undefined>(undefined);
  /** Recordings that are complete and whose video is not there yet, the newest first. */
  readonly making = signal<Consultation[]>([]);
  readonly problem = signal<Problem | undefined>(undefined);
  readonly #judged = signal<{ id: string; connections: api.ConnectionItem[] }[]>([]);
  readonly joins = computed(() => joinsOf(this.#judged.value));
  #known = new Map<string, { seq: number; connections: api.ConnectionItem[] }>();
  #source: Source;
  #follow: Follow;
  #clock: Clock;
  #unfollow: () => void = () => {};
  #cancel: () => void = () => {};
  #reading = false;
  #stopped = false;

  constructor(source: Source, follow: Follow, clock: Clock = systemClock) {
    this.#source = source;
    this.#follow = follow;
    this.#clock = clock;
  }

  start(): void {
    this.#unfollow = this.#follow({
      consultation: () => this.#soon(GATHER),
      progress: ({ id, version, progress }) => {
        this.making.value = this.making.value.map((one) =>
          one.id === id && one.archive?.version === version
            ? { ...one, archive: { ...one.archive, state: "rendering", progress } }
            : one,
        );
      },
      reset: () => this.#soon(0),
    });
    this.#soon(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#unfollow();
    this.#cancel();
  }

  #soon(delay: number): void {
    if (this.#stopped || this.#reading) return; // what is being read will be read again soon enough
    this.#cancel();
    this.#cancel = this.#clock.after(delay, () => void this.#read());
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      const [open, completed, newest] = await Promise.all([
        this.#source.list({ state: "open", limit: 200 }),
        this.#source.list({ state: "completed", limit: 50 }),
        this.#source.list({ limit: 2 * JUDGED }),
      ]);
      this.open.value = open.items;
      this.making.value = completed.items.filter((one) => one.archive);
      const held = newest.items.filter((one) => one.startedAt).slice(0, JUDGED);
      this.#judged.value = await Promise.all(held.map((one) => this.#connections(one)));
      this.problem.value = undefined;
    } catch (error) {
      this.problem.value = error instanceof Problem ? error : new Problem(0, "network", String(error));
    }
    this.#reading = false;
    if (this.problem.value?.status === 401) this.stop();
    else this.#soon(REFRESH);
  }

  // A consultation in which nothing has happened since has the same connections.
  async #connections({ id, seq }: api.Summary): Promise<{ id: string; connections: api.ConnectionItem[] }> {
    const known = this.#known.get(id);
    if (known?.seq === seq) return { id, connections: known.connections };
    const { connections } = await this.#source.lanes(id);
    this.#known.set(id, { seq, connections });
    return { id, connections };
  }
}
