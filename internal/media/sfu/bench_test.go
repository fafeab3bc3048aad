package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// sink is where a benchmark's packets end.
type sink struct{ webrtc.TrackLocalWriter }

func (sink) WriteRTP(_ *rtp.Header, p []byte) (int, error) { return len(p) + 12, nil }

// BenchmarkForward measures one packet to seven subscribers, without what pion and the kernel do with it.
func BenchmarkForward(b *testing.B) {
	m, err := newMetrics(nil)
	if err != nil {
		b.Fatal(err)
	}
	room := &Room{sfu: &SFU{metrics: m}}
	pub := newPublication(&Peer{room: room}, track{kind: media.Video}, media.VP8, 1, 0, time.Now())
	for range 7 {
		s := &subscription{publication: pub, peer: &Peer{room: room}}
		s.out.Store(&outlet{header: rtp.Header{Version: 2, SSRC: 2, PayloadType: 96}, stream: sink{}})
		pub.subscribers = append(pub.subscribers, s)
	}
	var memory slab
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SSRC: 1}, Payload: make([]byte, 1100)}).Marshal()
	if err != nil {
		b.Fatal(err)
	}
	var seen sequence
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		raw[3]++
		if raw[3] == 0 {
			raw[2]++
		}
		p, err := memory.take(copy(memory.buffer(), raw))
		if err != nil || !seen.accept(p.SequenceNumber) {
			b.Fatal(err, p.SequenceNumber)
		}
		pub.deliver(p, now)
	}
}

// BenchmarkSend measures one packet to one connected client: encryption and system call included.
func BenchmarkSend(b *testing.B) {
	s, err := New(Config{MediaListen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := s.NewRoom()
	connected := make(chan struct{})
	peer, err := r.NewPeer(PeerConfig{ID: "b", Handlers: Handlers{OnConnected: func() { close(connected) }}})
	if err != nil {
		b.Fatal(err)
	}
	m, err := newMetrics(nil)
	if err != nil {
		b.Fatal(err)
	}
	pub := newPublication(&Peer{room: &Room{sfu: &SFU{metrics: m}}}, track{kind: media.Audio}, media.Opus, 1, 0, time.Now())
	r.publish(pub)
	connectReceiver(b, peer)
	<-connected
	p := &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 825)}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		p.SequenceNumber++
		pub.deliver(p, now)
	}
	if peer.counts.bytesOut.Load() == 0 {
		b.Fatal("nothing was sent")
	}
}

func connectReceiver(b *testing.B, peer *Peer) {
	b.Helper()
	e := webrtc.SettingEngine{LoggerFactory: peer.room.sfu.pionLog}
	e.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(e)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pc.Close() })
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		b.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		b.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		b.Fatal(err)
	}
	<-gathered
	answer, _, err := peer.Answer(b.Context(), pc.LocalDescription().SDP, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkHistory(b *testing.B) {
	h := &history{}
	p := &rtp.Packet{}
	b.ReportAllocs()
	for b.Loop() {
		p.SequenceNumber++
		h.add(p)
		if h.get(p.SequenceNumber) != p {
			b.Fatal("lost")
		}
	}
}
