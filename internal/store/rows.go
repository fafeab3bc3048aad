package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
)

const (
	loadConsultations = `
		select id::text, seq, state, policy, layout, language, paused, scheduled_at, started_at, ended_at, end_reason,
			completed_at, segments_stored, bytes, pending, missing, problems, expected_ms, recorded_ms
		from readmodel.consultations where id = any($1)`
	loadParticipants = `
		select consultation::text, id, role, records, consent, consent_at, present, invited_at, joined_at, left_at, left_reason
		from readmodel.participants where consultation = any($1)`
	loadArchives = `
		select consultation::text, version, state, code, through_seq, layout, profile, requested_at, started_at, finished_at,
			key, bytes, sha256, manifest_sha256, duration_ms, stamp, voices, unverified
		from readmodel.archives where consultation = any($1)`

	saveConsultation = `
		insert into readmodel.consultations (id, seq, state, policy, layout, language, paused, scheduled_at, started_at,
			ended_at, end_reason, completed_at, segments_stored, bytes, pending, missing, participants, present, problems, consents,
			expected_ms, recorded_ms, holds, release_asked_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
		on conflict (id) do update set seq = excluded.seq, state = excluded.state, policy = excluded.policy,
			layout = excluded.layout, language = excluded.language, paused = excluded.paused,
			scheduled_at = excluded.scheduled_at, started_at = excluded.started_at, ended_at = excluded.ended_at,
			end_reason = excluded.end_reason, completed_at = excluded.completed_at,
			segments_stored = excluded.segments_stored, bytes = excluded.bytes, pending = excluded.pending,
			missing = excluded.missing, participants = excluded.participants, present = excluded.present,
			problems = excluded.problems, consents = excluded.consents, expected_ms = excluded.expected_ms, recorded_ms = excluded.recorded_ms,
			holds = excluded.holds, release_asked_at = excluded.release_asked_at`
	saveParticipant = `
		insert into readmodel.participants (consultation, id, role, records, consent, consent_at, present, invited_at,
			joined_at, left_at, left_reason)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		on conflict (consultation, id) do update set role = excluded.role, records = excluded.records,
			consent = excluded.consent, consent_at = excluded.consent_at, present = excluded.present,
			invited_at = excluded.invited_at, joined_at = excluded.joined_at, left_at = excluded.left_at,
			left_reason = excluded.left_reason`
	saveArchive = `
		insert into readmodel.archives (consultation, version, state, code, through_seq, layout, profile, requested_at,
			started_at, finished_at, key, bytes, sha256, manifest_sha256, duration_ms, stamp, voices, unverified)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		on conflict (consultation, version) do update set state = excluded.state, code = excluded.code,
			started_at = excluded.started_at, finished_at = excluded.finished_at, key = excluded.key,
			bytes = excluded.bytes, sha256 = excluded.sha256, manifest_sha256 = excluded.manifest_sha256,
			duration_ms = excluded.duration_ms, unverified = excluded.unverified`
)

// load reads the rows of the consultations ids back, and of their parts those that a batch mentions; what has no row yet
// starts empty.
func load(ctx context.Context, tx pgx.Tx, ids []string, m *mentions) (map[string]*folded, error) {
	all := make(map[string]*folded, len(ids))
	for _, id := range ids {
		all[id] = newFolded(id)
	}
	batch := &pgx.Batch{}
	batch.Queue(loadConsultations, ids).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func() error {
			f := newFolded("")
			err := rows.Scan(&f.ID, &f.Seq, &f.State, &f.Policy, &f.Layout, &f.Language, &f.Paused, &f.ScheduledAt, &f.StartedAt,
				&f.EndedAt, &f.EndReason, &f.CompletedAt, &f.SegmentsStored, &f.Bytes, &f.Pending, &f.Missing, &f.Problems,
				&f.ExpectedMS, &f.RecordedMS)
			for _, code := range passing {
				f.Problems = without(f.Problems, code)
			}
			all[f.ID] = f
			return err
		})
	})
	batch.Queue(loadParticipants, ids).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func() error {
			var of string
			p := &foldedParticipant{}
			err := rows.Scan(&of, &p.ID, &p.Role, &p.Records, &p.Consent, &p.ConsentAt, &p.Present, &p.InvitedAt,
				&p.JoinedAt, &p.LeftAt, &p.LeftReason)
			if err == nil {
				all[of].Participants[p.ID] = p
			}
			return err
		})
	})
	batch.Queue(loadArchives, ids).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func() error {
			var of string
			a := &foldedArchive{}
			err := rows.Scan(&of, &a.Version, &a.State, &a.Code, &a.ThroughSeq, &a.Layout, &a.Profile, &a.RequestedAt,
				&a.StartedAt, &a.FinishedAt, &a.Key, &a.Bytes, &a.SHA256, &a.ManifestSHA256, &a.DurationMS, &a.Stamp, &a.Voices, &a.Unverified)
			if err == nil {
				all[of].Archives[a.Version] = a
			}
			return err
		})
	})
	queueHolds(batch, ids, all)
	queueParts(batch, ids, m, all)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("load rows: %w", err)
	}
	return all, nil
}

// eachRow scans all rows and closes them.
func eachRow(rows pgx.Rows, scan func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// save writes the rows back, participants and archives only where they changed.
func save(ctx context.Context, tx pgx.Tx, all map[string]*folded) error {
	batch := &pgx.Batch{}
	for _, f := range all {
		holds, asked := f.held()
		batch.Queue(saveConsultation, f.ID, f.Seq, f.State, f.Policy, f.Layout, f.Language, f.Paused, f.ScheduledAt, f.StartedAt,
			f.EndedAt, f.EndReason, f.CompletedAt, f.SegmentsStored, f.Bytes, f.Pending, f.Missing, len(f.Participants), f.present(),
			f.problems(), f.consents(), f.ExpectedMS, f.RecordedMS, holds, asked)
		f.saveHolds(batch)
		for _, p := range f.Participants {
			if p.changed {
				batch.Queue(saveParticipant, f.ID, p.ID, p.Role, p.Records, p.Consent, p.ConsentAt, p.Present, p.InvitedAt,
					p.JoinedAt, p.LeftAt, p.LeftReason)
			}
		}
		for _, a := range f.Archives {
			if a.changed {
				batch.Queue(saveArchive, f.ID, a.Version, a.State, a.Code, a.ThroughSeq, a.Layout, a.Profile, a.RequestedAt,
					a.StartedAt, a.FinishedAt, a.Key, a.Bytes, a.SHA256, a.ManifestSHA256, a.DurationMS, a.Stamp, a.Voices, a.Unverified)
			}
		}
	}
	saveParts(batch, all)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("save rows: %w", err)
	}
	return copyMarkers(ctx, tx, all)
}

const (
	lockPosition = `
		select stream_seq, log_created_ns, projection, unknown_events from readmodel.position for update`
	insertPosition = `
		insert into readmodel.position (stream_seq, log_created_ns, projection, unknown_events, moved_at)
		values (0, $1, $2, 0, now()) on conflict do nothing`
	movePosition = `
		update readmodel.position set stream_seq = $1, log_created_ns = $2, projection = $3, unknown_events = $4, moved_at = now()`
)

// position says how far the rows go and what they were made of.
type position struct {
	seq        uint64
	createdNS  int64
	projection int
	unknown    int64
}

// lock reads the position and keeps others from moving it until the transaction ends. ok is false when there is none yet.
func lock(ctx context.Context, tx pgx.Tx) (at position, ok bool, err error) {
	err = tx.QueryRow(ctx, lockPosition).Scan(&at.seq, &at.createdNS, &at.projection, &at.unknown)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return position{}, false, nil
	case err != nil:
		return position{}, false, fmt.Errorf("lock position: %w", err)
	}
	return at, true, nil
}

// startOf writes the position before the first event of a log, unless another process was quicker.
func startOf(ctx context.Context, tx pgx.Tx, created time.Time) (position, error) {
	at := position{createdNS: created.UnixNano(), projection: projection}
	if _, err := tx.Exec(ctx, insertPosition, at.createdNS, at.projection); err != nil {
		return position{}, fmt.Errorf("write first position: %w", err)
	}
	return at, nil
}

// fits says whether the rows can go on from here with the log that info describes.
func (at position) fits(info events.Info) error {
	switch {
	case at.projection > projection:
		return ErrNewerProjection
	case at.createdNS != info.Created.UnixNano():
		return fmt.Errorf("the log was created at %s, the rows were made from one created at %s: %w",
			info.Created.UTC().Format(time.RFC3339Nano), time.Unix(0, at.createdNS).UTC().Format(time.RFC3339Nano), ErrOtherLog)
	case at.seq > info.Last:
		return fmt.Errorf("the log ends at %d, the rows were made up to %d: %w", info.Last, at.seq, ErrOtherLog)
	}
	return nil
}

func (at position) move(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, movePosition, at.seq, at.createdNS, at.projection, at.unknown); err != nil {
		return fmt.Errorf("move position: %w", err)
	}
	return nil
}
