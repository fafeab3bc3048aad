package simpeer

import (
	"container/heap"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// wire is the innermost interceptor: it sees everything that is sent, retransmissions too, just before encryption.
type wire struct {
	interceptor.NoOp
	log    *sentLog
	claims claims
	watch  func(Packet) // nil: nobody

	mu     sync.Mutex // guards what follows
	road   *road
	queue  deliveries
	kinds  map[uint32]media.Kind // by SSRC
	closed bool

	wake chan struct{} // holds a token when the queue has changed
	done chan struct{}
}

// wireFactory lets a PeerConnection use a wire.
type wireFactory struct{ wire *wire }

// NewInterceptor implements interceptor.Factory.
func (f wireFactory) NewInterceptor(string) (interceptor.Interceptor, error) { return f.wire, nil }

func newWire(r *road, log *sentLog) *wire {
	w := &wire{
		log: log, road: r, kinds: map[uint32]media.Kind{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go w.run() // ends with Close
	return w
}

// BindLocalStream implements interceptor.Interceptor.
func (w *wire) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	kind := kindOf(info)
	w.mu.Lock()
	w.kinds[info.SSRC] = kind
	w.mu.Unlock()
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		header, body := h.Clone(), append([]byte(nil), payload...)
		send := func() {
			w.saw(kind, true, body)
			_, _ = next.Write(&header, body, a) // who is gone gets nothing
		}
		if !w.carry(kind, send) {
			w.log.lose(kind, header.SSRC, header.SequenceNumber)
		}
		return len(payload), nil
	})
}

// BindRemoteStream implements interceptor.Interceptor.
func (w *wire) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	if w.watch == nil {
		return next
	}
	kind := kindOf(info)
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		var header rtp.Header
		if err == nil {
			if head, err := header.Unmarshal(b[:n]); err == nil {
				w.saw(kind, false, b[head:n])
			}
		}
		return n, a, err
	})
}

// Packet is a packet of media at the border between a participant and the network.
type Packet struct {
	Kind    media.Kind
	Out     bool // it goes to the network
	At      time.Time
	Payload []byte // as the codec made it: a server may change what stands before it, and does not change this
}

func (w *wire) saw(k media.Kind, out bool, payload []byte) {
	if w.watch != nil {
		w.watch(Packet{Kind: k, Out: out, At: time.Now(), Payload: payload})
	}
}

func kindOf(info *interceptor.StreamInfo) media.Kind {
	if strings.HasPrefix(info.MimeType, "audio/") {
		return media.Audio
	}
	return media.Video
}

// BindRTCPWriter implements interceptor.Interceptor: sender reports take as long as what they report on.
func (w *wire) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		sr, ok := packets[0].(*rtcp.SenderReport)
		if !ok {
			return next.Write(packets, a)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.claims.note(sr, time.Now())
		if at, arrives := w.road.report(time.Now(), w.kinds[sr.SSRC]); arrives && !w.closed {
			w.queue.add(at, func() { _, _ = next.Write(packets, a) })
			w.ring()
		}
		return 0, nil
	})
}

// BindRTCPReader implements interceptor.Interceptor: what comes back of sender reports is told to the other interceptors by
// the clock that they read.
func (w *wire) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		packets, err := a.GetRTCPPackets(b[:n]) // and what was parsed stays with the attributes
		if err != nil {
			return n, a, err
		}
		w.claims.correct(packets)
		return n, a, nil
	})
}

// carry sends a packet when it is to arrive, and says whether it will.
func (w *wire) carry(kind media.Kind, send func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return true // nobody is there to miss it
	}
	arrivals := w.road.packet(time.Now(), kind)
	for _, at := range arrivals {
		w.queue.add(at, send)
	}
	w.ring()
	return len(arrivals) > 0
}

// fastest is how long the way took at least so far.
func (w *wire) fastest() Fastest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Fastest{maps.Clone(w.road.fastest.Packet), maps.Clone(w.road.fastest.Report)}
}

func (w *wire) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close implements interceptor.Interceptor. What is still on its way is lost.
func (w *wire) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.ring()
	<-w.done
	return nil
}

func (w *wire) run() {
	defer close(w.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, wait, closed := w.due(time.Now())
		if closed {
			return
		}
		for _, send := range due {
			send()
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.wake:
		}
	}
}

// due takes what is to be delivered now, and says how long it is until the next.
func (w *wire) due(now time.Time) (due []func(), wait time.Duration, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue.list) > 0 && !w.queue.list[0].at.After(now) {
		due = append(due, heap.Pop(&w.queue).(delivery).send)
	}
	if len(w.queue.list) == 0 {
		return due, time.Hour, w.closed
	}
	return due, w.queue.list[0].at.Sub(now), w.closed
}

// deliveries is a heap, earliest first, and in the order in which they were added among equals.
type deliveries struct {
	list  []delivery
	count int
}

type delivery struct {
	at    time.Time
	order int
	send  func()
}

func (q *deliveries) add(at time.Time, send func()) {
	q.count++
	heap.Push(q, delivery{at: at, order: q.count, send: send})
}

// Len implements heap.Interface.
func (q *deliveries) Len() int { return len(q.list) }

// Less implements heap.Interface.
func (q *deliveries) Less(i, j int) bool {
	if q.list[i].at.Equal(q.list[j].at) {
		return q.list[i].order < q.list[j].order
	}
	return q.list[i].at.Before(q.list[j].at)
}

// Swap implements heap.Interface.
func (q *deliveries) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }

// Push implements heap.Interface.
func (q *deliveries) Push(x any) { q.list = append(q.list, x.(delivery)) }

// Pop implements heap.Interface.
func (q *deliveries) Pop() any {
	last := q.list[len(q.list)-1]
	q.list = q.list[:len(q.list)-1]
	return last
}
