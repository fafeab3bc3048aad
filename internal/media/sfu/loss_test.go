package sfu

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// lossyWire is the innermost interceptor of a client that sends: it loses packets, those that are sent again too, and
// lets the others and the requests that come back be late by half a round trip each.
type lossyWire struct {
	interceptor.NoOp
	loss float64
	trip time.Duration
	drop func(seq uint16) bool // what else is lost; may be nil

	mu      sync.Mutex // guards what follows
	dice    *rand.Rand
	lost    map[uint16]bool // lost when they were sent first
	sent    map[uint16]bool
	asked   int // requests for one packet
	pending sync.WaitGroup
	closed  bool
}

func newLossyWire(loss float64, trip time.Duration) *lossyWire {
	return &lossyWire{loss: loss, trip: trip, dice: rand.New(rand.NewPCG(1, 2)), lost: map[uint16]bool{}, sent: map[uint16]bool{}}
}

// NewInterceptor implements interceptor.Factory.
func (w *lossyWire) NewInterceptor(string) (interceptor.Interceptor, error) { return w, nil }

// BindLocalStream implements interceptor.Interceptor.
func (w *lossyWire) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		w.mu.Lock()
		drop := w.dice.Float64() < w.loss || w.drop != nil && w.drop(h.SequenceNumber)
		if drop && !w.sent[h.SequenceNumber] {
			w.lost[h.SequenceNumber] = true
		}
		w.sent[h.SequenceNumber] = true
		w.mu.Unlock()
		if !drop {
			header, body := h.Clone(), append([]byte(nil), payload...)
			w.later(func() { _, _ = next.Write(&header, body, a) }) // who is gone gets nothing
		}
		return len(payload), nil
	})
}

// BindRTCPReader implements interceptor.Interceptor. What comes is counted at once; the delay of the way back is in that
// of the way there, which for a round trip is the same.
func (w *lossyWire) BindRTCPReader(r interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attributes, err := r.Read(b, a)
		if err != nil {
			return n, attributes, err
		}
		packets, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			return n, attributes, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range packets {
			if nack, ok := p.(*rtcp.TransportLayerNack); ok {
				for _, pair := range nack.Nacks {
					w.asked += len(pair.PacketList())
				}
			}
		}
		return n, attributes, nil
	})
}

func (w *lossyWire) later(f func()) {
	if w.trip == 0 { // nothing overtakes anything then
		f()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.pending.Add(1)
	time.AfterFunc(w.trip, func() { defer w.pending.Done(); f() })
}

// Close implements interceptor.Interceptor.
func (w *lossyWire) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.pending.Wait()
	return nil
}

// arrivals is a subscriber that notes when each packet came first.
type arrivals struct {
	mu sync.Mutex // guards at
	at map[uint16]time.Time
}

func (s *arrivals) RTP(p *rtp.Packet, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[p.SequenceNumber] = at
}

func (*arrivals) SenderReport(media.SenderReport) {}

// outcome is what a lossy publication came to.
type outcome struct {
	lost, asked   int
	frames, whole int
	came          int // frames that were whole in twice the time: what a machine that is too busy for the test delays
}

func (o outcome) String() string {
	return fmt.Sprintf("%d packets lost, asked for %d times (%.2f each); %d of %d frames whole in time (%.2f %%)",
		o.lost, o.asked, float64(o.asked)/float64(o.lost), o.whole, o.frames, 100*float64(o.whole)/float64(o.frames))
}

// lossyPublisher is a client that sends video over a lossy wire, and what came of it.
type lossyPublisher struct {
	wire   *lossyWire
	camera *outgoing
	first  uint16
	came   *arrivals
}

// perFrame is how many packets a frame has.
const perFrame = 5

func newLossyPublisher(t *testing.T, r *Room, loss float64, trip time.Duration) *lossyPublisher {
	t.Helper()
	p := &lossyPublisher{wire: newLossyWire(loss, trip), came: &arrivals{at: map[uint16]time.Time{}}}
	c := join(t, r, fmt.Sprint(loss, trip), clientOptions{wire: p.wire, noNeed: true})
	p.camera = c.send(media.VP8, media.Camera)
	c.name(map[*outgoing]media.Source{p.camera: media.Camera})
	if err := c.offer(); err != nil {
		t.Fatal(err)
	}
	c.connected()
	p.first = p.camera.seq + 1
	return p
}

// publish sends frames at 30 a second.
func (p *lossyPublisher) publish(frames int) {
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	subscribed := false
	for range frames {
		p.camera.time += 3000
		for range perFrame {
			p.camera.seq++
			p.camera.write(p.camera.seq, payload(uint64(p.camera.seq)))
		}
		<-ticker.C
		if pubs := p.camera.c.publications(); !subscribed && len(pubs) > 0 {
			pubs[0].SubscribeSince(p.came, time.Time{})
			subscribed = true
		}
	}
	<-time.After(2 * askUntil) // what has not come by then comes too late
}

func (p *lossyPublisher) outcome(frames int) outcome {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.came.mu.Lock()
	defer p.came.mu.Unlock()
	return judge(p.came.at, p.first, outcome{lost: len(p.wire.lost), asked: p.wire.asked, frames: frames})
}

// judge counts the frames that are whole: a packet is in time when it comes within the time for which the recorder waits
// since the first packet behind it came.
func judge(at map[uint16]time.Time, first uint16, o outcome) outcome {
	behind := map[uint16]time.Time{} // when the first packet behind came
	var soonest time.Time
	for i := o.frames*perFrame - 1; i >= 0; i-- {
		seq := first + uint16(i)
		behind[seq] = soonest
		if when, ok := at[seq]; ok && (soonest.IsZero() || when.Before(soonest)) {
			soonest = when
		}
	}
	for f := range o.frames {
		whole, came := true, true
		for i := range perFrame {
			seq := first + uint16(f*perFrame+i)
			when, ok := at[seq]
			late := time.Duration(0)
			if !behind[seq].IsZero() {
				late = when.Sub(behind[seq])
			}
			whole, came = whole && ok && late < askUntil, came && ok && late < 2*askUntil
		}
		if whole {
			o.whole++
		}
		if came {
			o.came++
		}
	}
	return o
}

func TestLostPacketsOfAPublisherAreRepairedWithFewQuestions(t *testing.T) {
	inFull(t)
	const frames = 240
	r := newSFU(t).NewRoom()
	var publishers []*lossyPublisher
	for _, loss := range []float64{0.03, 0.05} {
		for _, trip := range []time.Duration{50 * ms, 150 * ms} {
			publishers = append(publishers, newLossyPublisher(t, r, loss, trip))
		}
	}
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() { p.publish(frames) })
	}
	wg.Wait()
	for _, p := range publishers {
		o := p.outcome(frames)
		t.Logf("%.0f %% lost, round trip %v: %v", 100*p.wire.loss, p.wire.trip, o)
		if o.lost < 20 || float64(o.asked) >= 4*float64(o.lost) {
			t.Errorf("want fewer than 4 questions for each lost packet")
		}
		if float64(o.came) < 0.995*float64(o.frames) {
			t.Errorf("%d frames are whole at all, want 99.5 %% of them", o.came)
		}
	}
}
