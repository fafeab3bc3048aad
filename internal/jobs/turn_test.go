package jobs_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Of many who ask at once whether it is their turn, one is told so; then nobody until the time is over, and one again.
func TestOneOfManyHasItsTurn(t *testing.T) {
	_, dir := server(t)
	queues := stitchers(t, dir, 4)
	ask := func(what string, every time.Duration) int64 {
		t.Helper()
		var turns atomic.Int64
		var asking sync.WaitGroup
		for i := range 16 {
			asking.Go(func() {
				mine, err := queues[i%len(queues)].Turn(t.Context(), what, every)
				if err != nil {
					t.Error(err)
				}
				if mine {
					turns.Add(1)
				}
			})
		}
		asking.Wait()
		return turns.Load()
	}
	for _, step := range []struct {
		what  string
		every time.Duration
		want  int64
	}{{"tidy", time.Hour, 1}, {"tidy", time.Hour, 0}, {"look", time.Hour, 1}} {
		if got := ask(step.what, step.every); got != step.want {
			t.Errorf("%s: %d have a turn, want %d", step.what, got, step.want)
		}
	}
	for deadline := time.Now().Add(patience); ; {
		if n := ask("tidy", 50*time.Millisecond); n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody ever has a turn again")
		}
	}
}
