package natslog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
)

const (
	// heartbeat is how often the server says that a consumer without news is alive; after two missed ones the consumer
	// is made again.
	heartbeat = 5 * time.Second
	// forget is when the server removes a consumer whose follower has vanished.
	forget = 30 * time.Second
	// The times between two attempts to follow while the log is away.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// Follow implements events.Log. Each call has a consumer of its own on the server, in memory, that ends with it. The
// ordered consumer of the client library does the same; but it does not see that an event is missing in the stream, and
// it goes on for seconds after ctx has ended.
func (l *Log) Follow(ctx context.Context, after uint64, filter events.Filter) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		if filter.Consultation != "" && !events.ValidID(filter.Consultation) {
			yield(events.Stored{}, fmt.Errorf("follow: consultation id %q is not a UUID", filter.Consultation))
			return
		}
		f := newFollower(l, after, filter, func(s events.Stored) bool { return yield(s, nil) })
		if err := f.run(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(events.Stored{}, err)
		}
	}
}

// follower is one call of Follow.
type follower struct {
	log    *Log
	after  uint64
	filter events.Filter
	each   func(events.Stored) bool

	at    uint64 // place in the log of the newest event seen
	chain events.Chain
}

func newFollower(l *Log, after uint64, filter events.Filter, each func(events.Stored) bool) *follower {
	f := &follower{log: l, after: after, filter: filter, each: each, at: after}
	if f.chained() {
		f.at = 0 // the chain can only be checked from the first event on; the caller gets those behind after
	}
	return f
}

// chained says whether every event of one consultation comes.
func (f *follower) chained() bool {
	return f.filter.Consultation != "" && len(f.filter.Types) == 0
}

// run follows until ctx ends (nil), the caller has enough (errEnough), the log is wrong, or the connection is closed.
func (f *follower) run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; failures++ {
		before := f.at
		err := f.attempt(ctx)
		if ctx.Err() != nil {
			break
		}
		if final(err) {
			return err
		}
		if f.at != before {
			failures = 0
		}
		if failures == 0 {
			f.log.logger.Warn("following the event log was interrupted; trying again", "error", err)
		}
		_ = wait(ctx, min(firstRetry<<min(failures, 10), lastRetry))
	}
	return nil //nolint:nilerr // ctx has ended: that is how following ends
}

// final says whether to try again is useless.
func final(err error) bool {
	return errors.Is(err, errEnough) || errors.As(err, new(*events.GapError)) || errors.Is(err, events.ErrCorrupt) ||
		errors.Is(err, nats.ErrConnectionClosed)
}

// attempt makes a consumer and takes events from it until something goes wrong.
func (f *follower) attempt(ctx context.Context) error {
	ctx, release := f.log.interruptible(ctx, f)
	defer release()
	if err := f.checkEnd(ctx); err != nil {
		return err
	}
	making, cancel := context.WithTimeout(ctx, f.log.timeout)
	defer cancel()
	consumer, err := f.log.js.CreateConsumer(making, eventsStream, f.config())
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer f.remove(consumer)
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer messages.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		if meta.Sequence.Consumer != delivered {
			return fmt.Errorf("follow: message %d of the consumer was lost on the way", delivered)
		}
		s, err := open(m.Subject(), m.Data(), meta.Sequence.Stream)
		if err != nil {
			return err
		}
		if err := f.take(s); err != nil {
			return err
		}
	}
}

// checkEnd finds out whether the log is shorter than the caller or we have seen it.
func (f *follower) checkEnd(ctx context.Context) error {
	info, err := f.log.Info(ctx)
	if err != nil {
		return err
	}
	if seen := max(f.after, f.at); info.Last < seen {
		return &events.GapError{Want: seen + 1, Got: info.Last}
	}
	return nil
}

func (f *follower) config() jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.at + 1,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: forget,
	}
	for _, t := range f.filter.Types {
		if f.filter.Consultation == "" {
			c.FilterSubjects = append(c.FilterSubjects, events.SubjectOfAll(t))
		} else {
			c.FilterSubjects = append(c.FilterSubjects, events.Subject(f.filter.Consultation, t))
		}
	}
	if f.chained() {
		c.FilterSubject = events.ConsultationSubject(f.filter.Consultation)
	}
	return c
}

// take checks one event for gaps, as far as the filter lets it, and hands it on.
func (f *follower) take(s events.Stored) error {
	switch {
	case f.chained():
		if err := f.chain.Next(s); err != nil {
			return err
		}
	case len(f.filter.Types) == 0 && s.Stream != f.at+1:
		return &events.GapError{Want: f.at + 1, Got: s.Stream}
	}
	f.at = s.Stream
	if s.Stream > f.after && !f.each(s) {
		return errEnough
	}
	return nil
}

// remove takes the consumer away, also after ctx has ended. If that fails the server forgets it by itself.
func (f *follower) remove(consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.log.js.DeleteConsumer(ctx, eventsStream, consumer.CachedInfo().Name)
}
