package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errDenied says that a name leads to an address that the rules do not allow.
var errDenied = errors.New("the address is not allowed")

// maxURL is how long an address may be.
const maxURL = 2000

// Rules say where requests may go: by https to any address of the public internet, and to what an operator has allowed.
// By plain http only to loopback addresses that were allowed, which is for trying things out. The zero Rules are strict.
type Rules struct {
	nets  []netip.Prefix
	hosts []string // lower case
}

// ParseRules reads what an operator has allowed beside the public internet: addresses, networks such as 10.20.0.0/16, and
// names of hosts, with commas.
func ParseRules(text string) (Rules, error) {
	var r Rules
	for part := range strings.SplitSeq(text, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		if part == "" {
			continue
		}
		if addr, err := netip.ParseAddr(part); err == nil {
			r.nets = append(r.nets, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		if strings.Contains(part, "/") {
			net, err := netip.ParsePrefix(part)
			if err != nil {
				return Rules{}, fmt.Errorf("%q is not a network such as 10.20.0.0/16", part)
			}
			r.nets = append(r.nets, net.Masked())
			continue
		}
		if !plainHost(part) {
			return Rules{}, fmt.Errorf("%q is neither an address nor a network nor the name of a host", part)
		}
		r.hosts = append(r.hosts, part)
	}
	return r, nil
}

func plainHost(name string) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(name) <= 253 && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "-")
}

// Check says what is wrong with an address as a receiver's, an *InvalidError, or nil. Names are not looked up: that
// happens at every request, when the answer counts.
func (r Rules) Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > maxURL || u.Opaque != "" || u.Hostname() == "":
		return invalid("url", "this is not an address such as https://mis.hospital.example/webhooks")
	case u.User != nil:
		return invalid("url", "the address must not hold a user or a password")
	case u.Fragment != "":
		return invalid("url", "the address must not have a fragment")
	case u.Scheme != "https" && u.Scheme != "http":
		return invalid("url", "the address must begin with https://")
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	literal := err == nil
	if host == "localhost" && r.allowsHost(host) {
		return nil
	}
	if u.Scheme == "http" && !(literal && addr.Unmap().IsLoopback() && r.allows(addr)) {
		return invalid("url", "the address must begin with https://")
	}
	if literal && !r.allows(addr) {
		return invalid("url", "requests to this address are not allowed by this server's settings")
	}
	return nil
}

// inner are networks that are not the public internet although they look like it, and those in which such an address may
// be wrapped up.
var inner = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// allows says whether requests may go to an address.
func (r Rules) allows(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	in := func(n netip.Prefix) bool { return n.Contains(addr) }
	if slices.ContainsFunc(r.nets, in) {
		return true
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !slices.ContainsFunc(inner, in)
}

func (r Rules) allowsHost(name string) bool {
	return slices.Contains(r.hosts, strings.TrimSuffix(strings.ToLower(name), "."))
}

// dial connects to what the rules allow. It looks at the address of the connection itself, so that a name which leads
// elsewhere than it did a moment ago gains nothing.
func (r Rules) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !r.allowsHost(host) {
		d.Control = func(_, to string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(to)
			if err != nil || !r.allows(at.Addr()) {
				return errDenied
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}
