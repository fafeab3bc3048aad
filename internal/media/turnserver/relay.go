package turnserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/turn/v5"
)

// errForbidden says that a packet was not for this server's media. It was not sent.
var errForbidden = errors.New("a relay reaches nothing but this server's media port")

// generator makes the sockets of relays.
type generator struct{ s *Server }

var _ turn.RelayAddressGenerator = generator{}

// Validate implements turn.RelayAddressGenerator.
func (generator) Validate() error { return nil }

// AllocateListener implements turn.RelayAddressGenerator: there are no relays for TCP (RFC 6062).
func (generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errForbidden
}

// AllocateConn implements turn.RelayAddressGenerator.
func (generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errForbidden }

// AllocatePacketConn implements turn.RelayAddressGenerator. The socket has the address of a peer of the family, so that
// what it sends does not leave the machine. A port that the client asks for is not granted.
func (g generator) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	six := c.Network == "udp6"
	i := slices.IndexFunc(g.s.cfg.Peers, func(p netip.AddrPort) bool { return p.Addr().Is6() == six })
	if i < 0 {
		return nil, nil, fmt.Errorf("relay over %s: this server has no such address", c.Network)
	}
	socket, err := net.ListenUDP(c.Network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(g.s.cfg.Peers[i].Addr(), 0)))
	if err != nil {
		return nil, nil, fmt.Errorf("relay over %s: %w", c.Network, err)
	}
	r := &relay{UDPConn: socket, s: g.s, participant: c.UserID}
	r.s.add(r)
	return r, socket.LocalAddr(), nil
}

func (s *Server) add(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.relays[r.participant] == nil {
		s.relays[r.participant] = map[*relay]struct{}{}
	}
	s.relays[r.participant][r] = struct{}{}
	s.metrics.relays.Inc()
}

func (s *Server) drop(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relays[r.participant], r)
	if len(s.relays[r.participant]) == 0 {
		delete(s.relays, r.participant)
	}
	s.metrics.relays.Dec()
}

// relay is the socket of one allocation.
type relay struct {
	*net.UDPConn
	s           *Server
	participant string
	closing     sync.Once
	direct      atomic.Bool                    // a packet went to a peer by its own address
	alias       atomic.Pointer[netip.AddrPort] // to which the client writes
}

// WriteTo implements net.PacketConn. What is not for a peer is not sent.
func (r *relay) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errForbidden
	}
	target := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), udp.AddrPort().Port())
	peer, known := r.s.peer(target)
	if !known {
		r.s.metrics.refused.WithLabelValues("port").Inc()
		return 0, errForbidden
	}
	if peer == target {
		r.direct.Store(true)
	} else {
		r.alias.Store(&target)
	}
	n, err := r.WriteToUDPAddrPort(b, peer)
	r.s.metrics.bytes.WithLabelValues("in").Add(float64(n))
	return n, err
}

// peer is where a packet for target goes.
func (s *Server) peer(target netip.AddrPort) (netip.AddrPort, bool) {
	if slices.Contains(s.cfg.Peers, target) {
		return target, true
	}
	if !slices.Contains(s.cfg.Aliases, target.Addr()) {
		return target, false
	}
	i := slices.IndexFunc(s.cfg.Peers, func(p netip.AddrPort) bool {
		return p.Port() == target.Port() && p.Addr().Is6() == target.Addr().Is6()
	})
	if i < 0 {
		return target, false
	}
	return s.cfg.Peers[i], true
}

// ReadFrom implements net.PacketConn. What does not come from a peer is not heard.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, nil, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !slices.Contains(r.s.cfg.Peers, from) {
			continue
		}
		r.s.metrics.bytes.WithLabelValues("out").Add(float64(n))
		// A client that knows the peer by an alias alone expects the answer from there.
		if alias := r.alias.Load(); alias != nil && !r.direct.Load() {
			from = *alias
		}
		return n, net.UDPAddrFromAddrPort(from), nil
	}
}

// Close implements net.PacketConn.
func (r *relay) Close() error {
	err := net.ErrClosed
	r.closing.Do(func() {
		r.s.drop(r)
		err = r.UDPConn.Close()
	})
	return err
}
