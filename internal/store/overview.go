package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Overview is how the whole is doing, for operators.
type Overview struct {
	Open    int64 // consultations
	Present int64 // participants in them

	Opened    int64 // connections since the time asked for
	Connected int64 // of those, the ones over which media could go
	Failures  []FailureCount

	Queued, Rendering int64 // archives
}

// FailureCount is how often a failure happened since the time asked for, the most frequent first.
type FailureCount struct {
	Type, Code string
	Count      int64
}

// maxFailures bounds the kinds of failures that an overview names.
const maxFailures = 50

const (
	selectOpen     = `select count(*), coalesce(sum(present), 0) from readmodel.consultations where state = 'open'`
	selectOpened   = `select count(*), count(connected_at) from readmodel.connections where opened_at >= $1`
	selectFailures = `
		select type, code, count(*) from readmodel.markers where code <> '' and at >= $1
		group by type, code order by count(*) desc, type, code limit $2`
	selectUnfinished = `
		select count(*) filter (where state = 'queued'), count(*) filter (where state = 'rendering')
		from readmodel.archives where state in ('queued', 'rendering')`
)

// Overview counts what is going on now, and what has happened since a time.
func (q *Queries) Overview(ctx context.Context, since time.Time) (Overview, error) {
	var o Overview
	err := q.read(ctx, func(tx pgx.Tx) (err error) {
		if err := tx.QueryRow(ctx, selectOpen).Scan(&o.Open, &o.Present); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, selectOpened, since).Scan(&o.Opened, &o.Connected); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, selectUnfinished).Scan(&o.Queued, &o.Rendering); err != nil {
			return err
		}
		o.Failures, err = collect[FailureCount](ctx, tx, selectFailures, since, maxFailures)
		return err
	})
	if err != nil {
		return Overview{}, fmt.Errorf("read overview: %w", err)
	}
	return o, nil
}
