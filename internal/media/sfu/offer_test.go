package sfu

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

func TestOffersThatAreRefused(t *testing.T) {
	good := sampleOffer(t)
	tests := []struct {
		name string
		sdp  string
		want error
	}{
		{"no SDP at all", "hello", ErrBadSDP},
		{"nothing", "", ErrBadSDP},
		{"too large", good + strings.Repeat("a=x:y\r\n", 10_000), ErrSDPTooLarge},
		{"no m-line", good[:strings.Index(good, "m=")], ErrNoTracks},
		{"nothing but a data channel", good[:strings.Index(good, "m=")] + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n", ErrNoTracks},
		{"a codec that nobody here knows", strings.NewReplacer("VP8/", "H263/", "VP9/", "H261/", "AV1/", "JPEG/", "H264/", "MPV/").Replace(good), ErrUnsupportedCodec},
		{"H.264 of a profile with more than everybody shows", strings.NewReplacer("VP8/", "H263/", "VP9/", "H261/", "AV1/", "JPEG/", "level-id=42", "level-id=64").Replace(good), ErrUnsupportedCodec},
		{"H.264 with one NAL unit a packet", strings.NewReplacer("VP8/", "H263/", "VP9/", "H261/", "AV1/", "JPEG/", "packetization-mode=1", "packetization-mode=0").Replace(good), ErrUnsupportedCodec},
		{"VP9 of a profile with more colours only", strings.NewReplacer("VP8/", "H263/", "AV1/", "JPEG/", "H264/", "MPV/", "profile-id=0", "profile-id=2").Replace(good), ErrUnsupportedCodec},
		{"no ICE credentials", strings.ReplaceAll(good, "a=ice-ufrag", "a=x-ufrag"), ErrBadSDP},
		{"no fingerprint", strings.ReplaceAll(good, "a=fingerprint", "a=x-fingerprint"), ErrBadSDP},
		{"no mid", strings.ReplaceAll(good, "a=mid", "a=x-mid"), ErrBadSDP},
		{"a mid twice", strings.ReplaceAll(good, "a=mid:1", "a=mid:0"), ErrBadSDP},
		{"not bundled", strings.ReplaceAll(good, "a=group:BUNDLE", "a=group:LS"), ErrBadSDP},
		{"wants to be the DTLS server", strings.ReplaceAll(good, "a=setup:actpass", "a=setup:passive"), ErrBadSDP},
		{"a kind of media that is none", strings.Replace(good, "m=video", "m=smell", 1), ErrBadSDP},
		{"too many tracks that are sent", manyTracks(good, maxSending+1), ErrTooManyTracks},
		{"too many m-lines", manyTracks(strings.ReplaceAll(good, "a=sendonly", "a=recvonly"), maxLines+1), ErrTooManyTracks},
	}
	r := newSFU(t).NewRoom()
	peer, err := r.NewPeer(PeerConfig{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := peer.Answer(t.Context(), tt.sdp, nil); !errors.Is(err, tt.want) {
				t.Errorf("the error is %v, want %v", err, tt.want)
			}
			if _, err := peer.AnswerComplete(t.Context(), tt.sdp); !errors.Is(err, tt.want) {
				t.Errorf("the error of AnswerComplete is %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("and a good one is taken after all of them", func(t *testing.T) {
		answer, _, err := peer.Answer(t.Context(), good, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(answer, "rtx") || strings.Contains(answer, "usedtx") {
			t.Errorf("the answer has what it must not have:\n%s", answer)
		}
		for _, want := range []string{"useinbandfec=1", "nack pli", "transport-cc", "a=setup:passive", "opus/48000/2"} {
			if !strings.Contains(answer, want) {
				t.Errorf("the answer lacks %q:\n%s", want, answer)
			}
		}
	})
	t.Run("and none after the end", func(t *testing.T) {
		peer.Close()
		peer.Close()
		if _, _, err := peer.Answer(t.Context(), good, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("the error is %v, want %v", err, ErrClosed)
		}
		peer.AddCandidate(Candidate{Candidate: "candidate:1 1 udp 1 127.0.0.1 5000 typ host"})
	})
}

// sampleOffer is an offer of a microphone and a camera.
func sampleOffer(t testing.TB) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, mime := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, mime[:5], "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(offer.SDP, "minptime=10", "usedtx=1;minptime=10", 1)
}

// manyTracks repeats the video of an offer.
func manyTracks(sdp string, n int) string {
	video := sdp[strings.Index(sdp, "m=video"):]
	audio := strings.TrimSuffix(sdp, video)
	group := "a=group:BUNDLE 0"
	var all strings.Builder
	for i := range n {
		group += fmt.Sprintf(" %d", i+1)
		all.WriteString(strings.ReplaceAll(video, "a=mid:1", fmt.Sprintf("a=mid:%d", i+1)))
	}
	sdp = strings.Replace(audio, "a=group:BUNDLE 0 1", group, 1) + all.String()
	// Short enough not to be refused for its size.
	var lines []string
	for _, l := range strings.Split(sdp, "\r\n") {
		if !strings.HasPrefix(l, "a=rtcp-fb") && !strings.Contains(l, "rtx") && !strings.Contains(l, "H26") && !strings.HasPrefix(l, "a=fmtp") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\r\n")
}

func TestOfferIsSimplified(t *testing.T) {
	raw := strings.ReplaceAll(sampleOffer(t), "a=setup:actpass", "a=setup:actpass\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host")
	o, err := parseOffer(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := []line{
		{mid: "0", kind: media.Audio, sends: true, codecs: []media.Codec{media.Opus}},
		{mid: "1", kind: media.Video, sends: true, codecs: []media.Codec{media.VP8, media.H264, media.AV1, media.VP9}},
	}
	if d := cmp.Diff(want, o.lines, cmp.AllowUnexported(line{})); d != "" {
		t.Error(d)
	}
	if len(o.candidates) != 2 {
		t.Errorf("candidates: %v", o.candidates)
	}
	simple, err := o.desc.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"a=candidate", "a=sendonly", "ssrc-group"} {
		if strings.Contains(string(simple), gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, m := range o.desc.MediaDescriptions {
		ssrcs := map[uint32]bool{}
		for _, a := range m.Attributes {
			if a.Key == sdp.AttrKeySSRC {
				ssrcs[ssrcOf(a.Value)] = true
			}
		}
		if len(ssrcs) != 1 {
			t.Errorf("an m-line names %d SSRCs, want the one without its repair stream", len(ssrcs))
		}
	}
}

// FuzzOffer feeds what a client may send. What is accepted must be marshallable and have what negotiate relies on.
func FuzzOffer(f *testing.F) {
	f.Add(sampleOffer(f))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\na=fingerprint:sha-256 AA\r\na=rtpmap:111 opus/48000/2\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := parseOffer(raw)
		if err != nil {
			for _, known := range []error{ErrBadSDP, ErrSDPTooLarge, ErrNoTracks, ErrUnsupportedCodec, ErrTooManyTracks} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("an error that nobody can tell from others: %v", err)
		}
		if _, err := o.desc.Marshal(); err != nil {
			t.Fatal(err)
		}
		if o.ufrag == "" || len(o.lines) != len(o.desc.MediaDescriptions) {
			t.Fatalf("accepted %d lines of %d, ufrag %q", len(o.lines), len(o.desc.MediaDescriptions), o.ufrag)
		}
	})
}

// FuzzAnswer feeds the same to a whole connection: it may refuse, and must not panic or leave anything behind.
func FuzzAnswer(f *testing.F) {
	s, err := New(Config{MediaListen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Add(sampleOffer(f))
	f.Fuzz(func(t *testing.T, raw string) {
		peer, err := s.NewRoom().NewPeer(PeerConfig{ID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		for range 2 { // the second time it is a renegotiation
			_, _, err = peer.Answer(t.Context(), raw, nil)
			peer.AddCandidate(Candidate{Candidate: raw})
		}
		if err != nil {
			return
		}
		if _, err := peer.AnswerComplete(t.Context(), raw); err != nil {
			t.Fatalf("taken twice and refused the third time: %v", err)
		}
	})
}

func TestH264IsTakenFromDevicesOnly(t *testing.T) {
	good := sampleOffer(t)
	r := newSFU(t).NewRoom()
	for _, tt := range []struct {
		name   string
		answer func(p *Peer) (string, error)
		want   bool
	}{
		{"a browser", func(p *Peer) (string, error) { a, _, err := p.Answer(t.Context(), good, nil); return a, err }, false},
		{"a browser that only listens", func(p *Peer) (string, error) {
			a, _, err := p.Answer(t.Context(), strings.ReplaceAll(good, "a=sendonly", "a=recvonly"), nil)
			return a, err
		}, true},
		{"a browser that can send nothing else", func(p *Peer) (string, error) {
			a, _, err := p.Answer(t.Context(), strings.NewReplacer("VP8/", "H263/", "VP9/", "H261/", "AV1/", "JPEG/").Replace(good), nil)
			return a, err
		}, true},
		{"a device", func(p *Peer) (string, error) { return p.AnswerComplete(t.Context(), good) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := r.NewPeer(PeerConfig{ID: tt.name})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			answer, err := tt.answer(p)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(answer, "H264/90000"); got != tt.want {
				t.Errorf("H.264 in the answer: %v, want %v:\n%s", got, tt.want, answer)
			}
		})
	}
}
