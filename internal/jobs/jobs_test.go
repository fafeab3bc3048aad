package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/jobs"
)

const patience = 20 * time.Second

func logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// server is an embedded server as live runs it.
func server(t testing.TB) (*natslog.Embedded, string) {
	t.Helper()
	dir := t.TempDir()
	e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e, dir
}

// restarted is the server of a data folder once more.
func restarted(t testing.TB, dir string) *natslog.Embedded {
	t.Helper()
	e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// live is the queue of a live process.
func live(t testing.TB, e *natslog.Embedded) (*jobs.Queue, *natslog.Log) {
	t.Helper()
	l, err := e.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return open(t, l), l
}

// stitcher is the queue of a stitcher: another connection, with a stitcher's rights.
func stitcher(t testing.TB, dir string) (*jobs.Queue, *natslog.Log) {
	t.Helper()
	l, err := natslog.Connect(t.Context(), natslog.Config{DataDir: dir, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return open(t, l), l
}

func open(t testing.TB, l *natslog.Log) *jobs.Queue {
	t.Helper()
	q, err := jobs.New(t.Context(), l.Conn(), logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func publish(t testing.TB, q *jobs.Queue, js ...jobs.ArchiveJob) {
	t.Helper()
	for _, j := range js {
		if err := q.Publish(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
}

// workers runs n stitchers until the test ends or the returned function is called, which waits for them. A job that one
// of them does not answer for comes again after 30 s, which no test waits for.
func workers(t testing.TB, dir string, n int, do func(ctx context.Context, worker int, j jobs.ArchiveJob) error) (stop func()) {
	t.Helper()
	var queues []*jobs.Queue
	for range n {
		q, _ := stitcher(t, dir)
		queues = append(queues, q)
	}
	return work(t, queues, do)
}

func work(t testing.TB, queues []*jobs.Queue, do func(ctx context.Context, worker int, j jobs.ArchiveJob) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i, q := range queues {
		running.Go(func() {
			if err := q.Work(ctx, func(ctx context.Context, j jobs.ArchiveJob) error { return do(ctx, i, j) }); err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// await takes n values from c.
func await[T any](t testing.TB, c <-chan T, n int) []T {
	t.Helper()
	deadline := time.After(patience)
	var all []T
	for len(all) < n {
		select {
		case v := <-c:
			all = append(all, v)
		case <-deadline:
			t.Fatalf("%d of %d came: %v", len(all), n, all)
		}
	}
	return all
}

// becomes waits until the consumer of archives is as it is wanted.
func becomes(t testing.TB, l *natslog.Log, what string, is func(*jetstream.ConsumerInfo) bool) {
	t.Helper()
	js, err := jetstream.New(l.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := js.Consumer(t.Context(), "JOBS", "archives")
		if err != nil {
			t.Fatal(err)
		}
		info := c.CachedInfo()
		if is(info) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %d jobs have no answer, %d wait, %d workers ask", what, info.NumAckPending, info.NumPending, info.NumWaiting)
		}
	}
}

// idle waits until every job is answered for, and fails when something more has come to c.
func idle[T any](t testing.TB, l *natslog.Log, c <-chan T) {
	t.Helper()
	becomes(t, l, "idle", func(i *jetstream.ConsumerInfo) bool { return i.NumAckPending == 0 && i.NumPending == 0 })
	select {
	case v := <-c:
		t.Errorf("too much came: %v", v)
	default:
	}
}

// asked waits until a worker waits for a job.
func asked(t testing.TB, l *natslog.Log) {
	t.Helper()
	becomes(t, l, "asked", func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting > 0 })
}

func TestEveryJobIsDoneOnceByOneOfTheWorkers(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	e, dir := server(t)
	q, l := live(t, e)
	const n = 30
	done := make(chan jobs.ArchiveJob, 10*n)
	var busy [3]atomic.Int32
	workers(t, dir, 3, func(_ context.Context, worker int, j jobs.ArchiveJob) error {
		if busy[worker].Add(1) > 1 {
			t.Error("a worker has two jobs at a time")
		}
		defer busy[worker].Add(-1)
		time.Sleep(5 * time.Millisecond)
		done <- j
		return nil
	})
	var want []jobs.ArchiveJob
	for range n {
		j := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
		publish(t, q, j)
		want = append(want, j)
	}
	got := await(t, done, n)
	idle(t, l, done)
	sorted := func(js []jobs.ArchiveJob) []jobs.ArchiveJob {
		return slices.SortedFunc(slices.Values(js), func(a, b jobs.ArchiveJob) int { return strings.Compare(a.Consultation, b.Consultation) })
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("jobs done (-want +got):\n%s", diff)
	}
}

func TestTheSameJobIsQueuedOnceAndTheNextVersionAgain(t *testing.T) {
	e, dir := server(t)
	q, l := live(t, e)
	c := events.NewID()
	first, second := jobs.ArchiveJob{Consultation: c, Version: 1}, jobs.ArchiveJob{Consultation: c, Version: 2}
	done := make(chan jobs.ArchiveJob, 10)
	publish(t, q, first, first, first)
	workers(t, dir, 2, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		done <- j
		return nil
	})
	await(t, done, 1)
	publish(t, q, first) // also when it is done
	idle(t, l, done)
	publish(t, q, second)
	if diff := cmp.Diff([]jobs.ArchiveJob{second}, await(t, done, 1)); diff != "" {
		t.Errorf("after the retry (-want +got):\n%s", diff)
	}
}

func TestAJobSurvivesWhatHappensToItsWorker(t *testing.T) {
	tests := []struct {
		name string
		// first is what the first worker does with the job; kill cuts it off from the queue for good.
		first func(ctx context.Context, kill func()) error
		tries int // until it is done
	}{
		{"it fails and is offered again", func(context.Context, func()) error { return errors.New("no") }, 2},
		{"its worker dies", func(ctx context.Context, kill func()) error {
			kill()
			<-ctx.Done()
			return ctx.Err()
		}, 2},
		{"it takes much longer than a silent worker may", func(context.Context, func()) error {
			time.Sleep(2500 * time.Millisecond)
			return nil
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Cleanup(test.CheckRoutines(t))
			e, dir := server(t)
			q, l := live(t, e)
			j := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
			publish(t, q, j)

			var tries atomic.Int32
			done := make(chan jobs.ArchiveJob, 10)
			first, connection := stitcher(t, dir)
			second, _ := stitcher(t, dir)
			first.Hurry()
			second.Hurry()
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			t.Cleanup(running.Wait)
			t.Cleanup(cancel)
			taken := make(chan struct{})
			running.Go(func() {
				_ = first.Work(ctx, func(ctx context.Context, j jobs.ArchiveJob) error {
					if tries.Add(1) > 1 {
						done <- j
						return nil
					}
					close(taken)
					err := tt.first(ctx, connection.Close)
					if err == nil {
						done <- j
					}
					return err
				})
			})
			<-taken
			work(t, []*jobs.Queue{second}, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
				tries.Add(1)
				done <- j
				return nil
			})
			if diff := cmp.Diff([]jobs.ArchiveJob{j}, await(t, done, 1)); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			idle(t, l, done)
			if n := int(tries.Load()); n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}

func TestABusyWorkerHoldsNoOtherJobs(t *testing.T) {
	e, dir := server(t)
	q, _ := live(t, e)
	for range 5 {
		publish(t, q, jobs.ArchiveJob{Consultation: events.NewID(), Version: 1})
	}
	busy := make(chan struct{}, 5)
	workers(t, dir, 1, func(ctx context.Context, _ int, _ jobs.ArchiveJob) error {
		busy <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	<-busy
	done := make(chan jobs.ArchiveJob, 10)
	workers(t, dir, 1, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		done <- j
		return nil
	})
	await(t, done, 4)
}

// It does not wait until it is taken for dead, which here it never is.
func TestAStoppedWorkerGivesItsJobBackAtOnce(t *testing.T) {
	e, dir := server(t)
	q, _ := live(t, e)
	patient := func() []*jobs.Queue {
		q, _ := stitcher(t, dir)
		q.Patient()
		return []*jobs.Queue{q}
	}
	taken := make(chan struct{})
	stop := work(t, patient(), func(ctx context.Context, _ int, _ jobs.ArchiveJob) error {
		close(taken)
		<-ctx.Done()
		return ctx.Err()
	})
	publish(t, q, jobs.ArchiveJob{Consultation: events.NewID(), Version: 1})
	<-taken
	stop()
	done := make(chan jobs.ArchiveJob, 1)
	work(t, patient(), func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		done <- j
		return nil
	})
	await(t, done, 1)
}

func TestAJobThatFailsRestsTwiceAsLongEachTime(t *testing.T) {
	var got []time.Duration
	for _, offered := range []uint64{1, 2, 3, 6, 7, 8, 1000, 1 << 63} {
		got = append(got, jobs.Rest(offered)/time.Second)
	}
	if diff := cmp.Diff([]time.Duration{1, 2, 4, 32, 60, 60, 60, 60}, got); diff != "" {
		t.Errorf("seconds (-want +got):\n%s", diff)
	}
}

func TestAJobThatFailsForeverDoesNotStopTheOthers(t *testing.T) {
	e, dir := server(t)
	q, _ := live(t, e)
	bad := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
	good := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
	done := make(chan jobs.ArchiveJob, 10)
	var failures atomic.Int32
	worker, _ := stitcher(t, dir)
	worker.Hurry()
	work(t, []*jobs.Queue{worker}, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		if j == bad {
			failures.Add(1)
			return errors.New("no")
		}
		done <- j
		return nil
	})
	publish(t, q, bad, good)
	if diff := cmp.Diff([]jobs.ArchiveJob{good}, await(t, done, 1)); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	for deadline := time.Now().Add(patience); failures.Load() < 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the failing job was tried %d times", failures.Load())
		}
	}
}

func TestWhatIsNoJobIsDropped(t *testing.T) {
	e, dir := server(t)
	q, l := live(t, e)
	js, err := jetstream.New(l.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{"", "hello", `{"consultation":"*","version":1}`, `{"consultation":"` + events.NewID() + `"}`} {
		if _, err := js.Publish(t.Context(), "job.archive.bad."+string(rune('0'+i)), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	good := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
	publish(t, q, good)
	done := make(chan jobs.ArchiveJob, 10)
	workers(t, dir, 1, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		done <- j
		return nil
	})
	if diff := cmp.Diff([]jobs.ArchiveJob{good}, await(t, done, 1)); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	idle(t, l, done)
	for _, j := range []jobs.ArchiveJob{{Consultation: "*", Version: 1}, {Consultation: good.Consultation}} {
		if err := q.Publish(t.Context(), j); err == nil {
			t.Errorf("%+v was queued", j)
		}
	}
}

func TestProgressKeepsTheNewestValue(t *testing.T) {
	e, dir := server(t)
	q, _ := live(t, e)
	s, _ := stitcher(t, dir)
	c := events.NewID()
	if _, ok, err := q.Progress(t.Context(), c, 1); ok || err != nil {
		t.Errorf("before anything was told: %v, %v", ok, err)
	}
	var last jobs.Progress
	for i := range int64(5) {
		last = jobs.Progress{Consultation: c, Version: 1, Stage: "render", Done: i, Total: 5}
		if err := s.PublishProgress(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PublishProgress(t.Context(), jobs.Progress{Consultation: c, Version: 2, Stage: "fetch"}); err != nil {
		t.Fatal(err)
	}
	got, ok, err := q.Progress(t.Context(), c, 1)
	if diff := cmp.Diff(last, got); diff != "" || !ok || err != nil {
		t.Errorf("%v, %v, progress (-want +got):\n%s", ok, err, diff)
	}
	if err := s.PublishProgress(t.Context(), jobs.Progress{Consultation: ">", Version: 1}); err == nil {
		t.Error("progress of a wildcard was told")
	}
}

func TestProgressIsWatched(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	e, dir := server(t)
	q, _ := live(t, e)
	s, _ := stitcher(t, dir)
	want := jobs.Progress{Consultation: events.NewID(), Version: 1, Stage: "render", Done: 1, Total: 2}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	telling := make(chan struct{})
	go func() { // again and again, because nobody knows when watching has begun
		defer close(telling)
		for ctx.Err() == nil {
			if err := s.PublishProgress(ctx, want); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	n := 0
	for p, err := range q.WatchProgress(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if p != want {
			t.Errorf("got %+v", p)
		}
		if n++; n == 3 {
			cancel() // ends it without an error
		}
	}
	<-telling
	if n < 3 {
		t.Errorf("%d values came", n)
	}
}

func TestNewNeedsTheBucket(t *testing.T) {
	e, _ := server(t)
	_, l := live(t, e)
	l.Close()
	if _, err := jobs.New(t.Context(), l.Conn(), logger(t)); err == nil || !strings.Contains(err.Error(), "progress") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsOrderedAndNotAnswered(t *testing.T) {
	open := map[jobs.ArchiveJob]bool{}
	say := func(consultation, actor string, es ...events.Event) {
		for _, e := range es {
			jobs.Note(open, events.Stored{Envelope: events.Envelope{Subject: consultation, Actor: actor}, Event: e})
		}
	}
	say("a", "", events.ArchiveRequested{Version: 1}, events.ArchiveStarted{Version: 1}, events.ArchiveRendered{Version: 1})
	say("a", "", events.ArchiveRequested{Version: 2}, events.ArchiveFailed{Version: 2}, events.ArchiveRequested{Version: 3})
	say("a", "doctor", events.ArchiveRequested{Version: 4}, events.ArchiveRequested{Version: 5}, events.ArchiveRendered{Version: 5})
	say("b", "", events.ArchiveRequested{Version: 1}, events.ArchiveStarted{Version: 1})
	want := map[jobs.ArchiveJob]bool{
		{Consultation: "a", Version: 3, Nightly: true}: true,
		{Consultation: "a", Version: 4}:                true,
		{Consultation: "b", Version: 1}:                true,
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A job that is put back is offered again and again, soon, and keeps nothing from the others.
func TestAJobIsPutBack(t *testing.T) {
	e, dir := server(t)
	q, l := live(t, e)
	s, _ := stitcher(t, dir)
	s.Hurry()
	later := jobs.ArchiveJob{Consultation: events.NewID(), Version: 2, Nightly: true}
	publish(t, q, later)
	offered, done := make(chan jobs.ArchiveJob, 100), make(chan jobs.ArchiveJob, 100)
	var morning atomic.Bool
	work(t, []*jobs.Queue{s}, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		if j.Nightly && !morning.Load() {
			offered <- j
			return jobs.ErrPutBack
		}
		done <- j
		return nil
	})
	await(t, offered, 12) // more often than a pause that doubles would let it come
	now := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
	publish(t, q, now)
	if diff := cmp.Diff([]jobs.ArchiveJob{now}, await(t, done, 1)); diff != "" {
		t.Errorf("done in the meantime (-want +got):\n%s", diff)
	}
	morning.Store(true)
	if diff := cmp.Diff([]jobs.ArchiveJob{later}, await(t, done, 1)); diff != "" {
		t.Errorf("done then (-want +got):\n%s", diff)
	}
	idle(t, l, done)
}

func TestDispatchQueuesWhatIsOrderedAndNotAnswered(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	e, dir := server(t)
	q, l := live(t, e)
	say := func(c string, es ...events.Event) {
		t.Helper()
		at, err := l.Last(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			if at, err = l.Append(t.Context(), c, at, events.NewDraft("/live/test", time.Now(), e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rendered, failed, open := events.NewID(), events.NewID(), events.NewID()
	say(rendered, events.ArchiveRequested{Version: 1}, events.ArchiveStarted{Version: 1}, events.ArchiveRendered{Version: 1})
	say(failed, events.ArchiveRequested{Version: 1}, events.ArchiveFailed{Version: 1}, events.ArchiveRequested{Version: 2})
	say(open, events.ArchiveRequested{Version: 1}, events.ArchiveStarted{Version: 1})

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 { // two live processes do the same
		running.Go(func() {
			if err := jobs.Dispatch(ctx, l, q); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan jobs.ArchiveJob, 10)
	workers(t, dir, 1, func(_ context.Context, _ int, j jobs.ArchiveJob) error {
		// What is answered is queued all the same where the log is silent for a moment before the answer: whoever does it
		// sees that it is done.
		if j.Consultation != rendered && (j.Consultation != failed || j.Version != 1) {
			done <- j
		}
		return nil
	})
	got := map[jobs.ArchiveJob]int{}
	for _, j := range await(t, done, 2) {
		got[j]++
	}
	later := events.NewID()
	say(later, events.ArchiveRequested{Version: 1})
	for _, j := range await(t, done, 1) {
		got[j]++
	}
	idle(t, l, done)
	select {
	case j := <-done:
		t.Errorf("too much came: %v", j)
	case <-time.After(500 * time.Millisecond): // time enough for the slower one of the two
	}
	want := map[jobs.ArchiveJob]int{{Consultation: failed, Version: 2, Nightly: true}: 1, {Consultation: open, Version: 1}: 1, {Consultation: later, Version: 1}: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	cancel()
	running.Wait()
}
