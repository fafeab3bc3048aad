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
// A waiting goroutine is not woken for each packet but once for all that come within batchWindow: waking is what a
// recorder would spend most of its time on otherwise, and nobody waits for a recorder.
type queue struct {
	wake  chan struct{} // something is urgent; capacity 1
	batch *time.Timer   // fires when what is queued is to be taken; reset by push

	mu      sync.Mutex // guards the fields below; never held while calling out
	items   []item
	packets int // among items
	limit   int
	closed  bool
	lost    overrun // what was refused since the last packet that was taken
}

// overrun is a stretch in which packets were refused.
type overrun struct {
	packets  int
	from, to time.Time
}

// batchWindow is how long packets gather before they are looked at.
const batchWindow = 50 * time.Millisecond

func newQueue(limit int) *queue {
	q := &queue{wake: make(chan struct{}, 1), batch: time.NewTimer(time.Hour), limit: limit}
	q.batch.Stop()
	return q
}

// push queues a packet, or refuses it when the queue is full or closed. It never blocks.
func (q *queue) push(p *rtp.Packet, at time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
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
	if len(q.items) == 0 {
		q.batch.Reset(batchWindow)
	}
	q.noteOverrunLocked()
	q.items = append(q.items, item{packet: p, at: at})
	q.packets++
	if q.packets == q.limit/2 {
		q.rouse()
	}
	return true
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

// order queues an order behind all packets so far, and has it carried out soon. It returns false when the queue is
// closed; last closes it.
func (q *queue) order(do func(*pipeline), last bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.noteOverrunLocked()
	q.items = append(q.items, item{order: do})
	q.closed = last
	q.rouse()
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
