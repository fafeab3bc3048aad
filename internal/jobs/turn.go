package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Turn says whether it is the caller's turn to do what all workers together do once in a while: of any number that ask,
// one is told so, and then nobody for so long. It is forgotten with the server, so twice must do no harm.
func (q *Queue) Turn(ctx context.Context, what string, every time.Duration) (bool, error) {
	key := "turn." + what
	entry, err := q.values.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		_, err = q.values.Create(ctx, key, nil)
	case err != nil:
		return false, fmt.Errorf("look whose turn it is to %s: %w", what, err)
	case time.Since(entry.Created()) < every:
		return false, nil
	default:
		_, err = q.values.Update(ctx, key, nil, entry.Revision())
	}
	if errors.Is(err, jetstream.ErrKeyExists) || queued(err) {
		return false, nil // another one was faster
	}
	if err != nil {
		return false, fmt.Errorf("take the turn to %s: %w", what, err)
	}
	return true, nil
}
