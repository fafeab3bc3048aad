package sfu

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// maxCandidates is how many candidates of a client are used for one set of ICE credentials. Each one costs a check on
// every address of this machine.
const maxCandidates = 48

// Reasons of OnCandidateIgnored.
const (
	ignoredMDNS      = "mdns"      // a .local name: the client is found by its own checks all the same
	ignoredPrivate   = "private"   // an address that cannot be reached from here, or must not be asked after
	ignoredTCP       = "tcp"       // a port that listens: this side calls nobody
	ignoredMalformed = "malformed" //
	ignoredStale     = "stale"     // of ICE credentials that are not in use
	ignoredLimit     = "limit"     // more than maxCandidates
	ignoredRefused   = "refused"   // by the ICE agent
)

// candidates are the client's, of the ICE credentials in use and, held back, of those to come: a browser may find
// candidates before its offer has arrived.
type candidates struct {
	mu    sync.Mutex // guards what follows; held while the ICE agent takes a candidate, which does not block
	ufrag string     // in use; "" before the first offer
	taken int
	held  []Candidate
}

// AddCandidate takes a candidate of the client, which may come before the offer that it belongs to. One that cannot be
// used is reported by OnCandidateIgnored and forgotten. An empty one says that there are no more; nothing depends on it.
func (p *Peer) AddCandidate(c Candidate) {
	p.candidates.mu.Lock()
	reason := p.takeCandidateLocked(c, true)
	p.candidates.mu.Unlock()
	p.ignored(map[string]int{reason: 1})
}

// startCandidates makes ufrag the credentials in use and takes the offer's candidates and those that were held back.
func (p *Peer) startCandidates(ufrag string, offered []string) {
	reasons := map[string]int{}
	p.candidates.mu.Lock()
	if p.candidates.ufrag != ufrag {
		p.candidates.ufrag, p.candidates.taken = ufrag, 0
	}
	held := p.candidates.held
	p.candidates.held = nil
	for _, c := range offered {
		reasons[p.takeCandidateLocked(Candidate{Candidate: c}, false)]++
	}
	for _, c := range held {
		reasons[p.takeCandidateLocked(c, false)]++
	}
	p.candidates.mu.Unlock()
	p.ignored(reasons)
}

// takeCandidateLocked gives one candidate to the ICE agent, or holds it back if it may. It returns why the candidate
// was ignored, or "".
func (p *Peer) takeCandidateLocked(c Candidate, mayHold bool) string {
	line := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(c.Candidate), "a="), "candidate:")
	if line == "" {
		return ""
	}
	if len(line) > 1024 {
		return ignoredMalformed
	}
	parsed, err := ice.UnmarshalCandidate(line)
	if err != nil {
		if strings.Contains(line, ".local ") {
			return ignoredMDNS
		}
		return ignoredMalformed
	}
	of, named := parsed.GetExtension("ufrag")
	foreign := p.candidates.ufrag == "" || named && of.Value != p.candidates.ufrag
	switch {
	case strings.HasSuffix(parsed.Address(), ".local"):
		return ignoredMDNS
	case p.room.sfu.facesInternet() && isPrivate(parsed.Address()):
		return ignoredPrivate
	case parsed.TCPType() == ice.TCPTypeActive:
		return "" // the client would call a TCP port here: nothing to do, and every browser says so
	case parsed.NetworkType().IsTCP():
		return ignoredTCP
	case !foreign && p.candidates.taken >= maxCandidates, foreign && len(p.candidates.held) >= maxCandidates:
		return ignoredLimit
	case foreign && mayHold:
		p.candidates.held = append(p.candidates.held, c)
		return ""
	case foreign:
		return ignoredStale
	}
	p.candidates.taken++
	if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + line}); err != nil {
		return ignoredRefused
	}
	return ""
}

// facesInternet says whether this machine is reached by a public address. Then the private addresses of clients are in other
// networks than its own, and asking after them would let anybody knock at doors inside this one. Who has none but such
// addresses is found by its own checks.
func (s *SFU) facesInternet() bool {
	return len(s.public) > 0 || slices.ContainsFunc(s.addrs, func(a netip.AddrPort) bool { return !isPrivate(a.Addr().String()) })
}

// sharedAddresses is what operators use behind their own NAT (RFC 6598).
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate says whether an address is no public one. What is no address is none of both.
func isPrivate(address string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return !addr.IsGlobalUnicast() || addr.IsPrivate() || sharedAddresses.Contains(addr)
}

// ignored reports why how many candidates were ignored; the reason "" stands for those that were not.
func (p *Peer) ignored(reasons map[string]int) {
	for reason, count := range reasons {
		if reason == "" {
			continue
		}
		p.room.sfu.metrics.candidatesIgnored.WithLabelValues(reason).Add(float64(count))
		if f := p.handlers.OnCandidateIgnored; f != nil {
			p.events.post(func() { f(reason, count) })
		}
	}
}

// PairEnd is one end of the way that media takes.
type PairEnd struct {
	Kind      string // host, srflx, prflx, relay
	Transport string // udp, tcp
	Net       string // the address cut to /24 (IPv4) or /48 (IPv6), "" if there is none
}

func pairEnd(c *webrtc.ICECandidate) PairEnd {
	return PairEnd{Kind: c.Typ.String(), Transport: strings.ToLower(c.Protocol.String()), Net: cutAddress(c.Address)}
}

// cutAddress keeps of an address what says which network it belongs to, and no more.
func cutAddress(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := 48
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
