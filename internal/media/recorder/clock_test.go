package recorder

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// shift makes packets come later.
func shift(packets []sent, by time.Duration) []sent {
	out := slices.Clone(packets)
	for i := range out {
		out[i].at += by
	}
	return out
}

func TestAFrozenSenderClockStartsASegment(t *testing.T) {
	// A microphone taken off its sender and put back: sequence number and RTP time go on as if nothing had been.
	voice := sound(t, 300)
	for _, tt := range []struct {
		name   string
		frozen time.Duration
		want   []string
		gap    string
	}{
		{name: "for 4 s", frozen: 4 * time.Second, want: []string{"started-silence", "discontinuity-ended"}, gap: "stall 1980-6000"},
		{name: "for 1 s", frozen: time.Second, want: []string{"started-discontinuity", "discontinuity-ended"}, gap: "stall 1980-3000"},
		{name: "for 300 ms", frozen: 300 * time.Millisecond, want: []string{"started-discontinuity", "discontinuity-ended"}, gap: "stall 1980-2300"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := inLab(t, Config{}, audioTrack, func(l *lab) {
				packets := newSender(media.Opus).send(0, voice...)
				l.play(append(packets[:100:100], shift(packets[100:], tt.frozen)...))
			})
			if diff := cmp.Diff(tt.want, l.reasons()); diff != "" {
				t.Fatal(diff)
			}
			sameContent(t, want(firstRTP, 960, voice...), slices.Concat(l.contents()...))
			before := int64(firstRTP + 99*960)
			wantCut := []Discontinuity{{
				Track: "track", SSRC: 0x1234, RTPBefore: before, RTPAfter: before + 960, ArrivalDelta: tt.frozen + 20*time.Millisecond,
			}}
			if diff := cmp.Diff(wantCut, reportsOf[Discontinuity](l)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{tt.gap}, l.gaps()); diff != "" {
				t.Error(diff)
			}
			if s := reportsOf[Sealed](l)[1]; s.FirstRTP != before+960 || s.Arrival.Sub(l.began) != 2*time.Second+tt.frozen {
				t.Errorf("second segment begins at RTP %d, %v", s.FirstRTP, s.Arrival.Sub(l.began))
			}
		})
	}
}

func TestAStallOfTheNetworkIsNoDiscontinuity(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "160x120", 250, 125)
			if c == media.Opus {
				clip = sound(t, 500)
			}
			s := newSender(c)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				packets := s.send(0, clip...)
				for i, p := range packets {
					// Nothing comes through for 1.5 s; then the network delivers what waited, four times as fast as it was sent.
					if stalled := p.at - 3*time.Second; stalled >= 0 {
						packets[i].at = max(p.at, 4500*time.Millisecond+stalled/4)
					}
				}
				l.play(packets)
			})
			if diff := cmp.Diff([]string{"started-ended"}, l.reasons()); diff != "" {
				t.Error(diff)
			}
			sameContent(t, want(firstRTP, int64(s.step), clip...), slices.Concat(l.contents()...))
			if len(reportsOf[Discontinuity](l)) != 0 || len(l.gaps()) != 0 {
				t.Errorf("discontinuities %v, gaps %v", reportsOf[Discontinuity](l), l.gaps())
			}
		})
	}
}

func TestAJumpOfTheSenderClockStartsASegment(t *testing.T) {
	for _, tt := range []struct {
		name string
		jump int64 // samples
	}{
		{name: "ahead by 300 ms", jump: 14400},
		{name: "ahead by an hour", jump: 3600 * 48000},
		{name: "back by 100 ms", jump: -4800},
		{name: "back by an hour", jump: -3600 * 48000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			voice := sound(t, 200)
			s := newSender(media.Opus)
			s.ts = 4_000_000_000
			l := inLab(t, Config{}, audioTrack, func(l *lab) {
				packets := s.send(0, voice[:100]...)
				s.ts += uint32(tt.jump)
				l.play(append(packets, s.send(2*time.Second, voice[100:]...)...))
			})
			if diff := cmp.Diff([]string{"started-discontinuity", "discontinuity-ended"}, l.reasons()); diff != "" {
				t.Fatal(diff)
			}
			sameContent(t, want(4_000_000_000, 960, voice[:100]...), l.contents()[0])
			sameContent(t, want(4_000_000_000+100*960+tt.jump, 960, voice[100:]...), l.contents()[1])
			if n := len(reportsOf[Discontinuity](l)); n != 1 {
				t.Errorf("%d discontinuities", n)
			}
		})
	}
}

func TestASenderThatBeginsAnewWithLowerNumbersIsFollowed(t *testing.T) {
	voice := sound(t, 200)
	s := newSender(media.Opus)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		packets := s.send(0, voice[:100]...)
		s.seq -= 700
		l.play(append(packets, s.send(2*time.Second, voice[100:]...)...))
	})
	lost := func(i int) bool { return i >= 100 && i < 103 } // until it was sure
	sameContent(t, filled(firstRTP, voice, lost), slices.Concat(l.contents()...))
}

func TestASegmentOfALateTrackHasItsOwnArrival(t *testing.T) {
	voice := sound(t, 20)
	l := inLab(t, Config{}, audioTrack, func(l *lab) { l.play(newSender(media.Opus).send(5*time.Second, voice...)) })
	if s := reportsOf[Sealed](l)[0]; s.Arrival.Sub(l.began) != 5*time.Second {
		t.Errorf("arrival %v after the start", s.Arrival.Sub(l.began))
	}
}

// A clock that stands still while nothing is recorded is as frozen as any other: what comes behind the pause must not be
// put on the line of what was before.
func TestAClockThatStoodStillDuringAPauseIsNoticed(t *testing.T) {
	voice := sound(t, 200)
	for _, tt := range []struct {
		name   string
		frozen time.Duration
		want   int
		gaps   []string // behind the pause, which ends at 5 s
	}{
		{name: "for 5 s", frozen: 5 * time.Second, want: 1, gaps: []string{"stall 5000-7000"}},
		{name: "for 3 s", frozen: 3 * time.Second, want: 1, gaps: []string{}},
		{name: "not at all", frozen: 0, want: 0, gaps: []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := inLab(t, Config{}, audioTrack, func(l *lab) {
				s := newSender(media.Opus)
				l.play(s.send(0, voice[:100]...))
				l.rec.Pause("paused")
				if tt.frozen == 0 {
					l.play(s.send(2*time.Second, voice[100:]...)) // of which none is written before the end of the pause
					s.send(4*time.Second, voice[:50]...)
				}
				l.until(5 * time.Second)
				l.rec.Resume("resumed")
				l.play(s.send(max(5*time.Second, 2*time.Second+tt.frozen), voice[100:]...))
			})
			cuts := reportsOf[Discontinuity](l)
			if len(cuts) != tt.want {
				t.Fatalf("noticed %+v", cuts)
			}
			for _, c := range cuts {
				if c.RTPAfter-c.RTPBefore != 960 || c.ArrivalDelta != tt.frozen+20*time.Millisecond {
					t.Errorf("noticed %+v", c)
				}
			}
			if diff := cmp.Diff(tt.gaps, l.gaps()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"started-paused", "resumed-ended"}, l.reasons()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
