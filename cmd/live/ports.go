package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"consilium/internal/media/sfu"
	"consilium/internal/media/turnserver"
	"consilium/internal/portmux"
	"consilium/internal/signaling"
)

// openPort opens the one TCP port, on which HTTP, TURN and ICE come in.
func (l *live) openPort(ctx context.Context) error {
	var certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	if l.cfg.Secure() {
		files, err := portmux.NewFiles(l.cfg.TLSCert, l.cfg.TLSKey, l.logger)
		if err != nil {
			return err
		}
		certificate = files.Certificate
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", l.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (CONSILIUM_LISTEN): %w", l.cfg.Listen, err)
	}
	l.port, err = portmux.New(portmux.Config{
		Listener: listener, Certificate: certificate, Logger: l.logger, Registerer: l.metrics.Registerer(),
	})
	if err != nil {
		listener.Close()
		return err
	}
	l.cfg.Listen = atPort(l.cfg.Listen, netip.MustParseAddrPort(listener.Addr().String()).Port())
	l.parts.onStop("port", func(context.Context) error { return l.port.Close() })
	return nil
}

// atPort is an address to listen on with the port that was given to it, which is another one where any would do (":0").
func atPort(listen string, port uint16) string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// startRelay serves TURN on the ports that are there.
func (l *live) startRelay(sw *sfu.SFU) (err error) {
	l.relay, err = turnserver.New(turnserver.Config{
		Sockets: sw.Asides(), Listener: l.port.Listener(portmux.TURN), Peers: relayPeers(sw.Addrs()), Aliases: sw.PublicAddrs(),
		Check: l.authority.CheckRelay, Logger: l.logger, Registerer: l.metrics.Registerer(),
	})
	if err != nil {
		return err
	}
	l.mediaPort = sw.Addr().Port()
	l.cfg.MediaListen = atPort(l.cfg.MediaListen, l.mediaPort)
	l.parts.onStop("relay", func(context.Context) error { return l.relay.Close() })
	return nil
}

// relayPeers are the addresses of the media port that a relay reaches. Loopback is among them only where there is no
// other: who comes from outside has no business there.
func relayPeers(addrs []netip.AddrPort) []netip.AddrPort {
	outside := slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a.Addr().IsLoopback() })
	if len(outside) > 0 {
		return outside
	}
	return addrs
}

// iceServers are those of the settings and, with a credential of the participant's own, the relay of this server by
// every transport, at the host that the request came to.
func (l *live) iceServers(participant string, r *http.Request) []signaling.ICEServer {
	servers := []signaling.ICEServer{}
	if given := strings.FieldsFunc(l.cfg.ICEServers, func(r rune) bool { return r == ',' || r == ' ' }); len(given) > 0 {
		servers = append(servers, signaling.ICEServer{URLs: given})
	}
	l.relay.Admit(participant)
	credential := l.authority.Relay(participant)
	return append(servers, signaling.ICEServer{
		URLs: relayURLs(l.cfg.Listen, l.mediaPort, l.cfg.Secure(), hostOf(r)), Username: credential.Username, Credential: credential.Password,
	})
}

// relayURLs lists the ways to the relay: UDP at the media port, TCP and TLS at the port of listen, where the host that
// the participant came by leads to it.
func relayURLs(listen string, mediaPort uint16, secure bool, host string) []string {
	at := func(scheme string, port any, transport string) string {
		return fmt.Sprintf("%s:%s:%v?transport=%s", scheme, bracketed(host), port, transport)
	}
	urls := []string{at("turn", mediaPort, "udp")}
	address, port, err := net.SplitHostPort(listen)
	if err != nil || isLoopback(address) && !isLoopback(host) {
		return urls // behind a proxy, which passes HTTP alone
	}
	urls = append(urls, at("turn", port, "tcp"))
	if secure {
		urls = append(urls, at("turns", port, "tcp"))
	}
	return urls
}

// hostOf is the name or address by which a request reached this server.
func hostOf(r *http.Request) string {
	if u, err := url.Parse("//" + r.Host); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "localhost"
}

// bracketed spells an IPv6 address as URLs do.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
