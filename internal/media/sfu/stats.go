package sfu

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats says how a connection did since Stats was called last (the first time without rates).
type Stats struct {
	RTT       time.Duration // of the newest ICE check; 0 if unknown
	BitsIn    float64       // RTP, bits per second
	BitsOut   float64       // same
	PacketsIn uint64        // RTP packets taken in
	FramesIn  float64       // pictures a second, of all video tracks together
	LossIn    float64       // fraction of the client's packets that never came, 0 … 1
	LossOut   float64       // largest fraction that the client misses of a track that it is sent, as it reports
}

// Stats reads and restarts the account.
func (p *Peer) Stats() Stats {
	s := p.counts.take(time.Now())
	s.RTT = p.rtt()
	return s
}

// rtt is the round trip of the newest ICE check on the pair in use; 0 if there was none.
func (p *Peer) rtt() time.Duration {
	pair, ok := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(pair.CurrentRoundTripTime * float64(time.Second))
}

// traffic is the account of one connection. The counters only grow; take looks at what was added.
type traffic struct {
	bytesIn, bytesOut, packetsIn atomic.Uint64
	framesIn                     atomic.Uint64 // pictures that came to their end
	expected, arrived            atomic.Uint64 // of the client's packets, by their numbers
	worst                        atomic.Uint32 // largest fraction missed, in 1/256

	mu   sync.Mutex // guards what follows
	last reading
}

// reading is the state of the counters at one time.
type reading struct {
	at                                                        time.Time
	bytesIn, bytesOut, packetsIn, framesIn, expected, arrived uint64
}

func (t *traffic) in(bytes int) {
	t.bytesIn.Add(uint64(bytes))
	t.packetsIn.Add(1)
}

func (t *traffic) out(bytes int) { t.bytesOut.Add(uint64(bytes)) }

// missed notes what a receiver report says about one track, in 1/256.
func (t *traffic) missed(fraction uint8) {
	for {
		worst := t.worst.Load()
		if uint32(fraction) <= worst || t.worst.CompareAndSwap(worst, uint32(fraction)) {
			return
		}
	}
}

func (t *traffic) take(now time.Time) Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.last
	t.last = reading{
		at: now, bytesIn: t.bytesIn.Load(), bytesOut: t.bytesOut.Load(), packetsIn: t.packetsIn.Load(),
		framesIn: t.framesIn.Load(),
		expected: t.expected.Load(), arrived: t.arrived.Load(),
	}
	s := Stats{PacketsIn: t.last.packetsIn - was.packetsIn, LossOut: float64(t.worst.Swap(0)) / 256}
	if expected := t.last.expected - was.expected; expected > 0 {
		// More than expected arrive when what was late comes in.
		s.LossIn = max(0, 1-float64(t.last.arrived-was.arrived)/float64(expected))
	}
	if seconds := now.Sub(was.at).Seconds(); !was.at.IsZero() && seconds > 0 {
		s.BitsIn = float64(t.last.bytesIn-was.bytesIn) * 8 / seconds
		s.BitsOut = float64(t.last.bytesOut-was.bytesOut) * 8 / seconds
		s.FramesIn = float64(t.last.framesIn-was.framesIn) / seconds
	}
	return s
}
