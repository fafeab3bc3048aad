// Package turnserver relays between participants whose network lets nothing else through and the media port of this
// server, and nowhere else (TURN, RFC 8656).
//
// In come TURN messages over UDP, TCP or TLS; out go packets to the addresses that Config.Peers lists, and back. It is no
// relay for anything else: another address, another port, TCP to a peer are refused, and no packet is sent.
//
// It knows no users: Config.Check tells whom a user name speaks for and with what password, and Revoke ends everything
// that one participant has here. It reads nothing of what it relays.
package turnserver

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what New needs. Peers, Check and at least one of Sockets and Listener are required.
type Config struct {
	// Sockets are where TURN comes in over UDP. They are read by the server and closed with it.
	Sockets []net.PacketConn
	// Listener is where it comes in over TCP, TLS taken off. It is closed with the server.
	Listener net.Listener
	// Peers are the addresses and ports that a relay reaches: those of this server's media, on this very machine.
	Peers []netip.AddrPort
	// Aliases are further addresses under which participants know the Peers: those of a 1:1 NAT in front of this machine,
	// which may not lead back in from here. What is meant for them goes to the peer of the same family and port.
	Aliases []netip.Addr
	// Check gives the participant whom a user name speaks for, its password, and whether its time is over. An error
	// refuses it.
	Check func(username string) (participant, password string, expired bool, err error)
	// PerParticipant bounds how many relays one participant may have at once. Default 12: a browser asks for one by each
	// transport and interface.
	PerParticipant int
	// Logs takes what pion says. Default: nothing.
	Logs       logging.LoggerFactory
	Logger     *slog.Logger          // default: nothing is logged
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
}

// realm is what TURN clients are told; they make their key with it.
const realm = "consilium"

// forget is after how long a participant's revocation is not remembered any more: no credential is valid for longer.
const forget = 24 * time.Hour

// Server is a TURN server.
type Server struct {
	cfg     Config
	turn    *turn.Server
	metrics *metrics

	mu      sync.Mutex // guards what follows
	relays  map[string]map[*relay]struct{}
	revoked map[string]time.Time
}

// New begins to serve. Close ends it.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Check == nil:
		return nil, errors.New("turn server: a check of user names is needed")
	case len(cfg.Peers) == 0:
		return nil, errors.New("turn server: no peer to relay to")
	}
	if cfg.PerParticipant <= 0 {
		cfg.PerParticipant = 12
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Logs == nil {
		cfg.Logs = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	}
	metrics, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: metrics, relays: map[string]map[*relay]struct{}{}, revoked: map[string]time.Time{}}
	s.turn, err = turn.NewServer(s.settings())
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) settings() turn.ServerConfig {
	c := turn.ServerConfig{
		Realm: realm, AuthHandler: s.authenticate, QuotaHandler: s.quota, LoggerFactory: s.cfg.Logs,
	}
	permitted := func(_ net.Addr, peer net.IP) bool { return s.mayReach(peer) }
	for _, socket := range s.cfg.Sockets {
		c.PacketConnConfigs = append(c.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: socket, RelayAddressGenerator: generator{s}, PermissionHandler: permitted,
		})
	}
	if s.cfg.Listener != nil {
		c.ListenerConfigs = append(c.ListenerConfigs, turn.ListenerConfig{
			Listener: s.cfg.Listener, RelayAddressGenerator: generator{s}, PermissionHandler: permitted,
		})
	}
	return c
}

// authenticate gives the key of a user name. A credential whose time is over may keep what it has and gets nothing new:
// a long call must not break because of it.
func (s *Server) authenticate(request *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	participant, password, expired, err := s.cfg.Check(request.Username)
	if err != nil || expired && request.Method == stun.MethodAllocate || s.isRevoked(participant) {
		s.metrics.refused.WithLabelValues("credential").Inc()
		return "", nil, false
	}
	return participant, turn.GenerateAuthKey(request.Username, realm, password), true
}

func (s *Server) isRevoked(participant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, revoked := s.revoked[participant]
	return revoked
}

// quota refuses one participant too many relays.
func (s *Server) quota(participant, _ string, _ net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.relays[participant]) < s.cfg.PerParticipant {
		return true
	}
	s.metrics.refused.WithLabelValues("quota").Inc()
	return false
}

// mayReach says whether an address is one of the peers', on whatever port: that is asked for again with each packet.
func (s *Server) mayReach(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if ok && (slices.Contains(s.cfg.Aliases, addr) ||
		slices.ContainsFunc(s.cfg.Peers, func(p netip.AddrPort) bool { return p.Addr() == addr })) {
		return true
	}
	s.metrics.refused.WithLabelValues("peer").Inc()
	return false
}

// Admit lets a participant in again that was revoked.
func (s *Server) Admit(participant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.revoked, participant)
}

// Revoke closes every relay of a participant at once and refuses it new ones until Admit.
func (s *Server) Revoke(participant string) {
	now := time.Now()
	s.mu.Lock()
	for old, at := range s.revoked {
		if now.Sub(at) > forget {
			delete(s.revoked, old)
		}
	}
	s.revoked[participant] = now
	var closing []*relay
	for r := range s.relays[participant] {
		closing = append(closing, r)
	}
	s.mu.Unlock()
	for _, r := range closing {
		_ = r.Close() // the allocation goes with its socket
	}
}

// Close ends every relay and gives sockets and listener back.
func (s *Server) Close() error {
	err := s.turn.Close()
	s.mu.Lock()
	var closing []*relay
	for _, relays := range s.relays {
		for r := range relays {
			closing = append(closing, r)
		}
	}
	s.mu.Unlock()
	for _, r := range closing {
		_ = r.Close()
	}
	return err
}
