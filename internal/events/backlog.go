package events

import (
	"context"
	"fmt"
	"time"
)

// Pauses of WatchBacklog.
const (
	// backlogQuiet is how long the log must be silent before what is open is taken up: while the past is read, most of
	// what begins turns out to be finished further on.
	backlogQuiet = 200 * time.Millisecond
	// backlogPresent is how long it must be silent after what happened a moment ago, backlogRecent or less: somebody waits for
	// that, and the rest of the same moment comes with it.
	backlogPresent, backlogRecent = 10 * time.Millisecond, time.Second
	// backlogAgain is the pause after something could not be taken up.
	backlogAgain = 2 * time.Second
)

// WatchBacklog finds what the log has begun and not finished, first in its past and then as it grows, until ctx ends.
// note is called for every event of the types and keeps the keys of what is open in the set; take is called for each of
// them once the log is silent for a moment, and again later while it fails. Both are called from one goroutine.
func WatchBacklog[K comparable](ctx context.Context, log Log, types []Type, note func(open map[K]bool, e Stored), take func(context.Context, K) error) error {
	follow, cancel := context.WithCancel(ctx)
	type item struct {
		stored Stored
		err    error
	}
	items := make(chan item)
	go func() { // ends with follow
		defer close(items)
		for stored, err := range log.Follow(follow, 0, Filter{Types: types}) {
			select {
			case items <- item{stored, err}:
			case <-follow.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range items { // until the goroutine is gone
		}
	}()
	open := map[K]bool{}
	quiet := time.NewTimer(backlogQuiet)
	defer quiet.Stop()
	for {
		select {
		case it, more := <-items:
			if !more {
				return nil
			}
			if it.err != nil {
				return fmt.Errorf("watch the backlog: %w", it.err)
			}
			note(open, it.stored)
			quiet.Reset(silence(it.stored))
		case <-quiet.C:
			for key := range open {
				if err := take(ctx, key); err != nil {
					quiet.Reset(backlogAgain)
					continue
				}
				delete(open, key)
			}
		}
	}
}

// silence is how long the log must be silent after an event.
func silence(e Stored) time.Duration {
	if time.Since(e.Time) < backlogRecent {
		return backlogPresent
	}
	return backlogQuiet
}
