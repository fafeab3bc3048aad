package simpeer

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"consilium/internal/media"
)

// sentLog remembers what was sent, over all connections of a participant, and what became of it.
type sentLog struct {
	mu       sync.Mutex // guards what follows
	flashes  []Moment
	beeps    []sentBeep
	requests int
	latest   time.Duration
	lost     map[media.Kind]map[packetID]bool // that the network lost, at least once
	nacks    int
}

// packetID names a packet.
type packetID struct {
	ssrc uint32
	seq  uint16
}

// sentBeep is a beep and its first packet.
type sentBeep struct {
	Moment
	ssrc uint32
	seq  uint16
}

func (l *sentLog) flash(m Moment) { l.mu.Lock(); defer l.mu.Unlock(); l.flashes = append(l.flashes, m) }

func (l *sentLog) beep(b sentBeep) { l.mu.Lock(); defer l.mu.Unlock(); l.beeps = append(l.beeps, b) }
func (l *sentLog) asked()          { l.mu.Lock(); defer l.mu.Unlock(); l.requests++ }

func (l *sentLog) lateBy(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = max(l.latest, d)
}

func (l *sentLog) lose(k media.Kind, ssrc uint32, seq uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = map[media.Kind]map[packetID]bool{media.Audio: {}, media.Video: {}}
	}
	l.lost[k][packetID{ssrc, seq}] = true
}

func (l *sentLog) nacked(n *rtcp.TransportLayerNack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pair := range n.Nacks {
		l.nacks += len(pair.PacketList())
	}
}

// sent lists what was captured. A beep of which a packet was lost is not in it: sound is not sent again.
func (l *sentLog) sent(spec Spec) Sent {
	const packets = int(beepLength/(20*time.Millisecond)) + 1
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Sent{Spec: spec, Flashes: slices.Clone(l.flashes)}
	for _, b := range l.beeps {
		whole := true
		for i := range packets {
			whole = whole && !l.lost[media.Audio][packetID{b.ssrc, b.seq + uint16(i)}]
		}
		if whole {
			s.Beeps = append(s.Beeps, b.Moment)
		} else {
			s.Spoiled++
		}
	}
	return s
}

// Repairs is how many packets of pictures the network lost, at least once each, and how often one was asked for again.
func (p *Participant) Repairs() (lost, asked int) {
	p.sent.mu.Lock()
	defer p.sent.mu.Unlock()
	return len(p.sent.lost[media.Video]), p.sent.nacks
}
