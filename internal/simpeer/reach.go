package simpeer

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// Reach says which ways to the server a participant tries. The zero Reach is UDP over IPv4, loopback too, which is what
// participants on the server's own machine need.
type Reach struct {
	// AllWays tries what a browser tries: IPv4 and IPv6, UDP and TCP, and the relays that the welcome names.
	AllWays bool
	// Lead is the start that UDP gets on TCP. Default 100 ms.
	Lead time.Duration
	// Elsewhere leaves the server's loopback alone, which it names for those on its own machine. A relay refuses to go there, and
	// pion stands still for a round trip with each refusal; browsers do not.
	Elsewhere bool
	// RelayOnly uses nothing but those relays.
	RelayOnly bool
	// Hidden hides the own addresses behind .local names, as a browser does that has no permission for the camera.
	Hidden bool
	// Improve goes over to a better way that is found later, as browsers do: from TCP to UDP, on a network that loses much.
	// pion asks after relays for that, and stands still for long when the network is gone: not for calls that break.
	Improve bool
	// Proxy is the URL of an HTTP proxy through which all TCP goes, "" for none.
	Proxy string
	// Net is the network that media goes over, nil for the machine's. Signaling always goes over the machine's.
	Net transport.Net `json:"-"`
}

// ICEServer is a relay as the welcome names it.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

// shape puts the reach into what a connection is made from.
func (r Reach) shape(settings *webrtc.SettingEngine) error {
	settings.SetIncludeLoopbackCandidate(!r.AllWays)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if r.Hidden {
		settings.SetICEMulticastDNSMode(ice.MulticastDNSModeQueryAndGather)
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if r.AllWays {
		settings.SetNetworkTypes([]webrtc.NetworkType{
			webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
		})
		// pion holds a pair over a relay back for two seconds, in which a better one may turn up; browsers do not.
		settings.SetRelayAcceptanceMinWait(200 * time.Millisecond)
		// The first way that answers is taken.
		settings.SetHostAcceptanceMinWait(cmp.Or(r.Lead, 100*time.Millisecond))
	}
	if r.Elsewhere {
		settings.SetRemoteIPFilter(func(ip net.IP) bool { return !ip.IsLoopback() })
	}
	if r.Improve {
		if err := settings.SetICERenomination(webrtc.WithRenominationInterval(time.Second)); err != nil {
			return fmt.Errorf("renomination: %w", err)
		}
	}
	if r.Proxy == "" {
		return nil
	}
	proxy, err := url.Parse(r.Proxy)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	settings.SetICEProxyDialer(connect{proxy.Host})
	return nil
}

// transport is what the WebSocket is dialled with.
func (r Reach) transport() *http.Transport {
	t := &http.Transport{DisableKeepAlives: true}
	if proxy, err := url.Parse(r.Proxy); err == nil && r.Proxy != "" {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

// use gives the connection the relays of a welcome.
func (s *session) use(servers []ICEServer) error {
	reach := s.p.options.Reach
	if !reach.AllWays {
		return nil
	}
	c := webrtc.Configuration{}
	if reach.RelayOnly {
		c.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	for _, server := range servers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{
			URLs: server.URLs, Username: server.Username, Credential: server.Credential,
		})
	}
	if err := s.pc.SetConfiguration(c); err != nil {
		return fmt.Errorf("use the relays of the welcome: %w", err)
	}
	return nil
}

// connect dials through an HTTP proxy (RFC 9110 §9.3.6).
type connect struct{ proxy string }

// Dial implements proxy.Dialer.
func (c connect) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, c.proxy, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := c.ask(conn, address); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", address, err), conn.Close())
	}
	return conn, nil
}

func (c connect) ask(conn net.Conn, address string) error {
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", address); err != nil {
		return err
	}
	// Byte by byte: what follows the answer is not the proxy's.
	answer, err := http.ReadResponse(bufio.NewReaderSize(single{conn}, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answered %s", answer.Status)
	}
	return conn.SetDeadline(time.Time{})
}

// single reads one byte at a time.
type single struct{ net.Conn }

// Read implements io.Reader.
func (s single) Read(b []byte) (int, error) { return s.Conn.Read(b[:min(1, len(b))]) }

// Interfaces implements transport.Net. They are read anew each time: the machine's addresses may change in a call.
func (c *cable) Interfaces() ([]*transport.Interface, error) {
	if !c.own {
		return c.Net.Interfaces()
	}
	fresh, err := stdnet.NewNet() // ICE asks from two goroutines at once
	if err != nil {
		return nil, err
	}
	return fresh.Interfaces()
}

// Way says over what media goes at the moment: the kinds and transports of both ends, "host/udp prflx/udp". It is empty
// while it goes nowhere.
func (p *Participant) Way() string {
	s := p.present()
	if s == nil {
		return ""
	}
	pair, ok := s.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return ""
	}
	all := s.pc.GetStats()
	end := func(id string) string {
		c, ok := all[id].(webrtc.ICECandidateStats)
		if !ok {
			return "gone"
		}
		protocol := c.Protocol
		if c.RelayProtocol != "" {
			protocol = c.RelayProtocol
		}
		return c.CandidateType.String() + "/" + strings.ToLower(protocol)
	}
	return end(pair.LocalCandidateID) + " " + end(pair.RemoteCandidateID)
}

// RestartICE looks for a way anew on the connection that there is, over the relays alone if relay.
func (p *Participant) RestartICE(ctx context.Context, relay bool) error {
	s, w, err := p.throughWebSocket()
	if err != nil {
		return err
	}
	if relay {
		c := s.pc.GetConfiguration()
		c.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		if err := s.pc.SetConfiguration(c); err != nil {
			return fmt.Errorf("simulated participant: restart: %w", err)
		}
	}
	if err := w.offerWith(ctx, false, &webrtc.OfferOptions{ICERestart: true}); err != nil {
		return fmt.Errorf("simulated participant: restart: %w", err)
	}
	return nil
}

// Reconnect opens the WebSocket anew, while the connection that carries media lives on.
func (p *Participant) Reconnect(ctx context.Context) error {
	_, w, err := p.throughWebSocket()
	if err != nil {
		return err
	}
	if err := w.again(ctx); err != nil {
		return fmt.Errorf("simulated participant: reconnect: %w", err)
	}
	return nil
}

// Ping tells whether the server answers over the WebSocket.
func (p *Participant) Ping(ctx context.Context) error {
	_, w, err := p.throughWebSocket()
	if err != nil {
		return err
	}
	_, err = w.ask(ctx, "ping", nil)
	return err
}

// throughWebSocket is the connection of a participant that is there, and the WebSocket that it came in by.
func (p *Participant) throughWebSocket() (*session, *webSocket, error) {
	s := p.present()
	if s == nil {
		return nil, nil, errors.New("simulated participant: it is away")
	}
	w, ok := s.door.(*webSocket)
	if !ok {
		return nil, nil, errors.New("simulated participant: it came in by WHIP")
	}
	return s, w, nil
}
