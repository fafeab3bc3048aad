package portmux

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"
)

// Beginnings of connections: a STUN binding request, and the same with the length of RFC 4571 before it.
var (
	stunStart   = append([]byte{0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	framedStart = append([]byte{0x00, 0x14}, stunStart...)
)

// certificateFiles makes a certificate with a serial number and writes it into dir.
func certificateFiles(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// open makes a mux on loopback that echoes, through each door, the name of the door and what came.
func open(t *testing.T, secure bool, change func(*Config)) net.Addr {
	t.Helper()
	t.Cleanup(test.CheckRoutines(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listener: listener}
	if secure {
		files, err := NewFiles(first(certificateFiles(t, t.TempDir(), 1)))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificate = files.Certificate
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	for _, p := range []Protocol{HTTP, TURN, ICE} {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				conn, err := m.Listener(p).Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 1000)
				n, _ := conn.Read(buf)
				_, _ = conn.Write(append([]byte(p.String()+" "), buf[:n]...))
				conn.Close()
			}
		}()
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			<-done
		}
	})
	return listener.Addr()
}

func first(cert, key string) (string, string, *slog.Logger) {
	return cert, key, slog.New(slog.DiscardHandler)
}

func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestProtocolsShareAPort(t *testing.T) {
	tests := []struct {
		name   string
		secure bool     // the port speaks TLS
		tls    bool     // so does the client
		alpn   []string // of the client
		send   string
		want   string // what comes back begins with it; "" is nothing
	}{
		{name: "plain HTTP", send: "GET / HTTP/1.1\r\n\r\n", want: "http GET / HTTP/1.1"},
		{name: "plain TURN", send: string(stunStart), want: "turn " + string(stunStart)},
		{name: "plain ICE", send: string(framedStart), want: "ice " + string(framedStart)},
		{name: "TURN beside TLS", secure: true, send: string(stunStart), want: "turn " + string(stunStart)},
		{name: "ICE beside TLS", secure: true, send: string(framedStart), want: "ice " + string(framedStart)},
		{name: "HTTPS that says so", secure: true, tls: true, alpn: []string{"h2", "http/1.1"}, send: "GET / HTTP/1.1\r\n\r\n", want: "http GET /"},
		{name: "HTTPS that does not", secure: true, tls: true, send: "GET / HTTP/1.1\r\n\r\n", want: "http GET /"},
		{name: "TURN over TLS that says so", secure: true, tls: true, alpn: []string{"stun.turn"}, send: string(stunStart), want: "turn " + string(stunStart)},
		{name: "TURN over TLS that does not", secure: true, tls: true, send: string(stunStart), want: "turn " + string(stunStart)},
		{name: "ICE over TLS", secure: true, tls: true, send: string(framedStart), want: "ice " + string(framedStart)},
		{name: "plain HTTP where TLS is spoken says what is wrong", secure: true, send: "GET / HTTP/1.1\r\n\r\n", want: "HTTP/1.1 400 "},
		{name: "TLS where none is spoken is closed", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{name: "what begins like STUN and is none is closed", send: strings.Repeat("\x00\x01\x02\x03", 5)},
		{name: "what is nothing is closed", send: "\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc\xff\xfe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, open(t, tt.secure, nil))
			if tt.tls {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: tt.alpn}) //nolint:gosec // a test
			}
			if _, err := io.WriteString(conn, tt.send); err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(conn) // a reset is an end too
			if !bytes.HasPrefix(got, []byte(tt.want)) || tt.want == "" && len(got) > 0 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFirstBytesMayComeOneByOne(t *testing.T) {
	for want, start := range map[string]string{"turn ": string(stunStart), "ice ": string(framedStart)} {
		t.Run(want, func(t *testing.T) {
			conn := dial(t, open(t, false, nil))
			for i := range enough { // no more: the other end hangs up as soon as it has read
				if _, err := io.WriteString(conn, start[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := io.ReadAll(conn); !bytes.HasPrefix(got, []byte(want)) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestUndecidedConnectionsAreBounded(t *testing.T) {
	t.Run("who says nothing is hung up on", func(t *testing.T) {
		conn := dial(t, open(t, true, func(c *Config) { c.Undecided = 50 * time.Millisecond }))
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("got %v, want the end", err)
		}
	})
	t.Run("one address has only so many at once", func(t *testing.T) {
		addr := open(t, true, func(c *Config) { c.PerAddress = 2 })
		silent := []net.Conn{dial(t, addr), dial(t, addr)}
		if _, err := dial(t, addr).Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("a third got %v, want the end", err)
		}
		silent[0].Close()
		eventually(t, "a place is free again", func() bool {
			conn := dial(t, addr)
			_, _ = conn.Write(stunStart)
			got, _ := io.ReadAll(conn)
			return bytes.HasPrefix(got, []byte("turn "))
		})
	})
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		<-ticker.C
	}
}

func TestWebServerBehindTheMuxSeesTLS(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	files, err := NewFiles(first(certificateFiles(t, t.TempDir(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Listener: listener, Certificate: files.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			http.Error(w, "no TLS", http.StatusTeapot)
		}
	})}
	served := make(chan error)
	go func() { served <- server.Serve(m.Listener(HTTP)) }()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, DisableKeepAlives: true, //nolint:gosec // a test
	}}
	answer, err := client.Get("https://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("got %s", answer.Status)
	}
	server.Close()
	<-served
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	files, err := NewFiles(first(certificateFiles(t, dir, 1)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	files.now = func() time.Time { return now }
	serial := func() int64 {
		c, err := files.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("got certificate %d", got)
	}
	cert, key := certificateFiles(t, dir, 2)
	touch := func(at time.Time) {
		for _, name := range []string{cert, key} {
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	touch(now.Add(time.Minute))
	now = now.Add(lookAgain)
	if got := serial(); got != 2 {
		t.Errorf("a changed file is not used: got certificate %d", got)
	}
	if err := os.WriteFile(key, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(now.Add(2 * time.Minute))
	now = now.Add(lookAgain)
	if got := serial(); got != 2 {
		t.Errorf("a key that cannot be read: got certificate %d, want the one before", got)
	}
	if _, err := NewFiles(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate that cannot be read is taken at the start")
	}
}

// FuzzSniff wants nothing but that no beginning of a connection hurts.
func FuzzSniff(f *testing.F) {
	for _, seed := range [][]byte{stunStart, framedStart, []byte("GET / HTTP/1.1"), {0x16, 3, 1}, {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := sniff(newPeeked(fixed{Reader: bytes.NewReader(raw)}).r)
		if err == nil && p == HTTP && (raw[0] < 'A' || raw[0] > 'Z') {
			t.Errorf("%q is HTTP", raw)
		}
	})
}

// fixed is a connection that only reads.
type fixed struct{ io.Reader }

func (fixed) Write(b []byte) (int, error)      { return len(b), nil }
func (fixed) Close() error                     { return nil }
func (fixed) LocalAddr() net.Addr              { return nil }
func (fixed) RemoteAddr() net.Addr             { return nil }
func (fixed) SetDeadline(time.Time) error      { return nil }
func (fixed) SetReadDeadline(time.Time) error  { return nil }
func (fixed) SetWriteDeadline(time.Time) error { return nil }
