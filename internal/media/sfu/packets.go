package sfu

import (
	"fmt"

	"github.com/pion/rtp"
)

const (
	// maxPacket is the largest RTP packet that is taken in, in bytes: what fits into an Ethernet frame.
	maxPacket   = 1500
	slabBytes   = 32 << 10
	slabPackets = 64
)

// slab gives out memory for packets that are never written again, so that whoever gets one may keep it. It takes from
// the heap once for many packets; memory is freed when no packet of a piece is held any more. One goroutine uses it.
type slab struct {
	bytes   []byte       // what is left of the current piece
	packets []rtp.Packet // same
}

// buffer is where the next packet is to be read. It stays the same until take.
func (s *slab) buffer() []byte {
	if len(s.bytes) < maxPacket {
		s.bytes = make([]byte, slabBytes)
	}
	return s.bytes[:maxPacket:maxPacket]
}

// take parses the first n bytes of the buffer and gives the packet away. Padding is cut off: a packet of nothing but
// padding has an empty payload, and is still a packet with a sequence number of its own.
func (s *slab) take(n int) (*rtp.Packet, error) {
	if len(s.packets) == 0 {
		s.packets = make([]rtp.Packet, slabPackets)
	}
	p := &s.packets[0]
	raw := s.bytes[:n:n]
	if err := p.Unmarshal(raw); err != nil {
		*p = rtp.Packet{}
		return nil, fmt.Errorf("parse RTP packet: %w", err)
	}
	p.Padding, p.Header.PaddingSize, p.PaddingSize = false, 0, 0
	s.bytes, s.packets = s.bytes[n:], s.packets[1:]
	return p, nil
}
