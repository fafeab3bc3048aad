// Package appender is the only caller of events.Log.Append. In come facts and commands; out go appended events.
//
// A fact has happened: when the consultation has moved on meanwhile it is moved behind the newest event and keeps its
// id. A command is a wish: it is decided again. The package never changes what an event says, never stores a fact twice
// and never gives one up while its caller waits for it.
package appender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/events"
)

// ErrFenced says that another process has claimed the consultation with a newer conference.hosted: this one must stop
// to write about it.
var ErrFenced = errors.New("another process hosts the consultation now")

// Appender appends to one log. It is safe for concurrent use and has no goroutine of its own.
type Appender struct {
	log     events.Log
	logger  *slog.Logger
	metrics *metrics
}

// New makes an Appender. With a nil registerer its metrics are counted and not shown.
func New(log events.Log, logger *slog.Logger, registerer prometheus.Registerer) *Appender {
	return &Appender{log: log, logger: logger, metrics: newMetrics(registerer)}
}

// Command reads the consultation, lets decide say what follows from it, and appends that in one step, or nothing at all.
// When somebody else appended meanwhile, it reads and decides again. An error of decide is returned as it is. Without
// drafts nothing is appended, and the version that decide has seen comes back.
//
// Another error means that nothing is known to be stored. To give the command again is safe: decide then sees what was
// stored after all.
func (a *Appender) Command(ctx context.Context, consultation string, decide func(history []events.Stored) ([]events.Draft, error)) (events.Version, error) {
	for conflicts := 0; ; conflicts++ {
		history, err := events.ReadAll(ctx, a.log, consultation)
		if err != nil {
			return events.Version{}, fmt.Errorf("decide on %s: %w", consultation, err)
		}
		drafts, err := decide(history)
		if err != nil {
			return events.Version{}, err
		}
		var at events.Version
		if len(history) > 0 {
			at = history[len(history)-1].Version()
		}
		if len(drafts) == 0 {
			return at, nil
		}
		v, err := a.append(ctx, consultation, at, drafts)
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, events.ErrConflict) {
			return events.Version{}, fmt.Errorf("carry out a command on %s: %w", consultation, err)
		}
		if err := pause(ctx, afterConflict(conflicts)); err != nil {
			return events.Version{}, fmt.Errorf("carry out a command on %s: %w", consultation, err)
		}
	}
}

// Fact appends d behind whatever is newest, once, and tries until it is stored or ctx ends. It returns an error at once
// only for a draft that could never be stored.
func (a *Appender) Fact(ctx context.Context, consultation string, d events.Draft) (events.Version, error) {
	if _, _, err := events.Seal(consultation, events.Version{}, d); err != nil {
		return events.Version{}, err
	}
	t := tail{a: a, consultation: consultation, logger: a.logger.With("consultation", consultation)}
	v, err := t.store(ctx, []events.Draft{d})
	if err != nil {
		return events.Version{}, fmt.Errorf("append %s to %s: %w", events.TypeOf(d.Event), consultation, err)
	}
	return v, nil
}

// append is the one place where the log is asked to append.
func (a *Appender) append(ctx context.Context, consultation string, after events.Version, drafts []events.Draft) (events.Version, error) {
	began := time.Now()
	v, err := a.log.Append(ctx, consultation, after, drafts...)
	switch {
	case err == nil:
		a.metrics.append.Observe(time.Since(began).Seconds())
	case errors.Is(err, events.ErrConflict):
		a.metrics.conflicts.Inc()
	default:
		a.metrics.failures.Inc()
	}
	return v, err
}
