package netlab

import "time"

// Family says how a network treats a version of IP.
type Family int

// The families. The zero Family of IPv4 works, that of IPv6 is not there.
const (
	Usual Family = iota
	Works
	Absent // no address, no route
	Dead   // address and route, and nothing comes through
)

// NAT is how a router translates addresses.
type NAT int

// The kinds of NAT.
const (
	NoNAT          NAT = iota // the participant has a public address
	PortPreserving            // the port stays as it is where it can
	Symmetric                 // another port for each destination
	DoubleNAT                 // symmetric at home, and symmetric again at the operator's
	NAT64                     // IPv6 alone, and the operator translates to IPv4
)

// Serving says behind what the server stands.
type Serving int

// The ways of serving.
const (
	Public    Serving = iota // its own public addresses
	OneToOne                 // a router with a public address, which passes everything on and lets nothing back in (no hairpin)
	Restarted                // a public server of its own, which the kind may stop
)

// Kind is one kind of network, what must work over it, and within which time.
type Kind struct {
	Number int
	Name   string
	Limit  time.Duration // from joining until media can flow

	IPv4, IPv6 Family
	NAT        NAT
	// Filter are rules of nft(8) for the router, one a line, in a chain that sees what is passed on; "lan" is the
	// participant's side and "wan" the other.
	Filter string
	Link   Link
	Hidden bool // only .local names are told
	Relay  bool // only relays are used
	Proxy  bool // there is no route but a CONNECT proxy
	Server Serving
	// Lead is the start that UDP gets on TCP, 0 for the usual one.
	Lead time.Duration
	// Mid is what happens in mid-call, and Back within which time media must flow again; it counts from the end of what
	// happens.
	Mid  func(*call, *Result) error
	Back time.Duration
	// Browser says that a real Chromium takes part as well, in a run of its own, and Firefox that a Firefox does.
	Browser, Firefox bool
	// With is the browser of such a run, "" for a simulated participant; Chromium is its path.
	With     With
	Chromium string
}

// With is a browser.
type With string

// The browsers.
const (
	Chromium With = "Chromium"
	Firefox  With = "Firefox"
)

// label names the kind in messages and tables.
func (k Kind) label() string {
	if k.With != "" {
		return k.Name + ", " + string(k.With)
	}
	return k.Name
}

// filters of routers.
const (
	onlyTCP = `meta l4proto udp drop`
	only443 = `ct state established,related accept
		iifname "lan" tcp dport 443 accept
		drop`
	only443Reject = `ct state established,related accept
		iifname "lan" tcp dport 443 accept
		iifname "lan" reject`
	only443And53 = `ct state established,related accept
		iifname "lan" tcp dport 443 accept
		iifname "lan" udp dport { 53, 443 } accept
		drop`
	nothing = `drop`
	// The first byte that a client sends on a connection to port 443 must begin a TLS record.
	onlyTLS = `ct mark 2 drop
		tcp dport 443 ct mark 1 accept
		tcp dport 443 @ih,0,8 0x16 ct mark set 1 accept
		tcp dport 443 @ih,0,8 != 0x16 ct mark set 2 drop
		tcp dport 443 accept
		tcp sport 443 accept
		drop`
)

// Kinds is the whole table.
var Kinds = []Kind{
	{Number: 1, Name: "open IPv4", Limit: 2 * time.Second},
	{Number: 2, Name: "port-preserving NAT", Limit: 2 * time.Second, NAT: PortPreserving},
	{Browser: true, Firefox: true, Number: 3, Name: "symmetric NAT", Limit: 2 * time.Second, NAT: Symmetric},
	{Number: 4, Name: "CGNAT: symmetric NAT twice", Limit: 2 * time.Second, NAT: DoubleNAT},
	{Number: 5, Name: "UDP blocked", Limit: 5 * time.Second, NAT: Symmetric, Filter: onlyTCP},
	{Browser: true, Firefox: true, Number: 6, Name: "only TCP 443, the rest dropped", Limit: 5 * time.Second, NAT: Symmetric, Filter: only443},
	{Number: 7, Name: "only TCP 443, the rest rejected", Limit: 5 * time.Second, NAT: Symmetric, Filter: only443Reject},
	{Number: 8, Name: "only UDP 53 and 443, TCP 443", Limit: 3 * time.Second, NAT: Symmetric, Filter: only443And53},
	{Browser: true, Firefox: true, Number: 9, Name: "TCP 443 only, and only TLS", Limit: 8 * time.Second, NAT: Symmetric, Filter: onlyTLS},
	{Browser: true, Number: 10, Name: "a CONNECT proxy and no route", Limit: 8 * time.Second, NAT: Symmetric, Filter: nothing, Proxy: true},
	{Browser: true, Number: 11, Name: "IPv6 only", Limit: 2 * time.Second, IPv4: Absent, IPv6: Works},
	{Number: 12, Name: "IPv6 that leads nowhere", Limit: 4 * time.Second, IPv6: Dead},
	{Number: 13, Name: "IPv4 that leads nowhere", Limit: 4 * time.Second, IPv4: Dead, IPv6: Works},
	{
		Number: 14, Name: "MTU 1280, ICMP lost, MSS clamped", Limit: 3 * time.Second, NAT: Symmetric,
		Link: Link{MTU: 1280}, Filter: "tcp flags syn tcp option maxseg size set 1240",
	},
	{
		Number: 15, Name: "5 % loss, 75 ms and jitter each way", Limit: 6 * time.Second, NAT: Symmetric,
		Link: Link{Delay: 75 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.05},
	},
	{
		Number: 16, Name: "20 % loss, 100 ms each way", Limit: 12 * time.Second, NAT: Symmetric,
		Link: Link{Delay: 100 * time.Millisecond, Loss: 0.2},
	},
	{
		Number: 17, Name: "300 kbit/s, 40 ms each way", Limit: 6 * time.Second, NAT: Symmetric,
		Link: Link{Delay: 40 * time.Millisecond, Rate: 300_000},
	},
	{Browser: true, Number: 18, Name: "only .local candidates", Limit: 2 * time.Second, NAT: Symmetric, Hidden: true},
	{Number: 19, Name: "server behind 1:1 NAT without hairpin", Limit: 2 * time.Second, NAT: Symmetric, Server: OneToOne},
	{Number: 20, Name: "NAT64 and IPv6 only", Limit: 5 * time.Second, IPv4: Absent, IPv6: Works, NAT: NAT64},
	{
		Number: 21, Name: "NAT that forgets in 10 s, 15 s muted", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: muted, Back: 2 * time.Second,
	},
	{
		Browser: true, Number: 22, Name: "another public address in mid-call", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: newPublicAddress, Back: 8 * time.Second,
	},
	{
		Browser: true, Number: 23, Name: "another own address in mid-call", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: newOwnAddress, Back: 8 * time.Second,
	},
	{
		Browser: true, Number: 24, Name: "outages of 8, 30 and 90 s", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: outages, Back: 8 * time.Second,
	},
	{
		Number: 25, Name: "the server restarts", Limit: 2 * time.Second, NAT: Symmetric, Server: Restarted,
		Mid: restart, Back: 10 * time.Second,
	},
	{
		Number: 26, Name: "signaling cut, media goes on", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: signalingCut, Back: 2 * time.Second,
	},
	{
		Browser: true, Number: 27, Name: "UDP dies in mid-call, TCP stays", Limit: 2 * time.Second, NAT: Symmetric,
		Mid: udpDies, Back: 8 * time.Second, Lead: 600 * time.Millisecond,
	},
}
