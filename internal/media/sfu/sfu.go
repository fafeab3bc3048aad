// Package sfu forwards media selectively: it takes in the RTP of every participant of a room and sends it on, as it is,
// to the others and to whatever else subscribes.
//
// In come SDP offers, ICE candidates and encrypted media; out go SDP answers, candidates, encrypted media, and packets
// to each Subscriber. A client always offers, the server only answers; when a room holds more publications than a client
// has receiving m-lines, the handler OnNeedOffer asks for another offer.
//
// It keeps nothing on disk, speaks no JSON, decodes nothing, and knows nothing of consultations: ids are opaque.
//
// # What is on the way of a packet
//
// One goroutine per incoming track reads, drops duplicates and hands the packet to every subscriber. Packets are never
// copied again, and interceptors are only on the way in (requests for lost packets, receiver reports, congestion
// feedback). On the way out there are none: one History per Publication answers the requests of all subscribers for lost
// packets, and the publisher's own sender reports are passed on, so that receivers keep lips and voice together.
package sfu

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/prometheus/client_golang/prometheus"
)

// Errors that a caller decides on. The first five tell what is wrong with an offer; nothing was changed by it.
var (
	ErrBadSDP           = errors.New("the offer is not usable SDP")
	ErrSDPTooLarge      = errors.New("the offer is too large")
	ErrNoTracks         = errors.New("the offer has no audio or video")
	ErrUnsupportedCodec = errors.New("the offer has no codec that this server takes")
	ErrTooManyTracks    = errors.New("the offer has too many tracks")
	ErrClosed           = errors.New("the connection is closed")
)

// Config is what New needs. The zero Config is usable.
type Config struct {
	// MediaListen is "host:port" (UDP). All media of all connections comes through this one port. Without a host it is
	// opened on every address of the machine, IPv4 and IPv6, loopback included; port 0 takes a free one (see Addr).
	// Default ":8080".
	MediaListen string
	// Sockets carry media in place of MediaListen: of a network that is not the machine's. There is no relay on them, and they
	// are closed with the SFU.
	Sockets []net.PacketConn
	// PublicAddr lists, separated by commas, the addresses under which a 1:1 NAT makes this machine reachable. They are
	// offered beside the machine's own.
	PublicAddr string
	// TCP takes ICE that comes over TCP (RFC 4571, RFC 6544), nil for none. Its address says where: of an unspecified
	// host, all addresses. It is closed with the SFU.
	TCP net.Listener
	// Lite makes this side ICE-lite (RFC 8445 §2.5): it answers checks and sends none. It suits fixed public addresses.
	Lite bool
	// DisconnectedAfter, FailedAfter and Keepalive are ICE's time-outs: silence until a connection counts as
	// disconnected, further silence until it counts as failed, and the distance of keep-alives. Default 4 s, 60 s, 1 s.
	DisconnectedAfter, FailedAfter, Keepalive time.Duration
	// Now is the clock that stamps arrivals. Default time.Now.
	Now func() time.Time
	// Registerer takes the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Logger takes what an operator wants to know. Default: nothing is logged.
	Logger *slog.Logger
}

// withDefaults fills what was left empty.
func (c Config) withDefaults() Config {
	if c.MediaListen == "" {
		c.MediaListen = ":8080"
	}
	if c.DisconnectedAfter <= 0 {
		c.DisconnectedAfter = 4 * time.Second
	}
	if c.FailedAfter <= 0 {
		c.FailedAfter = 60 * time.Second
	}
	if c.Keepalive <= 0 {
		c.Keepalive = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// SFU is one media port and the rooms behind it.
type SFU struct {
	cfg     Config
	public  []string // PublicAddr, checked
	mux     *ice.MultiUDPMuxDefault
	tcp     *ice.TCPMuxDefault // nil without Config.TCP
	splits  []*split           // one for each of addrs
	addrs   []netip.AddrPort
	metrics *metrics
	pionLog logging.LoggerFactory

	mu     sync.Mutex // guards rooms and closed
	rooms  map[*Room]struct{}
	closed bool
}

// New opens the media port. Close gives it back.
func New(cfg Config) (*SFU, error) {
	cfg = cfg.withDefaults()
	public, err := parsePublicAddr(cfg.PublicAddr)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	dropped := counter("consilium_relay_packets_dropped_total", "Packets for the TURN server that it did not take in time.")
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(dropped); err != nil {
			return nil, fmt.Errorf("register media metrics: %w", err)
		}
	}
	s := &SFU{
		cfg: cfg, public: public, metrics: metrics,
		pionLog: logFactory{cfg.Logger}, rooms: map[*Room]struct{}{},
	}
	sockets, err := s.sockets(dropped)
	if err != nil {
		return nil, err
	}
	muxes := make([]ice.UDPMux, 0, len(sockets))
	for _, c := range sockets {
		addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
		s.addrs = append(s.addrs, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: s.pionLog.NewLogger("udpmux")}))
	}
	s.openTCP(cfg.TCP)
	s.mux = ice.NewMultiUDPMuxDefault(muxes...)
	return s, nil
}

// sockets are what media comes through: those that were given, or the machine's own, from which TURN is taken aside.
func (s *SFU) sockets(dropped prometheus.Counter) ([]net.PacketConn, error) {
	if len(s.cfg.Sockets) > 0 {
		return s.cfg.Sockets, nil
	}
	conns, err := listen(s.cfg.MediaListen, s.cfg.Logger)
	if err != nil {
		return nil, err
	}
	sockets := make([]net.PacketConn, len(conns))
	for i, c := range conns {
		sp := newSplit(c, dropped)
		s.splits = append(s.splits, sp)
		sockets[i] = sp
	}
	return sockets, nil
}

// parsePublicAddr splits and checks a list of IP addresses.
func parsePublicAddr(list string) ([]string, error) {
	var addrs []string
	for _, field := range strings.Split(list, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		addr, err := netip.ParseAddr(field)
		if err != nil {
			return nil, fmt.Errorf("public address %q: not an IP address: %w", field, err)
		}
		addrs = append(addrs, addr.String())
	}
	return addrs, nil
}

// Addr is where media arrives: the first of Addrs. All have the same port.
func (s *SFU) Addr() netip.AddrPort { return s.addrs[0] }

// Addrs lists every address on which media arrives, loopback last.
func (s *SFU) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), s.addrs...) }

// NewRoom makes an empty room. Its Close, or the SFU's, ends it.
func (s *SFU) NewRoom() *Room {
	r := &Room{sfu: s, peers: map[*Peer]struct{}{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		r.closed = true
		return r
	}
	s.rooms[r] = struct{}{}
	return r
}

// Close ends all rooms and gives the port back. It waits until everything that was started has ended.
func (s *SFU) Close() error {
	s.mu.Lock()
	s.closed = true
	rooms := s.rooms
	s.rooms = map[*Room]struct{}{}
	s.mu.Unlock()

	var wg sync.WaitGroup
	for r := range rooms {
		wg.Go(r.Close)
	}
	wg.Wait()
	err := s.mux.Close()
	if s.tcp != nil {
		err = errors.Join(err, s.tcp.Close())
	}
	if err != nil {
		return fmt.Errorf("close media port: %w", err)
	}
	return nil
}

func (s *SFU) forget(r *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rooms, r)
}
