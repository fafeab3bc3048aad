package sfu

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Run("all interfaces share one port, loopback among them", func(t *testing.T) {
		s, err := New(Config{MediaListen: ":0", PublicAddr: "203.0.113.9, 2001:db8::9"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		loopback := false
		for _, a := range s.Addrs() {
			loopback = loopback || a.Addr().IsLoopback()
			if a.Port() != s.Addr().Port() || a.Port() == 0 {
				t.Errorf("%v is on another port than %v", a, s.Addr())
			}
		}
		if !loopback {
			t.Errorf("loopback is missing in %v", s.Addrs())
		}
		peer, err := s.NewRoom().NewPeer(PeerConfig{ID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := peer.AnswerComplete(t.Context(), sampleOffer(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{" 203.0.113.9 ", " 127.0.0.1 "} {
			if !strings.Contains(answer, want) {
				t.Errorf("the answer lacks a candidate%s:\n%s", want, answer)
			}
		}
	})
	for _, cfg := range []Config{{MediaListen: "nonsense"}, {MediaListen: "127.0.0.1:0", PublicAddr: "example.org"}, {MediaListen: "203.0.113.77:0"}} {
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("New takes %+v", cfg)
		}
	}
	t.Run("a port that is taken is refused", func(t *testing.T) {
		s := newSFU(t)
		if other, err := New(Config{MediaListen: s.Addr().String()}); err == nil {
			other.Close()
			t.Error("two SFUs share a port")
		}
	})
}
