package natslog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"consilium/internal/events"
)

const (
	pageEvents = 500     // in one answer
	pageBytes  = 8 << 20 // in one answer, about
)

// Read implements events.Log. It asks the leader which event is the newest and takes the events from whichever server is
// nearest; when that one lags behind, it waits for it.
func (l *Log) Read(ctx context.Context, consultation string, from uint64) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		err := l.read(ctx, consultation, func(s events.Stored) bool { return s.Seq < from || yield(s, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(events.Stored{}, err)
		}
	}
}

// errLags says that the server that was asked does not have what the leader has. It may still come.
var errLags = errors.New("the server lags behind the leader")

// errEnough says that the reader wants no more.
var errEnough = errors.New("enough")

// read gives every event from the first on to each, so that the whole chain is checked whatever the reader wants.
func (l *Log) read(ctx context.Context, consultation string, each func(events.Stored) bool) error {
	newest, err := l.Last(ctx, consultation)
	if err != nil {
		return fmt.Errorf("read %s: %w", consultation, err)
	}
	var chain events.Chain
	deadline := time.Now().Add(l.timeout)
	for newest.Seq > 0 {
		all, more, err := l.page(ctx, consultation, chain.At().Stream+1)
		if err != nil {
			return fmt.Errorf("read %s: %w", consultation, err)
		}
		for _, s := range all {
			if err := chain.Next(s); err != nil {
				return err
			}
			if !each(s) {
				return errEnough
			}
		}
		if more {
			continue
		}
		if chain.At().Stream >= newest.Stream {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("read %s: only %d of %d events: %w", consultation, chain.At().Seq, newest.Seq, errLags)
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("read %s: %w", consultation, err)
		}
	}
	return nil
}

// page asks for the events of a consultation from a place in the log on. It says whether there are more.
func (l *Log) page(ctx context.Context, consultation string, from uint64) ([]events.Stored, bool, error) {
	request := getRequest{Seq: from, NextFor: events.ConsultationSubject(consultation), Batch: pageEvents, MaxBytes: pageBytes}
	m, err := request.message("$JS.API.DIRECT.GET." + eventsStream)
	if err != nil {
		return nil, false, err
	}
	m.Reply = l.nc.NewInbox()
	answers, err := l.nc.SubscribeSync(m.Reply)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := l.nc.PublishMsg(m); err != nil {
		return nil, false, err
	}
	var all []events.Stored
	for {
		answer, err := l.answer(ctx, answers)
		if err != nil {
			return nil, false, err
		}
		switch status := answer.Header.Get("Status"); status {
		case "":
			s, err := stored(answer)
			if err != nil {
				return nil, false, err
			}
			all = append(all, s)
		case "204": // the end of this answer
			return all, answer.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return all, false, nil
		case "503":
			return nil, false, nats.ErrNoResponders
		default:
			return nil, false, fmt.Errorf("the log answers %s %s", status, answer.Header.Get("Description"))
		}
	}
}

// answer waits for the next part of an answer.
func (l *Log) answer(ctx context.Context, answers *nats.Subscription) (*nats.Msg, error) {
	once, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	m, err := answers.NextMsgWithContext(once)
	switch {
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errNoAnswer
	}
	return nil, err
}

// stored reads a message that came by direct get.
func stored(m *nats.Msg) (events.Stored, error) {
	stream, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return events.Stored{}, fmt.Errorf("place of an event in the log: %w", err)
	}
	return open(m.Header.Get("Nats-Subject"), m.Data, stream)
}

// wait waits for d or until ctx ends, and then returns why.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
