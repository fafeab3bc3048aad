package netlab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"
)

// What no virtual network can show, by the number of the kind. The rest of the table runs without root.
const (
	noTCP       = "pion's virtual network carries no TCP"
	noIPv6      = "pion's virtual network routes IPv4 alone"
	noMulticast = "pion's virtual network has no multicast, by which .local names are told"
	fixedRouter = "a router of pion's virtual network keeps its address"
	signalsPast = "signaling does not go through the virtual network"
)

var notVirtual = map[int]string{
	5: noTCP, 6: noTCP, 7: noTCP, 9: noTCP, 10: noTCP, 11: noIPv6, 12: noIPv6, 13: noIPv6, 18: noMulticast, 20: noIPv6,
	22: fixedRouter, 26: signalsPast, 27: noTCP,
}

// instead names kinds of which the virtual network shows something close.
var instead = map[int]string{
	2:  "NAT with one port for all destinations",
	17: "300 kbit/s, what is more is dropped, 40 ms each way",
}

// virtual is one network of a kind inside this process, with a server and a doctor of its own: the product's SFU and recorder
// behind a cut-down signaling, which does not go through the network.
type virtual struct {
	wan     *vnet.Router
	client  *vnet.Net
	doctor  *vnet.Net
	passage passage // all packets of the client's router
	desk    *desk
}

// building is held while virtual networks are built: pion numbers its interfaces with a counter that nothing guards.
var building sync.Mutex

// newVirtual builds the network of a kind that is not in notVirtual. Segments go into the folder.
func newVirtual(kind Kind, folder string) (v *virtual, err error) {
	building.Lock()
	defer building.Unlock()
	v = &virtual{passage: passage{link: kind.Link, udp443: kind.Filter == only443And53}}
	if v.wan, err = newRouter("0.0.0.0/0", nil, nil, Link{}); err != nil {
		return nil, err
	}
	server, err := v.serve(kind.Server)
	if err != nil {
		return nil, err
	}
	if v.doctor, err = attach(v.wan, doctorV4); err != nil {
		return nil, err
	}
	if err := v.home(kind); err != nil {
		return nil, err
	}
	if err := v.wan.Start(); err != nil {
		return nil, fmt.Errorf("start the virtual network: %w", err)
	}
	public := ""
	if kind.Server == OneToOne {
		public = natV4
	}
	if v.desk, err = newDesk(server, public, folder); err != nil {
		return nil, errors.Join(err, v.wan.Stop())
	}
	return v, nil
}

// close ends the server and the network.
func (v *virtual) close() error { return errors.Join(v.desk.close(), v.wan.Stop()) }

// serve makes the server's machine, behind a router of its own if it has no public address.
func (v *virtual) serve(how Serving) (*vnet.Net, error) {
	if how != OneToOne {
		return attach(v.wan, serverV4)
	}
	gate, err := newRouter("10.9.0.0/24", &vnet.NATType{Mode: vnet.NATModeNAT1To1}, []string{natV4 + "/" + insideV4}, Link{})
	if err != nil {
		return nil, err
	}
	server, err := attach(gate, insideV4)
	if err != nil {
		return nil, err
	}
	return server, join(v.wan, gate)
}

// home makes the participant's machine and the routers before it.
func (v *virtual) home(kind Kind) (err error) {
	edge := v4(edgeV4, 1)
	if kind.NAT == NoNAT {
		v.client, err = attach(v.wan, edge)
		return err
	}
	nat := &vnet.NATType{MappingBehavior: vnet.EndpointAddrPortDependent, FilteringBehavior: vnet.EndpointAddrPortDependent}
	if kind.NAT == PortPreserving { // it keeps no port; it keeps the same one for all destinations
		nat.MappingBehavior = vnet.EndpointIndependent
	}
	if kind.Number == 21 {
		nat.MappingLifeTime = 10 * time.Second
	}
	above := v.wan
	if kind.NAT == DoubleNAT {
		if above, err = newRouter("100.64.1.0/24", nat, []string{edge}, Link{}); err != nil {
			return err
		}
		edge = v4(innerV4, 1)
	}
	router, err := newRouter("10.77.0.0/24", nat, []string{edge}, kind.Link)
	if err != nil {
		return err
	}
	router.AddChunkFilter(v.passage.pass)
	if v.client, err = attach(router, clientV4); err != nil {
		return err
	}
	if err := join(above, router); err != nil || above == v.wan {
		return err
	}
	return join(v.wan, above)
}

func newRouter(cidr string, nat *vnet.NATType, addresses []string, link Link) (*vnet.Router, error) {
	quiet := &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	r, err := vnet.NewRouter(&vnet.RouterConfig{
		CIDR: cidr, NATType: nat, StaticIPs: addresses, MinDelay: link.Delay, MaxJitter: link.Jitter, LoggerFactory: quiet,
	})
	if err != nil {
		return nil, fmt.Errorf("make a virtual router: %w", err)
	}
	return r, nil
}

func attach(r *vnet.Router, address string) (*vnet.Net, error) {
	n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{address}})
	if err == nil {
		err = r.AddNet(n)
	}
	if err != nil {
		return nil, fmt.Errorf("attach %s to a virtual router: %w", address, err)
	}
	return n, nil
}

func join(above, below *vnet.Router) error {
	if err := above.AddRouter(below); err != nil {
		return fmt.Errorf("join virtual routers: %w", err)
	}
	return nil
}

// move gives the participant's machine another address, as a phone that leaves the Wi-Fi.
func (v *virtual) move(*call, *Result) error {
	if err := v.client.RemoveAddress("eth0", net.ParseIP(clientV4)); err != nil {
		return fmt.Errorf("take an address away: %w", err)
	}
	to := &net.IPNet{IP: net.ParseIP("10.77.0.99"), Mask: net.CIDRMask(24, 32)}
	if err := v.client.AddAddress("eth0", to); err != nil {
		return fmt.Errorf("give another address: %w", err)
	}
	return nil
}

// fail lets nothing through three times; the participant comes back after each.
func (v *virtual) fail(c *call, r *Result) error {
	for _, d := range outageLengths {
		v.passage.closed.Store(true)
		pause(d)
		v.passage.closed.Store(false)
		if err := c.back(r); err != nil {
			return fmt.Errorf("after %s: %w", d, err)
		}
	}
	return nil
}

// passage is what happens to the packets that a router passes on, in both directions.
type passage struct {
	link   Link
	udp443 bool // only to and from ports 53 and 443
	closed atomic.Bool

	mu     sync.Mutex // guards what follows
	bucket float64    // bits that may pass at once
	filled time.Time
}

// ipAndUDP is how many bytes the headers of a packet take.
const ipAndUDP = 28

// pass is a vnet.ChunkFilter.
func (p *passage) pass(c vnet.Chunk) bool {
	size := len(c.UserData()) + ipAndUDP
	known := func(a net.Addr) bool {
		return strings.HasSuffix(a.String(), ":443") || strings.HasSuffix(a.String(), ":53")
	}
	switch {
	case p.closed.Load(), p.link.MTU > 0 && size > p.link.MTU, p.link.Loss > 0 && dice() < p.link.Loss:
		return false
	case p.udp443 && !known(c.SourceAddr()) && !known(c.DestinationAddr()):
		return false
	}
	return p.link.Rate == 0 || p.afford(8*size, time.Now())
}

// afford takes bits out of a bucket that holds half a second of the link's rate: what comes faster is dropped.
func (p *passage) afford(bits int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := float64(p.link.Rate) / 2
	if p.filled.IsZero() {
		p.bucket = full
	} else {
		p.bucket = min(full, p.bucket+float64(p.link.Rate)*now.Sub(p.filled).Seconds())
	}
	p.filled = now
	if p.bucket < float64(bits) {
		return false
	}
	p.bucket -= float64(bits)
	return true
}
