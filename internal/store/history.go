package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
)

// Marker is one event in a list: when, what, about whom, by whom. What else it says stands in the log.
type Marker struct {
	Seq         uint64
	At          time.Time
	Type        string
	Participant string
	Actor       string
	Code        string // of a failure, else empty
}

// MarkerFilter chooses markers of one consultation. Zero fields choose all.
type MarkerFilter struct {
	After       uint64 // only behind this seq
	Types       []string
	Participant string
	Failures    bool // only those with a code
	Limit       int  // 0 means DefaultMarkers, at most MaxMarkers
}

// Limits of Markers.
const (
	DefaultMarkers = 200
	MaxMarkers     = 1000
	maxTypes       = 20
)

// MarkerPage is one page of markers in the order of seq.
type MarkerPage struct {
	Items []Marker
	More  bool // whether there are markers behind the last one
}

// Markers gives one page of the events of a consultation. The error wraps ErrNotFound or ErrInvalid when the reason is
// the caller's.
func (q *Queries) Markers(ctx context.Context, id string, f MarkerFilter) (MarkerPage, error) {
	if f.Limit == 0 {
		f.Limit = DefaultMarkers
	}
	switch {
	case f.Limit < 0 || f.Limit > MaxMarkers:
		return MarkerPage{}, invalid("limit", "a page has between 1 and %d events", MaxMarkers)
	case len(f.Types) > maxTypes:
		return MarkerPage{}, invalid("type", "at most %d types can be asked for at once", maxTypes)
	}
	var c conditions
	c.add("consultation = ?", id)
	c.add("seq > ?", clamp(f.After))
	if len(f.Types) > 0 {
		c.add("type = any(?)", f.Types)
	}
	if f.Participant != "" {
		c.add("participant = ?", ident(f.Participant))
	}
	if f.Failures {
		c.add("code <> ''")
	}
	sql := "select seq, at, type, participant, actor, code from readmodel.markers where " + c.text() +
		fmt.Sprintf(" order by seq limit %d", f.Limit+1)
	var page MarkerPage
	err := q.of(ctx, id, func(tx pgx.Tx) (err error) {
		page.Items, err = collect[Marker](ctx, tx, sql, c.args...)
		return err
	})
	if err != nil {
		return MarkerPage{}, fmt.Errorf("list events of %s: %w", id, err)
	}
	if page.More = len(page.Items) > f.Limit; page.More {
		page.Items = page.Items[:f.Limit]
	}
	return page, nil
}

// Connection is one PeerConnection of a participant.
type Connection struct {
	ID, Participant, Via, Browser, State string
	LocalKind, RemoteKind, Transport     string
	Restarts                             int64
	TimeoutPhase, TimeoutCode            string
	OpenedAt                             time.Time
	ConnectedAt, ClosedAt                *time.Time
	CloseReason                          string
}

// Track is one track of a participant.
type Track struct {
	ID, Participant, Connection, Kind, Source, Codec string
	Muted                                            bool
	Stalls                                           int64
	StartedAt                                        time.Time
	EndedAt                                          *time.Time
	EndReason                                        string
	ExpectedMS, RecordedMS                           int64 // as the completion said; 0 before
}

// Span is a stretch of a lane, see the lanes.
type Span struct {
	Seq                               uint64
	Lane, Participant, Subject, Value string
	StartedAt                         time.Time
	EndedAt                           *time.Time // nil while it lasts
}

// Lanes are what a page draws beside each other: connections, tracks and stretches of time.
type Lanes struct {
	Connections []Connection
	Tracks      []Track
	Spans       []Span
}

const (
	selectConnections = `
		select id, participant, via, browser, state, local_kind, remote_kind, transport, restarts, timeout_phase, timeout_code, opened_at,
			connected_at, closed_at, close_reason
		from readmodel.connections where consultation = $1 order by opened_at, id`
	selectTracks = `
		select id, participant, connection, kind, source, codec, muted, stalls, started_at, ended_at, end_reason, expected_ms, recorded_ms
		from readmodel.tracks where consultation = $1 order by started_at, id`
	selectSpans = `
		select seq, lane, participant, subject, value, started_at, ended_at
		from readmodel.spans where consultation = $1 order by started_at, seq`
	selectAccesses = `
		select a.id, a.actor, coalesce(d.name, ''), coalesce(d.role, ''), a.purpose, a.version, a.opened_at, a.closed_at, a.watched, a.watched_ms
		from readmodel.accesses a left join directory.actors d on d.id::text = a.actor
		where a.consultation = $1 order by a.opened_at desc, a.id`
	selectExports = `
		select seq, actor, kind, sha256, at from readmodel.exports where consultation = $1 order by seq desc`
)

// Lanes gives all lanes of a consultation. The error wraps ErrNotFound when there is none.
func (q *Queries) Lanes(ctx context.Context, id string) (Lanes, error) {
	var l Lanes
	err := q.of(ctx, id, func(tx pgx.Tx) (err error) {
		if l.Connections, err = collect[Connection](ctx, tx, selectConnections, id); err != nil {
			return err
		}
		if l.Tracks, err = collect[Track](ctx, tx, selectTracks, id); err != nil {
			return err
		}
		l.Spans, err = collect[Span](ctx, tx, selectSpans, id)
		return err
	})
	if err != nil {
		return Lanes{}, fmt.Errorf("read lanes of %s: %w", id, err)
	}
	return l, nil
}

// Access is one receipt: who opened an archive for what, and what was watched.
type Access struct {
	ID        string
	Actor     string
	Name      string // of the actor, as the directory last saw it; may be empty
	Role      string
	Purpose   string
	Version   int64
	OpenedAt  time.Time
	ClosedAt  *time.Time
	Watched   []int64 // from, to, from, to … in milliseconds; sorted, apart
	WatchedMS int64
}

// LogValue shows the id only.
func (a Access) LogValue() slog.Value { return slog.StringValue("receipt " + a.ID) }

// Export is one thing that was taken out.
type Export struct {
	Seq                 uint64
	Actor, Kind, SHA256 string
	At                  time.Time
}

// Accesses gives the receipts and exports of a consultation, newest first. The error wraps ErrNotFound when there is no
// such consultation.
func (q *Queries) Accesses(ctx context.Context, id string) (accesses []Access, exports []Export, err error) {
	err = q.of(ctx, id, func(tx pgx.Tx) (err error) {
		if accesses, err = collect[Access](ctx, tx, selectAccesses, id); err != nil {
			return err
		}
		exports, err = collect[Export](ctx, tx, selectExports, id)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read accesses of %s: %w", id, err)
	}
	return accesses, exports, nil
}

// Some gives those of the consultations ids that there are, in no order.
func (q *Queries) Some(ctx context.Context, ids []string) ([]Consultation, error) {
	var found []Consultation
	err := q.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectConsultations+" where c.id = any($1)", ids)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, scanListed)
		if err != nil {
			return err
		}
		found = nil
		for _, l := range all {
			found = append(found, l.Consultation)
		}
		return addPeople(ctx, tx, found)
	})
	if err != nil {
		return nil, fmt.Errorf("read %d consultations: %w", len(ids), err)
	}
	return found, nil
}

// of runs f when there is a consultation with that id.
func (q *Queries) of(ctx context.Context, id string, f func(pgx.Tx) error) error {
	if !events.ValidID(id) {
		return ErrNotFound
	}
	return q.read(ctx, func(tx pgx.Tx) error {
		var one int
		switch err := tx.QueryRow(ctx, "select 1 from readmodel.consultations where id = $1", id).Scan(&one); {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return err
		}
		return f(tx)
	})
}

// collect reads rows whose columns are the fields of T in their order.
func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
