package sfu

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

func TestICERestart(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, cam := publisher(t, r, "a")
	mic.stream()
	cam.stream()
	b := join(t, r, "b", clientOptions{})
	b.receive(media.Audio)
	b.receive(media.Video)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	b.await("two tracks", func() bool { return len(b.got) == 2 })
	b.offering.Lock()
	err := b.offerLocked(&webrtc.OfferOptions{ICERestart: true})
	b.offering.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	b.await("word of the restart, and a new pair", func() bool { return has(b.states, "restarted") && len(b.pairs) >= 4 })
	before := b.packetCounts()
	b.await("media after the restart", func() bool {
		for id, got := range b.got {
			if len(got.packets) < before[id]+20 {
				return false
			}
		}
		return len(b.got) == 2
	})
	// The publisher's side too: its publications must live on.
	a.offering.Lock()
	err = a.offerLocked(&webrtc.OfferOptions{ICERestart: true})
	a.offering.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	a.await("word of the restart", func() bool { return has(a.states, "restarted") })
	pub := a.publications()[0]
	last := pub.LastPacket()
	eventually(t, "packets after the publisher's restart", func() bool { return pub.LastPacket().After(last.Add(300 * time.Millisecond)) })
	if n := len(a.publications()); n != 2 || pub.hasEnded() {
		t.Errorf("a restart of ICE changed publications: %d began", n)
	}
	b.await("ends of pairs that tell kind, transport and network", func() bool {
		for _, end := range b.pairs {
			if end.Kind == "" || end.Transport != "udp" || end.Net != "127.0.0.0/24" {
				return false
			}
		}
		return true
	})
}

func TestAClientThatHangsUpIsNoticed(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, _ := publisher(t, r, "a")
	stop := mic.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	stop()
	if err := a.pc.Close(); err != nil {
		t.Fatal(err)
	}
	a.await("the end", func() bool { return has(a.states, "closed") && len(a.ended) == 1 })
	select {
	case <-a.publications()[0].Ended():
	default:
		t.Error("the publication has not ended")
	}
}
