package turnserver

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/test"
	"github.com/pion/turn/v5"
)

// Three addresses of this machine: the media port's, one that only the outside knows, and a stranger's.
const own, alias, stranger = "127.0.0.1", "203.0.113.10", "127.0.0.2"

// lab is a TURN server with a media port that answers whatever comes, behind it.
type lab struct {
	t       *testing.T
	server  *Server
	media   *net.UDPConn
	foreign *net.UDPConn // the stranger's, on the same port
	at      string       // UDP and TCP
	heard   atomic.Int64
	now     atomic.Bool // the credential's time is over
}

func newLab(t *testing.T) *lab {
	t.Helper()
	check := test.CheckRoutines(t)
	t.Cleanup(check)
	l := &lab{t: t}
	l.media, l.foreign = listenTwice(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		buf := make([]byte, 1500)
		for {
			n, from, err := l.media.ReadFromUDP(buf)
			if err != nil {
				return
			}
			l.heard.Add(1)
			_, _ = l.media.WriteToUDP(buf[:n], from)
		}
	}()
	t.Cleanup(func() { l.foreign.Close(); l.media.Close(); <-answered })
	socket, listener := listenBoth(t)
	l.at = socket.LocalAddr().String()
	server, err := New(Config{
		Sockets: []net.PacketConn{socket}, Listener: listener, Peers: []netip.AddrPort{l.mediaAddr()},
		Aliases: []netip.Addr{netip.MustParseAddr(alias)}, PerParticipant: 3,
		Check: func(username string) (string, string, bool, error) {
			_, participant, ok := strings.Cut(username, ":")
			if !ok {
				return "", "", false, errors.New("no user name of ours")
			}
			return participant, "password of " + participant, l.now.Load(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.server = server
	t.Cleanup(func() {
		if err := l.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// The kernel promises nothing of a free number's second use, so both of the following may take some tries.
const tries = 50

// listenBoth opens one number for UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range tries {
		listener, err := net.Listen("tcp4", own+":0")
		if err != nil {
			t.Fatal(err)
		}
		socket, err := net.ListenPacket("udp4", listener.Addr().String())
		if err == nil {
			return socket, listener
		}
		last = err
		listener.Close()
	}
	t.Fatal(last)
	return nil, nil
}

// listenTwice opens one number for UDP on the own address and on the stranger's.
func listenTwice(t *testing.T) (media, foreign *net.UDPConn) {
	t.Helper()
	var last error
	for range tries {
		media, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(own)})
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(stranger), Port: media.LocalAddr().(*net.UDPAddr).Port})
		if err == nil {
			return media, foreign
		}
		last = err
		media.Close()
	}
	t.Fatal(last)
	return nil, nil
}

func (l *lab) mediaAddr() netip.AddrPort { return l.media.LocalAddr().(*net.UDPAddr).AddrPort() }

// client connects as a participant, over UDP or TCP.
func (l *lab) client(network, participant, password string) *turn.Client {
	l.t.Helper()
	var conn net.PacketConn
	if network == "tcp" {
		dialled, err := net.Dial("tcp4", l.at)
		if err != nil {
			l.t.Fatal(err)
		}
		conn = turn.NewSTUNConn(dialled)
	} else {
		var err error
		if conn, err = net.ListenPacket("udp4", own+":0"); err != nil {
			l.t.Fatal(err)
		}
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: l.at, TURNServerAddr: l.at, Username: "1:" + participant, Password: password, Realm: realm, Conn: conn,
		RTO: 50 * time.Millisecond, LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err == nil {
		err = c.Listen()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close(); conn.Close() })
	return c
}

func (l *lab) allocate(c *turn.Client) net.PacketConn {
	l.t.Helper()
	relayed, err := c.Allocate()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { relayed.Close() })
	return relayed
}

// echo sends through a relay and wants it back from where it was sent to.
func echo(relayed net.PacketConn, to netip.AddrPort) error {
	if _, err := relayed.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to)); err != nil {
		return err
	}
	if err := relayed.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	n, from, err := relayed.ReadFrom(buf)
	switch {
	case err != nil:
		return err
	case string(buf[:n]) != "hello":
		return errors.New("something else came back")
	case from.(*net.UDPAddr).AddrPort() != to:
		return errors.New("it came back from " + from.String())
	}
	return nil
}

func TestRelayReachesTheMediaPort(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run("over "+network, func(t *testing.T) {
			l := newLab(t)
			relayed := l.allocate(l.client(network, "ann", "password of ann"))
			if err := echo(relayed, l.mediaAddr()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("by the address that a 1:1 NAT gives it", func(t *testing.T) {
		l := newLab(t)
		relayed := l.allocate(l.client("udp", "ann", "password of ann"))
		if err := echo(relayed, netip.AddrPortFrom(netip.MustParseAddr(alias), l.mediaAddr().Port())); err != nil {
			t.Error(err)
		}
	})
}

func TestRelayReachesNothingElse(t *testing.T) {
	l := newLab(t)
	port := l.mediaAddr().Port()
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(own)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	wrong := other.LocalAddr().(*net.UDPAddr).AddrPort().Port()

	relayed := l.allocate(l.client("udp", "ann", "password of ann"))
	// Ask for the media port first: a permission counts for an address with all its ports.
	if err := echo(relayed, l.mediaAddr()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		addr string
		port uint16
	}{
		{"own address, another port that is open", own, wrong},
		{"own address, the port of ssh", own, 22},
		{"own address, the port of NATS", own, 4222},
		{"own address, port 0", own, 0},
		{"public address, another port", alias, wrong},
		{"another address of loopback", stranger, port},
		{"the last address of loopback", "127.255.255.254", port},
		{"this network", "0.0.0.0", port},
		{"broadcast", "255.255.255.255", port},
		{"metadata of a cloud", "169.254.169.254", 80},
		{"link-local", "169.254.1.1", port},
		{"private 10/8", "10.0.0.1", port},
		{"private 172.16/12", "172.16.0.1", port},
		{"private 192.168/16", "192.168.1.1", port},
		{"carrier's 100.64/10", "100.64.0.1", port},
		{"benchmarks 198.18/15", "198.18.0.1", port},
		{"multicast", "224.0.0.251", 5353},
		{"somebody in the internet", "192.0.2.1", port},
		{"a neighbour of the public address", "203.0.113.11", port},
		{"IPv6 loopback", "::1", port},
		{"IPv6 unspecified", "::", port},
		{"IPv6 link-local", "fe80::1", port},
		{"IPv6 private", "fd00::1", port},
		{"NAT64 of a private address", "64:ff9b::a00:1", port},
		{"loopback mapped into IPv6", "::ffff:127.0.0.2", port},
	}
	if len(tests) != 25 {
		t.Fatalf("the table has %d rows", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := &net.UDPAddr{IP: net.ParseIP(tt.addr), Port: int(tt.port)}
			_, err := relayed.WriteTo([]byte("stray"), to)
			if netip.MustParseAddr(tt.addr) != l.mediaAddr().Addr() && tt.addr != alias && err == nil {
				t.Error("permission was given")
			}
		})
	}
	// Packets keep their order: when the last one is back, the others would have come.
	if err := echo(relayed, l.mediaAddr()); err != nil {
		t.Fatal(err)
	}
	for name, socket := range map[string]*net.UDPConn{"the other port": other, "the other address": l.foreign} {
		if err := socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, from, err := socket.ReadFromUDP(make([]byte, 100)); err == nil {
			t.Errorf("%d bytes from %s came to %s", n, from, name)
		}
	}
	if l.heard.Load() != 2 {
		t.Errorf("the media port heard %d packets, want 2", l.heard.Load())
	}
}

func TestRelayIsForUDPOnly(t *testing.T) {
	l := newLab(t)
	if relayed, err := l.client("tcp", "ann", "password of ann").AllocateTCP(); err == nil {
		relayed.Close()
		t.Error("a TCP relay was given")
	}
}

func TestCredentials(t *testing.T) {
	tests := []struct {
		name                  string
		participant, password string
		expired, revoked      bool
		wantCode              stun.ErrorCode
	}{
		{name: "the right one is believed", participant: "ann", password: "password of ann"},
		{name: "a wrong password is not", participant: "ann", password: "guessed", wantCode: stun.CodeUnauthorized},
		{name: "somebody else's password is not", participant: "ann", password: "password of bob", wantCode: stun.CodeUnauthorized},
		{name: "one whose time is over gets no relay", participant: "ann", password: "password of ann", expired: true, wantCode: stun.CodeUnauthorized},
		{name: "one whose participant is gone gets no relay", participant: "ann", password: "password of ann", revoked: true, wantCode: stun.CodeUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			l.now.Store(tt.expired)
			if tt.revoked {
				l.server.Revoke(tt.participant)
			}
			relayed, err := l.client("udp", tt.participant, tt.password).Allocate()
			if err == nil {
				relayed.Close()
			}
			if (err == nil) != (tt.wantCode == 0) {
				t.Fatalf("got %v, want code %d", err, tt.wantCode)
			}
			if err != nil && !strings.Contains(err.Error(), "401") {
				t.Errorf("got %v, want 401", err)
			}
		})
	}
	t.Run("too many relays of one participant are refused, another still gets one", func(t *testing.T) {
		l := newLab(t)
		for range 3 {
			l.allocate(l.client("udp", "ann", "password of ann"))
		}
		if relayed, err := l.client("udp", "ann", "password of ann").Allocate(); err == nil {
			relayed.Close()
			t.Error("a fourth relay was given")
		}
		l.allocate(l.client("udp", "bob", "password of bob"))
	})
}

func TestRevoke(t *testing.T) {
	l := newLab(t)
	anns := l.allocate(l.client("udp", "ann", "password of ann"))
	bobs := l.allocate(l.client("udp", "bob", "password of bob")) // the same socket: what ann sends is served first
	for _, relayed := range []net.PacketConn{anns, bobs} {
		if err := echo(relayed, l.mediaAddr()); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	l.server.Revoke("ann")
	heard := l.heard.Load()
	for range 5 {
		_, _ = anns.WriteTo([]byte("still here"), net.UDPAddrFromAddrPort(l.mediaAddr())) // whether it fails or not
	}
	if err := echo(bobs, l.mediaAddr()); err != nil {
		t.Errorf("somebody else's relay went with it: %v", err)
	}
	if got := l.heard.Load() - heard; got != 1 {
		t.Errorf("%d packets were relayed after the end, want bob's one", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	l.server.Admit("ann")
	if err := echo(l.allocate(l.client("udp", "ann", "password of ann")), l.mediaAddr()); err != nil {
		t.Errorf("admitted again: %v", err)
	}
}

func TestAnExpiredCredentialKeepsItsRelay(t *testing.T) {
	l := newLab(t)
	c := l.client("udp", "ann", "password of ann")
	relayed := l.allocate(c)
	l.now.Store(true)
	// The permission is asked for after the end of the credential's time.
	if err := c.CreatePermission(net.UDPAddrFromAddrPort(l.mediaAddr())); err != nil {
		t.Error(err)
	}
	if err := echo(relayed, l.mediaAddr()); err != nil {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	check := func(string) (string, string, bool, error) { return "", "", false, nil }
	for _, cfg := range []Config{
		{},
		{Check: check},
		{Check: check, Peers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}},
	} {
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("New takes %+v", cfg)
		}
	}
}
