package timeline

import (
	"math"
	"slices"
	"time"
)

// point is one observation of a sender's clock. Times are nanoseconds of archive time; the sender's own clock is only
// expressed on that scale, it may be years away.
type point struct {
	rtp     int64
	ntp     int64 // of the sender's clock, where timed
	arrival int64 // on the conference clock
	timed   bool  // ntp is known
	report  bool  // from a sender report
	rtt     int64 // 0 when unknown
}

// fit is a straight line through the anchors of one RTP clock: the sender's NTP time of an RTP time.
type fit struct {
	r0, n0 int64   // a point of reference
	rate   uint32  // nominal, Hz
	offset float64 // ns above n0 at r0
	slope  float64 // relative deviation from the nominal rate
	spread float64 // ns: how well the anchors agree
	report bool    // at least one sender report is among them
	sloped bool    // there were anchors enough for a slope; else it is what was assumed, moved by a hint
	wild   bool    // the anchors go by a rate that no clock has: their NTP or RTP times drift or were set
}

const (
	minSlopeAnchors = 4
	minSlopeSpan    = 10 * float64(time.Second)
	minPairSpan     = float64(time.Second) // closer anchors say nothing about a slope
	maxPairAnchors  = 64                   // of more, every n-th is used for the slope
	outlierFloor    = float64(time.Millisecond)
	lonelySpread    = 10 * float64(time.Millisecond) // one first sender report has been seen 9.5 ms off
	fewSpread       = 2 * float64(time.Millisecond)
	wildSlope       = 600e-6 // what is believed of a clock, and a little for the anchors' noise
)

// fitLine fits the timed points of ps (in order of arrival) and returns those of them that lie on the line. ok is false
// when there are none.
//
// Few or close anchors fix only the offset (their median), and the slope is the assumed one, moved toward what they hint at;
// from four anchors over ten seconds on, it is a median of slopes. What then lies more than three median deviations off is
// dropped and the offset is taken again.
func fitLine(ps []point, rate uint32, assumed float64) (f fit, kept []point, ok bool) {
	var xs, ys []float64
	for _, p := range ps {
		if !p.timed {
			continue
		}
		if len(kept) == 0 {
			f = fit{r0: p.rtp, n0: p.ntp, rate: rate}
		}
		x := ticks(f.r0, p.rtp, rate)
		xs = append(xs, x)
		ys = append(ys, float64(saturatingSub(p.ntp, f.n0))-x)
		kept = append(kept, p)
	}
	if len(kept) == 0 {
		return fit{}, nil, false
	}
	f.slope = assumed
	if len(kept) >= minSlopeAnchors && extent(xs) >= minSlopeSpan {
		slope := medianSlope(xs, ys)
		f.slope, f.wild, f.sloped = clamp(slope, ppm500), math.Abs(slope) > wildSlope, true
	} else if slope, ok := hint(xs, ys); ok {
		f.slope += mul(hintWeight(xs), slope-f.slope)
	}
	f.offset = median(residuals(xs, ys, f.slope, 0))
	limit := max(3*median(absolute(residuals(xs, ys, f.slope, f.offset))), outlierFloor)
	n := 0
	for i, r := range residuals(xs, ys, f.slope, f.offset) {
		if math.Abs(r) <= limit || len(xs) < 3 {
			xs[n], ys[n], kept[n] = xs[i], ys[i], kept[i]
			n++
		}
	}
	xs, ys, kept = xs[:n], ys[:n], kept[:n]
	f.offset = median(residuals(xs, ys, f.slope, 0))
	f.spread = spreadOf(residuals(xs, ys, f.slope, f.offset))
	for _, p := range kept {
		f.report = f.report || p.report
	}
	return f, kept, true
}

// What hint goes by: how far the rates of clocks lie from nominal, and how exact a report is (both one sigma, guessed
// from what browsers and phones have shown), and how well three must agree.
const (
	usualSlope   = 100e-6
	reportNoise  = 0.5 * float64(time.Millisecond)
	hintAnchors  = 3
	hintAgreeing = 0.5 * float64(time.Millisecond)
)

// hint is the slope of anchors that are too few or too close to be sure of one, when they lie on one line that a clock can
// have.
func hint(xs, ys []float64) (slope float64, ok bool) {
	if len(xs) < hintAnchors {
		return 0, false
	}
	slope = medianSlope(xs, ys)
	rs := residuals(xs, ys, slope, 0)
	return slope, math.Abs(slope) <= ppm500 && slices.Max(rs)-slices.Min(rs) <= hintAgreeing
}

// hintWeight is how much of a hint is believed: the least-squares estimate that knows beforehand how far clocks lie from
// their nominal rate (ridge regression), for anchors at these xs.
func hintWeight(xs []float64) float64 {
	mean, spread := 0.0, 0.0
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		spread += mul(x-mean, x-mean)
	}
	prior := mul(usualSlope, usualSlope)
	return prior / (prior + mul(reportNoise, reportNoise)/spread)
}

const (
	stepLeast = 20 * float64(time.Millisecond) // by which a wall clock is set, to be told from a crystal's drift
	stepNoise = 10 * float64(time.Millisecond) // how well the anchors beside it agree
)

// oneSide is the points on the side of the moment now (by arrival) of every step of the sender's wall clock among ps: two
// anchors that agree, and behind them two others that agree and lie elsewhere.
func oneSide(ps []point, rate uint32, now int64) []point {
	var timed []int
	for i, p := range ps {
		if p.timed {
			timed = append(timed, i)
		}
	}
	gap := func(i, j int) float64 { // how much more NTP time than RTP time lies between two anchors
		a, b := ps[timed[i]], ps[timed[j]]
		return float64(saturatingSub(b.ntp, a.ntp)) - ticks(a.rtp, b.rtp, rate)
	}
	from, to := 0, len(ps)
	for j := 2; j+1 < len(timed); j++ {
		apart := math.Abs(ticks(ps[timed[j-1]].rtp, ps[timed[j]].rtp, rate))
		if math.Abs(gap(j-1, j)) < stepLeast+mul(wildSlope, apart) || math.Abs(gap(j-2, j-1)) > stepNoise || math.Abs(gap(j, j+1)) > stepNoise {
			continue
		}
		switch at := timed[j]; {
		case ps[at].arrival > now:
			to = min(to, at)
		default:
			from = max(from, at)
		}
	}
	return ps[from:max(from, to)]
}

// ntp is the sender's NTP time of rtp.
func (f fit) ntp(rtp int64) int64 {
	x := ticks(f.r0, rtp, f.rate)
	return saturatingSub(f.n0, -round(x+f.offset+mul(f.slope, x)))
}

// spreadOf is the largest residual, and more where so few anchors agree that it means little.
func spreadOf(residuals []float64) float64 {
	worst := 0.0
	for _, r := range residuals {
		worst = max(worst, math.Abs(r))
	}
	switch n := len(residuals); {
	case n == 1:
		worst += lonelySpread
	case n < minSlopeAnchors:
		worst += fewSpread
	}
	return worst
}

// medianSlope is the repeated median of Siegel (Biometrika 69, 1982): of the median slopes from each anchor to all others
// the median. It is Theil–Sen made sturdier: there one bad anchor of four already moves the line; here that takes two,
// and of many nearly half.
func medianSlope(xs, ys []float64) float64 {
	step := max(1, (len(xs)+maxPairAnchors-1)/maxPairAnchors)
	var medians, slopes []float64
	for i := 0; i < len(xs); i += step {
		slopes = slopes[:0]
		for j := 0; j < len(xs); j += step {
			if dx := xs[j] - xs[i]; math.Abs(dx) >= minPairSpan {
				slopes = append(slopes, (ys[j]-ys[i])/dx)
			}
		}
		if len(slopes) > 0 {
			medians = append(medians, median(slopes))
		}
	}
	if len(medians) == 0 {
		return 0
	}
	return median(medians)
}

func residuals(xs, ys []float64, slope, offset float64) []float64 {
	rs := make([]float64, len(xs))
	for i := range xs {
		rs[i] = ys[i] - mul(slope, xs[i]) - offset
	}
	return rs
}

func absolute(xs []float64) []float64 {
	for i := range xs {
		xs[i] = math.Abs(xs[i])
	}
	return xs
}

func extent(xs []float64) float64 {
	lo, hi := xs[0], xs[0]
	for _, x := range xs {
		lo, hi = min(lo, x), max(hi, x)
	}
	return hi - lo
}
