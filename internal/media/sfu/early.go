package sfu

import (
	"time"

	"github.com/pion/rtp"
)

// How much of a publication's beginning is kept for a subscriber that comes a moment later.
const (
	earlyTime    = 2 * time.Second
	earlyPackets = 1024
)

// early keeps the first packets of a publication. Whoever decides to record hears of a publication only after its first
// packet, which for video begins the one whole picture that a sender may not repeat for long.
type early struct {
	packets []earlyPacket
	over    bool // too old, too many, or handed over
}

type earlyPacket struct {
	packet  *rtp.Packet
	arrival time.Time
}

// add keeps a packet that arrived when the publication was age old.
func (e *early) add(p *rtp.Packet, arrival time.Time, age time.Duration) {
	if e.over {
		return
	}
	if age > earlyTime || len(e.packets) == earlyPackets {
		e.drop()
		return
	}
	e.packets = append(e.packets, earlyPacket{p, arrival})
}

func (e *early) drop() { e.packets, e.over = nil, true }

// SubscribeSince is Subscribe for somebody who wants the publication from its beginning: what arrived since the given
// time, as far as it is still kept (two seconds), comes first. Only the first such subscriber gets it.
func (p *Publication) SubscribeSince(s Subscriber, since time.Time) {
	p.mu.Lock()
	whole := !p.early.over
	for _, e := range p.early.packets {
		if e.arrival.Before(since) {
			whole = false
			continue
		}
		s.RTP(e.packet, e.arrival)
	}
	p.early.drop()
	p.subscribers = append(p.subscribers, s)
	p.mu.Unlock()
	if !whole {
		p.RequestKeyframe()
	}
}
