package sfu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

func TestComingAndGoingReusesMLines(t *testing.T) {
	inFull(t)
	r := newSFU(t).NewRoom()
	stay, mic, cam := publisher(t, r, "stay")
	mic.stream()
	cam.stream()
	other, mic2, cam2 := publisher(t, r, "other")
	mic2.stream()
	cam2.stream()
	for i := range 10 {
		guest, gMic, gCam := publisher(t, r, fmt.Sprintf("guest-%d", i))
		stopMic, stopCam := gMic.stream(), gCam.stream()
		guest.await("two publications", func() bool { return len(guest.published) == 2 })
		for _, c := range []*client{stay, other} {
			for _, pub := range guest.publications() {
				c.await(fmt.Sprintf("media of guest %d", i), func() bool {
					got := c.got[pub.ID()]
					return got != nil && len(got.packets) > 3
				})
			}
		}
		guest.await("media of both others", func() bool {
			n := 0
			for _, got := range guest.got {
				if len(got.packets) > 3 {
					n++
				}
			}
			return n == 4
		})
		stopMic()
		stopCam()
		guest.close()
	}
	for _, c := range []*client{stay, other} {
		// Two of its own, and two for each of at most two others.
		if got := c.lines(); got > 6 {
			t.Errorf("%s has %d m-lines after ten guests came and went, want at most 6", c.peer.ID(), got)
		}
	}
	if got := len(r.Publications()); got != 4 {
		t.Errorf("the room has %d publications, want 4", got)
	}
}

func TestReplacedTrackIsANewPublication(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, _, camera := publisher(t, r, "a")
	stop := camera.stream()
	b := join(t, r, "b", clientOptions{})
	b.receive(media.Video)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	b.await("media", func() bool { return len(b.got) == 1 })
	came := &tap{}
	a.publications()[0].Subscribe(came)
	eventually(t, "packets", func() bool { n, _ := came.count(); return n > 0 })
	stop()
	// What is still on its way when its m-line carries something else would be taken for that.
	eventually(t, "the last packet of the old track", func() bool {
		came.mu.Lock()
		defer came.mu.Unlock()
		return came.packets[len(came.packets)-1].SequenceNumber == camera.seq
	})
	// A new sender on the same m-line has a new SSRC.
	if err := a.pc.RemoveTrack(camera.transceiver.Sender()); err != nil {
		t.Fatal(err)
	}
	if err := a.offer(); err != nil {
		t.Fatal(err)
	}
	a.await("the end of the publication", func() bool { return len(a.ended) == 1 })
	track, err := webrtc.NewTrackLocalStaticRTP(camera.track.Codec(), "screen", "a")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := a.pc.AddTrack(track)
	if err != nil {
		t.Fatal(err)
	}
	var mid string
	for _, tr := range a.pc.GetTransceivers() {
		if tr.Sender() == sender {
			mid = tr.Mid()
		}
	}
	if was := a.publications()[0].MID(); mid != was {
		t.Fatalf("the new track is on m-line %q, the old one was on %q", mid, was)
	}
	a.sources[mid] = media.Screen
	if err := a.offer(); err != nil {
		t.Fatal(err)
	}
	screen := &outgoing{c: a, track: track, seq: 10}
	screen.stream()
	a.await("another publication", func() bool { return len(a.published) == 2 })
	published := a.publications()
	first, second := published[0], published[1]
	if first.ID() == second.ID() || first.SSRC() == second.SSRC() || second.MID() != mid || second.Source() != media.Screen {
		t.Errorf("the publication after the change has id %s, ssrc %d, mid %s, source %s", second.ID(), second.SSRC(), second.MID(), second.Source())
	}
	b.await("media of the new publication", func() bool { return b.got[second.ID()] != nil && len(b.got[second.ID()].packets) > 5 })
	if got := b.lines(); got != 1 {
		t.Errorf("the receiver has %d m-lines, want the one that it had", got)
	}
}

func TestAnMLineMayChangeItsDirection(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, _ := publisher(t, r, "a")
	mic.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })

	// b receives on an m-line, then sends on it too, then only sends, then rests, then receives again.
	b := join(t, r, "b", clientOptions{noNeed: true})
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "x", "b")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := b.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		t.Fatal(err)
	}
	ssrc := uint32(tr.Sender().GetParameters().Encodings[0].SSRC)
	steps := []struct {
		direction                 string
		wantAnswer                string
		wantSending, wantReceives bool
	}{
		{"recvonly", "sendonly", true, false},
		{"sendrecv", "sendrecv", true, true},
		{"sendonly", "recvonly", false, true},
		{"inactive", "inactive", false, false},
		{"sendonly", "recvonly", false, true},
		{"recvonly", "sendonly", true, false},
		{"inactive", "inactive", false, false},
		{"recvonly", "sendonly", true, false},
	}
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		name := fmt.Sprintf("step %d, %s", i, step.direction)
		sdp := strings.Replace(offer.SDP, "a=sendrecv", "a="+step.direction, 1)
		answer, sending, err := b.peer.Answer(t.Context(), sdp, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.Contains(answer, "a="+step.wantAnswer+"\r\n") {
			t.Errorf("%s: the answer is not %s:\n%s", name, step.wantAnswer, answer)
		}
		if got := len(sending) == 1; got != step.wantSending {
			t.Errorf("%s: sending is %v", name, sending)
		}
		if got := strings.Contains(answer, "a=msid:"); got != step.wantSending {
			t.Errorf("%s: the answer names a track: %v, want %v", name, got, step.wantSending)
		}
		transceiver := b.peer.transceiver("0")
		live := false
		for _, track := range transceiver.Receiver().Tracks() {
			live = live || uint32(track.SSRC()) == ssrc
		}
		if live != step.wantReceives {
			t.Errorf("%s: the server listens for the client's track: %v, want %v", name, live, step.wantReceives)
		}
	}
}

func TestAnswerCompleteHoldsAllCandidates(t *testing.T) {
	s := newSFU(t)
	r := s.NewRoom()
	a := join(t, r, "a", clientOptions{})
	o := a.send(media.VP8, media.Device)
	offer, err := a.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(a.pc)
	if err := a.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer, err := a.peer.AnswerComplete(t.Context(), a.pc.LocalDescription().SDP)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(" 127.0.0.1 %d typ host", s.Addr().Port()); !strings.Contains(answer, want) {
		t.Fatalf("the answer lacks the candidate %q:\n%s", want, answer)
	}
	if err := a.answered(answer); err != nil {
		t.Fatal(err)
	}
	o.stream()
	a.await("a publication", func() bool { return len(a.published) == 1 })
	if !a.peer.Sends() {
		t.Error("Sends is false for who sends")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.peer.Answer(ctx, answer, nil); !errors.Is(err, context.Canceled) {
		// The turn may be free at once; then the answer, which is no offer, is refused.
		if !errors.Is(err, ErrBadSDP) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestOneLayerOfSeveralIsPublished(t *testing.T) {
	r := newSFU(t).NewRoom()
	a := join(t, r, "a", clientOptions{layers: true})
	capability := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	var layers []*webrtc.TrackLocalStaticRTP
	for _, rid := range []string{"q", "h", "f"} {
		track, err := webrtc.NewTrackLocalStaticRTP(capability, "camera", "a", webrtc.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, track)
	}
	sender, err := a.pc.AddTrack(layers[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers[1:] {
		if err := sender.AddEncoding(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.offer(); err != nil {
		t.Fatal(err)
	}
	var midID, ridID uint8
	for _, e := range sender.GetParameters().HeaderExtensions {
		switch e.URI {
		case "urn:ietf:params:rtp-hdrext:sdes:mid":
			midID = uint8(e.ID)
		case "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id":
			ridID = uint8(e.ID)
		}
	}
	n := uint16(0)
	sendAll := func() {
		n++
		for _, l := range layers {
			p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n)}, Payload: payload(1)}
			if err := errors.Join(p.SetExtension(midID, []byte("0")), p.SetExtension(ridID, []byte(l.RID())), l.WriteRTP(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "packets of all layers", func() bool { sendAll(); return a.peer.counts.packetsIn.Load() > 200 })
	if got := r.Publications(); len(got) != 1 || got[0].RID() == "" || got[0].MID() != "0" {
		t.Errorf("%d layers are published", len(got))
	}
	before := r.Publications()[0].LastPacket()
	eventually(t, "the layer to go on", func() bool { sendAll(); return r.Publications()[0].LastPacket().After(before) })
}

func TestPacketsNameTheirMLine(t *testing.T) {
	r := newSFU(t).NewRoom()
	a, mic, cam := publisher(t, r, "a")
	mic.stream()
	cam.stream()
	a.await("two publications", func() bool { return len(a.published) == 2 })
	b := join(t, r, "b", clientOptions{layers: true}) // which brings the extension for mids along
	b.receive(media.Video)
	b.receive(media.Audio)
	if err := b.offer(); err != nil {
		t.Fatal(err)
	}
	for _, pub := range a.publications() {
		b.await("packets", func() bool { got := b.got[pub.ID()]; return got != nil && len(got.packets) > 10 })
		mid, packets := b.receivedOf(pub)
		for _, p := range packets {
			if ids := p.GetExtensionIDs(); len(ids) != 1 || string(p.GetExtension(ids[0])) != mid {
				t.Fatalf("a packet on m-line %s has the header %+v", mid, p.Header)
			}
		}
	}
}
