package appender

import (
	"context"
	"math/rand/v2"
	"time"
)

// While the log is away it is asked again after these times, doubling from one to the other.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// afterFailure is how long to wait after the n-th failure in a row, counted from 0. A fifth of it is random, so that
// hundreds of writers do not come back at the same moment.
func afterFailure(n int) time.Duration {
	d := lastRetry
	if n < 7 {
		d = min(firstRetry<<n, lastRetry)
	}
	return d - rand.N(d/5) //nolint:gosec // nobody gains by guessing it
}

// afterConflict is how long to wait after the n-th conflict in a row, counted from 0. The first ones are no reason to
// wait; more of them say that many write at once, or that a replicated log is about to show what it has accepted.
func afterConflict(n int) time.Duration {
	if n < 2 {
		return 0
	}
	return rand.N(min(time.Millisecond<<min(n, 6), 50*time.Millisecond)) //nolint:gosec // nobody gains by guessing it
}

// pause waits for d or until ctx ends, and then returns why.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
