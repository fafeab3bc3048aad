package recorder

import (
	"sync"
	"time"

	"github.com/pion/rtp"
)

// item is a packet with its arrival, or an order.
type item struct {
	packet *rtp.Packet
	at     time.Time
	order  func(*pipeline)
}

// queue stands between the loop that reads packets from the network and the recorder's own goroutine. Packets are bounded,
// orders are not: there are few, and none may be lost.
//
// A waiting goroutine is not woken for each packet but once for all that come within batchWindow, and all recorders of a
// process are woken at the same moments: waking a processor that sleeps, and the scheduler with it, is what recording
// would spend most of its time on otherwise, and nobody waits for a recorder.
type queue struct {
	wake  chan struct{} // something is urgent; capacity 1
	batch *time.Timer   // fires when what is queued is to be taken; reset by push

	mu      sync.Mutex // guards the fields below; never held while calling out
	items   []item
	packets int // among items
	limit   int
	closed  bool
	soon    bool    // packets are to be taken after soonWindow
	lost    overrun // what was refused since the last packet that was taken
}

// overrun is a stretch in which packets were refused.
type overrun struct {
	packets  int
	from, to time.Time
}

// How long packets gather before they are looked at, at most.
const (
	batchWindow = 200 * time.Millisecond
	// soonWindow is that while the recorder waits for something. What it asks the sender for then should not be late, and
	// what it holds back should not be lost with more on top.
	soonWindow = 50 * time.Millisecond
)

// untilBeat is the time to the next multiple of every, counted by the wall clock. It is longer than zero and at most
// every; a clock that is set makes one of them shorter.
func untilBeat(now time.Time, every time.Duration) time.Duration {
	return every - time.Duration(now.UnixNano()%int64(every))
}

func newQueue(limit int) *queue {
	q := &queue{wake: make(chan struct{}, 1), batch: time.NewTimer(time.Hour), limit: limit}
	q.batch.Stop()
	return q
}

// push queues a packet, or refuses it when the queue is full or closed. It never blocks.
func (q *queue) push(p *rtp.Packet, at time.Time) bool {
	q.mu.Lock()
	ok := q.pushLocked(p, at)
	q.mu.Unlock()
	return ok
}

func (q *queue) pushLocked(p *rtp.Packet, at time.Time) bool {
	if q.closed {
		return false
	}
	if q.packets >= q.limit {
		if q.lost.packets == 0 {
			q.lost.from = at
		}
		q.lost.packets++
		q.lost.to = at
		return false
	}
	q.gatherLocked()
	q.noteOverrunLocked()
	q.items = append(q.items, item{packet: p, at: at})
	q.packets++
	if q.packets == q.limit/2 {
		q.rouse()
	}
	return true
}

// gatherLocked has what comes first taken at the end of its window.
func (q *queue) gatherLocked() {
	if len(q.items) == 0 {
		q.resetLocked()
	}
}

func (q *queue) resetLocked() {
	window := batchWindow
	if q.soon {
		window = soonWindow
	}
	q.batch.Reset(untilBeat(time.Now(), window))
}

// hurry says whether what comes, and what is there, is to be taken soon.
func (q *queue) hurry(soon bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.soon = soon
	if len(q.items) > 0 {
		q.resetLocked()
	}
}

// noteOverrunLocked puts what was refused into its place between the packets.
func (q *queue) noteOverrunLocked() {
	if q.lost.packets == 0 {
		return
	}
	lost := q.lost
	q.lost = overrun{}
	q.items = append(q.items, item{order: func(p *pipeline) { p.overran(lost) }})
}

// order queues an order behind all packets so far, and has it carried out at once. It returns false when the queue is
// closed; last closes it.
func (q *queue) order(do func(*pipeline), last bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.addLocked(do) {
		return false
	}
	q.closed = last
	q.rouse()
	return true
}

// note queues an order that may wait as long as a packet.
func (q *queue) note(do func(*pipeline)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(do)
}

func (q *queue) addLocked(do func(*pipeline)) bool {
	if q.closed {
		return false
	}
	q.gatherLocked()
	q.noteOverrunLocked()
	q.items = append(q.items, item{order: do})
	return true
}

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns everything that is queued and keeps spare, emptied, for what comes.
func (q *queue) take(spare []item) []item {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.noteOverrunLocked()
	taken := q.items
	q.items, q.packets = spare[:0], 0
	return taken
}
