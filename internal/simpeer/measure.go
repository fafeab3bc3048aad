package simpeer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"consilium/internal/media"
)

// Moment is something that was captured.
type Moment struct {
	Media time.Duration // position in what the participant would have sent since its capture began
	At    time.Time     // the clock of the test
}

// SentFrame is one frame, or one packet of sound, that a participant gave to the network.
type SentFrame struct {
	Source   media.Source
	SSRC     uint32
	RTP      uint32    // timestamp, as sent
	Captured time.Time // the clock of the test
	At       time.Time // when it was sent, which on a busy machine is later
}

// Sent is what a participant captured and sent.
type Sent struct {
	Spec    Spec
	Flashes []Moment
	Beeps   []Moment
	Spoiled int // beeps that are not listed because the network lost a part of them
}

// Report compares a video with what was sent. Offsets are by how much what comes first in the name is late.
type Report struct {
	// AV holds, for each second whose flash and beep were both found, how late the beep is against its flash.
	AV []time.Duration
	// Cross holds, for each second and pair of participants, how late the flash of one is against that of the other.
	Cross []time.Duration
	// Placement holds, for each flash that was found, how late it is in the video.
	Placement      []time.Duration
	MissingFlashes []Moment
	MissingBeeps   []Moment
}

// nearby is how far from its place a flash or a beep may be and still be taken for itself.
const nearby = 400 * time.Millisecond

// Measure finds what was sent in what was read. Start is the time that is 0 in the video.
func Measure(start time.Time, sent []Sent, shots map[int][]Shot, beeps map[int][]time.Duration) Report {
	var r Report
	late := make([]map[time.Duration]time.Duration, len(sent)) // by second of the video
	for i, s := range sent {
		late[i] = map[time.Duration]time.Duration{}
		flashes := r.flashes(start, s, shots[s.Spec.Who])
		for _, m := range s.Flashes {
			if f, ok := flashes[m.Media]; ok {
				late[i][f.expected.Round(time.Second)] = f.late
				r.Placement = append(r.Placement, f.late)
			}
		}
		for _, b := range s.Beeps {
			expected := b.At.Sub(start)
			found, ok := nearest(beeps[s.Spec.Tone], expected)
			if !ok {
				r.MissingBeeps = append(r.MissingBeeps, b)
				continue
			}
			if f, ok := flashes[b.Media]; ok {
				r.AV = append(r.AV, found-expected-f.late)
			}
		}
		for j := range i {
			for _, second := range slices.Sorted(maps.Keys(late[i])) {
				if other, ok := late[j][second]; ok {
					r.Cross = append(r.Cross, late[i][second]-other)
				}
			}
		}
	}
	return r
}

// placed is a flash that was found.
type placed struct{ expected, late time.Duration }

// flashes finds the flashes of one participant, by their position in its media.
func (r *Report) flashes(start time.Time, s Sent, shots []Shot) map[time.Duration]placed {
	found := map[time.Duration]placed{}
	for _, f := range s.Flashes {
		expected := f.At.Sub(start)
		number := int(f.Media.Seconds()*FPS+0.5) % s.Spec.Frames()
		at, ok := flashAt(shots, number, s.Spec.Frames(), expected)
		if !ok {
			r.MissingFlashes = append(r.MissingFlashes, f)
			continue
		}
		found[f.Media] = placed{expected: expected, late: at - expected}
	}
	return found
}

// flashAt finds when the frame with this number, which begins a flash, is shown. When the video left that very frame
// out, one of the next tells.
func flashAt(shots []Shot, number, frames int, expected time.Duration) (time.Duration, bool) {
	for _, s := range shots {
		into := (s.Number - number + frames) % frames
		if !s.Flash || into >= flashFrames {
			continue
		}
		at := s.At - time.Duration(into)*time.Second/FPS
		if (at - expected).Abs() < nearby {
			return at, true
		}
	}
	return 0, false
}

func nearest(times []time.Duration, to time.Duration) (time.Duration, bool) {
	best, ok := time.Duration(0), false
	for _, t := range times {
		if d := (t - to).Abs(); d < nearby && (!ok || d < (best-to).Abs()) {
			best, ok = t, true
		}
	}
	return best, ok
}

// P95 is the value that 95 of 100 of the absolute offsets do not exceed; 0 of none.
func P95(offsets []time.Duration) time.Duration {
	if len(offsets) == 0 {
		return 0
	}
	sizes := make([]time.Duration, len(offsets))
	for i, o := range offsets {
		sizes[i] = o.Abs()
	}
	slices.Sort(sizes)
	return sizes[int(math.Ceil(0.95*float64(len(sizes))))-1]
}

// Median is the middle of the offsets; 0 of none.
func Median(offsets []time.Duration) time.Duration {
	if len(offsets) == 0 {
		return 0
	}
	sorted := slices.Clone(offsets)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// String is one line of figures.
func (r Report) String() string {
	ms := func(d time.Duration) string {
		return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)), "0"), ".")
	}
	return fmt.Sprintf("av_offset_p95_ms=%s cross_offset_p95_ms=%s missing_flashes=%d missing_beeps=%d",
		ms(P95(r.AV)), ms(P95(r.Cross)), len(r.MissingFlashes), len(r.MissingBeeps))
}
