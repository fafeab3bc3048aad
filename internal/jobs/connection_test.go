package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/jobs"
)

// asking is a stitcher that has done one job and waits for the next in a request that lasts longer than any test: done
// hears of no other job unless the worker asks again.
func asking(t *testing.T, q *jobs.Queue, l *natslog.Log, s *jobs.Queue) (done chan jobs.ArchiveJob) {
	t.Helper()
	s.AskOnce()
	done = make(chan jobs.ArchiveJob, 1)
	work(t, []*jobs.Queue{s}, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		done <- j
		return nil
	})
	publish(t, q, jobs.ArchiveJob{Consultation: events.NewID(), Version: 1})
	await(t, done, 1)
	asked(t, l)
	return done
}

// troubles hands on the errors that are logged.
type troubles struct {
	slog.Handler
	errors chan error
}

func (troubles) Enabled(context.Context, slog.Level) bool { return true }

func (h troubles) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			select {
			case h.errors <- err:
			default: // more than anybody reads
			}
		}
		return true
	})
	return nil
}

// A request that was lost with its connection is given up because of that. Whoever waited for its end would see in its
// time that the server says nothing, and until then leave a job where it is.
func TestAWorkerAsksAgainWhenItsConnectionIsBack(t *testing.T) {
	e, dir := server(t)
	q, l := live(t, e)
	c, err := natslog.ReadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := between(t, c.URL)
	far, err := natslog.Connect(t.Context(), natslog.Config{URL: w.url, User: c.User, Password: c.Password, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	said := make(chan error, 1)
	s, err := jobs.New(t.Context(), far.Conn(), slog.New(troubles{slog.DiscardHandler, said}))
	if err != nil {
		t.Fatal(err)
	}
	done := asking(t, q, l, s)
	w.cut()
	if got := await(t, said, 1); !errors.Is(got[0], nats.ErrDisconnected) {
		t.Errorf("the request ends with: %v", got[0])
	}
	publish(t, q, jobs.ArchiveJob{Consultation: events.NewID(), Version: 1})
	await(t, done, 1)
}

func TestAWorkerAsksAgainWhenTheServerIsBack(t *testing.T) {
	e, dir := server(t)
	q, l := live(t, e)
	s, _ := stitcher(t, dir)
	done := asking(t, q, l, s)
	l.Close()
	e.Stop()
	q, _ = live(t, restarted(t, dir))
	publish(t, q, jobs.ArchiveJob{Consultation: events.NewID(), Version: 1})
	await(t, done, 1)
}
