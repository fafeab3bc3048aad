package recorder

import "time"

// Limits of what a track may begin.
const (
	// openingsKept is how many segments a track may open at once, openingsEvery how soon it may open one more. A sender
	// whose clock or picture changes with every packet would make a file and a handful of events of each otherwise.
	openingsKept  = 10
	openingsEvery = time.Second
)

// budget is what is left of a track's openings. The zero value is full.
type budget struct {
	used float64
	at   time.Time // when used was true
}

// left says whether one more may be taken.
func (b *budget) left(now time.Time) bool {
	if b.at.Before(now) {
		if !b.at.IsZero() {
			b.used = max(0, b.used-float64(now.Sub(b.at))/float64(openingsEvery))
		}
		b.at = now
	}
	return b.used <= openingsKept-1
}

// take takes one, if there is one left.
func (b *budget) take(now time.Time) bool {
	if !b.left(now) {
		return false
	}
	b.used++
	return true
}

// storm is what happened to a track since its budget was used up.
type storm struct {
	since  time.Time // when the first packet was dropped; zero if none was
	parted bool      // the sender's clock jumped at least once, the first time behind before
	before entry
}
