package localca

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Hosts lists what this machine is reached by on its own network: private addresses of its interfaces that are up (the
// ones that a phone can use first, loopback last) and its local names.
func Hosts() ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this machine's addresses: %w", err)
	}
	var addrs []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return hostsOf(addrs, outgoing(), name), nil
}

// outgoing is the address that this machine speaks to others from, the zero Addr when it has no network. It tells the real
// network from those of containers and virtual machines. Nothing is sent: "connecting" UDP only chooses a route, here to
// an address that is nobody's (RFC 5737).
func outgoing() netip.Addr {
	conn, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	at, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return at.AddrPort().Addr().Unmap()
}

func hostsOf(addrs []netip.Addr, outgoing netip.Addr, hostname string) []string {
	var usable []netip.Addr
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if private(a) && !a.IsLinkLocalUnicast() { // a browser cannot open link-local IPv6, and IPv4's is a network without a router
			usable = append(usable, a)
		}
	}
	rank := func(a netip.Addr) int {
		switch {
		case a == outgoing:
			return 0
		case a.IsLoopback():
			return 3
		case a.Is6():
			return 2
		default:
			return 1
		}
	}
	slices.SortStableFunc(usable, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	var hosts []string
	for _, a := range usable {
		hosts = append(hosts, a.String())
	}
	if hostname, _, _ = strings.Cut(strings.ToLower(hostname), "."); hostname != "" && hostname != "localhost" {
		hosts = append(hosts, hostname+".local") // RFC 6762
	}
	return append(hosts, "localhost")
}
