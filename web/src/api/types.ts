// The JSON of the REST interface, as /api/openapi.json describes it: only the fields that the pages read.

import type { Consent, Policy, Role } from "../signaling/messages.ts";

export type ConsultationState = "scheduled" | "open" | "ended" | "completed" | "archived";
export type ArchiveState = "queued" | "rendering" | "ready" | "failed";

export interface Participant {
  id: string;
  name: string;
  role: Role;
  present?: boolean;
  consent?: Consent;
}

export interface Consultation {
  id: string;
  title: string;
  state: ConsultationState;
  externalRef?: string;
  recording?: Policy;
  language?: string;
  /** RFC 3339, like the other times. */
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
  durationMs?: number;
  /** Parts of the recording that have not reached the storage yet. */
  awaitedSegments?: number;
  participants: Participant[];
  /** The newest version. */
  archive?: Archive;
}

export interface ConsultationPage {
  items: Consultation[];
  nextCursor?: string;
}

/** How much room is left where the product keeps its data. */
export interface Storage {
  level: StorageLevel;
  places: StoragePlace[];
}

export type StorageLevel = "fine" | "low" | "full";

export interface StoragePlace {
  name: string;
  level: StorageLevel;
  freeBytes: number;
  totalBytes: number;
  /** Missing when it does not grow. */
  daysLeft?: number;
}

export interface Archive {
  version: number;
  state: ArchiveState;
  /** 0 to 1 */
  progress?: number;
  /** What is being done while it is rendered. */
  stage?: string;
  durationMs?: number;
  profile?: string;
  videoUrl?: string;
  manifestUrl?: string;
  bytes?: number;
  /** Why it failed: a stable code. */
  code?: string;
}

/** The part of a timeline that places events in the video. */
export interface Timeline {
  startTime?: string;
  durationNs?: number;
  markers?: { seq: number; atNs: number; type: string; participant?: string }[];
}

/** A stored event (docs/events.md). */
export interface StoredEvent {
  id: string;
  seq: number;
  type: string;
  time: string;
  participant?: string;
  actor?: string;
  data: Record<string, unknown>;
}
