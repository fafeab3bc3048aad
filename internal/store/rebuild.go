package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
)

// idle is how long the log may be silent during a rebuild before it is given up: everything asked for is there already.
const idle = 30 * time.Second

// Rebuild throws all rows away and makes them again from the log as it is now. It happens in one transaction: readers
// see the old rows until the new ones are complete, and if anything fails they keep the old ones. A Projector that runs
// meanwhile waits and goes on from there.
func (p *Projector) Rebuild(ctx context.Context) error {
	began := time.Now()
	var at position
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := wipe(ctx, tx); err != nil {
			return err
		}
		// Asked while nobody else can move the position: what it says is at least what other projectors have shown.
		info, err := p.log.Info(ctx)
		if err != nil {
			return fmt.Errorf("ask the log: %w", err)
		}
		at = position{createdNS: info.Created.UnixNano(), projection: projection}
		if info.Last > 0 {
			if err := p.refill(ctx, tx, info.Last, &at); err != nil {
				return err
			}
		}
		return at.move(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("rebuild the read model: %w", err)
	}
	p.mu.Lock()
	p.forgetLocked(at.seq)
	p.mu.Unlock()
	p.advance(at.seq, nil)
	p.logger.InfoContext(ctx, "read model rebuilt", "events", at.seq, "unknown", at.unknown, "duration", time.Since(began))
	return nil
}

// tables are all that are made from the log, but for the position.
var tables = []string{
	"consultations", "participants", "archives", "connections", "tracks", "segments", "spans", "markers", "accesses", "exports", "holds",
}

// wipe locks the position and removes all rows. It deletes instead of truncating: readers must not wait.
func wipe(ctx context.Context, tx pgx.Tx) error {
	_, ok, err := lock(ctx, tx)
	if err != nil {
		return err
	}
	if !ok { // the row to lock; its values are overwritten at the end
		if _, err := startOf(ctx, tx, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if _, err := tx.Exec(ctx, "delete from readmodel."+table); err != nil {
			return fmt.Errorf("clear %s: %w", table, err)
		}
	}
	return nil
}

// refill projects the log up to last.
func (p *Projector) refill(ctx context.Context, tx pgx.Tx, last uint64, at *position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(idle, func() { cancel(errors.New("the log gave no event for a long time")) })
	defer silence.Stop()
	batch := make([]events.Stored, 0, p.cfg.BatchSize)
	for e, err := range p.log.Follow(ctx, 0, events.Filter{}) {
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		silence.Reset(idle)
		batch = append(batch, e)
		if len(batch) < p.cfg.BatchSize && e.Stream < last {
			continue
		}
		unknown, err := project(ctx, tx, batch)
		if err != nil {
			return err
		}
		at.seq, at.unknown = e.Stream, at.unknown+unknown
		if e.Stream >= last {
			return nil
		}
		batch = batch[:0]
	}
	return fmt.Errorf("the log ended at %d before %d: %w", at.seq, last, context.Cause(ctx))
}
