package timeline

import (
	"cmp"
	"slices"
	"time"
)

// sample is one delay observation: at x the difference between two clocks was y, of which an unknown, never negative
// part is delay on the way. Both in nanoseconds.
type sample struct{ x, y float64 }

// envelope is the line below all samples that lies closest to them: the difference of the clocks plus the least delay.
type envelope struct {
	at     float64 // x of reference
	value  float64 // y there
	slope  float64
	lo, hi float64 // the samples' x; the line is not drawn beyond them
	spread float64 // how far the samples lie above it, median
}

// under fits the envelope. Over less than slopeSpan it is level. ss is not empty; under sorts it.
//
// Of all lines below every sample, the one with the least sum of distances is the edge of the lower convex hull above the
// samples' mean x (Moon, Skelly and Towsley, "Estimation and removal of clock skew from network delay measurements",
// INFOCOM 1999).
func under(ss []sample, slopeSpan float64) envelope {
	slices.SortFunc(ss, func(a, b sample) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	e := envelope{lo: ss[0].x, hi: ss[len(ss)-1].x}
	e.at = e.lo
	if e.hi-e.lo >= slopeSpan {
		e.slope = clamp(hullSlope(ss), ppm500)
	}
	above := make([]float64, len(ss))
	for i, s := range ss {
		above[i] = s.y - mul(e.slope, s.x-e.at)
	}
	e.value = slices.Min(above)
	e.spread = median(above) - e.value
	return e
}

// y is the envelope at x, which is moved into the range of the samples.
func (e envelope) y(x float64) float64 {
	return e.value + mul(e.slope, min(max(x, e.lo), e.hi)-e.at)
}

// hullSlope is the slope of the lower hull's edge at the mean x of ss, which is sorted.
func hullSlope(ss []sample) float64 {
	mean := 0.0
	for _, s := range ss {
		mean += (s.x - ss[0].x) / float64(len(ss))
	}
	mean += ss[0].x
	var hull []sample
	for _, s := range ss {
		for len(hull) > 0 && hull[len(hull)-1].x == s.x && hull[len(hull)-1].y > s.y {
			hull = hull[:len(hull)-1]
		}
		if len(hull) > 0 && hull[len(hull)-1].x == s.x {
			continue
		}
		for len(hull) > 1 && !convex(hull[len(hull)-2], hull[len(hull)-1], s) {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, s)
	}
	for i := 1; i < len(hull); i++ {
		if hull[i].x >= mean {
			return (hull[i].y - hull[i-1].y) / (hull[i].x - hull[i-1].x)
		}
	}
	return 0
}

// convex says whether b lies below the line from a to c.
func convex(a, b, c sample) bool {
	return mul(b.y-a.y, c.x-a.x) < mul(c.y-a.y, b.x-a.x)
}

// Spans over which an envelope may have a slope.
const (
	offsetSlopeSpan  = 20 * float64(time.Second)
	arrivalSlopeSpan = 45 * float64(time.Second) // packets jitter more than reports
)
