// Package jobs is the work queue of the stitchers, on JetStream's stream JOBS, and the progress of running work.
//
// In come orders of archives and of the chunks that they are made of; out go orders to whichever stitcher is free, each
// until it is done, the most urgent chunk first. A job is a hint: what
// is to be made, and whether it still is, only the log says. Progress is for the eye: the newest value is kept, nothing
// else, and none of it is evidence. The package never appends an event.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
)

// The names on the server. Package natslog makes stream and bucket under the same ones.
const (
	stream   = "JOBS"
	consumer = "archives" // all stitchers share it, so each job goes to one of them
	bucket   = "progress"
)

// ArchiveJob orders one version of a consultation's archive.
type ArchiveJob struct {
	Consultation string `json:"consultation"`
	Version      int    `json:"version"` // 1, 2, 3 …
	// Nightly says that nobody waits for it (IsNightly).
	Nightly bool `json:"nightly,omitempty"`
}

func (j ArchiveJob) subject() string {
	return "job.archive." + name(j.Consultation, j.Version)
}

// name is what a job is called in subjects and keys.
func name(consultation string, version int) string {
	return consultation + "." + strconv.Itoa(version)
}

// check refuses what must not become part of a subject or a key.
func check(consultation string, version int) error {
	if !events.ValidID(consultation) || version < 1 {
		return fmt.Errorf("version %d of consultation %q cannot be", version, consultation)
	}
	return nil
}

// Queue is one connection to the queue. It is safe for concurrent use and has no goroutine of its own.
type Queue struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	values jetstream.KeyValue
	logger *slog.Logger
	times  times

	prepared sync.Map // names of consumers that are there
}

// times are those of Work.
type times struct {
	ackWait   time.Duration // how long a worker may be silent before its job goes to another one
	heartbeat time.Duration // how often a working one speaks
	poll      time.Duration // how long one request for a job stays open
	putBack   time.Duration // the pause before a job that was put back (ErrPutBack) is offered again
	firstNak  time.Duration // the pause before a job that failed is offered again; it doubles
	lastNak   time.Duration // up to this
	// A chunk is short, and others wait for it.
	chunkAckWait, chunkHeartbeat time.Duration
}

// New opens the queue. The stream and the bucket must be there (natslog.EnsureStreams); nc stays the caller's.
func New(ctx context.Context, nc *nats.Conn, logger *slog.Logger) (*Queue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	values, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("open the job queue: bucket %s: %w", bucket, err)
	}
	return &Queue{nc: nc, js: js, values: values, logger: logger, times: usual}, nil
}

// usual are the times outside of tests.
var usual = times{
	ackWait: 12 * time.Second, heartbeat: 4 * time.Second, poll: 20 * time.Second,
	putBack: 5 * time.Second, firstNak: time.Second, lastNak: time.Minute,
	chunkAckWait: 6 * time.Second, chunkHeartbeat: 2 * time.Second,
}

// Publish queues a job, once: a job that is queued, in work or done stays what it is, for as long as the stream keeps it
// (7 days). Therefore it is safe to publish again whenever one does not know. To make an archive again is a new version.
func (q *Queue) Publish(ctx context.Context, j ArchiveJob) error {
	if err := check(j.Consultation, j.Version); err != nil {
		return fmt.Errorf("publish job: %w", err)
	}
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("publish job: %w", err)
	}
	_, err = q.js.Publish(ctx, j.subject(), body, jetstream.WithMsgID(j.subject()), jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil && !queued(err) {
		return fmt.Errorf("publish %s: %w", j.subject(), err)
	}
	return nil
}

// queued says whether the server refused a job because it has it. Code 10164 is no such answer: it only says that
// somebody is about to queue the same job.
func queued(err error) bool {
	var refusal *jetstream.APIError
	return errors.As(err, &refusal) && refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
