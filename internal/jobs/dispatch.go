package jobs

import (
	"context"

	"consilium/internal/events"
)

// Dispatch queues a job for every archive that the log orders and that is neither rendered nor failed, until ctx ends.
// It reads the log from the beginning, so that an order is never lost between the log and the queue.
func Dispatch(ctx context.Context, log events.Log, q *Queue) error {
	types := []events.Type{events.TypeArchiveRequested, events.TypeArchiveRendered, events.TypeArchiveFailed}
	return events.WatchBacklog(ctx, log, types, note, func(ctx context.Context, j ArchiveJob) error {
		err := q.Publish(ctx, j)
		if err != nil {
			q.logger.Warn("job is not queued yet", "consultation", j.Consultation, "version", j.Version, "error", err)
		}
		return err
	})
}

// IsNightly says whether nobody waits for the version of an archive that an event orders: neither the first one, nor ordered by a
// person, but made again by itself, because a file came late.
func IsNightly(order events.Stored, version int) bool { return version > 1 && order.Actor == "" }

// note keeps in open what is ordered and not answered.
func note(open map[ArchiveJob]bool, stored events.Stored) {
	switch e := stored.Event.(type) {
	case events.ArchiveRequested:
		open[ArchiveJob{stored.Subject, e.Version, IsNightly(stored, e.Version)}] = true
	case events.ArchiveRendered:
		answered(open, stored.Subject, e.Version)
	case events.ArchiveFailed:
		answered(open, stored.Subject, e.Version)
	}
}

func answered(open map[ArchiveJob]bool, consultation string, version int) {
	for _, nightly := range []bool{false, true} {
		delete(open, ArchiveJob{consultation, version, nightly})
	}
}
