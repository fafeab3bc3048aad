package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
)

// Message is one entry of the log as the server keeps it, for back-ups: nothing of it is read, nothing left out but the
// moment at which the server took it.
type Message struct {
	Sequence uint64 // place in the log: 1, 2, 3 …
	Subject  string
	Header   map[string][]string
	Data     []byte // the stored bytes of an event
}

// serverHeaders are what the server adds to an answer; they are no part of what it keeps.
var serverHeaders = []string{
	"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence",
}

// Messages gives the entries of the log from one place to another, both included, without a hole: a log from which
// something is missing is an error.
func (l *Log) Messages(ctx context.Context, from, through uint64) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		at, deadline := from, time.Now().Add(l.timeout)
		for at <= through {
			page, err := l.messagePage(ctx, at)
			if err != nil {
				yield(Message{}, fmt.Errorf("read the log at %d: %w", at, err))
				return
			}
			for _, m := range page {
				if m.Sequence > through {
					return
				}
				if m.Sequence != at {
					yield(Message{}, fmt.Errorf("read the log at %d: the next entry is %d: %w", at, m.Sequence, events.ErrCorrupt))
					return
				}
				if !yield(m, nil) {
					return
				}
				at++
			}
			if len(page) > 0 {
				deadline = time.Now().Add(l.timeout)
				continue
			}
			if time.Now().After(deadline) {
				yield(Message{}, fmt.Errorf("read the log at %d: %w", at, errLags))
				return
			}
			if err := wait(ctx, 10*time.Millisecond); err != nil {
				yield(Message{}, fmt.Errorf("read the log at %d: %w", at, err))
				return
			}
		}
	}
}

// messagePage asks for the entries from a place on; none means that the server that was asked has none yet.
func (l *Log) messagePage(ctx context.Context, from uint64) ([]Message, error) {
	request := getRequest{Seq: from, NextFor: "ev.>", Batch: pageEvents, MaxBytes: pageBytes}
	m, err := request.message("$JS.API.DIRECT.GET." + eventsStream)
	if err != nil {
		return nil, err
	}
	m.Reply = l.nc.NewInbox()
	answers, err := l.nc.SubscribeSync(m.Reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := l.nc.PublishMsg(m); err != nil {
		return nil, err
	}
	var page []Message
	for {
		answer, err := l.answer(ctx, answers)
		if err != nil {
			return nil, err
		}
		switch status := answer.Header.Get("Status"); status {
		case "":
			sequence, err := strconv.ParseUint(answer.Header.Get("Nats-Sequence"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("place of an entry in the log: %w", err)
			}
			kept := Message{Sequence: sequence, Subject: answer.Header.Get("Nats-Subject"), Header: maps.Clone(answer.Header), Data: answer.Data}
			for _, name := range serverHeaders {
				delete(kept.Header, name)
			}
			page = append(page, kept)
		case "204", "404": // the end of this answer
			return page, nil
		case "503":
			return nil, nats.ErrNoResponders
		default:
			return nil, fmt.Errorf("the log answers %s %s", status, answer.Header.Get("Description"))
		}
	}
}

// ErrNotEmpty says that a log holds something already.
var ErrNotEmpty = errors.New("the event log is not empty")

// inFlight is how many entries Restore sends before it waits for the first of them to be synced.
const inFlight = 200

// Restore fills an empty log with entries of another one. Each gets the place that it had there; all must come, from the
// first on. done, which may be nil, is told how many are synced. After an error the log may hold the first of them.
func (l *Log) Restore(ctx context.Context, all iter.Seq2[Message, error], done func(through uint64)) error {
	info, err := l.Info(ctx)
	switch {
	case err != nil:
		return err
	case info.Last != 0:
		return fmt.Errorf("restore the log: %w: it has %d entries", ErrNotEmpty, info.Last)
	}
	inbox := l.nc.NewInbox()
	answers, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("restore the log: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	var waiting []uint64 // places whose answers are still to come
	next := uint64(1)
	for m, err := range all {
		if err != nil {
			return fmt.Errorf("restore the log: %w", err)
		}
		if m.Sequence != next {
			return fmt.Errorf("restore the log: entry %d comes instead of %d", m.Sequence, next)
		}
		next++
		if answered, err := l.republish(m, inbox); err != nil {
			return fmt.Errorf("restore entry %d of the log: %w", m.Sequence, err)
		} else if answered {
			waiting = append(waiting, m.Sequence)
		}
		if len(waiting) == inFlight {
			if waiting, err = l.restored(ctx, answers, waiting, done); err != nil {
				return err
			}
		}
	}
	for len(waiting) > 0 {
		if waiting, err = l.restored(ctx, answers, waiting, done); err != nil {
			return err
		}
	}
	return nil
}

// republish sends one entry as it was sent first, guards included: they hold here as they held there. Of a group that was
// stored in one step only the last one is answered.
func (l *Log) republish(m Message, inbox string) (answered bool, err error) {
	out := &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data}
	answered = out.Header.Get(headerBatch) == "" || out.Header.Get(headerBatchCommit) != ""
	if answered {
		out.Reply = inbox
	}
	return answered, l.nc.PublishMsg(out)
}

// restored waits for the answer to the first place that is waited for.
func (l *Log) restored(ctx context.Context, answers *nats.Subscription, waiting []uint64, done func(uint64)) ([]uint64, error) {
	m, err := l.answer(ctx, answers)
	if err != nil {
		return nil, fmt.Errorf("restore entry %d of the log: %w", waiting[0], err)
	}
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return nil, fmt.Errorf("restore entry %d of the log: read the answer: %w", waiting[0], err)
	}
	switch {
	case a.Error != nil:
		return nil, fmt.Errorf("restore entry %d of the log: %w", waiting[0],
			&jetstream.APIError{ErrorCode: jetstream.ErrorCode(a.Error.Code), Description: a.Error.Description})
	case a.Sequence != waiting[0] || a.Duplicate:
		return nil, fmt.Errorf("restore entry %d of the log: it lies at %d", waiting[0], a.Sequence)
	}
	if done != nil {
		done(waiting[0])
	}
	return waiting[1:], nil
}
