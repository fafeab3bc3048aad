package jobs

import (
	"context"
	"fmt"
	"time"

	"consilium/internal/events"
)

const (
	// settled is how long the log must be silent before what is still open is queued: while the past is read, most
	// orders turn out to be done further on.
	settled = 200 * time.Millisecond
	// dispatchAgain is the pause before an order that the queue did not take is tried again.
	dispatchAgain = time.Second
)

// Dispatch queues a job for every archive that the log orders and that is neither rendered nor failed, until ctx ends.
// It reads the log from the beginning each time, so that no order is ever lost between the log and the queue; several
// processes may do it at once, because a job is queued once. It returns an error when the log cannot be followed.
func Dispatch(ctx context.Context, log events.Log, q *Queue) error {
	following, cancel := context.WithCancel(ctx)
	found := make(chan events.Stored)
	var failed error // set before found is closed
	go func() {
		defer close(found)
		failed = follow(following, log, found)
	}()
	defer func() { // wait for the goroutine
		cancel()
		for range found {
		}
	}()
	open := map[ArchiveJob]bool{}
	quiet := time.NewTimer(settled)
	defer quiet.Stop()
	for {
		select {
		case s, ok := <-found:
			if !ok {
				return failed
			}
			note(open, s)
			quiet.Reset(settled)
		case <-quiet.C:
			if q.publishAll(ctx, open); len(open) > 0 {
				quiet.Reset(dispatchAgain)
			}
		}
	}
}

// follow hands on what the log says about archives until ctx ends.
func follow(ctx context.Context, log events.Log, found chan<- events.Stored) error {
	filter := events.Filter{Types: []events.Type{
		events.TypeArchiveRequested, events.TypeArchiveRendered, events.TypeArchiveFailed,
	}}
	for s, err := range log.Follow(ctx, 0, filter) {
		if err != nil {
			return fmt.Errorf("dispatch archives: %w", err)
		}
		select {
		case found <- s:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// note keeps in open what is ordered and not answered.
func note(open map[ArchiveJob]bool, s events.Stored) {
	switch e := s.Event.(type) {
	case events.ArchiveRequested:
		open[ArchiveJob{s.Subject, e.Version}] = true
	case events.ArchiveRendered:
		delete(open, ArchiveJob{s.Subject, e.Version})
	case events.ArchiveFailed:
		delete(open, ArchiveJob{s.Subject, e.Version})
	}
}

// publishAll queues what is open and leaves what could not be queued.
func (q *Queue) publishAll(ctx context.Context, open map[ArchiveJob]bool) {
	for j := range open {
		if err := q.Publish(ctx, j); err != nil {
			q.logger.Warn("a job is not queued yet", "consultation", j.Consultation, "version", j.Version, "error", err)
			continue
		}
		delete(open, j)
	}
}
