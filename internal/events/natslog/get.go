package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
)

// getRequest is the body of STREAM.MSG.GET and DIRECT.GET (nats-server, JSApiMsgGetRequest).
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`     // DIRECT.GET only
	MaxBytes int    `json:"max_bytes,omitempty"` // DIRECT.GET only
}

func (r getRequest) message(subject string) (*nats.Msg, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: subject, Data: body}, nil
}

// get asks the leader of the stream for one event. It says whether there is one.
func (l *Log) get(ctx context.Context, r getRequest) (events.Stored, bool, error) {
	m, err := r.message("$JS.API.STREAM.MSG.GET." + eventsStream)
	if err != nil {
		return events.Stored{}, false, err
	}
	answer, err := l.request(ctx, m)
	if err != nil {
		return events.Stored{}, false, err
	}
	var body struct {
		Message *struct {
			Subject  string `json:"subject"`
			Sequence uint64 `json:"seq"`
			Data     []byte `json:"data"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &body); err != nil {
		return events.Stored{}, false, fmt.Errorf("read the answer: %w", err)
	}
	switch {
	case body.Error != nil && body.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return events.Stored{}, false, nil
	case body.Error != nil:
		return events.Stored{}, false, body.Error
	case body.Message == nil:
		return events.Stored{}, false, errors.New("read the answer: it has no event")
	}
	s, err := open(body.Message.Subject, body.Message.Data, body.Message.Sequence)
	return s, err == nil, err
}

// open reads an event and checks that it lies under its own name.
func open(subject string, raw []byte, stream uint64) (events.Stored, error) {
	s, err := events.Open(raw, stream)
	if err != nil {
		return events.Stored{}, fmt.Errorf("message %d of the log: %w: %w", stream, events.ErrCorrupt, err)
	}
	if want := events.Subject(s.Subject, s.Type); want != subject {
		return events.Stored{}, fmt.Errorf("message %d of the log lies under %s instead of %s: %w", stream, subject, want, events.ErrCorrupt)
	}
	return s, nil
}
