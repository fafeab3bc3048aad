package simpeer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// cable is a network that can be cut. Once it is, nothing goes out and nothing comes in, as when a phone loses its
// signal: nobody says goodbye.
//
// The checks of ICE take as long as media do, there and back, so that the server knows the round trip as it does of a
// real way.
//
// It also keeps back media of SSRCs that no answer has announced yet, as browsers do: pion reads such packets from two
// goroutines at once when the answer comes.
type cable struct {
	transport.Net
	own       bool          // the network is the machine's
	trip      time.Duration // there and back
	isCut     atomic.Bool
	announced sync.Map // ssrc → true
}

// newCable puts a cable into a network, the machine's own if that is nil.
func newCable(n transport.Net, trip time.Duration) (*cable, error) {
	if n != nil {
		return &cable{Net: n, trip: trip}, nil
	}
	own, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return &cable{Net: own, own: true, trip: trip}, nil
}

func (c *cable) cut() { c.isCut.Store(true) }

// announce lets the SSRCs of an answer through.
func (c *cable) announce(sdp string) {
	for line := range strings.Lines(sdp) {
		number, _, _ := strings.Cut(strings.TrimPrefix(line, "a=ssrc:"), " ")
		if ssrc, err := strconv.ParseUint(number, 10, 32); err == nil && strings.HasPrefix(line, "a=ssrc:") {
			c.announced.Store(uint32(ssrc), true)
		}
	}
}

// passes tells whether a packet may come in.
func (c *cable) passes(packet []byte) bool {
	if c.isCut.Load() {
		return false
	}
	// RFC 7983 §7: media has 128 … 191 in the first byte, and RTCP 64 … 95 in the type (RFC 5761 §4).
	if len(packet) < 12 || packet[0]>>6 != 2 || packet[1]&0x7f >= 64 && packet[1]&0x7f < 96 {
		return true
	}
	_, ok := c.announced.Load(binary.BigEndian.Uint32(packet[8:]))
	return ok
}

// ListenUDP implements transport.Net.
func (c *cable) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := c.Net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return &plug{UDPConn: conn, cable: c}, nil
}

// plug is one socket on a cable.
type plug struct {
	transport.UDPConn
	cable *cable
}

// WriteTo implements net.PacketConn.
func (p *plug) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.cable.isCut.Load() {
		return len(b), nil
	}
	if p.cable.trip > 0 && len(b) > 0 && b[0] < 4 { // STUN: RFC 7983 §7
		check := bytes.Clone(b)
		time.AfterFunc(p.cable.trip, func() {
			if !p.cable.isCut.Load() {
				_, _ = p.UDPConn.WriteTo(check, to) // of a closed socket: who is gone sends nothing
			}
		})
		return len(b), nil
	}
	return p.UDPConn.WriteTo(b, to)
}

// ReadFrom implements net.PacketConn.
func (p *plug) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.UDPConn.ReadFrom(b)
		if err != nil || p.cable.passes(b[:n]) {
			return n, from, err
		}
	}
}
