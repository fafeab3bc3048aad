package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/jobs"
)

// A question about a call falls to one of the stitchers, and is not taken for the progress of an archive.
func TestOneStitcherIsAskedForEarlyChunks(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	e, dir := server(t)
	queues := stitchers(t, dir, 2)
	heard := make(chan jobs.Early, 100)
	for _, q := range queues {
		stop, err := q.OnEarly(func(e jobs.Early) { heard <- e })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	asking, _ := live(t, e)
	want := jobs.Early{Consultation: events.NewID(), Layout: "grid", Profile: "standard", Sheet: events.Blob{Key: "sheets/a.json", SHA256: "0"}}
	// Until the server knows of both listeners nobody may be told, so it is asked again and again.
	ask := time.NewTicker(50 * time.Millisecond)
	defer ask.Stop()
	asked, got := 0, 0
	for limit := time.After(30 * time.Second); got < 10; {
		select {
		case <-ask.C:
			asked++
			if err := asking.AskEarly(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		case e := <-heard:
			got++
			if diff := cmp.Diff(want, e); diff != "" {
				t.Fatalf("(-asked +heard):\n%s", diff)
			}
		case <-limit:
			t.Fatalf("%d of %d questions were heard", got, asked)
		}
	}
	if got > asked {
		t.Errorf("%d questions were heard %d times", asked, got)
	}
	if err := asking.AskEarly(t.Context(), jobs.Early{Consultation: "a.>"}); err == nil {
		t.Error("it asks about a consultation that cannot be")
	}
}

// A chunk of a call waits until there is time for it; anything else does not.
func TestAChunkOfACallWaitsForSpareTime(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	_, dir := server(t)
	q := stitchers(t, dir, 1)[0]
	var spare atomic.Bool
	var taken, done, made atomic.Int64
	did := make(chan jobs.ChunkJob, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- q.WorkChunks(ctx, jobs.ChunkWork{
			Ready: func(context.Context) (func(), error) { return func() {}, nil },
			Do:    func(_ context.Context, j jobs.ChunkJob, _ int) error { did <- j; return nil },
			Spare: func() (func(bool), bool) {
				if !spare.Load() {
					return nil, false
				}
				taken.Add(1)
				return func(one bool) {
					done.Add(1)
					if one {
						made.Add(1)
					}
				}, true
			},
		})
	}()
	next := func() jobs.ChunkJob {
		t.Helper()
		select {
		case j := <-did:
			return j
		case <-time.After(30 * time.Second):
			t.Fatal("no chunk is made")
		}
		return jobs.ChunkJob{}
	}
	call, awaited := chunkNamed("a", jobs.Live), chunkNamed("b", jobs.Awaited)
	publishChunks(t, q, call)
	publishChunks(t, q, awaited)
	if j := next(); j != awaited {
		t.Errorf("%+v is made while there is no time", j)
	}
	spare.Store(true)
	if j := next(); j != call {
		t.Errorf("%+v is made instead of what waits", j)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if taken.Load() != done.Load() || made.Load() != 1 {
		t.Errorf("time was taken %d times, given back %d times, and used %d times", taken.Load(), done.Load(), made.Load())
	}
}
