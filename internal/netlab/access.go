package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// access is the network of one participant: its machine, and the routers between it and the world.
type access struct {
	kind    Kind
	n       int
	client  *namespace
	router  *namespace // nil with a public address
	carrier *namespace // the operator's router; nil but for DoubleNAT
	wire    *wire      // nil where the link is a cable
	made    []*namespace
	inet    *namespace
	port    string // the interface of inet to this network
	edge    string // the public IPv4 address
	proxy   *proxy // nil but for kinds with one
}

// newAccess connects a network of the kind to inet, as its nth.
func newAccess(kind Kind, n int, inet *namespace) (*access, error) {
	a := &access{kind: kind, n: n, inet: inet, port: fmt.Sprintf("k%d", n), edge: v4(edgeV4, n)}
	if err := a.build(n); err != nil {
		return nil, errors.Join(fmt.Errorf("build network %q: %w", kind.Name, err), a.close())
	}
	return a, nil
}

func (a *access) machine(name string) (*namespace, error) {
	m, err := newNamespace(a.port + "-" + name)
	if err == nil {
		a.made = append(a.made, m)
	}
	return m, err
}

// close takes everything away. What ran in it must have ended.
func (a *access) close() error {
	var errs []error
	if a.proxy != nil {
		a.proxy.close()
	}
	if a.wire != nil {
		errs = append(errs, a.wire.close())
	}
	for _, m := range a.made {
		errs = append(errs, m.remove())
	}
	return errors.Join(errs...)
}

// plan of addresses of the nth network.
func v4(format string, n int) string { return fmt.Sprintf(format, n) }

const (
	inetV4, edgeV4       = "198.18.%d.1", "198.18.%d.2"
	carrierV4, innerV4   = "100.64.%d.1", "100.64.%d.2"
	homeV4, clientV4     = "10.77.0.1", "10.77.0.2"
	inetV6, edgeV6       = "2001:db8:1%02x::1", "2001:db8:1%02x::2"
	homeV6, clientV6     = "2001:db8:2%02x::1", "2001:db8:2%02x::2"
	clientNetV6          = "2001:db8:2%02x::/64"
	defaultV4, defaultV6 = "route add default via %s", "route add default via %s"
)

func (a *access) build(n int) (err error) {
	if a.client, err = a.machine("client"); err != nil {
		return err
	}
	if a.kind.NAT == NoNAT && a.kind.Filter == "" && a.kind.IPv4 == Usual && a.kind.IPv6 == Usual {
		if err := a.connect(a.client, "eth0"); err != nil {
			return err
		}
		return errors.Join(a.addressInet(n), a.client.ip(
			"addr add "+v4(edgeV4, n)+"/24 dev eth0", "link set eth0 up", fmt.Sprintf(defaultV4, v4(inetV4, n)),
		))
	}
	if err := a.buildHome(); err != nil {
		return err
	}
	edge := a.router
	if a.kind.NAT == DoubleNAT {
		if edge, err = a.buildCarrier(n); err != nil {
			return err
		}
	}
	if err := a.connect(edge, "wan"); err != nil {
		return err
	}
	if err := errors.Join(a.addressInet(n), a.addressEdge(edge, n), a.addressHome(n)); err != nil {
		return err
	}
	if a.kind.Proxy {
		if a.proxy, err = newProxy(a.router, proxyAt); err != nil {
			return err
		}
	}
	return a.rules()
}

// proxyAt is where the proxy of a home listens.
const proxyAt = homeV4 + ":3128"

// connect joins a machine's interface with inet, by a wire if the link is not perfect.
func (a *access) connect(m *namespace, name string) (err error) {
	link := a.kind.Link
	if a.kind.NAT == NAT64 {
		t := nat64{inside: netip.MustParseAddr(v4(clientV6, a.n)), outside: netip.MustParseAddr(a.edge)}
		link.translate = [2]func([]byte) []byte{t.out, t.in}
	} else if link.cable() {
		return m.link(name, a.inet, a.port)
	}
	a.wire, err = newWire(m, name, a.inet, a.port, link)
	return err
}

func (a *access) addressInet(n int) error {
	return a.inet.ip(
		"addr add "+v4(inetV4, n)+"/24 dev "+a.port, "addr add "+v4(inetV6, n)+"/64 dev "+a.port, "link set "+a.port+" up",
		"route add "+v4(clientNetV6, n)+" via "+v4(edgeV6, n)+" dev "+a.port,
	)
}

// buildHome makes the router and the cable to the participant.
func (a *access) buildHome() (err error) {
	if a.router, err = a.machine("router"); err != nil {
		return err
	}
	return errors.Join(a.router.router(), a.client.link("eth0", a.router, "lan"))
}

// buildCarrier makes the operator's router, behind which the home's stands.
func (a *access) buildCarrier(n int) (*namespace, error) {
	var err error
	if a.carrier, err = a.machine("carrier"); err != nil {
		return nil, err
	}
	err = errors.Join(
		a.carrier.router(), a.router.link("wan", a.carrier, "lan"),
		a.carrier.ip("addr add "+v4(carrierV4, n)+"/24 dev lan", "link set lan up"),
		a.router.ip("addr add "+v4(innerV4, n)+"/24 dev wan", "link set wan up", fmt.Sprintf(defaultV4, v4(carrierV4, n))),
		a.carrier.nft(masquerade(Symmetric)),
	)
	return a.carrier, err
}

func (a *access) addressEdge(edge *namespace, n int) error {
	return edge.ip(
		"addr add "+v4(edgeV4, n)+"/24 dev wan", "addr add "+v4(edgeV6, n)+"/64 dev wan", "link set wan up",
		fmt.Sprintf(defaultV4, v4(inetV4, n)), fmt.Sprintf(defaultV6, v4(inetV6, n)),
	)
}

func (a *access) addressHome(n int) error {
	client := []string{"link set eth0 up"}
	if a.kind.IPv4 != Absent {
		client = append(client, "addr add "+clientV4+"/24 dev eth0", fmt.Sprintf(defaultV4, homeV4))
	}
	if a.kind.IPv6 == Works || a.kind.IPv6 == Dead {
		client = append(client, "addr add "+v4(clientV6, n)+"/64 dev eth0", fmt.Sprintf(defaultV6, v4(homeV6, n)))
	}
	mtu := "1500"
	if a.kind.NAT == NAT64 {
		mtu = "1480" // its packets grow by 20 bytes on their way in
	}
	client = append(client, "link set eth0 mtu "+mtu)
	return errors.Join(
		a.router.ip("addr add "+homeV4+"/24 dev lan", "addr add "+v4(homeV6, n)+"/64 dev lan", "link set lan up"),
		a.client.ip(client...),
	)
}

// masquerade is the rule of a NAT.
func masquerade(n NAT) string {
	how := ""
	if n == Symmetric || n == DoubleNAT {
		how = " fully-random"
	}
	return "table ip nat {\n chain post {\n type nat hook postrouting priority 100;\n oifname \"wan\" masquerade" + how + "\n }\n}"
}

// addresses are all that could tell where the participant is.
func (a *access) addresses() []string {
	return []string{clientV4, a.edge, v4(clientV6, a.n), v4(edgeV6, a.n)}
}

// rules loads the filter and the NAT of the home's router.
func (a *access) rules() error {
	var lines []string
	if a.kind.IPv4 == Dead {
		lines = append(lines, "meta nfproto ipv4 drop")
	}
	if a.kind.IPv6 == Dead {
		lines = append(lines, "meta nfproto ipv6 drop")
	}
	for line := range strings.Lines(a.kind.Filter) {
		lines = append(lines, strings.TrimSpace(line))
	}
	text := "table inet filter {\n chain pass {\n type filter hook forward priority 0;\n" + strings.Join(lines, "\n") + "\n }\n}\n"
	// A private address never gets out untranslated, whatever the kind.
	nat := a.kind.NAT
	if nat == NoNAT {
		nat = PortPreserving
	}
	return a.router.nft(text + masquerade(nat))
}
