package timeline

import (
	"math"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// lookAhead is how much earlier than its RTP time an Opus packet's sound was.
const lookAhead = media.OpusLookAhead * time.Second / 48000

// misplaced is how far the clip's two ends lie from the truth. A clip that was cut is measured at the cut.
func (s *script) misplaced(c Clip) (start, end time.Duration) {
	want := s.truth[c.Segment]
	if c.Codec == media.Opus {
		want.start -= lookAhead
		want.end -= lookAhead
	}
	fileStart := time.Duration(c.FileStartNS)
	start = time.Duration(c.StartNS) - want.start - fileStart
	end = time.Duration(c.EndNS) - want.end
	return start, end
}

// TestPlacesAreTrue plays known clocks over a known network and asks where the archive puts them.
func TestPlacesAreTrue(t *testing.T) {
	const exact = 2 * time.Millisecond
	for _, tt := range []struct {
		name  string
		setup func(audio, video *source)
		limit time.Duration
	}{
		{"plain", func(_, _ *source) {}, exact},
		{"the network delays video by 120 ms and audio by 40 ms", func(a, v *source) {
			v.delay, a.delay = 120*time.Millisecond, 40*time.Millisecond
		}, exact},
		{"the first report of the audio comes after 14 s", func(a, _ *source) { a.firstSR = sec(14) }, exact},
		{"the first report of the audio is 9.5 ms off", func(a, _ *source) { a.badFirst = 9500 * time.Microsecond }, exact},
		{"the first report of the video is 9.5 ms off the other way", func(_, v *source) {
			v.badFirst = -9500 * time.Microsecond
		}, exact},
		{"the audio clock is 300 ppm fast", func(a, _ *source) { a.ppm = 300 }, exact},
		{"the audio clock is 300 ppm slow, the video clock 300 ppm fast", func(a, v *source) { a.ppm, v.ppm = -300, 300 }, exact},
		{"the wall clock is 700 ms fast", func(a, v *source) { a.wall, v.wall = 700*time.Millisecond, 700*time.Millisecond }, exact},
		{"the wall clock is 1300 ms slow and the path slow", func(a, v *source) {
			for _, s := range []*source{a, v} {
				s.wall, s.srDelay, s.rtt = -1300*time.Millisecond, 110*time.Millisecond, 220*time.Millisecond
			}
			v.delay, a.delay = 200*time.Millisecond, 110*time.Millisecond
		}, exact},
		{"the wall clock stands at 1970", func(a, v *source) {
			err := -scriptZero.Sub(time.Unix(0, 0))
			a.wall, v.wall = err, err
		}, exact},
		{"the RTP clocks pass 2^32 and 2^40", func(a, v *source) { a.base, v.base = 1<<32-48000*20, 1<<40 }, exact},
		{"reports are late by up to 30 ms", func(a, v *source) {
			a.jitter, v.jitter = 30*time.Millisecond, 30*time.Millisecond
		}, 12 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin("required")
			doctor := s.invite("clinician")
			s.consent(-1, doctor)
			conn := s.join(0, doctor, "clinician")
			a, v := s.audio(doctor, conn, 1), s.video(doctor, conn, 1.5)
			tt.setup(a, v)
			a.whole(1, 130)
			v.whole(1.5, 130)
			s.leave(131, doctor, conn, "left")
			tl := s.build()
			for _, tr := range tl.Participants[0].Tracks {
				if len(tr.Clips) != 5 {
					t.Fatalf("%s has %d clips, want 5", tr.Kind, len(tr.Clips))
				}
				for i, c := range tr.Clips {
					start, end := s.misplaced(c)
					if start.Abs() > tt.limit || (end.Abs() > tt.limit && i < len(tr.Clips)-1) {
						t.Errorf("%s clip %d is misplaced by %v at its start, %v at its end", tr.Kind, i, start, end)
					}
					if c.Quality != QualitySR {
						t.Errorf("%s clip %d has quality %s", tr.Kind, i, c.Quality)
					}
					if drift := sec(15 * (c.Rate - s.truth[c.Segment].rate)); drift.Abs() > tt.limit {
						t.Errorf("%s clip %d has rate %v and is %v off in its middle", tr.Kind, i, c.Rate, drift)
					}
					if e := time.Duration(c.ErrorNS); e < start.Abs() || e > 150*time.Millisecond {
						t.Errorf("%s clip %d: error is estimated %v and is %v", tr.Kind, i, e, start)
					}
				}
			}
		})
	}
}

// TestFourHoursStayTrue: clocks that go wrong all the time are as well known in the last quarter of an hour as in the first.
func TestFourHoursStayTrue(t *testing.T) {
	const hours = 4 * 3600
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	a, v := s.audio(who, conn, 1), s.video(who, conn, 1)
	a.ppm, v.ppm, a.jitter, v.jitter = 80, -60, 8*time.Millisecond, 8*time.Millisecond
	a.whole(1, hours)
	v.whole(1, hours)
	s.leave(hours+1, who, conn, "left")
	for _, tr := range s.build().Participants[0].Tracks {
		worst := func(from, to int64) (off time.Duration) {
			for _, c := range tr.Clips {
				if start, _ := s.misplaced(c); from <= c.StartNS && c.StartNS < to {
					off = max(off, start.Abs())
				}
			}
			return off
		}
		const quarter = int64(15 * time.Minute)
		first, last := worst(0, quarter), worst(hours*int64(time.Second)-quarter, math.MaxInt64)
		t.Logf("%s: off by up to %v in the first quarter of an hour, %v in the last", tr.Kind, first, last)
		if last == 0 || last > first+time.Millisecond || last > 8*time.Millisecond {
			t.Errorf("%s: off by up to %v in the first quarter of an hour, %v in the last", tr.Kind, first, last)
		}
	}
}

// TestSoundAndPictureShareTheDelay: what the network hides from us must not part a voice from its lips.
func TestSoundAndPictureShareTheDelay(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	a, v := s.audio(who, conn, 1), s.video(who, conn, 1)
	for _, src := range []*source{a, v} {
		src.srDelay, src.rtt, src.jitter = 300*time.Millisecond, 0, 40*time.Millisecond
		src.wall = -5 * time.Hour
	}
	v.delay, a.delay = 420*time.Millisecond, 340*time.Millisecond
	a.whole(1, 200)
	v.whole(1, 200)
	s.leave(201, who, conn, "left")
	tracks := s.build().Participants[0].Tracks
	for i := range tracks[0].Clips {
		x, _ := s.misplaced(tracks[0].Clips[i])
		y, _ := s.misplaced(tracks[1].Clips[i])
		if d := x - y; d.Abs() > time.Duration(chainLimit) {
			t.Errorf("clip %d: sound and picture lie %v apart", i, d)
		}
		if x < 250*time.Millisecond {
			t.Errorf("clip %d: placed %v late; a hidden delay of 300 ms must show", i, x)
		}
	}
}

// TestClocksThatContradictThemselves covers senders whose reports must not be believed.
func TestClocksThatContradictThemselves(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(audio, video *source)
		audio Quality
		video Quality
	}{
		{"the audio's reports are 5 s off the audio", func(a, _ *source) { a.lieRTP = 5 * time.Second }, QualityArrival, QualitySR},
		{"the audio's reports are 5 s off the audio, the other way", func(a, _ *source) { a.lieRTP = -5 * time.Second }, QualityArrival, QualitySR},
		{"audio and video stamp by clocks 2 s apart", func(a, _ *source) { a.wall = 2 * time.Second }, QualityArrival, QualityArrival},
		{"there are no reports at all", func(a, v *source) { a.everySR, v.everySR = 0, 0 }, QualityArrival, QualityArrival},
		{"there are no anchors at all", func(a, v *source) { a.noAnchor, v.noAnchor = true, true }, QualityArrival, QualityArrival},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin("required")
			who := s.invite("patient")
			s.consent(-1, who)
			conn := s.join(0, who, "patient")
			a, v := s.audio(who, conn, 1), s.video(who, conn, 1)
			tt.setup(a, v)
			a.whole(1, 95)
			v.whole(1, 95)
			s.leave(96, who, conn, "left")
			for _, tr := range s.build().Participants[0].Tracks {
				want := tt.video
				if tr.Kind == media.Audio {
					want = tt.audio
				}
				for i, c := range tr.Clips {
					if c.Quality != want {
						t.Errorf("%s clip %d has quality %s, want %s", tr.Kind, i, c.Quality, want)
					}
					if start, _ := s.misplaced(c); start.Abs() > 80*time.Millisecond || time.Duration(c.ErrorNS) < start {
						t.Errorf("%s clip %d is misplaced by %v and says %v", tr.Kind, i, start, time.Duration(c.ErrorNS))
					}
				}
			}
		})
	}
}

// TestFrozenAudioClock: a browser whose microphone is taken away for 4 s goes on with the next RTP time.
func TestFrozenAudioClock(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lag    time.Duration // from the first packet to segment.opened in the log
		told   bool          // segment.discontinuity is there
		reason string        // of the next segment
	}{
		{"the discontinuity is told after the segment", 0, true, "discontinuity"},
		{"the discontinuity is told before the segment", sec(0.3), true, "discontinuity"},
		{"the segment was opened for another reason", sec(0.3), true, "silence"},
		{"only the segment tells", 0, false, "discontinuity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin("required")
			who := s.invite("patient")
			s.consent(-1, who)
			conn := s.join(0, who, "patient")
			a := s.audio(who, conn, 1)
			a.start(1)
			a.play(1, 41, "started")
			before := a.rtp(sec(41))
			if tt.told {
				s.addAt(sec(45)+a.delay+sec(0.15), who, discontinuity(a.id, before, before+960, 4014))
			}
			a.born += 4 * time.Second // from here on the same RTP times are captured 4 s later
			a.lag = tt.lag
			a.play(45, 90, tt.reason)
			s.leave(91, who, conn, "left")
			tr := s.build().Participants[0].Tracks[0]
			for i, c := range tr.Clips {
				if start, _ := s.misplaced(c); start.Abs() > 2*time.Millisecond || c.Quality != QualitySR {
					t.Errorf("clip %d is misplaced by %v, quality %s", i, start, c.Quality)
				}
			}
			if len(tr.Gaps) != 2 || tr.Gaps[0].EndNS-tr.Gaps[0].StartNS < int64(sec(3.9)) {
				t.Errorf("gaps are %v; want the 4 s without a microphone and the end", tr.Gaps)
			}
		})
	}
}

// TestAClockThatStoodStillKeepsItsRate: nine seconds of reports are too few to tell how fast a clock is, but it is the
// clock of before.
func TestAClockThatStoodStillKeepsItsRate(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	a := s.audio(who, conn, 1)
	a.ppm = 300
	a.start(1)
	a.play(1, 31, "started")
	before := a.rtp(sec(31))
	s.addAt(sec(35)+a.delay+sec(0.15), who, discontinuity(a.id, before, before+960, 4014))
	a.born += 4 * time.Second // from here on the same RTP times are captured 4 s later
	a.play(35, 44, "discontinuity")
	s.leave(45, who, conn, "left")
	clips := s.build().Participants[0].Tracks[0].Clips
	if len(clips) != 2 {
		t.Fatalf("%d clips, want 2", len(clips))
	}
	if m := s.misfit(s.build()); m.place > time.Millisecond {
		t.Errorf("a clip is misplaced by %v", m.place)
	}
	if off := clips[1].Rate - s.truth[clips[1].Segment].rate; math.Abs(off) > 20e-6 {
		t.Errorf("the second clip is played %.0f ppm off the rate of its clock", off*1e6)
	}
}

// TestWallClockIsSet: the sender's wall clock, which its reports carry, is set in mid-call. The files that begin around
// that moment may be placed less exactly, no more.
func TestWallClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-30 * time.Second, -500 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		for set := 80.0; set < 110; set += 3 {
			s := newScript(t)
			s.begin("required")
			who := s.invite("patient")
			s.consent(-1, who)
			conn := s.join(0, who, "patient")
			a, v := s.audio(who, conn, 1), s.video(who, conn, 8)
			a.everySR, v.everySR = sec(1.5), sec(1.5)
			a.whole(1, 200)
			v.whole(8, 200)
			s.setWall(scriptZero.Add(sec(set)), step)
			inexact := 0
			for _, tr := range s.build().Participants[0].Tracks {
				for i, c := range tr.Clips {
					start, _ := s.misplaced(c)
					if start.Abs() > 2*time.Millisecond {
						inexact++
					}
					if start.Abs() > 50*time.Millisecond {
						t.Errorf("set by %v at %v s: %s clip %d is misplaced by %v", step, set, tr.Kind, i, start)
					}
				}
			}
			if inexact > 4 {
				t.Errorf("set by %v at %v s: %d clips are misplaced, want those of the moment only", step, set, inexact)
			}
		}
	}
}

// setWall moves the NTP time of all later reports.
func (s *script) setWall(at time.Time, by time.Duration) {
	for i := range s.lines {
		if e, ok := s.lines[i].event.(events.SegmentAnchored); ok {
			for j, a := range e.Anchors {
				if a.NTP != nil && a.NTP.After(at) {
					ntp := a.NTP.Add(by)
					e.Anchors[j].NTP = &ntp
				}
			}
		}
	}
}
