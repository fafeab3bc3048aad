package jobs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"consilium/internal/events"
)

// Early asks for what can be made already of the archive of a consultation that is going on.
type Early struct {
	Consultation string `json:"consultation"`
	// Layout, Profile and Sheet are those that the archive would be ordered with if the consultation ended now.
	Layout  string      `json:"layout"`
	Profile string      `json:"profile"`
	Sheet   events.Blob `json:"sheet"`
}

// earlyPrefix has four parts with the consultation, so that it does not look like the progress of an archive.
const (
	earlyPrefix = "progress.piece.early."
	earlyGroup  = "stitchers"
)

// AskEarly tells one of the stitchers that are there, and nobody when there is none. It is kept nowhere: what is not
// made during the call is made after it, and the next question asks for the same and more.
func (q *Queue) AskEarly(_ context.Context, e Early) error {
	if err := check(e.Consultation, 1); err != nil {
		return fmt.Errorf("ask for early chunks: %w", err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("ask for early chunks: %w", err)
	}
	if err := q.nc.Publish(earlyPrefix+e.Consultation, body); err != nil {
		return fmt.Errorf("ask for early chunks: %w", err)
	}
	return nil
}

// OnEarly calls hear, from one goroutine, with every question that falls to this stitcher, until stop is called. hear must
// not block.
func (q *Queue) OnEarly(hear func(Early)) (stop func(), err error) {
	sub, err := q.nc.QueueSubscribe(earlyPrefix+"*", earlyGroup, func(m *nats.Msg) {
		var e Early
		if err := json.Unmarshal(m.Data, &e); err != nil || check(e.Consultation, 1) != nil {
			q.logger.Warn("a question for early chunks cannot be read", "subject", m.Subject)
			return
		}
		hear(e)
	})
	if err != nil {
		return nil, fmt.Errorf("listen for questions for early chunks: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
