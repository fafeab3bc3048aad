package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/jobs"
)

// chunkNamed is a chunk with a key that ends in a word of hexadecimal digits.
func chunkNamed(end string, p jobs.Priority) jobs.ChunkJob {
	return jobs.ChunkJob{Key: strings.Repeat("0", 64-len(end)) + end, Priority: p, Consultation: events.NewID(), Version: 1}
}

func publishChunks(t testing.TB, q *jobs.Queue, all ...jobs.ChunkJob) {
	t.Helper()
	for _, j := range all {
		if err := q.PublishChunk(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
}

// chunkWorkers runs a worker on each queue until the test ends or the returned function is called, which waits for them.
func chunkWorkers(t testing.TB, queues []*jobs.Queue, do func(ctx context.Context, worker int, j jobs.ChunkJob, try int) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i, q := range queues {
		running.Go(func() {
			err := q.WorkChunks(ctx, jobs.ChunkWork{
				Ready: func(context.Context) (func(), error) { return func() {}, nil },
				Do:    func(ctx context.Context, j jobs.ChunkJob, try int) error { return do(ctx, i, j, try) },
			})
			if err != nil {
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

func stitchers(t testing.TB, dir string, n int) []*jobs.Queue {
	t.Helper()
	var all []*jobs.Queue
	for range n {
		q, _ := stitcher(t, dir)
		q.Hurry()
		all = append(all, q)
	}
	return all
}

func TestTheMostUrgentChunkComesFirst(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	_, dir := server(t)
	q := stitchers(t, dir, 1)
	publishChunks(t, q[0],
		chunkNamed("a", jobs.Live), chunkNamed("b", jobs.Nightly), chunkNamed("c", jobs.Awaited),
		chunkNamed("d", jobs.Live), chunkNamed("e", jobs.Awaited), chunkNamed("f", jobs.Nightly))
	done := make(chan string, 10)
	chunkWorkers(t, q, func(_ context.Context, _ int, j jobs.ChunkJob, _ int) error {
		done <- j.Key[63:]
		return nil
	})
	if diff := cmp.Diff([]string{"c", "e", "b", "f", "a", "d"}, await(t, done, 6)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However often it is asked for, a chunk that is queued or in work is made once; one that was made and is asked for again,
// because it got lost, is made again.
func TestAChunkIsMadeOnceForEveryTimeItIsMissing(t *testing.T) {
	_, dir := server(t)
	queues := stitchers(t, dir, 3)
	j := chunkNamed("a", jobs.Awaited)
	publishChunks(t, queues[0], j, j)
	made, gate := make(chan int, 10), make(chan struct{})
	chunkWorkers(t, queues, func(_ context.Context, worker int, _ jobs.ChunkJob, _ int) error {
		made <- worker
		<-gate
		return nil
	})
	await(t, made, 1)
	publishChunks(t, queues[1], j, j) // it is in work
	close(gate)
	other := chunkNamed("b", jobs.Awaited)
	publishChunks(t, queues[1], other)
	await(t, made, 1)
	// Both are answered for some time after that.
	for deadline := time.Now().Add(patience); len(made) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a lost chunk is not made again")
		}
		publishChunks(t, queues[2], j)
	}
	await(t, made, 1)
	select {
	case <-made:
		t.Error("it was made twice")
	case <-time.After(300 * time.Millisecond):
	}
}

// While chunks wait, no worker does nothing: in each of ten rounds a chunk is done only when all four workers have one.
func TestNoWorkerIsIdleWhileAChunkWaits(t *testing.T) {
	_, dir := server(t)
	queues := stitchers(t, dir, 4)
	for _, q := range queues {
		q.Patient()
	}
	const rounds = 10
	together := newMeeting(len(queues))
	took := make(chan int, rounds*len(queues))
	chunkWorkers(t, queues, func(ctx context.Context, worker int, _ jobs.ChunkJob, _ int) error {
		took <- worker
		return together.wait(ctx)
	})
	var all []jobs.ChunkJob
	for i := range rounds * len(queues) {
		all = append(all, chunkNamed(fmt.Sprintf("%02x", i), jobs.Awaited))
	}
	publishChunks(t, queues[0], all...)
	got := map[int]int{}
	for _, worker := range await(t, took, rounds*len(queues)) {
		got[worker]++
	}
	if diff := cmp.Diff(map[int]int{0: rounds, 1: rounds, 2: rounds, 3: rounds}, got); diff != "" {
		t.Errorf("chunks by worker (-want +got):\n%s", diff)
	}
}

// Chunks are made by those who have the tool for it, whoever asks first: others neither make them nor keep them from those
// who may, and what they pass over counts as no try. Who has the tool may come later.
func TestAChunkIsLeftToThoseWhoHaveItsTool(t *testing.T) {
	_, dir := server(t)
	queues := stitchers(t, dir, 2)
	of := func(tool, end string, p jobs.Priority) jobs.ChunkJob {
		j := chunkNamed(end, p)
		j.Tool = tool
		return j
	}
	type done struct {
		Worker, Key string
		Try         int
	}
	made := make(chan done, 10)
	start := func(q *jobs.Queue, tool func() string) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { // ends with ctx
			ended <- q.WorkChunks(ctx, jobs.ChunkWork{
				Ready: func(context.Context) (func(), error) { return func() {}, nil },
				Tool:  func(context.Context) (string, error) { return tool(), nil },
				Do: func(_ context.Context, j jobs.ChunkJob, try int) error {
					made <- done{tool(), j.Key[62:], try}
					return nil
				},
			})
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	var first atomic.Value
	first.Store("aa")
	start(queues[0], func() string { return first.Load().(string) })
	publishChunks(t, queues[0],
		of("bb", "b1", jobs.Awaited), of("aa", "a1", jobs.Awaited), of("bb", "b2", jobs.Awaited), of("bb", "b3", jobs.Live), of("aa", "a2", jobs.Nightly))
	if diff := cmp.Diff([]done{{"aa", "a1", 1}, {"aa", "a2", 1}}, await(t, made, 2)); diff != "" {
		t.Errorf("with the first tool alone (-want +got):\n%s", diff)
	}
	start(queues[1], func() string { return "bb" })
	if diff := cmp.Diff([]done{{"bb", "b1", 1}, {"bb", "b2", 1}, {"bb", "b3", 1}}, await(t, made, 3)); diff != "" {
		t.Errorf("with the second tool (-want +got):\n%s", diff)
	}
	first.Store("cc") // it was installed just now
	publishChunks(t, queues[1], of("cc", "c1", jobs.Awaited))
	if diff := cmp.Diff([]done{{"cc", "c1", 1}}, await(t, made, 1)); diff != "" {
		t.Errorf("with another one (-want +got):\n%s", diff)
	}
	if len(made) > 0 {
		t.Errorf("%+v was made with a tool that it is not for", <-made)
	}
}

// meeting lets go of those who wait in it when so many are there.
type meeting struct {
	size int

	mu   sync.Mutex // guards what follows
	here int
	open chan struct{} // of those who wait now
}

func newMeeting(size int) *meeting { return &meeting{size: size, open: make(chan struct{})} }

func (m *meeting) wait(ctx context.Context) error {
	m.mu.Lock()
	open := m.open
	if m.here++; m.here == m.size {
		m.here, m.open = 0, make(chan struct{})
		close(open)
	}
	m.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAChunkSurvivesWhatHappensToItsWorker(t *testing.T) {
	tests := []struct {
		name  string
		first func(ctx context.Context, kill func()) error
		tries int
	}{
		{"it fails and is offered again", func(context.Context, func()) error { return errors.New("no") }, 2},
		{"its worker dies", func(ctx context.Context, kill func()) error {
			kill()
			<-ctx.Done()
			return ctx.Err()
		}, 2},
		{"it takes much longer than a silent worker may", func(context.Context, func()) error {
			<-time.After(2500 * time.Millisecond)
			return nil
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dir := server(t)
			first, connection := stitcher(t, dir)
			first.Hurry()
			publishChunks(t, first, chunkNamed("a", jobs.Awaited))
			taken, done := make(chan struct{}), make(chan int, 10)
			chunkWorkers(t, []*jobs.Queue{first}, func(ctx context.Context, _ int, _ jobs.ChunkJob, try int) error {
				if try == 1 {
					close(taken)
					if err := tt.first(ctx, connection.Close); err != nil {
						return err
					}
				}
				done <- try
				return nil
			})
			<-taken
			chunkWorkers(t, stitchers(t, dir, 1), func(_ context.Context, _ int, _ jobs.ChunkJob, try int) error {
				done <- try
				return nil
			})
			if diff := cmp.Diff([]int{tt.tries}, await(t, done, 1)); diff != "" {
				t.Errorf("done at try (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewsOfChunksIsHeard(t *testing.T) {
	_, dir := server(t)
	queues := stitchers(t, dir, 2)
	heard := make(chan jobs.ChunkNews, 10)
	stop, err := queues[0].OnChunkNews(func(n jobs.ChunkNews) { heard <- n })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	want := jobs.ChunkNews{Key: chunkNamed("a", 1).Key, Done: true}
	deadline := time.After(patience)
	for { // nobody knows when listening has begun
		if err := queues[1].PublishChunkNews(want); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %+v", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("nothing was heard")
		}
	}
}

func TestWhatIsNoChunkIsNotQueued(t *testing.T) {
	_, dir := server(t)
	q := stitchers(t, dir, 1)[0]
	good := chunkNamed("a", jobs.Awaited)
	for _, change := range []func(*jobs.ChunkJob){
		func(j *jobs.ChunkJob) { j.Key = "*" },
		func(j *jobs.ChunkJob) { j.Key = "abcd" },
		func(j *jobs.ChunkJob) { j.Priority = 0 },
		func(j *jobs.ChunkJob) { j.Priority = 9 },
		func(j *jobs.ChunkJob) { j.Consultation = "x" },
		func(j *jobs.ChunkJob) { j.Tool = "*" },
		func(j *jobs.ChunkJob) { j.Tool = strings.Repeat("0", 66) },
	} {
		bad := good
		change(&bad)
		if err := q.PublishChunk(t.Context(), bad); err == nil {
			t.Errorf("%+v was queued", bad)
		}
	}
}

func TestAnArchiveIsCalledOff(t *testing.T) {
	e, dir := server(t)
	q, _ := live(t, e)
	s, _ := stitcher(t, dir)
	j := jobs.ArchiveJob{Consultation: events.NewID(), Version: 1}
	for _, want := range []bool{false, true} {
		if got, err := s.Cancelled(t.Context(), j); err != nil || got != want {
			t.Errorf("cancelled: %v, %v", got, err)
		}
		if err := q.Cancel(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := q.Progress(t.Context(), j.Consultation, 1); ok || err != nil {
		t.Errorf("that looks like progress: %v, %v", ok, err)
	}
}
