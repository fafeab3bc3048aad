package recorder

import (
	"slices"
	"time"

	"github.com/pion/rtp"
)

// entry is one packet in its place.
type entry struct {
	packet  *rtp.Packet
	seq     int64 // unwrapped sequence number
	rtp     int64 // unwrapped RTP time
	arrival time.Time
	lost    int    // packets directly before it that never came
	cause   string // why, if lost
}

// reorder puts packets into the order of their sequence numbers. A packet that is missing is waited for as long as
// window since the first packet behind it came; then it is lost. The clock is that of arrivals.
type reorder struct {
	window  time.Duration
	next    int64 // the sequence number to come
	started bool
	skip    bool    // do not wait for what is missing before the next packet: we dropped it ourselves
	held    []entry // behind the next one, by sequence number
}

// maxHeld bounds held; it is more than any track sends in the longest window.
const maxHeld = 4096

// verdict is what became of a packet.
type verdict int

const (
	taken verdict = iota
	duplicate
	late
)

// push takes one packet and emits those that are in order now.
func (r *reorder) push(e entry, emit func(entry)) verdict {
	switch {
	case !r.started:
		r.next, r.started = e.seq, true
	case e.seq < r.next:
		return late
	}
	if r.skip {
		r.skip = false
		e.lost, e.cause = int(e.seq-r.next), CauseOverrun
		r.next = e.seq
	}
	if e.seq == r.next {
		r.next++
		emit(e)
		r.drain(emit)
		return taken
	}
	at, found := r.find(e.seq)
	if found {
		return duplicate
	}
	r.held = slices.Insert(r.held, at, e)
	if len(r.held) > maxHeld {
		r.giveUp(emit)
	}
	return taken
}

// wants says whether a packet would be taken.
func (r *reorder) wants(seq int64) bool {
	_, found := r.find(seq)
	return !r.started || seq >= r.next && !found
}

func (r *reorder) find(seq int64) (int, bool) {
	return slices.BinarySearchFunc(r.held, seq, func(h entry, seq int64) int { return int(h.seq - seq) })
}

// drain emits what directly follows.
func (r *reorder) drain(emit func(entry)) {
	n := 0
	for n < len(r.held) && r.held[n].seq == r.next {
		r.next++
		emit(r.held[n])
		n++
	}
	r.held = slices.Delete(r.held, 0, n)
}

// giveUp takes the first hole as lost.
func (r *reorder) giveUp(emit func(entry)) {
	head := &r.held[0]
	head.lost, head.cause = int(head.seq-r.next), CauseLoss
	r.next = head.seq
	r.drain(emit)
}

// expire gives up holes that are older than the window.
func (r *reorder) expire(now time.Time, emit func(entry)) {
	for len(r.held) > 0 && !now.Before(r.deadline()) {
		r.giveUp(emit)
	}
}

// deadline is when the first hole will be given up; zero without one.
func (r *reorder) deadline() time.Time {
	if len(r.held) == 0 {
		return time.Time{}
	}
	first := slices.MinFunc(r.held, func(a, b entry) int { return a.arrival.Compare(b.arrival) })
	return first.arrival.Add(r.window)
}

// flush emits everything, with all holes as lost.
func (r *reorder) flush(emit func(entry)) {
	for len(r.held) > 0 {
		r.giveUp(emit)
	}
}

// restart goes on with whatever comes next.
func (r *reorder) restart() {
	r.started, r.skip = false, false
}
