// One consultation as it is now: its state, its archives, its events, kept up to date while anything can still change.

import { computed, signal } from "@preact/signals";
import { explain, Problem } from "../api/problem.ts";
import * as rest from "../api/rest.ts";
import type { Archive, Consultation, StoredEvent, Timeline } from "../api/types.ts";
import type { Follow, Progress } from "../library/changes.ts";
import { t } from "../text/text.ts";

/** How long after a change the page reads again, and how often it does when it hears of none. */
const GATHER = 400;
const BUSY = 3_000; // while something is being made
const CALM = 15_000;
/** Reading takes at most a fifth of the time, however long a consultation has become. */
const SHARE = 4;

/** What a version is ordered with. */
export interface Order {
  layout: "grid" | "speaker";
  profile: "standard" | "fast" | "audio";
  stamp: boolean;
  voices: boolean;
}

export type Reorder = { state: "no" | "sending" | "ordered" } | { state: "failed"; text: string };

/** The newest version that can be watched. */
export function newestReady(archives: Archive[]): Archive | undefined {
  return byVersion(archives).find((archive) => archive.state === "ready");
}

/** Newest first. */
export function byVersion(archives: Archive[]): Archive[] {
  return [...archives].sort((a, b) => b.version - a.version);
}

/** Whether a version is waiting or being made: only one is at a time. */
export function isMaking({ state }: Archive): boolean {
  return state === "queued" || state === "rendering";
}

/** Whether something about the consultation is about to change. */
export function isBusy(consultation: Consultation, archives: Archive[]): boolean {
  if (consultation.state !== "archived" && consultation.state !== "scheduled") return true;
  return archives.some(isMaking);
}

export class Detail {
  readonly id: string;
  readonly consultation = signal<Consultation | undefined>(undefined);
  readonly archives = signal<Archive[]>([]);
  readonly problem = signal<Problem | undefined>(undefined);
  readonly events = signal<StoredEvent[] | undefined>(undefined);
  readonly brokenEvents = signal(0);
  /** Hex SHA-256 of the stored events; "" before they are there, and where the browser makes none. */
  readonly digest = signal("");
  readonly eventsProblem = signal<Problem | undefined>(undefined);
  readonly timeline = signal<Timeline | undefined>(undefined);
  /** The version that somebody picked; 0 = the newest that is ready. */
  readonly picked = signal(0);
  readonly reorder = signal<Reorder>({ state: "no" });
  /** Whether the events may be taken out as a file, as far as is known. */
  readonly mayExport = signal(false);
  readonly newest = computed<Archive | undefined>(() => byVersion(this.archives.value)[0]);
  readonly shown = computed<Archive | undefined>(() => {
    const wanted = this.archives.value.find((archive) => archive.version === this.picked.value);
    return wanted ?? newestReady(this.archives.value);
  });
  #token: () => string;
  #follow: Follow;
  #unfollow: () => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reading = false;
  #again = false;
  #due = false;
  #pause = GATHER;
  #abort = new AbortController();
  #fingerprint = "";

  constructor(id: string, token: () => string, follow: Follow) {
    this.id = id;
    this.#token = token;
    this.#follow = follow;
  }

  start(): void {
    this.#unfollow = this.#follow({
      consultation: ({ id }) => id === this.id && this.#soon(),
      progress: (told) => {
        if (told.id !== this.id) return;
        this.archives.value = this.archives.value.map((archive) =>
          archive.version === told.version && archive.state !== "ready" ? withProgress(archive, told) : archive,
        );
      },
      reset: () => this.#soon(),
    });
    void this.#refresh();
  }

  stop(): void {
    this.#unfollow();
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** Orders one more version; what is not said is as in the one before. */
  async order(order: Partial<Order> = {}): Promise<void> {
    if (this.reorder.value.state === "sending") return;
    this.reorder.value = { state: "sending" };
    try {
      await rest.requestArchive(this.id, order, this.#token());
      this.reorder.value = { state: "ordered" };
      clearTimeout(this.#timer);
      await this.#refresh();
    } catch (error) {
      const signedOut = error instanceof Problem && error.status === 401;
      this.reorder.value = { state: "failed", text: signedOut ? t("detail.retry.signin") : explain(error) };
    }
  }

  /** Milliseconds since the consultation began, by this machine's clock; 0 before that. */
  present(): number {
    const start = Date.parse(this.timeline.peek()?.startTime ?? "");
    return start > 0 ? Math.max(0, Date.now() - start) : 0;
  }

  // What changes all the time must not put the reading off for ever: the first change counts, later ones ride along.
  #soon(): void {
    if (this.#reading) this.#again = true;
    if (this.#reading || this.#due) return;
    this.#due = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#refresh(), this.#pause);
  }

  async #refresh(): Promise<void> {
    this.#reading = true;
    this.#again = false;
    this.#due = false;
    const began = performance.now();
    await this.#read();
    this.#reading = false;
    this.#pause = Math.max(GATHER, SHARE * (performance.now() - began));
    const problem = this.problem.peek();
    if (this.#abort.signal.aborted || problem?.status === 401 || problem?.status === 404) return;
    const consultation = this.consultation.peek();
    const busy = !consultation || isBusy(consultation, this.archives.peek());
    clearTimeout(this.#timer);
    this.#due = this.#again;
    const wait = this.#again ? this.#pause : Math.max(this.#pause, busy ? BUSY : CALM);
    this.#timer = setTimeout(() => void this.#refresh(), wait);
  }

  async #read(): Promise<void> {
    const { signal } = this.#abort;
    try {
      const [consultation, archives] = await Promise.all([
        rest.getConsultation(this.id, signal),
        rest.getArchives(this.id, signal),
      ]);
      this.consultation.value = consultation;
      this.archives.value = archives;
      this.problem.value = undefined;
      await this.#refreshEvents(consultation, archives);
    } catch (error) {
      if (!signal.aborted) this.problem.value = asProblem(error);
    }
  }

  // The log is read again when it has grown.
  async #refreshEvents(consultation: Consultation, archives: Archive[]): Promise<void> {
    const fingerprint = JSON.stringify([
      consultation.seq,
      consultation.state,
      consultation.participants,
      archives.map(({ version, state }) => [version, state]),
    ]);
    if (fingerprint === this.#fingerprint) return;
    const { signal } = this.#abort;
    try {
      const [{ events, broken, digest }, timeline] = await Promise.all([
        rest.getEvents(this.id, signal),
        rest.getTimeline(this.id, signal).catch(() => undefined), // without it events have no place, but words
      ]);
      this.events.value = events;
      this.brokenEvents.value = broken;
      this.digest.value = digest;
      this.timeline.value = timeline;
      this.eventsProblem.value = undefined;
      this.#fingerprint = fingerprint;
    } catch (error) {
      if (!signal.aborted) this.eventsProblem.value = asProblem(error);
    }
  }
}

function withProgress(archive: Archive, { progress, stage, leftMs = 0 }: Progress): Archive {
  return { ...archive, state: "rendering", progress, leftMs, ...(stage ? { stage } : {}) };
}

function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "network", String(error));
}

/** The consultation's id in the address of its page. */
export function idIn(path: string): string {
  return decodeURIComponent(path.split("/").filter(Boolean)[1] ?? "");
}
