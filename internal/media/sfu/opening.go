package sfu

import (
	"slices"
	"time"
)

const (
	// openingTime is how long the beginning of a stream is waited for: a question and its answer, or two on a short way. The
	// next packet behind that time ends the wait.
	openingTime = 200 * time.Millisecond
	// openingPackets is how many packets are kept back for that at most.
	openingPackets = 256
)

// opening puts the beginning of a video stream in order. Whoever records or shows a stream takes the first packet that
// comes for the first there is. If that was overtaken by the second or lost, the first picture is broken, and a sender
// makes no other whole one by itself. So when what comes first is not the beginning of a picture, it is kept back for a
// moment, with all behind it, until that is there; nothing could be made of it meanwhile.
//
// Only packets of the same picture are taken in front, and count as arrived with the first one of it that came: what was
// captured before that is thrown away, whenever it comes. The zero value is ready.
type opening struct {
	over   bool
	held   []opened // the one with the lowest number first, the others as they came
	until  time.Time
	wanted int64 // by wants
}

type opened struct {
	number int64 // unwrapped
	starts bool  // a picture
	earlyPacket
}

// add takes a packet that has not come before. It gives those that may go on now, and is over then; too says that the
// packet was not thrown away.
func (o *opening) add(p opened) (ready []opened, too bool) {
	came := p.arrival
	switch {
	case len(o.held) == 0:
		o.until = came.Add(openingTime)
		o.held = append(o.held, p)
	case p.number > o.held[0].number:
		o.held = append(o.held, p)
	case p.packet.Timestamp != o.held[0].packet.Timestamp:
		return nil, false
	default:
		p.arrival = o.held[0].arrival
		o.held = slices.Insert(o.held, 0, p)
	}
	if !o.held[0].starts && came.Before(o.until) && len(o.held) < openingPackets {
		return nil, true
	}
	ready = o.held
	o.close()
	return ready, true
}

// wants tells, once, of the packet that is to come next in front of the others.
func (o *opening) wants() (number int64, anew bool) {
	if o.over || len(o.held) == 0 || o.wanted == o.held[0].number-1 {
		return 0, false
	}
	o.wanted = o.held[0].number - 1
	return o.wanted, true
}

// close forgets what is held. Nothing is kept back any more.
func (o *opening) close() { *o = opening{over: true} }
