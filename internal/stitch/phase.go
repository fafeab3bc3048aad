package stitch

import (
	"math"
	"sort"

	"consilium/internal/render"
)

// A camera's frames seldom fall on the frames of the archive. Rounding each to the nearest one moves the picture by up to
// half a frame, always the same way when the camera keeps its rate. So the whole participant is moved by that much
// instead, picture and sound together: then lips and voice fit to a few milliseconds.

// steadiness is how much of the frames must agree on a phase (0 none, 1 all) for it to mean anything. A camera of 25 Hz
// has no phase against 30 Hz; its frames are rounded one by one.
const steadiness = 0.5

// phase is by how much of an output frame the moments (nanoseconds of archive time) lie behind the output frames, in
// (-0.5, 0.5]; 0 when they do not agree.
func phase(moments []int64) float64 {
	var x, y float64
	for _, t := range moments {
		turn := 2 * math.Pi * math.Mod(float64(t)*render.Rate/1e9, 1)
		x, y = x+math.Cos(turn), y+math.Sin(turn)
	}
	if n := float64(len(moments)); n == 0 || math.Hypot(x, y) < steadiness*n {
		return 0
	}
	return math.Atan2(y, x) / (2 * math.Pi)
}

// keepPhase is how far beyond half a frame a phase may grow before it is taken as one frame less: a phase that trembles
// around one half must not jump to and fro.
const keepPhase = 0.55

// follow gives the same phase as p, one turn further where that is nearer to the one before.
func follow(before, p float64) float64 {
	for _, same := range []float64{p - 1, p + 1} {
		if math.Abs(same-before) < math.Abs(p-before) && math.Abs(same) <= keepPhase {
			return same
		}
	}
	return p
}

// shift moves what a participant recorded in a stretch of the archive.
type shift struct {
	from, to int64   // nanoseconds of archive time: the clip's
	phase    float64 // output frames; what was recorded at t is shown at t minus that
}

// shifts of one participant's camera, by time.
type shifts []shift

// at is the phase that holds at a moment; before the first one, the first one.
func (s shifts) at(ns int64) float64 {
	if len(s) == 0 {
		return 0
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].from > ns })
	return s[max(0, i-1)].phase
}

// most is the phase that holds for the longest part of a stretch; where there is no picture in it, the one at its begin.
// Who comes back is often heard before they are seen, and then belongs to the picture that comes, not to the one before.
func (s shifts) most(from, to int64) float64 {
	best, longest := s.at(from), int64(0)
	for _, one := range s {
		if both := min(one.to, to) - max(one.from, from); both > longest {
			best, longest = one.phase, both
		}
	}
	return best
}

// nanoseconds is a phase as a time.
func nanoseconds(phase float64) float64 { return phase * 1e9 / render.Rate }
