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

// note keeps in open what is ordered and not answered.
func note(open map[ArchiveJob]bool, stored events.Stored) {
	switch e := stored.Event.(type) {
	case events.ArchiveRequested:
		open[ArchiveJob{stored.Subject, e.Version}] = true
	case events.ArchiveRendered:
		delete(open, ArchiveJob{stored.Subject, e.Version})
	case events.ArchiveFailed:
		delete(open, ArchiveJob{stored.Subject, e.Version})
	}
}
