package sfu

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/media"
)

func TestTwoParticipantsGetEachOthersMedia(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, aMic, aCam := publisher(t, r, "a")
	b, bMic, bCam := publisher(t, r, "b")
	for _, o := range []*outgoing{aMic, aCam, bMic, bCam} {
		o.stream()
	}
	for _, c := range []*client{a, b} {
		c.await("two tracks with 50 packets each", func() bool {
			n := 0
			for _, got := range c.got {
				if len(got.packets) >= 50 {
					n++
				}
			}
			return n == 2
		})
	}

	for _, pair := range []struct{ from, to *client }{{a, b}, {b, a}} {
		published := pair.from.publications()
		if len(published) != 2 {
			t.Fatalf("%s published %d tracks, want 2", pair.from.peer.ID(), len(published))
		}
		for _, pub := range published {
			mid, packets := pair.to.receivedOf(pub)
			checkPayloads(t, pub, packets)
			if want := (SendingTrack{MID: mid, PublicationID: pub.ID()}); !contains(pair.to.sendingTracks(), want) {
				t.Errorf("m-line %s carries %s, and the answer did not say so: %v", mid, pub.ID(), pair.to.sendingTracks())
			}
			wantSource := media.Microphone
			if pub.Kind() == media.Video {
				wantSource = media.Camera
			}
			if pub.Source() != wantSource || pub.PeerID() != pair.from.peer.ID() {
				t.Errorf("publication says source %s of %s, want %s of %s", pub.Source(), pub.PeerID(), wantSource, pair.from.peer.ID())
			}
			if since := time.Since(pub.LastPacket()); since > 2*time.Second {
				t.Errorf("the last packet is said to be %v old", since)
			}
		}
	}
	// The client's sending m-lines never become ones on which the server sends.
	for _, tr := range a.pc.GetTransceivers() {
		if tr.Direction() == webrtc.RTPTransceiverDirectionSendonly && contains(a.sendingTracks(), SendingTrack{MID: tr.Mid()}) {
			t.Errorf("the server sends on m-line %s, on which the client sends", tr.Mid())
		}
	}
	st := a.peer.Stats()
	if st.PacketsIn == 0 || st.LossIn != 0 {
		t.Errorf("stats say %+v, want packets and no loss", st)
	}
}

// checkPayloads compares what arrived with what was sent, packet by packet. Numbers wrap on the way.
func checkPayloads(t *testing.T, pub *Publication, packets []*rtp.Packet) {
	t.Helper()
	codec := map[media.Codec]uint8{media.Opus: 111, media.VP8: 96}
	first := packets[0]
	if first.SequenceNumber >= 1<<15 {
		t.Errorf("the first number is %d: one in the upper half can break decryption at the wrap", first.SequenceNumber)
	}
	for i, p := range packets {
		want := payload(uint64(uint16(65_501 + seqOf(first.Payload) - 65_501 + uint16(i))))
		if !bytes.Equal(p.Payload, want) {
			t.Fatalf("packet %d of %s holds %x, want %x", i, pub.Codec(), p.Payload[:12], want[:12])
		}
		if p.SequenceNumber != first.SequenceNumber+uint16(i) || p.Timestamp != first.Timestamp+uint32(i)*960 {
			t.Fatalf("packet %d of %s has number %d and time %d", i, pub.Codec(), p.SequenceNumber, p.Timestamp)
		}
		if p.PayloadType != codec[pub.Codec()] || !p.Marker {
			t.Fatalf("packet %d of %s has payload type %d, marker %v", i, pub.Codec(), p.PayloadType, p.Marker)
		}
	}
}

func seqOf(p []byte) uint16 { return uint16(p[10])<<8 | uint16(p[11]) }

func TestLostPacketsComeAgainFromTheHistory(t *testing.T) {
	inFull(t)
	registry := prometheus.NewRegistry()
	s := newSFU(t)
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s.metrics = m
	r := s.NewRoom()
	var n, lost atomic.Int64
	seen := sync.Map{}
	b := join(t, r, "b", clientOptions{drop: func(h *rtp.Header) bool {
		if h.PayloadType != 96 {
			return false
		}
		if _, again := seen.LoadOrStore(h.SequenceNumber, true); again || n.Add(1)%7 != 3 {
			return false
		}
		lost.Add(1)
		return true
	}})
	b.receive(media.Audio)
	b.receive(media.Video)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	a, _, camera := publisher(t, r, "a")
	camera.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	id := a.publications()[0].ID()
	b.await("300 packets without a hole", func() bool {
		got := b.got[id]
		return got != nil && complete(got.packets) >= 300
	})
	gone := lost.Load() // more are lost meanwhile
	if gone == 0 {
		t.Fatal("nothing was lost on the way: the test shows nothing")
	}
	b.await("every lost packet again", func() bool { return testutil.ToFloat64(m.nacksAnswered) >= float64(gone) })
	if d := cmp.Diff(3, testutil.CollectAndCount(registry, "consilium_sfu_packets_dropped_total")); d != "" {
		t.Errorf("causes of drops: %s", d)
	}
}

// complete counts the packets without a hole from the first on, in the order of their numbers.
func complete(packets []*rtp.Packet) int {
	have := map[uint16]bool{}
	for _, p := range packets {
		have[p.SequenceNumber] = true
	}
	n := 0
	for seq := packets[0].SequenceNumber; have[seq]; seq++ {
		n++
	}
	return n
}

func TestWhoComesLateGetsAWholePicture(t *testing.T) {
	inFull(t)
	r := newSFU(t).NewRoom()
	a, _, camera := publisher(t, r, "a")
	camera.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	drain(camera.keyframes)

	b := join(t, r, "b", clientOptions{})
	b.receive(media.Video)
	// The picture that is asked for first is one that arrives: the next one does not come for half a second.
	answer := b.unanswered()
	if k := &a.publications()[0].keyframes; !k.last.IsZero() {
		t.Error("a whole picture was asked for although nothing can be sent yet")
	}
	if err := b.answered(answer); err != nil {
		t.Fatal(err)
	}
	b.await("keys", func() bool { return has(b.states, "keys") })
	waitKeyframe(t, camera)

	t.Run("and who asks gets one, but not two in half a second", func(t *testing.T) {
		pub := a.publications()[0]
		drain(camera.keyframes)
		begin := time.Now()
		for range 50 {
			pub.RequestKeyframe()
		}
		waitKeyframe(t, camera)
		if len(camera.keyframes) > 1 {
			t.Errorf("%d more requests reached the publisher at once", len(camera.keyframes))
		}
		drain(camera.keyframes)
		b.await("a packet", func() bool { return len(b.got) == 1 })
		for id := range b.packetCounts() {
			b.sendPLI(id)
		}
		waitKeyframe(t, camera)
		if waited := time.Since(begin); waited < keyframeDistance-50*time.Millisecond {
			t.Errorf("the second request came after %v", waited)
		}
	})
}

func TestSenderReportsArePassedOn(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, _ := publisher(t, r, "a")
	mic.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	recorder := &tap{}
	pub := a.publications()[0]
	pub.Subscribe(recorder)
	b := join(t, r, "b", clientOptions{})
	b.receive(media.Audio)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	b.await("a packet", func() bool { return b.got[pub.ID()] != nil && len(b.got[pub.ID()].packets) > 0 })

	at := time.Date(2026, 3, 4, 5, 6, 7, 891_000_000, time.UTC)
	mic.report(at, 123_456)
	var sr *rtcp.SenderReport
	b.await("a sender report", func() bool {
		if reports := b.got[pub.ID()].reports; len(reports) > 0 {
			sr = reports[0]
		}
		return sr != nil
	})
	_, packets := b.receivedOf(pub)
	if sr.NTPTime != toNTP(at) || sr.RTPTime != 123_456 {
		t.Errorf("the receiver was told NTP %x and RTP %d, want %x and 123456", sr.NTPTime, sr.RTPTime, toNTP(at))
	}
	if sr.SSRC != packets[0].SSRC || sr.SSRC == pub.SSRC() {
		t.Errorf("the report has SSRC %d, its packets %d, the publisher's %d", sr.SSRC, packets[0].SSRC, pub.SSRC())
	}
	eventually(t, "a report at the other subscriber", func() bool { _, n := recorder.count(); return n == 1 })
	recorder.mu.Lock()
	got := recorder.reports[0]
	recorder.mu.Unlock()
	if got.SSRC != pub.SSRC() || got.RTP != 123_456 || !got.NTP.Equal(at) || time.Since(got.Arrival) > time.Minute || got.RTT <= 0 {
		t.Errorf("the subscriber was told %+v", got)
	}
	// A report without a time tells nothing.
	ssrc := uint32(mic.transceiver.Sender().GetParameters().Encodings[0].SSRC)
	if err := a.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc, RTPTime: 5}}); err != nil {
		t.Fatal(err)
	}
	mic.report(at.Add(time.Second), 171_456)
	eventually(t, "the next report", func() bool { _, n := recorder.count(); return n >= 2 })
	if recorder.reports[1].RTP != 171_456 {
		t.Errorf("a report without a time was passed on: %+v", recorder.reports[1])
	}
	pub.Unsubscribe(recorder)
	before, _ := recorder.count()
	b.await("more packets for the other subscriber", func() bool { return len(b.got[pub.ID()].packets) > 100 })
	if after, _ := recorder.count(); after != before {
		t.Errorf("%d packets reached a subscriber after Unsubscribe had returned", after-before)
	}
}

func TestNothingPassesWhilePublishingIsNotAllowed(t *testing.T) {
	r := newSFU(t).NewRoom()
	b := join(t, r, "b", clientOptions{})
	b.receive(media.Audio)
	b.receive(media.Video)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	a := join(t, r, "a", clientOptions{})
	a.peer.AllowPublishing(false)
	camera := a.send(media.VP8, media.Camera)
	a.name(map[*outgoing]media.Source{camera: media.Camera})
	if err := a.offer(); err != nil {
		t.Fatal(err)
	}
	camera.stream()
	a.await("the first packet", func() bool { return has(a.states, "media") })
	eventually(t, "30 packets at the gate", func() bool { return a.peer.counts.packetsIn.Load() > 30 })
	if n := len(r.Publications()); n != 0 {
		t.Fatalf("%d tracks were published through a closed gate", n)
	}

	a.peer.AllowPublishing(true)
	a.await("a publication", func() bool { return len(a.published) == 1 })
	recorder := &tap{}
	pub := a.publications()[0]
	pub.Subscribe(recorder)
	b.await("packets", func() bool { return b.got[pub.ID()] != nil && len(b.got[pub.ID()].packets) > 5 })

	a.peer.AllowPublishing(false)
	eventually(t, "the gate to be closed", func() bool {
		before := a.peer.counts.packetsIn.Load()
		eventually(t, "more packets at the gate", func() bool { return a.peer.counts.packetsIn.Load() > before+5 })
		return true
	})
	packets, _ := recorder.count()
	before := a.peer.counts.packetsIn.Load()
	eventually(t, "30 more packets at the gate", func() bool { return a.peer.counts.packetsIn.Load() > before+30 })
	if after, _ := recorder.count(); after != packets {
		t.Errorf("%d packets passed a closed gate", after-packets)
	}
	drain(camera.keyframes)
	a.peer.AllowPublishing(true)
	waitKeyframe(t, camera)
}

func TestGarbageDisturbsNobody(t *testing.T) {
	s := newSFU(t)
	r := s.NewRoom()
	a, mic, cam := publisher(t, r, "a")
	cam.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	recorder := &tap{}
	a.publications()[0].Subscribe(recorder)

	// From outside: nonsense at the port.
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 200 {
		if _, err := conn.Write(bytes.Repeat([]byte{byte(i)}, i*7)); err != nil && i > 0 {
			t.Fatal(err)
		}
	}
	// From inside, authenticated: packets of an unknown type, empty ones, header extensions that are cut short.
	for i := range 200 {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i)}, Payload: []byte{}}
		if i%3 == 0 {
			p.Extension, p.ExtensionProfile = true, rtp.ExtensionProfileOneByte
			if err := p.SetExtension(uint8(1+i%14), []byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := mic.track.WriteRTP(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: 5, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}}}); err != nil {
		t.Fatal(err)
	}
	before, _ := recorder.count()
	eventually(t, "media as before", func() bool { n, _ := recorder.count(); return n > before+20 })
}

func TestPacketsPassInTheOrderOfArrival(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, _ := publisher(t, r, "a")
	a.await("keys", func() bool { return has(a.states, "keys") })
	eventually(t, "a publication", func() bool { mic.packet(); return len(r.Publications()) == 1 })
	recorder := &tap{}
	pub := r.Publications()[0]
	pub.Subscribe(recorder)
	first := mic.seq
	for _, n := range []uint16{3, 1, 2, 5, 4} {
		mic.write(first+n, payload(uint64(n)))
	}
	var got []uint16
	eventually(t, "five packets", func() bool {
		got = nil
		recorder.mu.Lock()
		defer recorder.mu.Unlock()
		for _, p := range recorder.packets {
			if n := p.SequenceNumber - first; n >= 1 && n <= 5 {
				got = append(got, n)
			}
		}
		return len(got) == 5
	})
	if d := cmp.Diff([]uint16{3, 1, 2, 5, 4}, got); d != "" {
		t.Error(d)
	}
}
