package timeline

import (
	"math"
	"time"

	"consilium/internal/events"
)

// gate is something that events open and close: a consent, the recording, a track's switch, a link.
type gate struct {
	turns []turn
}

type turn struct {
	at   time.Time
	seq  uint64
	open bool
}

func (g *gate) turn(ev events.Stored, open bool) {
	g.turns = append(g.turns, turn{ev.Time, ev.Seq, open})
}

// closure is a stretch of archive time during which a gate is closed.
type closure struct {
	Interval
	// until is the seq of the event that opened the gate again, 0 if none did. What was begun after that event was begun
	// with the gate open, whatever the clocks say.
	until uint64
}

const (
	ever  = math.MinInt64 // before everything
	never = math.MaxInt64 // after everything
)

// closures lists when g was closed; open says how it stood before its first turn.
func (g *gate) closures(open bool, at func(time.Time) int64) []closure {
	var all []closure
	from := int64(ever)
	add := func(to int64, until uint64) {
		if from < to {
			all = append(all, closure{Interval{from, to}, until})
		}
	}
	for _, t := range g.turns {
		switch {
		case open && !t.open:
			from = at(t.at)
		case !open && t.open:
			add(at(t.at), t.seq)
		}
		open = t.open
	}
	if !open {
		add(never, 0)
	}
	return all
}

// binds says whether the closure holds for something that was begun by the event seq.
func (c closure) binds(seq uint64) bool {
	return c.until == 0 || seq < c.until
}
