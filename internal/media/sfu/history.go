package sfu

import (
	"sync/atomic"

	"github.com/pion/rtp"
)

// historySize is how many packets of a video publication stay at hand, a power of two: about two seconds at 1.2 Mbit/s.
const historySize = 512

// history holds the newest packets of one publication. One goroutine adds; any number get. It answers for all
// subscribers: a copy per subscriber, which pion's own responder keeps, costs a room of eight more than 100 MB.
type history struct {
	ring [historySize]atomic.Pointer[rtp.Packet]
}

func (h *history) add(p *rtp.Packet) {
	h.ring[p.SequenceNumber%historySize].Store(p)
}

// get finds the packet with this sequence number, or nil.
func (h *history) get(seq uint16) *rtp.Packet {
	p := h.ring[seq%historySize].Load()
	if p == nil || p.SequenceNumber != seq {
		return nil
	}
	return p
}
