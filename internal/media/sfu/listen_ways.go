package sfu

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// tcpWriteBuffer is how many bytes may wait for a client that reads slowly over TCP, before more are dropped.
const tcpWriteBuffer = 4 << 20

// openTCP lets ICE come in over the connections of a listener, if there is one.
func (s *SFU) openTCP(listener net.Listener) {
	if listener == nil {
		return
	}
	// One mux for all: with one per family IPv6 never connects.
	s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: listener, Logger: s.pionLog.NewLogger("tcpmux"), ReadBufferSize: 64, WriteBufferSize: tcpWriteBuffer,
	})
}

// ways sets by which ways a connection may come: UDP, and TCP where a listener was given, to the addresses of the media
// port and those under which the outside knows them.
func (s *SFU) ways(e *webrtc.SettingEngine) error {
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	e.SetICEUDPMux(s.mux)
	if s.tcp != nil {
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
		e.SetICETCPMux(s.tcp)
		e.DisableActiveTCP(true)
	}
	e.SetNetworkTypes(networks)
	e.SetLite(s.cfg.Lite)
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIPFilter(s.listensOn)
	if len(s.public) == 0 {
		return nil
	}
	// Beside the machine's own addresses, not instead: what relays from this machine cannot reach its public address
	// through a NAT without hairpinning.
	err := e.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
		External: s.public, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
	})
	if err != nil {
		return fmt.Errorf("public addresses: %w", err)
	}
	return nil
}

// listensOn tells the addresses of the media port from others of this machine, of containers say.
func (s *SFU) listensOn(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	return ok && slices.ContainsFunc(s.addrs, func(a netip.AddrPort) bool { return a.Addr() == addr.Unmap() })
}

// Asides are the TURN sides of the media sockets, in the order of Addrs. Without a TURN server on them what comes there
// is dropped.
func (s *SFU) Asides() []net.PacketConn {
	list := make([]net.PacketConn, len(s.splits))
	for i, sp := range s.splits {
		list[i] = sp.aside
	}
	return list
}

// PublicAddrs are the addresses of Config.PublicAddr.
func (s *SFU) PublicAddrs() []netip.Addr {
	list := make([]netip.Addr, len(s.public))
	for i, text := range s.public {
		list[i] = netip.MustParseAddr(text) // checked by New
	}
	return list
}
