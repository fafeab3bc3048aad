package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
)

// maxBatch is how many events the server takes in one step.
const maxBatch = 1000

// Headers of a publish (nats-server, server/stream.go).
const (
	headerExpected        = "Nats-Expected-Last-Subject-Sequence"
	headerExpectedSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerBatch           = "Nats-Batch-Id"
	headerBatchSequence   = "Nats-Batch-Sequence"
	headerBatchCommit     = "Nats-Batch-Commit"
)

// Error codes of a publish that say: look at what is newer (nats-server, server/errors.json).
const (
	codeWrongLastSequence  = 10071 // the stream has a newer event of the consultation
	codeInFlight           = 10164 // somebody's event of the consultation is being replicated
	codeDuplicateInFlight  = 10158 // this very event is being replicated
	codeDuplicateInOneStep = 10201 // one of several events is stored already
)

// ack is the server's answer to a publish.
type ack struct {
	Sequence  uint64 `json:"seq"` // of the last event
	Duplicate bool   `json:"duplicate"`
	Error     *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// Append implements events.Log. Every append is guarded with the same wildcard over the consultation: in a cluster the
// server compares guards in flight as texts, so another form could slip past.
func (l *Log) Append(ctx context.Context, consultation string, after events.Version, drafts ...events.Draft) (events.Version, error) {
	if len(drafts) == 0 && events.ValidID(consultation) {
		return after, nil
	}
	messages, end, err := seal(consultation, after, drafts)
	if err != nil {
		return events.Version{}, err
	}
	if err := ctx.Err(); err != nil {
		return events.Version{}, fmt.Errorf("append to %s: %w", consultation, err)
	}
	answer, err := l.publish(ctx, messages)
	if err == nil && !answer.Duplicate && answer.Error == nil {
		end.Stream = answer.Sequence
	} else {
		end, err = l.settle(ctx, consultation, after, drafts, answer, err)
	}
	if err == nil {
		err = l.settled()
	}
	if err != nil {
		return events.Version{}, fmt.Errorf("append to %s: %w", consultation, err)
	}
	return end, nil
}

// seal makes the messages, and the version after the last one without its place in the log.
func seal(consultation string, after events.Version, drafts []events.Draft) ([]*nats.Msg, events.Version, error) {
	if len(drafts) == 0 {
		return nil, events.Version{}, fmt.Errorf("append: consultation id %q is not a UUID", consultation)
	}
	if len(drafts) > maxBatch {
		return nil, events.Version{}, fmt.Errorf("append to %s: %d events in one step, at most %d are possible", consultation, len(drafts), maxBatch)
	}
	batch := events.NewID()
	var messages []*nats.Msg
	at := after
	for i, d := range drafts {
		raw, next, err := events.Seal(consultation, at, d)
		if err != nil {
			return nil, events.Version{}, err
		}
		m := nats.NewMsg(events.Subject(consultation, events.TypeOf(d.Event)))
		m.Data = raw
		m.Header.Set(nats.MsgIdHdr, d.ID)
		m.Header.Set(headerExpected, strconv.FormatUint(after.Stream, 10))
		m.Header.Set(headerExpectedSubject, events.ConsultationSubject(consultation))
		if len(drafts) > 1 {
			m.Header.Set(headerBatch, batch)
			m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
		}
		messages, at = append(messages, m), next
	}
	if len(messages) > 1 {
		messages[len(messages)-1].Header.Set(headerBatchCommit, "1")
	}
	return messages, at, nil
}

// publish sends the messages, of which only the last one is answered.
func (l *Log) publish(ctx context.Context, messages []*nats.Msg) (ack, error) {
	last := len(messages) - 1
	for _, m := range messages[:last] {
		if err := l.nc.PublishMsg(m); err != nil {
			return ack{}, err
		}
	}
	answer, err := l.request(ctx, messages[last])
	if err != nil {
		return ack{}, err
	}
	var a ack
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return ack{}, fmt.Errorf("read the answer: %w", err)
	}
	if a.Error == nil && a.Sequence == 0 {
		return ack{}, errors.New("read the answer: it names no event")
	}
	return a, nil
}

// settle finds out what became of an append that was not simply stored. failed is why there is no answer, or nil.
func (l *Log) settle(ctx context.Context, consultation string, after events.Version, drafts []events.Draft, answer ack, failed error) (events.Version, error) {
	switch {
	case errors.Is(failed, nats.ErrNoResponders), errors.Is(failed, nats.ErrMaxPayload):
		return events.Version{}, failed // it was never received
	case failed != nil:
		return l.settleUnanswered(ctx, consultation, after, drafts, failed)
	case answer.Duplicate:
		return l.settleDuplicate(ctx, consultation, drafts, answer.Sequence)
	}
	switch answer.Error.Code {
	case codeWrongLastSequence, codeInFlight, codeDuplicateInFlight, codeDuplicateInOneStep:
	default:
		return events.Version{}, &jetstream.APIError{ErrorCode: jetstream.ErrorCode(answer.Error.Code), Description: answer.Error.Description}
	}
	v, found, err := l.find(ctx, consultation, after, drafts)
	if err != nil || found == len(drafts) {
		return v, err
	}
	if answer.Error.Code == codeDuplicateInOneStep {
		return l.findAnywhere(ctx, consultation, drafts)
	}
	return events.Version{}, events.ErrConflict
}

// settleUnanswered reads back. It has its own time, because that of the caller may be over.
func (l *Log) settleUnanswered(ctx context.Context, consultation string, after events.Version, drafts []events.Draft, failed error) (events.Version, error) {
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	v, found, err := l.find(back, consultation, after, drafts)
	switch {
	case err != nil:
		return events.Version{}, fmt.Errorf("%w; whether it is stored is not known: %w", failed, err)
	case found == len(drafts):
		return v, nil
	case found >= 0:
		return events.Version{}, events.ErrConflict
	}
	return events.Version{}, failed
}

// settleDuplicate is for an id that the server knows: the event is at sequence, perhaps behind an older version.
func (l *Log) settleDuplicate(ctx context.Context, consultation string, drafts []events.Draft, sequence uint64) (events.Version, error) {
	s, ok, err := l.get(ctx, getRequest{Seq: sequence})
	switch {
	case err != nil:
		return events.Version{}, err
	case !ok || s.Subject != consultation || s.ID != drafts[len(drafts)-1].ID:
		return events.Version{}, fmt.Errorf("event %d is not the duplicate that it is said to be: %w", sequence, events.ErrCorrupt)
	}
	return s.Version(), nil
}

// find looks for the drafts directly behind after, one after another. It returns how many of them are there and the
// version after the last one, or -1 when there is nothing behind after at all.
func (l *Log) find(ctx context.Context, consultation string, after events.Version, drafts []events.Draft) (events.Version, int, error) {
	at := after
	for i, d := range drafts {
		s, ok, err := l.get(ctx, getRequest{Seq: at.Stream + 1, NextFor: events.ConsultationSubject(consultation)})
		switch {
		case err != nil:
			return events.Version{}, 0, fmt.Errorf("read back: %w", err)
		case !ok && i == 0:
			return events.Version{}, -1, nil
		case !ok || s.ID != d.ID:
			return at, i, nil
		}
		at = s.Version()
	}
	return at, len(drafts), nil
}

// findAnywhere looks for the drafts in the whole consultation.
func (l *Log) findAnywhere(ctx context.Context, consultation string, drafts []events.Draft) (events.Version, error) {
	ids := map[string]bool{}
	for _, d := range drafts {
		ids[d.ID] = true
	}
	var at events.Version
	for s, err := range l.Read(ctx, consultation, 1) {
		if err != nil {
			return events.Version{}, fmt.Errorf("read back: %w", err)
		}
		if ids[s.ID] {
			delete(ids, s.ID)
			at = s.Version()
		}
	}
	if len(ids) > 0 {
		return events.Version{}, events.ErrConflict
	}
	return at, nil
}
