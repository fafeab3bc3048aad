package recorder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// filled is want with silence in place of the packets whose numbers missing names.
func filled(first int64, pictures []picture, missing func(int) bool) []content {
	out := want(first, 960, pictures...)
	silence, _ := media.OpusSilence(960)
	for i := range out {
		if missing(i) {
			out[i].data = silence
		}
	}
	return out
}

func TestLostAudioIsFilledWithSilence(t *testing.T) {
	voice := sound(t, 100)
	tests := []struct {
		name string
		lost func(int) bool
		gaps []string
	}{
		{name: "single packets are counted only", lost: func(i int) bool { return i%10 == 5 }, gaps: []string{}},
		{name: "180 ms are counted only", lost: func(i int) bool { return i >= 20 && i < 29 }, gaps: []string{}},
		{name: "200 ms are reported", lost: func(i int) bool { return i >= 20 && i < 30 }, gaps: []string{"loss 400-600"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := inLab(t, Config{}, audioTrack, func(l *lab) {
				l.play(without(newSender(media.Opus).send(0, voice...), tt.lost))
			})
			if len(l.contents()) != 1 {
				t.Fatalf("segments %v", l.reasons())
			}
			sameContent(t, filled(firstRTP, voice, tt.lost), l.contents()[0])
			if diff := cmp.Diff(tt.gaps, l.gaps()); diff != "" {
				t.Error(diff)
			}
			if n := len(pcm(t, reportsOf[Sealed](l)[0].Path)); n != 100*960 {
				t.Errorf("ffmpeg decodes %d samples, want %d", n, 100*960)
			}
		})
	}
}

func TestDTXIsFilledWithSilence(t *testing.T) {
	// A sender in DTX sends on after 400 ms, with the next sequence number and RTP time 400 ms on.
	voice := sound(t, 150)
	spoken := func(i int) bool { return i < 50 || i >= 120 || i%20 == 0 }
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		s := newSender(media.Opus)
		var packets []sent
		for i, p := range voice {
			if spoken(i) {
				packets = append(packets, s.send(time.Duration(i)*20*time.Millisecond, p)...)
			} else {
				s.ts += s.step
			}
		}
		l.play(packets)
	})
	if len(l.contents()) != 1 || len(l.gaps()) != 0 {
		t.Fatalf("segments %v, gaps %v", l.reasons(), l.gaps())
	}
	sameContent(t, filled(firstRTP, voice, func(i int) bool { return !spoken(i) }), l.contents()[0])
	samples := pcm(t, reportsOf[Sealed](l)[0].Path)
	if len(samples) != 150*960 {
		t.Fatalf("ffmpeg decodes %d samples, want %d", len(samples), 150*960)
	}
	if quiet, loud := peak(samples[65*960:75*960]), peak(samples[130*960:140*960]); quiet > 5 || loud < 1000 {
		t.Errorf("peak %d within the silence and %d in the speech after it", quiet, loud)
	}
}

func peak(samples []int16) int16 {
	return max(slices.Max(samples), -slices.Min(samples))
}

func TestSilenceFillsHolesThatAreNoMultipleOfAPacket(t *testing.T) {
	voice := sound(t, 4)
	for _, extra := range []uint32{119, 120, 121, 480, 1000, 4 * 960} {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			s := newSender(media.Opus)
			l := inLab(t, Config{}, audioTrack, func(l *lab) {
				packets := s.send(0, voice[:2]...)
				s.ts += extra
				l.play(append(packets, s.send(140*time.Millisecond, voice[2:]...)...))
			})
			sealed := reportsOf[Sealed](l)
			if len(sealed) != 1 {
				t.Fatalf("segments %v", l.reasons())
			}
			rest := int64(extra % 120)
			if got, want := sealed[0].EndRTP-firstRTP, 4*960+int64(extra)-rest; got != want {
				t.Errorf("lasts %d samples, want %d", got, want)
			}
			packets := l.contents()[0]
			if last := packets[len(packets)-1]; last.rtp != firstRTP+3*960+int64(extra)-rest {
				t.Errorf("the last packet stands at %d", last.rtp-firstRTP)
			}
		})
	}
}

func TestAudioThatIsNoOpusIsDropped(t *testing.T) {
	voice := sound(t, 100)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		packets := newSender(media.Opus).send(0, voice...)
		packets[30].pkt.Payload = []byte{0xff, 0x3f} // 63 frames of 20 ms
		packets[40].pkt.Payload = []byte{0xff}
		l.play(packets)
	})
	sameContent(t, filled(firstRTP, voice, func(i int) bool { return i == 30 || i == 40 }), slices.Concat(l.contents()...))
}

func TestAudioForATimeThatIsWrittenAlreadyIsDropped(t *testing.T) {
	voice := sound(t, 10)
	long := []byte{0xfb, 0x03, 0, 0, 0} // three frames of 20 ms in one packet
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		packets := newSender(media.Opus).send(0, voice...)
		packets[4].pkt.Payload = long
		l.play(packets)
	})
	kept := want(firstRTP, 960, voice...)
	kept[4].data = long
	sameContent(t, slices.Delete(kept, 5, 7), slices.Concat(l.contents()...))
}
