package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Progress is how far a job is.
type Progress struct {
	Consultation string `json:"consultation"`
	Version      int    `json:"version"`
	Stage        string `json:"stage"` // stable code of the stitcher
	Done         int64  `json:"done"`  // of Total, in output frames
	Total        int64  `json:"total"`
	LeftMS       int64  `json:"leftMs,omitempty"` // estimate of what is left; 0 = not known yet
}

// PublishProgress tells everybody who watches, and keeps the newest value.
func (q *Queue) PublishProgress(ctx context.Context, p Progress) error {
	if err := check(p.Consultation, p.Version); err != nil {
		return fmt.Errorf("publish progress: %w", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("publish progress: %w", err)
	}
	key := name(p.Consultation, p.Version)
	if err := q.nc.Publish("progress."+key, body); err != nil {
		return fmt.Errorf("publish progress: %w", err)
	}
	if _, err := q.values.Put(ctx, key, body); err != nil {
		return fmt.Errorf("keep progress: %w", err)
	}
	return nil
}

// Progress is the newest value of a job; false says that there is none. It outlives the worker, not the server.
func (q *Queue) Progress(ctx context.Context, consultation string, version int) (Progress, bool, error) {
	if err := check(consultation, version); err != nil {
		return Progress{}, false, fmt.Errorf("read progress: %w", err)
	}
	entry, err := q.values.Get(ctx, name(consultation, version))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return Progress{}, false, nil
	case err != nil:
		return Progress{}, false, fmt.Errorf("read progress: %w", err)
	}
	var p Progress
	if err := json.Unmarshal(entry.Value(), &p); err != nil {
		return Progress{}, false, fmt.Errorf("read progress: %w", err)
	}
	return p, true, nil
}

// WatchProgress yields what is published from now on, of all jobs, until ctx ends. A reader that is too slow misses
// values, and values published while the connection is lost are missed too: the next one says the same and more.
func (q *Queue) WatchProgress(ctx context.Context) iter.Seq2[Progress, error] {
	return func(yield func(Progress, error) bool) {
		values, err := q.nc.SubscribeSync("progress.*.*")
		if err != nil {
			yield(Progress{}, fmt.Errorf("watch progress: %w", err))
			return
		}
		defer func() { _ = values.Unsubscribe() }()
		for {
			m, err := values.NextMsgWithContext(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, nats.ErrSlowConsumer):
				continue
			case err != nil:
				yield(Progress{}, fmt.Errorf("watch progress: %w", err))
				return
			}
			var p Progress
			if err := json.Unmarshal(m.Data, &p); err != nil {
				q.logger.Warn("progress cannot be read", "error", err)
				continue
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
