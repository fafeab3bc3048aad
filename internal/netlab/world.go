package netlab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consilium/internal/testenv"
)

// Addresses of the world that all networks are connected to.
const (
	serverV4, serverV6 = "203.0.113.10", "2001:db8:1::10"
	natV4, insideV4    = "203.0.114.10", "10.9.0.2" // of the server behind 1:1 NAT
	restartedV4        = "203.0.115.10"
	doctorV4, doctorV6 = "192.0.2.2", "2001:db8:2::2"

	// serverName is the server's for machines that know it.
	serverName = "server.lab.example"

	// translatedServer is serverV4 as a resolver tells it to a network with NAT64 (RFC 6147).
	translatedServer = "64:ff9b::cb00:710a"
)

// world is what all kinds share: the net between them, the servers, and the doctor's network, which is the best there is.
type world struct {
	t        testing.TB
	inet     *namespace
	doctor   *namespace
	next     atomic.Int64 // number of the next network
	mu       sync.Mutex   // guards servers
	servers  map[Serving]*server
	computer *computer // how slow the computer is

	programs string // folder of live
	lite     bool   // the servers answer the checks of ICE and send none
}

// newWorld makes it; it goes with the test.
func newWorld(t testing.TB) *world {
	t.Helper()
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, servers: map[Serving]*server{}, programs: testenv.Programs(t)}
	cert, err := newCertificate(t.TempDir(), nil, net.ParseIP("127.0.0.1"))
	if err == nil {
		w.computer, err = newComputer(cert)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.computer.close(); err != nil {
			t.Error(err)
		}
	})
	if w.inet, err = w.machine("inet"); err == nil {
		err = w.inet.router()
	}
	if err == nil {
		w.doctor, err = w.machine("doctor")
	}
	if err == nil {
		err = errors.Join(
			w.doctor.link("eth0", w.inet, "doctor"),
			w.inet.ip("addr add 192.0.2.1/24 dev doctor", "addr add 2001:db8:2::1/64 dev doctor", "link set doctor up"),
			w.doctor.ip("addr add "+doctorV4+"/24 dev eth0", "addr add "+doctorV6+"/64 dev eth0", "link set eth0 up",
				"route add default via 192.0.2.1", "route add default via 2001:db8:2::1"),
		)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// machine makes a namespace that goes with the test.
func (w *world) machine(name string) (*namespace, error) {
	n, err := newNamespace(name)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() {
		if err := n.remove(); err != nil {
			w.t.Error(err)
		}
	})
	return n, nil
}

// server is live in a namespace of its own.
type server struct {
	w       *world
	machine *namespace
	data    string
	cert    certificate
	env     []string
	process *testenv.Process
	urls    []string // https://…, IPv4 first
	service string   // a token
	http    *http.Client
}

// serve gives the server of that kind, which is started when it is first asked for.
func (w *world) serve(how Serving) (*server, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.servers[how]; s != nil {
		return s, nil
	}
	s, err := w.newServer(how)
	if err != nil {
		return nil, err
	}
	w.servers[how] = s
	return s, nil
}

func (w *world) newServer(how Serving) (*server, error) {
	s := &server{w: w}
	var err error
	if s.machine, err = w.machine("server" + fmt.Sprint(int(how))); err != nil {
		return nil, err
	}
	addr := serverV4
	switch how {
	case Public:
		err = errors.Join(
			s.machine.link("eth0", w.inet, "server"),
			w.inet.ip("addr add 203.0.113.1/24 dev server", "addr add 2001:db8:1::1/64 dev server", "link set server up"),
			s.machine.ip("addr add "+serverV4+"/24 dev eth0", "addr add "+serverV6+"/64 dev eth0", "link set eth0 up",
				"route add default via 203.0.113.1", "route add default via 2001:db8:1::1"),
		)
		s.urls = []string{"https://" + serverV4, "https://[" + serverV6 + "]"}
	case Restarted:
		addr, s.urls = restartedV4, []string{"https://" + restartedV4}
		err = errors.Join(
			s.machine.link("eth0", w.inet, "restarted"),
			w.inet.ip("addr add 203.0.115.1/24 dev restarted", "link set restarted up"),
			s.machine.ip("addr add "+restartedV4+"/24 dev eth0", "link set eth0 up", "route add default via 203.0.115.1"),
		)
	case OneToOne:
		addr = natV4
		s.urls, s.env = []string{"https://" + natV4}, []string{"CONSILIUM_PUBLIC_ADDR=" + natV4}
		err = s.behindNAT()
	}
	if err != nil {
		return nil, err
	}
	if s.data, err = os.MkdirTemp("", "consilium-netlab-"); err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { os.RemoveAll(s.data) })
	if err := os.Chmod(s.data, 0o711); err != nil { // the database runs as another user
		return nil, err
	}
	if s.cert, err = newCertificate(s.data, []string{serverName}, net.ParseIP(addr), net.ParseIP(serverV6), net.ParseIP(translatedServer), net.ParseIP("127.0.0.1")); err != nil {
		return nil, err
	}
	return s, s.start()
}

// behindNAT puts the server behind a router with a public address of which everything is passed on. What the server
// sends to that address itself does not come back.
func (s *server) behindNAT() error {
	gate, err := s.w.machine("gate")
	if err != nil {
		return err
	}
	return errors.Join(
		gate.router(), gate.link("wan", s.w.inet, "gate"), gate.link("lan", s.machine, "eth0"),
		s.w.inet.ip("addr add 203.0.114.1/24 dev gate", "link set gate up"),
		gate.ip("addr add "+natV4+"/24 dev wan", "link set wan up", "addr add 10.9.0.1/24 dev lan", "link set lan up",
			"route add default via 203.0.114.1"),
		s.machine.ip("addr add "+insideV4+"/24 dev eth0", "link set eth0 up", "route add default via 10.9.0.1"),
		gate.nft("table ip nat {\n chain pre {\n type nat hook prerouting priority -100;\n iifname \"wan\" dnat to "+insideV4+
			"\n }\n chain post {\n type nat hook postrouting priority 100;\n oifname \"wan\" snat to "+natV4+"\n }\n}"),
	)
}

// start runs live until the test ends.
func (s *server) start() error {
	live := filepath.Join(s.w.programs, "live")
	cmd := s.machine.command(live, "serve")
	env := []string{
		"CONSILIUM_DATA=" + s.data, "CONSILIUM_LISTEN=:443", "CONSILIUM_MEDIA_LISTEN=:443",
		"CONSILIUM_TLS_CERT=" + s.cert.cert, "CONSILIUM_TLS_KEY=" + s.cert.key, "CONSILIUM_URL=" + s.urls[0],
	}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CONSILIUM_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	if s.w.lite {
		env = append(env, "CONSILIUM_ICE_LITE=true")
	}
	cmd.Env = append(append(cmd.Env, env...), s.env...)
	s.process = testenv.StartProcess(s.w.t, "live", cmd)
	s.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = s.machine.do(func() error {
				_, port, _ := net.SplitHostPort(address)
				conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
				return err
			})
			return conn, err
		},
		TLSClientConfig: s.cert.trust(),
	}}
	if err := s.ready(); err != nil {
		return fmt.Errorf("live is not ready: %w: %s", err, s.process.Output())
	}
	token := s.machine.command(live, "token", "--role", "service", "--ttl", "2h")
	token.Env = cmd.Env
	out, err := token.Output()
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	s.service = string(bytes.TrimSpace(out))
	return nil
}

func (s *server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		answer, err := s.http.Get(s.urls[0] + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.process.Done():
			return errors.New("it has ended")
		case <-ticker.C:
		}
	}
}

// rest speaks to the server as a hospital's system would.
func (s *server) rest(method, path string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, s.urls[0]+"/api/v1"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.service)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = text
		return nil
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
