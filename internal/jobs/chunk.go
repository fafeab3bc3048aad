package jobs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Priority says how soon a chunk is needed. A worker takes no chunk while one of a smaller number waits.
type Priority int

// The priorities.
const (
	Awaited Priority = 1 // a person waits for it
	Nightly Priority = 2 // somebody will want it tomorrow
	Live    Priority = 3 // of a call that is going on: never at the cost of anything else
)

var priorities = []Priority{Awaited, Nightly, Live}

// ChunkJob orders one piece of an archive, whose recipe lies in the blob store.
type ChunkJob struct {
	Key      string   `json:"key"` // of the piece, 64 hex digits
	Priority Priority `json:"priority"`
	// Consultation and Version are of the archive that asked for it; others may be glad of it too.
	Consultation string `json:"consultation"`
	Version      int    `json:"version"`
}

func (j ChunkJob) subject() string {
	return "job.chunk." + strconv.Itoa(int(j.Priority)) + "." + j.Key
}

func (j ChunkJob) check() error {
	if raw, err := hex.DecodeString(j.Key); err != nil || len(raw) != 32 {
		return fmt.Errorf("chunk %q cannot be", j.Key)
	}
	if j.Priority < Awaited || j.Priority > Live {
		return fmt.Errorf("there is no priority %d", j.Priority)
	}
	return check(j.Consultation, j.Version)
}

// chunkConsumer is the name of what all stitchers share for a priority.
func chunkConsumer(p Priority) string { return "chunks-" + strconv.Itoa(int(p)) }

// wanted wakes workers that have nothing to do, newsOf is about one piece. Neither looks like the progress of an archive.
const (
	wanted     = "progress.piece.wanted."
	newsPrefix = "progress.piece.made."
)

// PublishChunk queues a chunk. One that is queued or in work stays what it is; one that was answered for is queued again,
// so ask only for what is not there. It is safe to ask again and again.
func (q *Queue) PublishChunk(ctx context.Context, j ChunkJob) error {
	if err := j.check(); err != nil {
		return fmt.Errorf("publish chunk: %w", err)
	}
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("publish chunk: %w", err)
	}
	_, err = q.js.Publish(ctx, j.subject(), body, jetstream.WithExpectLastSequencePerSubject(0))
	if queued(err) {
		var last uint64
		if last, err = q.answered(ctx, j); err != nil || last == 0 {
			return err
		}
		_, err = q.js.Publish(ctx, j.subject(), body, jetstream.WithExpectLastSequencePerSubject(last))
		if queued(err) {
			return nil // somebody else has just done the same
		}
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", j.subject(), err)
	}
	if err := q.nc.Publish(wanted+strconv.Itoa(int(j.Priority)), nil); err != nil {
		return fmt.Errorf("publish %s: %w", j.subject(), err)
	}
	return nil
}

// answered finds the newest order of a chunk and gives its place in the stream when it is certain that a worker answered
// for it, else 0. What is answered out of turn becomes certain when everything before it is answered too.
func (q *Queue) answered(ctx context.Context, j ChunkJob) (uint64, error) {
	s, err := q.js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", j.subject(), err)
	}
	last, err := s.GetLastMsgForSubject(ctx, j.subject())
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", j.subject(), err)
	}
	c, err := s.Consumer(ctx, chunkConsumer(j.Priority))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil // no worker has ever been there
	}
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", j.subject(), err)
	}
	if c.CachedInfo().AckFloor.Stream < last.Sequence {
		return 0, nil
	}
	return last.Sequence, nil
}

// ChunkWork is what WorkChunks does with a chunk.
type ChunkWork struct {
	// Ready waits until there is a processor for one more chunk, so that none is taken that would have to wait here while
	// another worker is free. Done gives it back.
	Ready func(ctx context.Context) (done func(), err error)
	// Do makes the chunk. try counts how often it was offered, from 1: one that is offered for the fourth time may have
	// killed three workers. An error means that it is offered again later. It must be safe to run twice at a time.
	Do func(ctx context.Context, j ChunkJob, try int) error
	// Spare says whether a chunk of a call that is going on may be taken now. It is asked only when nothing more urgent
	// waits, and done is told, when the chunk is answered for or none was there, whether there was one. nil: always.
	Spare func() (done func(made bool), ok bool)
}

// idle is how often a worker asks for chunks that nobody has told it of: those whose worker died, or failed.
const idle = time.Second

// WorkChunks takes chunks one after another, the most urgent first, until ctx ends. It returns when Do has returned.
func (q *Queue) WorkChunks(ctx context.Context, work ChunkWork) error {
	wake := make(chan struct{}, 1)
	sub, err := q.nc.Subscribe(wanted+"*", func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("listen for chunks: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for ctx.Err() == nil {
		if err := q.workChunks(ctx, work, wake); err != nil && ctx.Err() == nil {
			q.logger.Warn("chunks cannot be taken", "error", err)
			q.recover(ctx)
		}
	}
	return nil
}

// workChunks takes chunks until something is wrong with the queue, or ctx ends.
func (q *Queue) workChunks(ctx context.Context, work ChunkWork, wake <-chan struct{}) error {
	var consumers []jetstream.Consumer
	for _, p := range priorities {
		c, err := q.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: chunkConsumer(p), AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.times.chunkAckWait, MaxDeliver: -1,
			FilterSubject: "job.chunk." + strconv.Itoa(int(p)) + ".*",
		})
		if err != nil {
			return fmt.Errorf("prepare consumer %s: %w", chunkConsumer(p), err)
		}
		consumers = append(consumers, c)
	}
	for ctx.Err() == nil {
		took, err := q.takeChunk(ctx, consumers, work)
		if err != nil {
			return err
		}
		if took {
			continue
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-time.After(idle):
		}
	}
	return nil
}

// takeChunk does the most urgent chunk that waits, if there is one.
func (q *Queue) takeChunk(ctx context.Context, consumers []jetstream.Consumer, work ChunkWork) (bool, error) {
	done, err := work.Ready(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // ctx has ended
	}
	defer done()
	for i, c := range consumers {
		if priorities[i] == Live && work.Spare != nil {
			return q.takeLive(ctx, c, work)
		}
		if took, err := q.takeFrom(ctx, c, work); took || err != nil {
			return took, err
		}
	}
	return false, nil
}

// takeLive does a chunk of a call that is going on, where that may be.
func (q *Queue) takeLive(ctx context.Context, c jetstream.Consumer, work ChunkWork) (took bool, err error) {
	done, ok := work.Spare()
	if !ok {
		return false, nil
	}
	defer func() { done(took) }()
	return q.takeFrom(ctx, c, work)
}

// takeFrom does the next chunk of one priority, if there is one.
func (q *Queue) takeFrom(ctx context.Context, c jetstream.Consumer, work ChunkWork) (bool, error) {
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return false, fmt.Errorf("ask for a chunk: %w", err)
	}
	for m := range batch.Messages() {
		q.handleChunk(ctx, m, work)
		return true, nil
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return false, fmt.Errorf("ask for a chunk: %w", err)
	}
	return false, nil
}

// handleChunk does one chunk and answers for it.
func (q *Queue) handleChunk(ctx context.Context, m jetstream.Msg, work ChunkWork) {
	var j ChunkJob
	err := json.Unmarshal(m.Data(), &j)
	if err == nil {
		err = j.check()
	}
	if err != nil {
		q.logger.Error("a chunk is dropped: it cannot be read", "subject", m.Subject(), "error", err)
		q.tell(m.Term())
		return
	}
	silence := q.beat(m, q.times.chunkHeartbeat)
	try := 1
	if meta, err := m.Metadata(); err == nil {
		try = int(meta.NumDelivered)
	}
	err = work.Do(ctx, j, try)
	silence()
	q.answer(ctx, m, err, "chunk", j.Key)
}

// ChunkNews is how far a piece is.
type ChunkNews struct {
	Key    string `json:"key"`
	Frames int64  `json:"frames"`           // done, while it is being made
	Done   bool   `json:"done,omitempty"`   // it lies in the blob store
	Failed bool   `json:"failed,omitempty"` // it was given up
}

// PublishChunkNews tells whoever waits for a piece. Nothing is kept: who misses it looks into the blob store.
func (q *Queue) PublishChunkNews(n ChunkNews) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("publish news: %w", err)
	}
	if err := q.nc.Publish(newsPrefix+n.Key, body); err != nil {
		return fmt.Errorf("publish news: %w", err)
	}
	return nil
}

// OnChunkNews calls hear with all news from now on, one after another, until stop is called.
func (q *Queue) OnChunkNews(hear func(ChunkNews)) (stop func(), err error) {
	sub, err := q.nc.Subscribe(newsPrefix+"*", func(m *nats.Msg) {
		var n ChunkNews
		if err := json.Unmarshal(m.Data, &n); err == nil {
			hear(n)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen for news of chunks: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
