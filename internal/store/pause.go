package store

import (
	"context"
	"time"
)

// firstPause comes after the first failure; every further one doubles it.
const firstPause = 100 * time.Millisecond

// pause is the growing wait between attempts.
type pause struct{ next, longest time.Duration }

func newPause(longest time.Duration) *pause {
	return &pause{next: min(firstPause, longest), longest: longest}
}

func (p *pause) reset() { p.next = min(firstPause, p.longest) }

// wait waits and says whether ctx is still alive.
func (p *pause) wait(ctx context.Context) bool {
	t := time.NewTimer(p.next)
	defer t.Stop()
	p.next = min(2*p.next, p.longest)
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
