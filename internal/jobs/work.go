package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// afterTrouble is the pause before a worker asks a queue again that did not answer well.
const afterTrouble = time.Second

// ErrPutBack says that a job is for later, and that nothing is wrong: others may come first.
var ErrPutBack = errors.New("the job is put back")

// Work takes jobs one after another and gives each to do, until ctx ends; it returns when do has returned. A job that do
// returns an error for is offered again later, to any worker; so is one whose worker died or was stopped. do must be
// safe to run twice, even at the same time: a worker that was cut off from the queue does not know that it lost its job.
func (q *Queue) Work(ctx context.Context, do func(context.Context, ArchiveJob) error) error {
	for {
		if err := q.work(ctx, do); err != nil && ctx.Err() == nil {
			q.logger.Warn("jobs cannot be taken", "error", err)
		}
		q.recover(ctx)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// recover waits until it makes sense to ask the queue again: for the connection, when that is lost, else for a moment.
func (q *Queue) recover(ctx context.Context) {
	back := q.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer q.nc.RemoveStatusListener(back)
	if !q.nc.IsConnected() {
		select {
		case <-ctx.Done():
		case <-back:
		}
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(afterTrouble):
	}
}

// whileConnected is ctx until the connection is lost: what was asked on it is never answered.
func (q *Queue) whileConnected(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := q.nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	stopped := make(chan struct{})
	go func() { // ends with ctx
		defer close(stopped)
		select {
		case <-lost:
			cancel(nats.ErrDisconnected)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-stopped
		q.nc.RemoveStatusListener(lost)
	}
}

// work takes jobs until something is wrong with the queue, or ctx ends.
func (q *Queue) work(ctx context.Context, do func(context.Context, ArchiveJob) error) error {
	c, err := q.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.times.ackWait, MaxDeliver: -1,
		FilterSubject: "job.archive.>",
	})
	if err != nil {
		return fmt.Errorf("prepare consumer %s: %w", consumer, err)
	}
	for ctx.Err() == nil {
		if err := q.takeOne(ctx, c, do); err != nil {
			return err
		}
	}
	return nil
}

// takeOne waits for one job and does it. Without a job it returns nil after a while.
func (q *Queue) takeOne(ctx context.Context, c jetstream.Consumer, do func(context.Context, ArchiveJob) error) error {
	connected, leave := q.whileConnected(ctx)
	defer leave()
	waiting, cancel := context.WithTimeout(connected, q.times.poll)
	defer cancel()
	batch, err := c.Fetch(1, jetstream.FetchContext(waiting))
	if err != nil {
		return fmt.Errorf("ask for a job: %w", err)
	}
	for m := range batch.Messages() {
		q.handle(ctx, m, do)
	}
	if err := context.Cause(connected); err != nil && ctx.Err() == nil {
		return err
	}
	err = batch.Error()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nats.ErrTimeout) {
		return nil
	}
	return err
}

// handle runs one job and answers for it.
func (q *Queue) handle(ctx context.Context, m jetstream.Msg, do func(context.Context, ArchiveJob) error) {
	var j ArchiveJob
	err := json.Unmarshal(m.Data(), &j)
	if err == nil {
		err = check(j.Consultation, j.Version)
	}
	if err != nil {
		q.logger.Error("a job is dropped: it cannot be read", "subject", m.Subject(), "error", err)
		q.tell(m.Term())
		return
	}
	silence := q.beat(m, q.times.heartbeat)
	err = do(ctx, j)
	silence()
	q.answer(ctx, m, err, "consultation", j.Consultation)
}

// answer says what became of a job.
func (q *Queue) answer(ctx context.Context, m jetstream.Msg, err error, key, value string) {
	switch {
	case err == nil:
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		q.tell(m.DoubleAck(last))
	case ctx.Err() != nil: // this worker stops: another one may have the job at once
		q.tell(m.Nak())
		q.tell(q.nc.FlushTimeout(time.Second))
	case errors.Is(err, ErrPutBack):
		q.tell(m.NakWithDelay(q.times.putBack))
	default:
		q.logger.Warn("a job failed and is offered again", key, value, "subject", m.Subject(), "error", err)
		q.tell(m.NakWithDelay(q.pause(m)))
	}
}

// beat tells the queue again and again that somebody works on m, until the function that it returns is called.
func (q *Queue) beat(m jetstream.Msg, every time.Duration) (silence func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		beat := time.NewTicker(every)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				q.tell(m.InProgress())
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// pause is how long a job rests that has failed.
func (q *Queue) pause(m jetstream.Msg) time.Duration {
	meta, err := m.Metadata()
	if err != nil {
		return q.times.lastNak
	}
	return q.times.rest(meta.NumDelivered)
}

// rest doubles with every time that a job was offered.
func (t times) rest(offered uint64) time.Duration {
	if offered > 10 {
		return t.lastNak
	}
	return min(t.lastNak, t.firstNak<<max(1, offered)>>1)
}

// tell only logs: an answer that did not arrive means that the job is offered again.
func (q *Queue) tell(err error) {
	if err != nil {
		q.logger.Warn("the queue did not take an answer", "error", err)
	}
}
