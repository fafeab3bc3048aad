// The answers of the REST interface (generated.ts), as far as the pages count on them: a page must bear the absence of
// whatever is optional here, so that it can be tested with little and survives an older server.

import type * as api from "./generated.ts";

/** All of T may be missing but K. */
type Only<T, K extends keyof T> = Pick<T, K> & Partial<Omit<T, K>>;

export type ConsultationState = api.Summary["state"];
export type ArchiveState = api.ArchiveSummary["state"];

/** A role that is not known yet is one that a page shows as it is. */
export type Participant = Only<Omit<api.ParticipantSummary, "role">, "id" | "name"> & {
  role: api.ParticipantSummary["role"] | (string & {});
};

export type Archive = Only<api.ArchiveSummary, "version" | "state">;

export type Consultation = Only<
  Omit<api.Summary, "participants" | "archive">,
  "id" | "title" | "state" | "createdAt"
> & {
  participants: Participant[];
  /** The newest version. */
  archive?: Archive;
};

export interface ConsultationPage {
  items: Consultation[];
  nextCursor?: string;
}

/** How much room is left where the server keeps its data. */
export type Storage = api.StorageSummary;
export type StorageLevel = Storage["level"];
export type StoragePlace = api.StoragePlace;

/** What the archive shows, and where events stand in it. */
export type Timeline = Partial<Pick<api.Timeline, "startTime" | "durationNs" | "markers">> & {
  participants?: TimelineParticipant[];
};

export type TimelineParticipant = Only<Omit<api.Participant, "tracks">, "id"> & {
  tracks?: (Pick<api.Track, "source" | "gaps"> & { clips: api.Interval[] })[];
};

/** A stored event (docs/events.md). */
export type StoredEvent = Pick<api.Envelope, "id" | "seq" | "type" | "time" | "participant" | "actor"> & {
  data: Record<string, unknown>;
};
