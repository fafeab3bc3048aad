package natslog_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// serve runs a server without users, as an operator might run one.
func serve(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	s := launch(t, o)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not get ready")
	}
	return s
}

func launch(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream, o.SyncAlways = "127.0.0.1", true, true, true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// cluster runs three servers that know each other and gives them and their addresses.
func cluster(t testing.TB) ([]*server.Server, string) {
	t.Helper()
	var ports []int
	var routes []*url.URL
	for range 3 { // every server must know the others before it starts
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		_ = l.Close()
	}
	var servers []*server.Server
	for i, port := range ports {
		servers = append(servers, launch(t, &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port},
		}))
	}
	var addresses []string
	for _, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("the cluster does not get ready")
		}
		addresses = append(addresses, s.ClientURL())
	}
	return servers, strings.Join(addresses, ",")
}

// raw is a connection past the log.
func raw(t testing.TB, url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// reach connects to the log by URL.
func reach(t testing.TB, cfg natslog.Config) *natslog.Log {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = logger(t)
	}
	l, err := natslog.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// eventually tries until f succeeds.
func eventually(t testing.TB, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		once, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := f(once)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// proxy stands between a client and a server and loses messages to the client on demand.
type proxy struct {
	URL string

	mu   sync.Mutex
	lose func(subject string, payload []byte) bool
}

// between starts a proxy before the server at address.
func between(t testing.TB, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{URL: "nats://" + listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", u.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			running.Go(func() {
				_, _ = io.Copy(upstream, client)
				_ = upstream.Close()
			})
			running.Go(func() {
				p.pump(client, upstream)
				_ = client.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return p
}

// pump copies the server's protocol (docs.nats.io, client protocol) line by line, without the messages to lose.
func (p *proxy) pump(client io.Writer, upstream io.Reader) {
	r := bufio.NewReader(upstream)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(string(line))
		if len(fields) > 0 && (fields[0] == "MSG" || fields[0] == "HMSG") {
			size, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return
			}
			body := make([]byte, size+2)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			if p.loses(fields[1], bytes.TrimSuffix(body, []byte("\r\n"))) {
				continue
			}
			line = append(line, body...)
		}
		if _, err := client.Write(line); err != nil {
			return
		}
	}
}

func (p *proxy) loses(subject string, payload []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lose != nil && p.lose(subject, payload)
}

// Lose loses the next n messages that match.
func (p *proxy) Lose(n int, match func(subject string, payload []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = func(subject string, payload []byte) bool {
		if n > 0 && match(subject, payload) {
			n--
			return true
		}
		return false
	}
}

// losing is a log whose events can be taken away, because its stream is made without protection.
type losing struct {
	*natslog.Log
	js jetstream.JetStream
}

func (l losing) Lose(t testing.TB, stream uint64) {
	t.Helper()
	s, err := l.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
}

var _ events.Log = losing{}

// unprotected runs a log from which events can be taken away.
func unprotected(t testing.TB) (losing, string) {
	t.Helper()
	url := serve(t, &server.Options{}).ClientURL()
	_, js := raw(t, url)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"ev.>"}, AllowDirect: true, AllowAtomicPublish: true,
	}); err != nil {
		t.Fatal(err)
	}
	return losing{reach(t, natslog.Config{URL: url}), js}, url
}
