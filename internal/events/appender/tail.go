package appender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"consilium/internal/events"
)

// tail is what one writer knows of the end of a consultation. Facts are stored behind it, one call of store at a time.
//
// Every event after at is looked at once, before anything is appended behind it. That is why no fact is stored twice
// even when the answer to its append was lost: it would be found there.
type tail struct {
	a            *Appender
	consultation string
	epoch        int // that the writer claimed; 0 = it hosts nothing and cannot be fenced
	logger       *slog.Logger

	known bool // at is set
	stale bool // there are events after at
	at    events.Version
}

// store appends drafts in order and returns the version after the last one. It tries until they are stored, ctx ends or
// the writer is fenced.
func (t *tail) store(ctx context.Context, drafts []events.Draft) (events.Version, error) {
	var stored events.Version
	failures, conflicts := 0, 0
	for {
		err := t.catchUp(ctx, func(s events.Stored) {
			if i := slices.IndexFunc(drafts, func(d events.Draft) bool { return d.ID == s.ID }); i >= 0 {
				drafts, stored = slices.Delete(slices.Clone(drafts), i, i+1), s.Version()
			}
		})
		if err == nil && len(drafts) == 0 {
			return stored, nil
		}
		if err == nil {
			var v events.Version
			if v, err = t.a.append(ctx, t.consultation, t.at, drafts); err == nil {
				if failures > 0 {
					t.logger.Info("the log stores again", "failures", failures)
				}
				t.at = v
				return v, nil
			}
		}
		wait := afterConflict(conflicts)
		switch {
		case errors.Is(err, ErrFenced):
			return events.Version{}, err
		case ctx.Err() != nil:
			return events.Version{}, errors.Join(ctx.Err(), err)
		case errors.Is(err, events.ErrConflict):
			t.stale = true
			conflicts++
		default:
			if failures == 0 {
				t.logger.Warn("the log does not store; trying until it does", "error", err)
			}
			wait = afterFailure(failures)
			failures++
		}
		if err := pause(ctx, wait); err != nil {
			return events.Version{}, err
		}
	}
}

// catchUp moves at to the newest event and shows every event on the way to seen. It keeps what it has when it fails.
func (t *tail) catchUp(ctx context.Context, seen func(events.Stored)) error {
	switch {
	case !t.known && t.epoch == 0:
		at, err := t.a.log.Last(ctx, t.consultation)
		if err != nil {
			return fmt.Errorf("find the newest event: %w", err)
		}
		t.at, t.known = at, true
		return nil
	case t.known && !t.stale:
		return nil
	}
	for s, err := range t.a.log.Read(ctx, t.consultation, t.at.Seq+1) {
		if err != nil {
			return fmt.Errorf("read the newer events: %w", err)
		}
		if h, ok := s.Event.(events.ConferenceHosted); ok && t.epoch != 0 && h.Epoch > t.epoch {
			return fmt.Errorf("epoch %d came after epoch %d: %w", h.Epoch, t.epoch, ErrFenced)
		}
		seen(s)
		t.at = s.Version()
	}
	t.known, t.stale = true, false
	return nil
}
