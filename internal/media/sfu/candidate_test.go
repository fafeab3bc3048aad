package sfu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

func TestCandidatesThatAreIgnored(t *testing.T) {
	r := newSFU(t).NewRoom()
	a := join(t, r, "a", clientOptions{})
	a.pc.OnICECandidate(nil)
	a.send(media.Opus, media.Microphone)
	offer, err := a.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	const good = "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host"
	a.peer.AddCandidate(Candidate{Candidate: good + " ufrag other"}) // before the offer, of another one
	mdns := "a=candidate:1 1 udp 2122262783 6ef5a9a2-3f8c-4b0e-9d4c-6a5d9c1f0b7e.local 50000 typ host\r\n"
	if _, _, err := a.peer.Answer(t.Context(), offer.SDP+mdns, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{
		"candidate:nonsense",
		strings.Repeat("x", 5000),
		"candidate:1 1 udp 1 a.local 5000 typ host",
		"candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", // what every browser has, and nobody needs to hear of
		"candidate:1 1 tcp 1518280447 192.0.2.7 4433 typ host tcptype passive",
		"", // there are no more
	} {
		a.peer.AddCandidate(Candidate{Candidate: c})
	}
	for i := range maxCandidates + 3 {
		a.peer.AddCandidate(Candidate{Candidate: fmt.Sprintf("candidate:1 1 udp 1 192.0.2.1 %d typ host", 5000+i)})
	}
	want := map[string]int{"mdns": 2, "malformed": 2, "tcp": 1, "stale": 1, "limit": 3}
	a.await("what is ignored", func() bool { return cmp.Equal(want, a.ignored) })
}

func TestPrivateCandidatesOfAServerThatFacesTheInternet(t *testing.T) {
	s := newSFU(t)
	a := join(t, s.NewRoom(), "a", clientOptions{})
	a.pc.OnICECandidate(nil)
	a.send(media.Opus, media.Microphone)
	offer, err := a.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.peer.Answer(t.Context(), offer.SDP, nil); err != nil {
		t.Fatal(err)
	}
	tell := func() {
		for i, address := range []string{
			"10.77.0.2", "192.168.1.7", "172.20.0.1", "100.64.0.9", "169.254.169.254", "127.0.0.1", "fd00::1", "fe80::1", "::1",
			"203.0.113.7", "2001:db8::7",
		} {
			a.peer.AddCandidate(Candidate{Candidate: fmt.Sprintf("candidate:1 1 udp 1 %s %d typ host", address, 5000+i)})
		}
	}
	tell() // this one has private addresses alone: it may be in the same network
	s.public = []string{"198.51.100.1"}
	tell()
	a.await("what is ignored", func() bool { return cmp.Equal(map[string]int{"private": 9}, a.ignored) })
}

func TestCutAddress(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.77": "203.0.113.0/24", "2001:db8:aaaa:bbbb::1": "2001:db8:aaaa::/48", "::ffff:203.0.113.77": "203.0.113.0/24",
		"fe80::1%eth0": "fe80::/48", "x.local": "", "": "",
	} {
		if got := cutAddress(address); got != want {
			t.Errorf("cutAddress(%q) = %q, want %q", address, got, want)
		}
	}
}
