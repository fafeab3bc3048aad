package timeline

import (
	"math"
	"slices"
	"time"
)

// The arithmetic of clocks. Places must come out the same on every machine, so products are converted explicitly, which
// keeps the compiler from fusing them with a sum (Go specification, "Floating-point operators"), and references are
// subtracted as integers before anything becomes a float.

// maxSpan bounds how far from archive time 0 anything may lie; what lies further is nonsense and is moved to the edge.
const maxSpan = 7 * 24 * time.Hour

// ppm500 is the largest rate error that is believed of any clock. Sound cards and crystals stay below 200 ppm.
const ppm500 = 500e-6

// ticks is the nominal time from RTP time a to b in nanoseconds.
func ticks(a, b int64, rate uint32) float64 {
	return mul(float64(saturatingSub(b, a)), 1e9/float64(rate))
}

func mul(a, b float64) float64 { return float64(a * b) }

// round gives the nearest integer, at most ±2^62.
func round(x float64) int64 {
	const limit = 1 << 62
	switch {
	case math.IsNaN(x):
		return 0
	case x >= limit:
		return limit
	case x <= -limit:
		return -limit
	}
	return int64(math.Round(x))
}

func saturatingSub(a, b int64) int64 {
	d := a - b
	switch {
	case b > 0 && d > a:
		return math.MinInt64
	case b < 0 && d < a:
		return math.MaxInt64
	}
	return d
}

func clamp(x, limit float64) float64 { return min(max(x, -limit), limit) }

// median is the middle of xs, or the mean of the middle two. It sorts xs. xs is not empty.
func median(xs []float64) float64 {
	slices.Sort(xs)
	n := len(xs)
	if n%2 == 1 {
		return xs[n/2]
	}
	return mul(xs[n/2-1]+xs[n/2], 0.5)
}
