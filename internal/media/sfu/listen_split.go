package sfu

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// split is a media socket whose TURN goes another way (RFC 7983 §7): media and ICE are read from it as from the socket
// itself, without another goroutine on their way; what is TURN waits in aside.
type split struct {
	socket *net.UDPConn
	aside  *Aside
}

var _ net.PacketConn = (*split)(nil)

func newSplit(socket *net.UDPConn, dropped prometheus.Counter) *split {
	return &split{socket: socket, aside: &Aside{
		socket: socket, dropped: dropped, packets: make(chan packet, asideQueue), shut: make(chan struct{}),
	}}
}

// ReadFromAddrPort makes the way of a packet free of allocations (ice.AddrPortReaderWriter).
func (s *split) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.socket.ReadFromUDPAddrPort(b)
		if err != nil || !isTURN(b[:n]) {
			return n, from, err
		}
		s.aside.put(b[:n], from)
	}
}

// WriteToAddrPort is the other half of ice.AddrPortReaderWriter.
func (s *split) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.socket.WriteToUDPAddrPort(b, to)
}

// ReadFrom implements net.PacketConn.
func (s *split) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo implements net.PacketConn.
func (s *split) WriteTo(b []byte, to net.Addr) (int, error) { return s.socket.WriteTo(b, to) }

// Close implements net.PacketConn.
func (s *split) Close() error { return s.socket.Close() }

// LocalAddr implements net.PacketConn.
func (s *split) LocalAddr() net.Addr { return s.socket.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (s *split) SetDeadline(t time.Time) error { return s.socket.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *split) SetReadDeadline(t time.Time) error { return s.socket.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (s *split) SetWriteDeadline(t time.Time) error { return s.socket.SetWriteDeadline(t) }

// STUN (RFC 8489 §5) and TURN (RFC 8656 §12.4) on the wire.
const (
	stunHeader   = 20
	stunCookie   = 0x2112A442
	stunBinding  = 0x0001 // request
	stunUsername = 0x0006 // attribute
)

// isTURN tells packets of TURN, and plain questions for one's own address, from those of ICE and media. Questions of ICE
// name a user.
func isTURN(b []byte) bool {
	switch {
	case len(b) >= 4 && b[0] >= 0x40 && b[0] < 0x50:
		return true // channel data
	case len(b) < stunHeader || b[0] > 3 || binary.BigEndian.Uint32(b[4:]) != stunCookie:
		return false
	}
	kind := binary.BigEndian.Uint16(b)
	if kind == stunBinding {
		return !hasAttribute(b[stunHeader:], stunUsername)
	}
	return kind&0x3eef != stunBinding // without the two bits that tell request, indication and answers apart
}

// hasAttribute looks through the attributes of a STUN message.
func hasAttribute(b []byte, wanted uint16) bool {
	for len(b) >= 4 {
		if binary.BigEndian.Uint16(b) == wanted {
			return true
		}
		next := 4 + (int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if next > len(b) {
			return false
		}
		b = b[next:]
	}
	return false
}

// asideQueue is how many packets of TURN wait on one socket before more are dropped.
const asideQueue = 1024

// Aside is the TURN side of a media socket, for a TURN server to listen on. Closing it leaves the socket to the media.
type Aside struct {
	socket  *net.UDPConn
	dropped prometheus.Counter
	packets chan packet
	once    sync.Once
	shut    chan struct{}
}

var _ net.PacketConn = (*Aside)(nil)

type packet struct {
	data []byte
	from netip.AddrPort
}

// put copies a packet into the queue, or drops it when that is full.
func (a *Aside) put(b []byte, from netip.AddrPort) {
	select {
	case a.packets <- packet{append([]byte(nil), b...), from}:
	default:
		a.dropped.Inc()
	}
}

// ReadFrom implements net.PacketConn.
func (a *Aside) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-a.packets:
		return copy(b, p.data), net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.from.Addr().Unmap(), p.from.Port())), nil
	case <-a.shut:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn.
func (a *Aside) WriteTo(b []byte, to net.Addr) (int, error) { return a.socket.WriteTo(b, to) }

// LocalAddr implements net.PacketConn.
func (a *Aside) LocalAddr() net.Addr { return a.socket.LocalAddr() }

// Close implements net.PacketConn.
func (a *Aside) Close() error {
	a.once.Do(func() { close(a.shut) })
	return nil
}

// SetDeadline implements net.PacketConn; nobody sets one.
func (a *Aside) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn; nobody sets one.
func (a *Aside) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn; nobody sets one.
func (a *Aside) SetWriteDeadline(time.Time) error { return nil }
