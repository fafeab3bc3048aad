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
	return hostsOf(addrs, name), nil
}

func hostsOf(addrs []netip.Addr, hostname string) []string {
	var usable []netip.Addr
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if private(a) && !a.IsLinkLocalUnicast() { // a browser cannot open link-local IPv6, and IPv4's is a network without a router
			usable = append(usable, a)
		}
	}
	rank := func(a netip.Addr) int {
		switch {
		case a.IsLoopback():
			return 2
		case a.Is6():
			return 1
		default:
			return 0
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
