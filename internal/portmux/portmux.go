// Package portmux lets HTTP, TURN and ICE share one TCP port, with and without TLS.
//
// In come the connections of one listener; out they go, told apart by their first bytes and by what TLS agreed on, to
// three listeners: HTTP, TURN (RFC 8656) and ICE (packets framed by RFC 4571). A network that lets only port 443 through,
// or only TLS, then lets everything through.
//
// It reads no more of a connection than it needs to tell what it is, never answers by itself but to plain HTTP where TLS
// is spoken, and knows nothing of what the three do.
package portmux

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what New needs. Listener is required.
type Config struct {
	Listener net.Listener
	// Certificate gives the certificate for a TLS handshake; nil: no TLS is spoken.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Undecided bounds how long a connection may take to show what it is, handshake included. Default 10 s.
	Undecided time.Duration
	// PerAddress and Total bound how many connections may be undecided at once. Default 64 of one address, 2048 of all.
	PerAddress, Total int
	Logger            *slog.Logger          // default: nothing is logged
	Registerer        prometheus.Registerer // nil keeps the metrics unregistered
}

func (c Config) withDefaults() Config {
	if c.Undecided <= 0 {
		c.Undecided = 10 * time.Second
	}
	if c.PerAddress <= 0 {
		c.PerAddress = 64
	}
	if c.Total <= 0 {
		c.Total = 2048
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Mux tells connections apart.
type Mux struct {
	cfg     Config
	tls     *tls.Config // nil without TLS
	doors   map[Protocol]*door
	count   *prometheus.CounterVec
	life    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex // guards what follows
	undecided map[netip.Addr]int
	total     int
}

// New begins to take connections. Close ends it.
func New(cfg Config) (*Mux, error) {
	if cfg.Listener == nil {
		return nil, errors.New("portmux: a listener is needed")
	}
	m := &Mux{
		cfg: cfg.withDefaults(), doors: map[Protocol]*door{}, undecided: map[netip.Addr]int{},
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_port_connections_total",
			Help: "TCP connections by what they turned out to be: http, turn, ice, refused (too many undecided), unknown.",
		}, []string{"protocol"}),
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(m.count); err != nil {
			return nil, err
		}
	}
	if cfg.Certificate != nil {
		// Without a protocol of its own a TURN client agrees on none, which is let pass too (RFC 7301 §3.2 needs both sides).
		m.tls = &tls.Config{
			GetCertificate: cfg.Certificate, MinVersion: tls.VersionTLS12, NextProtos: []string{alpnHTTP, alpnTURN, "stun.nat-discovery"},
		}
	}
	m.life, m.stop = context.WithCancel(context.Background())
	for _, p := range []Protocol{HTTP, TURN, ICE} {
		m.doors[p] = &door{addr: cfg.Listener.Addr(), conns: make(chan net.Conn), shut: make(chan struct{})}
	}
	m.running.Go(m.accept)
	return m, nil
}

// Listener gives the connections of one protocol. Closing it closes that door alone.
func (m *Mux) Listener(p Protocol) net.Listener { return m.doors[p] }

// Close gives the port back and waits until every undecided connection is gone. Those that went through a door are not
// touched.
func (m *Mux) Close() error {
	m.stop()
	err := m.cfg.Listener.Close()
	m.running.Wait()
	for _, d := range m.doors {
		d.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept takes connections until the listener is closed.
func (m *Mux) accept() {
	for {
		conn, err := m.cfg.Listener.Accept()
		if err != nil {
			if m.life.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, say: it may be better in a moment.
			m.cfg.Logger.Warn("a connection could not be taken", "error", err)
			select {
			case <-m.life.Done():
				return
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		if !m.enter(conn) {
			m.count.WithLabelValues("refused").Inc()
			conn.Close()
			continue
		}
		retryEvenly(conn)
		m.running.Go(func() { m.decide(conn) })
	}
}

// enter counts a connection among the undecided, unless there are too many.
func (m *Mux) enter(conn net.Conn) bool {
	from := addressOf(conn)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.total >= m.cfg.Total || m.undecided[from] >= m.cfg.PerAddress {
		return false
	}
	m.total++
	m.undecided[from]++
	return true
}

func (m *Mux) leave(conn net.Conn) {
	from := addressOf(conn)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total--
	if m.undecided[from]--; m.undecided[from] == 0 {
		delete(m.undecided, from)
	}
}

// addressOf is whom a connection counts for: an IPv6 subscriber has a whole /64.
func addressOf(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if prefix, err := addr.Prefix(64); err == nil && addr.Is6() {
		return prefix.Addr()
	}
	return addr
}

// decide finds out what a connection is and hands it on.
func (m *Mux) decide(conn net.Conn) {
	// A connection that is closed in between fails what waits for it.
	hangUp := context.AfterFunc(m.life, func() { conn.Close() })
	protocol, decided, err := m.tell(conn)
	hangUp()
	m.leave(conn)
	if err != nil {
		m.count.WithLabelValues("unknown").Inc()
		m.cfg.Logger.Debug("a connection could not be told apart", "error", err)
		conn.Close()
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return
	}
	m.count.WithLabelValues(protocol.String()).Inc()
	if !m.doors[protocol].hand(m.life, decided) {
		decided.Close()
	}
}

// door is the listener of one protocol.
type door struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	shut  chan struct{}
}

var _ net.Listener = (*door)(nil)

// hand gives a connection to whoever accepts, and says whether somebody did.
func (d *door) hand(ctx context.Context, conn net.Conn) bool {
	select {
	case d.conns <- conn:
		return true
	case <-d.shut:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (d *door) Addr() net.Addr { return d.addr }

// Close implements net.Listener.
func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}
