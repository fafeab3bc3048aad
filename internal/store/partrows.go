package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Parts are read back by the ids that a batch mentions and written as columns, one statement a table: what is new is
// inserted, what was there is replaced. Markers, of which there are by far the most, are only ever added, by COPY.
const (
	loadConnections = `
		select consultation::text, id, participant, via, browser, state, local_kind, remote_kind, transport, restarts, timeout_phase,
			timeout_code, opened_at, connected_at, closed_at, close_reason
		from readmodel.connections where (consultation, id) in (select * from unnest($1::uuid[], $2::text[]))`
	loadTracks = `
		select consultation::text, id, participant, connection, kind, source, codec, muted, stalls, started_at, ended_at, end_reason,
			expected_ms, recorded_ms
		from readmodel.tracks where (consultation, id) in (select * from unnest($1::uuid[], $2::text[]))`
	loadSegments = `
		select consultation::text, id, track, participant, codec, state, cause, width, height, frames, bytes, sha256, key, opened_at, stored_at
		from readmodel.segments where (consultation, id) in (select * from unnest($1::uuid[], $2::text[]))`
	loadAccesses = `
		select consultation::text, id, actor, purpose, version, opened_at, closed_at, watched, watched_ms
		from readmodel.accesses where (consultation, id) in (select * from unnest($1::uuid[], $2::text[]))`
	loadOpenSpans = `
		select consultation::text, seq, lane, participant, subject, value, started_at, ended_at
		from readmodel.spans where consultation = any($1) and ended_at is null`

	saveConnections = `
		insert into readmodel.connections (consultation, id, participant, via, browser, state, local_kind, remote_kind, transport, restarts,
			timeout_phase, timeout_code, opened_at, connected_at, closed_at, close_reason)
		select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
			$10::bigint[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::text[])
		on conflict (consultation, id) do update set state = excluded.state, local_kind = excluded.local_kind,
			remote_kind = excluded.remote_kind, transport = excluded.transport, restarts = excluded.restarts,
			timeout_phase = excluded.timeout_phase, timeout_code = excluded.timeout_code, connected_at = excluded.connected_at,
			closed_at = excluded.closed_at, close_reason = excluded.close_reason`
	saveTracks = `
		insert into readmodel.tracks (consultation, id, participant, connection, kind, source, codec, muted, stalls, started_at, ended_at,
			end_reason, expected_ms, recorded_ms)
		select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::bigint[],
			$10::timestamptz[], $11::timestamptz[], $12::text[], $13::bigint[], $14::bigint[])
		on conflict (consultation, id) do update set muted = excluded.muted, stalls = excluded.stalls, ended_at = excluded.ended_at,
			end_reason = excluded.end_reason, expected_ms = excluded.expected_ms, recorded_ms = excluded.recorded_ms`
	saveSegments = `
		insert into readmodel.segments (consultation, id, track, participant, codec, state, cause, width, height, frames, bytes, sha256, key,
			opened_at, stored_at)
		select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
			$10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[])
		on conflict (consultation, id) do update set state = excluded.state, cause = excluded.cause, frames = excluded.frames,
			bytes = excluded.bytes, sha256 = excluded.sha256, key = excluded.key, stored_at = excluded.stored_at`
	saveAccess = `
		insert into readmodel.accesses (consultation, id, actor, purpose, version, opened_at, closed_at, watched, watched_ms)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (consultation, id) do update set closed_at = excluded.closed_at, watched = excluded.watched, watched_ms = excluded.watched_ms`
	saveSpans = `
		insert into readmodel.spans (consultation, seq, lane, participant, subject, value, started_at, ended_at)
		select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
		on conflict (consultation, seq) do update set ended_at = excluded.ended_at`
	saveExport = `
		insert into readmodel.exports (consultation, seq, actor, kind, sha256, at) values ($1, $2, $3, $4, $5, $6)`
)

// queueParts asks for the parts that m mentions and puts them into all.
func queueParts(batch *pgx.Batch, consultations []string, m *mentions, all map[string]*folded) {
	ask := func(sql string, of ids, scan func(pgx.Rows) error) {
		if len(of.id) > 0 {
			batch.Queue(sql, of.of, of.id).Query(func(rows pgx.Rows) error {
				return eachRow(rows, func() error { return scan(rows) })
			})
		}
	}
	ask(loadConnections, m.connections, func(rows pgx.Rows) error {
		of, c, err := scanConnection(rows)
		if err == nil {
			all[of].Connections[c.ID] = c
		}
		return err
	})
	ask(loadTracks, m.tracks, func(rows pgx.Rows) error {
		of, t, err := scanTrack(rows)
		if err == nil {
			all[of].Tracks[t.ID] = t
		}
		return err
	})
	ask(loadSegments, m.segments, func(rows pgx.Rows) error {
		of, s, err := scanSegment(rows)
		if err == nil {
			all[of].Segments[s.ID] = s
		}
		return err
	})
	ask(loadAccesses, m.accesses, func(rows pgx.Rows) error {
		of, a, err := scanAccess(rows)
		if err == nil {
			all[of].Accesses[a.ID] = a
		}
		return err
	})
	batch.Queue(loadOpenSpans, consultations).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func() error {
			of, s, err := scanSpan(rows)
			if err == nil {
				all[of].opened(s)
			}
			return err
		})
	})
}

func scanConnection(rows pgx.Rows) (of string, c *foldedConnection, err error) {
	c = &foldedConnection{}
	err = rows.Scan(&of, &c.ID, &c.Participant, &c.Via, &c.Browser, &c.State, &c.LocalKind, &c.RemoteKind, &c.Transport, &c.Restarts,
		&c.TimeoutPhase, &c.TimeoutCode, &c.OpenedAt, &c.ConnectedAt, &c.ClosedAt, &c.CloseReason)
	return of, c, err
}

func scanTrack(rows pgx.Rows) (of string, t *foldedTrack, err error) {
	t = &foldedTrack{}
	err = rows.Scan(&of, &t.ID, &t.Participant, &t.Connection, &t.Kind, &t.Source, &t.Codec, &t.Muted, &t.Stalls, &t.StartedAt, &t.EndedAt,
		&t.EndReason, &t.ExpectedMS, &t.RecordedMS)
	return of, t, err
}

func scanSegment(rows pgx.Rows) (of string, s *foldedSegment, err error) {
	s = &foldedSegment{}
	err = rows.Scan(&of, &s.ID, &s.Track, &s.Participant, &s.Codec, &s.State, &s.Cause, &s.Width, &s.Height, &s.Frames, &s.Bytes, &s.SHA256,
		&s.Key, &s.OpenedAt, &s.StoredAt)
	return of, s, err
}

func scanAccess(rows pgx.Rows) (of string, a *foldedAccess, err error) {
	a = &foldedAccess{}
	err = rows.Scan(&of, &a.ID, &a.Actor, &a.Purpose, &a.Version, &a.OpenedAt, &a.ClosedAt, &a.Watched, &a.WatchedMS)
	return of, a, err
}

func scanSpan(rows pgx.Rows) (of string, s *foldedSpan, err error) {
	s = &foldedSpan{}
	err = rows.Scan(&of, &s.Seq, &s.Lane, &s.Participant, &s.Subject, &s.Value, &s.StartedAt, &s.EndedAt)
	return of, s, err
}

// row is a part and the consultation that it belongs to.
type row[T any] struct {
	of   string
	part *T
}

// changed collects the parts of one kind that are to be written.
func changed[K comparable, T any](all map[string]*folded, parts func(*folded) map[K]*T, is func(*T) bool) []row[T] {
	var rows []row[T]
	for _, f := range all {
		for _, part := range parts(f) {
			if is(part) {
				rows = append(rows, row[T]{f.ID, part})
			}
		}
	}
	return rows
}

// column is one value of every row.
func column[T, V any](rows []row[T], of func(*T) V) []V {
	values := make([]V, len(rows))
	for i, r := range rows {
		values[i] = of(r.part)
	}
	return values
}

// owners is the column of the consultations.
func owners[T any](rows []row[T]) []string {
	values := make([]string, len(rows))
	for i, r := range rows {
		values[i] = r.of
	}
	return values
}

// saveParts queues what has changed, each table in one statement.
func saveParts(batch *pgx.Batch, all map[string]*folded) {
	queueConnections(batch, changed(all, func(f *folded) map[string]*foldedConnection { return f.Connections },
		func(c *foldedConnection) bool { return c.changed }))
	queueTracks(batch, changed(all, func(f *folded) map[string]*foldedTrack { return f.Tracks },
		func(t *foldedTrack) bool { return t.changed }))
	queueSegments(batch, changed(all, func(f *folded) map[string]*foldedSegment { return f.Segments },
		func(s *foldedSegment) bool { return s.changed }))
	queueSpans(batch, changed(all, func(f *folded) map[uint64]*foldedSpan { return f.Spans },
		func(s *foldedSpan) bool { return s.changed }))
	for _, f := range all {
		for _, a := range f.Accesses {
			if a.changed {
				batch.Queue(saveAccess, f.ID, a.ID, a.Actor, a.Purpose, a.Version, a.OpenedAt, a.ClosedAt, a.Watched, a.WatchedMS)
			}
		}
		for _, x := range f.Exports {
			batch.Queue(saveExport, f.ID, x.Seq, x.Actor, x.Kind, x.SHA256, x.At)
		}
	}
}

func queueConnections(batch *pgx.Batch, rows []row[foldedConnection]) {
	if len(rows) == 0 {
		return
	}
	type r = *foldedConnection
	text := func(of func(r) string) []string { return column(rows, of) }
	batch.Queue(saveConnections, owners(rows), text(func(c r) string { return c.ID }),
		text(func(c r) string { return c.Participant }), text(func(c r) string { return c.Via }), text(func(c r) string { return c.Browser }),
		text(func(c r) string { return c.State }), text(func(c r) string { return c.LocalKind }), text(func(c r) string { return c.RemoteKind }),
		text(func(c r) string { return c.Transport }), column(rows, func(c r) int64 { return c.Restarts }),
		text(func(c r) string { return c.TimeoutPhase }), text(func(c r) string { return c.TimeoutCode }),
		column(rows, func(c r) time.Time { return c.OpenedAt }), column(rows, func(c r) *time.Time { return c.ConnectedAt }),
		column(rows, func(c r) *time.Time { return c.ClosedAt }), text(func(c r) string { return c.CloseReason }))
}

func queueTracks(batch *pgx.Batch, rows []row[foldedTrack]) {
	if len(rows) == 0 {
		return
	}
	type r = *foldedTrack
	text := func(of func(r) string) []string { return column(rows, of) }
	batch.Queue(saveTracks, owners(rows), text(func(t r) string { return t.ID }),
		text(func(t r) string { return t.Participant }), text(func(t r) string { return t.Connection }), text(func(t r) string { return t.Kind }),
		text(func(t r) string { return t.Source }), text(func(t r) string { return t.Codec }), column(rows, func(t r) bool { return t.Muted }),
		column(rows, func(t r) int64 { return t.Stalls }), column(rows, func(t r) time.Time { return t.StartedAt }),
		column(rows, func(t r) *time.Time { return t.EndedAt }), text(func(t r) string { return t.EndReason }),
		column(rows, func(t r) int64 { return t.ExpectedMS }), column(rows, func(t r) int64 { return t.RecordedMS }))
}

func queueSegments(batch *pgx.Batch, rows []row[foldedSegment]) {
	if len(rows) == 0 {
		return
	}
	type r = *foldedSegment
	text := func(of func(r) string) []string { return column(rows, of) }
	number := func(of func(r) int64) []int64 { return column(rows, of) }
	batch.Queue(saveSegments, owners(rows), text(func(s r) string { return s.ID }),
		text(func(s r) string { return s.Track }), text(func(s r) string { return s.Participant }), text(func(s r) string { return s.Codec }),
		text(func(s r) string { return s.State }), text(func(s r) string { return s.Cause }), number(func(s r) int64 { return s.Width }),
		number(func(s r) int64 { return s.Height }), number(func(s r) int64 { return s.Frames }), number(func(s r) int64 { return s.Bytes }),
		text(func(s r) string { return s.SHA256 }), text(func(s r) string { return s.Key }),
		column(rows, func(s r) time.Time { return s.OpenedAt }), column(rows, func(s r) *time.Time { return s.StoredAt }))
}

func queueSpans(batch *pgx.Batch, rows []row[foldedSpan]) {
	if len(rows) == 0 {
		return
	}
	type r = *foldedSpan
	text := func(of func(r) string) []string { return column(rows, of) }
	batch.Queue(saveSpans, owners(rows), column(rows, func(s r) int64 { return clamp(s.Seq) }),
		text(func(s r) string { return s.Lane }), text(func(s r) string { return s.Participant }), text(func(s r) string { return s.Subject }),
		text(func(s r) string { return s.Value }), column(rows, func(s r) time.Time { return s.StartedAt }),
		column(rows, func(s r) *time.Time { return s.EndedAt }))
}

var markerColumns = []string{"consultation", "seq", "at", "type", "participant", "actor", "code"}

// copyMarkers adds the markers of a batch, in the order of the index.
func copyMarkers(ctx context.Context, tx pgx.Tx, all map[string]*folded) error {
	var rows [][]any
	for _, f := range all {
		for _, m := range f.Markers {
			rows = append(rows, []any{f.ID, clamp(m.Seq), m.At, m.Type, m.Participant, m.Actor, m.Code})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(int64), b[1].(int64)))
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"readmodel", "markers"}, markerColumns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("add markers: %w", err)
	}
	return nil
}
