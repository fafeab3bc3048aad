package stitch

import (
	"context"
	"errors"

	"consilium/internal/jobs"
)

// Run takes jobs from the queue and makes their archives, one after another, until ctx ends. A job that is stopped in the
// middle goes back to the queue.
func (w *Worker) Run(ctx context.Context, queue *jobs.Queue) error {
	return queue.Work(ctx, func(ctx context.Context, j jobs.ArchiveJob) error {
		err := w.Make(ctx, j.Consultation, j.Version)
		if errors.Is(err, ErrNoRequest) {
			w.logger.Error("job dropped", "consultation", j.Consultation, "version", j.Version, "error", err)
			return nil
		}
		return err
	})
}
