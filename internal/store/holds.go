package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
)

// Hold is one legal hold of a consultation.
type Hold struct {
	ID        string
	Reason    string // code
	Reference string // of the case, as the directory has it; may be empty
	Placed    HoldStep
	// Asked is the newest request to release it. Its At is nil when there is none, or none any more.
	Asked       HoldStep
	AskedReason string   // code
	Released    HoldStep // its At is nil while the hold is in force
}

// HoldStep says who did something with a hold, and when.
type HoldStep struct {
	Actor, Role string
	Name        string // of the actor, as the directory last saw it; may be empty
	At          *time.Time
}

// LogValue shows the id only.
func (h Hold) LogValue() slog.Value { return slog.StringValue("hold " + h.ID) }

const selectHolds = `
	select h.id, h.reason, coalesce(r.reference, ''),
		h.placed_by, h.placed_role, coalesce(p.name, ''), h.placed_at,
		h.asked_by, h.asked_role, coalesce(a.name, ''), h.asked_at, h.asked_reason,
		h.released_by, h.released_role, coalesce(d.name, ''), h.released_at
	from readmodel.holds h
	left join directory.holds r on r.consultation = h.consultation and r.id::text = h.id
	left join directory.actors p on p.id::text = h.placed_by
	left join directory.actors a on a.id::text = h.asked_by
	left join directory.actors d on d.id::text = h.released_by
	where h.consultation = $1 order by h.placed_at, h.id`

// Holds gives all holds of a consultation, those that were released too, in the order in which they were placed. The error
// wraps ErrNotFound when there is no such consultation.
func (q *Queries) Holds(ctx context.Context, id string) ([]Hold, error) {
	var all []Hold
	err := q.of(ctx, id, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectHolds, id)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h Hold, err error) {
			err = row.Scan(&h.ID, &h.Reason, &h.Reference, &h.Placed.Actor, &h.Placed.Role, &h.Placed.Name, &h.Placed.At,
				&h.Asked.Actor, &h.Asked.Role, &h.Asked.Name, &h.Asked.At, &h.AskedReason,
				&h.Released.Actor, &h.Released.Role, &h.Released.Name, &h.Released.At)
			return h, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read holds of %s: %w", id, err)
	}
	return all, nil
}

// foldedHold is one row of readmodel.holds.
type foldedHold struct {
	ID, Reason                      string
	PlacedBy, PlacedRole            string
	PlacedAt                        time.Time
	AskedBy, AskedRole, AskedReason string
	AskedAt                         *time.Time
	ReleasedBy, ReleasedRole        string
	ReleasedAt                      *time.Time

	changed bool
}

// applyHold follows holds by the rules of consultation.State, which a test holds it against.
func (f *folded) applyHold(e events.Stored, at time.Time) bool {
	actor := ident(e.Actor)
	inForce := func(id string, to func(*foldedHold)) {
		if h := f.Holds[ident(id)]; h != nil && h.ReleasedAt == nil {
			to(h)
			h.changed = true
		}
	}
	switch ev := e.Event.(type) {
	case events.HoldPlaced:
		if id := ident(ev.Hold); f.Holds[id] == nil {
			f.Holds[id] = &foldedHold{ID: id, Reason: plain(ev.Reason), PlacedBy: actor, PlacedRole: plain(ev.By), PlacedAt: at, changed: true}
		}
	case events.HoldReleaseRequested:
		inForce(ev.Hold, func(h *foldedHold) {
			h.AskedBy, h.AskedRole, h.AskedReason, h.AskedAt = actor, plain(ev.By), plain(ev.Reason), &at
		})
	case events.HoldReleaseDeclined:
		inForce(ev.Hold, func(h *foldedHold) { h.AskedBy, h.AskedRole, h.AskedReason, h.AskedAt = "", "", "", nil })
	case events.HoldReleased:
		inForce(ev.Hold, func(h *foldedHold) { h.ReleasedBy, h.ReleasedRole, h.ReleasedAt = actor, plain(ev.By), &at })
	default:
		return false
	}
	return true
}

// held counts the holds in force, and gives the newest request to release one of them.
func (f *folded) held() (n int, asked *time.Time) {
	for _, h := range f.Holds {
		if h.ReleasedAt != nil {
			continue
		}
		n++
		if h.AskedAt != nil && (asked == nil || h.AskedAt.After(*asked)) {
			asked = h.AskedAt
		}
	}
	return n, asked
}

const (
	loadHolds = `
		select consultation::text, id, reason, placed_by, placed_role, placed_at, asked_by, asked_role, asked_reason, asked_at, released_by,
			released_role, released_at
		from readmodel.holds where consultation = any($1)`
	saveHold = `
		insert into readmodel.holds (consultation, id, reason, placed_by, placed_role, placed_at, asked_by, asked_role, asked_reason, asked_at,
			released_by, released_role, released_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		on conflict (consultation, id) do update set asked_by = excluded.asked_by, asked_role = excluded.asked_role,
			asked_reason = excluded.asked_reason, asked_at = excluded.asked_at, released_by = excluded.released_by,
			released_role = excluded.released_role, released_at = excluded.released_at`
)

// queueHolds asks for the holds of consultations and puts them into all.
func queueHolds(batch *pgx.Batch, consultations []string, all map[string]*folded) {
	batch.Queue(loadHolds, consultations).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func() error {
			var of string
			h := &foldedHold{}
			err := rows.Scan(&of, &h.ID, &h.Reason, &h.PlacedBy, &h.PlacedRole, &h.PlacedAt, &h.AskedBy, &h.AskedRole, &h.AskedReason, &h.AskedAt,
				&h.ReleasedBy, &h.ReleasedRole, &h.ReleasedAt)
			if err == nil {
				all[of].Holds[h.ID] = h
			}
			return err
		})
	})
}

// saveHolds queues those that have changed.
func (f *folded) saveHolds(batch *pgx.Batch) {
	for _, h := range f.Holds {
		if h.changed {
			batch.Queue(saveHold, f.ID, h.ID, h.Reason, h.PlacedBy, h.PlacedRole, h.PlacedAt, h.AskedBy, h.AskedRole, h.AskedReason, h.AskedAt,
				h.ReleasedBy, h.ReleasedRole, h.ReleasedAt)
		}
	}
}
