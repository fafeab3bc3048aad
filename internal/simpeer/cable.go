package simpeer

import (
	"fmt"
	"net"
	"sync/atomic"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// cable is a network that can be cut. Once it is, nothing goes out and nothing comes in, as when a phone loses its
// signal: nobody says goodbye.
type cable struct {
	*stdnet.Net
	isCut atomic.Bool
}

func newCable() (*cable, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return &cable{Net: n}, nil
}

func (c *cable) cut() { c.isCut.Store(true) }

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
	return p.UDPConn.WriteTo(b, to)
}

// ReadFrom implements net.PacketConn.
func (p *plug) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.UDPConn.ReadFrom(b)
		if err != nil || !p.cable.isCut.Load() {
			return n, from, err
		}
	}
}
