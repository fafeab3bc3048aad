package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// cancelKey is where it stands that a job was called off.
func (j ArchiveJob) cancelKey() string { return "cancel." + name(j.Consultation, j.Version) }

// Cancel calls an archive off. A worker that has it notices within seconds and says so in the log; one that is finished
// stays. It is forgotten with the server, like all progress: then the archive is made after all.
func (q *Queue) Cancel(ctx context.Context, j ArchiveJob) error {
	if err := check(j.Consultation, j.Version); err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	if _, err := q.values.Put(ctx, j.cancelKey(), []byte("{}")); err != nil {
		return fmt.Errorf("cancel %s: %w", j.subject(), err)
	}
	return nil
}

// Cancelled says whether a job was called off.
func (q *Queue) Cancelled(ctx context.Context, j ArchiveJob) (bool, error) {
	_, err := q.values.Get(ctx, j.cancelKey())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s was cancelled: %w", j.subject(), err)
	}
	return true, nil
}
