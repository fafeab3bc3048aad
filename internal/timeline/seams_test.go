package timeline

import (
	"testing"
	"time"

	"consilium/internal/media"
)

// TestSoundHasNoSeams: where one file of a track goes on on the very next sample of the one before, the archive does too,
// whatever the noise of the clocks says.
func TestSoundHasNoSeams(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	a := s.audio(who, s.join(0, who, "patient"), 1)
	a.ppm, a.jitter, a.everySR = 120, 15*time.Millisecond, sec(1.7)
	a.whole(1, 300)
	s.end(300.1)
	clips := s.build().Participants[0].Tracks[0].Clips
	for i, c := range clips[:len(clips)-1] {
		file := time.Duration(c.Frames) * 20 * time.Millisecond
		shown := time.Duration(float64(c.EndNS-c.StartNS) * c.Rate)
		if (shown-file).Abs() > time.Microsecond || c.EndNS != clips[i+1].StartNS {
			t.Errorf("clip %d shows %v of %v, and the next one begins %v later", i, shown, file, time.Duration(clips[i+1].StartNS-c.EndNS))
		}
		if start, _ := s.misplaced(c); start.Abs() > 10*time.Millisecond {
			t.Errorf("clip %d is misplaced by %v: the seams add up", i, start)
		}
	}
}

// TestFileWithAHole: what was lost inside a file is a gap between two clips of it, from the end of the last frame to the
// next one.
func TestFileWithAHole(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	v := s.video(who, s.join(0, who, "patient"), 1)
	v.whole(1, 25)
	late := (v.delay + s.packet[media.Video]).Seconds()
	s.add(16, who, gap(v, 15+late, 16+late, "loss"))
	s.add(19, who, gap(v, 18+late, 18.15+late, "loss"))
	s.end(25.1)
	tr := s.build().Participants[0].Tracks[0]
	if len(tr.Clips) != 2 || len(tr.Gaps) != 1 || tr.Clips[0].Segment != tr.Clips[1].Segment {
		t.Fatalf("clips %+v, gaps %+v", tr.Clips, tr.Gaps)
	}
	near := func(got int64, want time.Duration) bool { return (time.Duration(got) - want).Abs() < time.Millisecond }
	first, second := tr.Clips[0], tr.Clips[1]
	if !near(first.EndNS, sec(15)+time.Second/30) || !near(second.StartNS, sec(16)) || !near(second.FileStartNS, sec(15)) {
		t.Errorf("the hole lies from %d to %d, file time %d", first.EndNS, second.StartNS, second.FileStartNS)
	}
	if first.ConcealedNS != 0 || !near(second.ConcealedNS, 150*time.Millisecond-time.Second/30) {
		t.Errorf("concealed %d and %d", first.ConcealedNS, second.ConcealedNS)
	}
}
