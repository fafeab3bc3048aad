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
	// Tool says what it has to be made with, in up to 64 hex digits: only workers that have that make it.
	Tool string `json:"tool"`
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
	if err := checkTool(j.Tool); err != nil {
		return err
	}
	return check(j.Consultation, j.Version)
}

// checkTool refuses what must not become part of a name.
func checkTool(tool string) error {
	if _, err := hex.DecodeString(tool); err != nil || len(tool) > 64 {
		return fmt.Errorf("tool %q cannot be", tool)
	}
	return nil
}

// chunkConsumer is the name of what all stitchers with a tool share for a priority. The server gives every consumer every
// job, so those of other tools are passed over here and given to others by theirs: nobody keeps a job from whom it is for.
func chunkConsumer(p Priority, tool string) string {
	return "chunks-" + strconv.Itoa(int(p)) + "-" + tool
}

// consumerKept is for how long a consumer stays that nobody asks, longer than any job: tools go, when others are installed.
const consumerKept = 8 * 24 * time.Hour

// chunkConsumerOf finds or makes a consumer. It is for jobs from now on: those before it were for others.
func (q *Queue) chunkConsumerOf(ctx context.Context, p Priority, tool string) (jetstream.Consumer, error) {
	name := chunkConsumer(p, tool)
	c, err := q.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.times.chunkAckWait, MaxDeliver: -1,
		DeliverPolicy: jetstream.DeliverNewPolicy, InactiveThreshold: consumerKept,
		FilterSubject: "job.chunk." + strconv.Itoa(int(p)) + ".*",
	})
	if err != nil {
		return nil, fmt.Errorf("prepare consumer %s: %w", name, err)
	}
	return c, nil
}

// prepareFor sees to it that the workers with the tool of a job, which may be yet to come, are given it.
func (q *Queue) prepareFor(ctx context.Context, j ChunkJob) error {
	name := chunkConsumer(j.Priority, j.Tool)
	if _, ok := q.prepared.Load(name); ok {
		return nil
	}
	if _, err := q.chunkConsumerOf(ctx, j.Priority, j.Tool); err != nil {
		return err
	}
	q.prepared.Store(name, true)
	return nil
}

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
	if err := q.prepareFor(ctx, j); err != nil {
		return fmt.Errorf("publish %s: %w", j.subject(), err)
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
	c, err := s.Consumer(ctx, chunkConsumer(j.Priority, j.Tool))
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
	// Tool says what this worker makes chunks with, as ChunkJob has it: it is given those that are to be made with that. It is
	// asked again and again, and may change; while it gives an error no chunk is taken. nil: the empty one.
	Tool func(ctx context.Context) (string, error)
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

// tool is the tool of the worker, checked.
func (w ChunkWork) tool(ctx context.Context) (string, error) {
	if w.Tool == nil {
		return "", nil
	}
	tool, err := w.Tool(ctx)
	if err == nil {
		err = checkTool(tool)
	}
	return tool, err
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

// workChunks takes chunks until something is wrong with the queue, the worker's tool is another one, or ctx ends.
func (q *Queue) workChunks(ctx context.Context, work ChunkWork, wake <-chan struct{}) error {
	tool, err := work.tool(ctx)
	if err != nil {
		q.logger.Debug("no chunk is taken: nothing is known to make it with", "error", err)
		rest(ctx, wake)
		return nil
	}
	var consumers []jetstream.Consumer
	for _, p := range priorities {
		c, err := q.chunkConsumerOf(ctx, p, tool)
		if err != nil {
			return err
		}
		consumers = append(consumers, c)
	}
	for ctx.Err() == nil {
		if now, err := work.tool(ctx); err != nil || now != tool {
			return nil // the next round knows more
		}
		took, err := q.takeChunk(ctx, consumers, tool, work)
		if err != nil {
			return err
		}
		if !took {
			rest(ctx, wake)
		}
	}
	return nil
}

// rest waits until there may be a chunk to take.
func rest(ctx context.Context, wake <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-wake:
	case <-time.After(idle):
	}
}

// takeChunk does the most urgent chunk that waits, if there is one.
func (q *Queue) takeChunk(ctx context.Context, consumers []jetstream.Consumer, tool string, work ChunkWork) (bool, error) {
	done, err := work.Ready(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // ctx has ended
	}
	defer done()
	for i, c := range consumers {
		if priorities[i] == Live && work.Spare != nil {
			return q.takeLive(ctx, c, tool, work)
		}
		if took, err := q.takeFrom(ctx, c, tool, work); took || err != nil {
			return took, err
		}
	}
	return false, nil
}

// takeLive does a chunk of a call that is going on, where that may be.
func (q *Queue) takeLive(ctx context.Context, c jetstream.Consumer, tool string, work ChunkWork) (took bool, err error) {
	done, ok := work.Spare()
	if !ok {
		return false, nil
	}
	defer func() { done(took) }()
	return q.takeFrom(ctx, c, tool, work)
}

// takeFrom does the next chunk of one priority that is for a tool, if there is one.
func (q *Queue) takeFrom(ctx context.Context, c jetstream.Consumer, tool string, work ChunkWork) (bool, error) {
	for ctx.Err() == nil {
		m, err := nextChunk(c)
		if err != nil || m == nil {
			return false, err
		}
		if j, ok := q.readChunk(m, tool); ok {
			q.handleChunk(ctx, m, j, work)
			return true, nil
		}
	}
	return false, nil
}

// nextChunk gives the next message that waits; nil when none does.
func nextChunk(c jetstream.Consumer) (jetstream.Msg, error) {
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return nil, fmt.Errorf("ask for a chunk: %w", err)
	}
	for m := range batch.Messages() {
		return m, nil
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return nil, fmt.Errorf("ask for a chunk: %w", err)
	}
	return nil, nil
}

// readChunk reads a job. It answers for one that is for another tool, or for nobody.
func (q *Queue) readChunk(m jetstream.Msg, tool string) (ChunkJob, bool) {
	var j ChunkJob
	err := json.Unmarshal(m.Data(), &j)
	if err == nil {
		err = j.check()
	}
	switch {
	case err != nil:
		q.logger.Error("a chunk is dropped: it cannot be read", "subject", m.Subject(), "error", err)
		q.tell(m.Term())
		return j, false
	case j.Tool != tool:
		q.logger.Debug("a chunk is left to others: it is to be made with another tool", "key", j.Key, "tool", j.Tool)
		q.tell(m.Ack())
		return j, false
	}
	return j, true
}

// handleChunk does one chunk and answers for it.
func (q *Queue) handleChunk(ctx context.Context, m jetstream.Msg, j ChunkJob, work ChunkWork) {
	silence := q.beat(m, q.times.chunkHeartbeat)
	try := 1
	if meta, err := m.Metadata(); err == nil {
		try = int(meta.NumDelivered)
	}
	err := work.Do(ctx, j, try)
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
