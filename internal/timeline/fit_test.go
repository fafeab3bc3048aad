package timeline

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFitLine draws anchors from a known line and asks for a point of it.
func TestFitLine(t *testing.T) {
	const rate = 48000
	type anchor struct{ at, off float64 } // seconds; ms off the line
	regular := func(n int, step float64, wild ...anchor) []anchor {
		var as []anchor
		for i := range n {
			as = append(as, anchor{at: float64(i) * step})
		}
		return append(as, wild...)
	}
	for _, tt := range []struct {
		name    string
		ppm     float64
		anchors []anchor
		at      float64
		limit   time.Duration
	}{
		{"one anchor", 0, regular(1, 1), 10, 0},
		{"two anchors are not enough for a slope", 300, regular(2, 20), 0, 3100 * time.Microsecond},
		{"four anchors over ten seconds are", 300, regular(4, 4), 30, time.Microsecond},
		{"four anchors over nine seconds are not", 300, regular(4, 3), 0, 1400 * time.Microsecond},
		{"a slope of more than 500 ppm is nobody's", 2000, regular(10, 2), 9, time.Millisecond},
		{"the first of four is wild", 0, regular(3, 4, anchor{-4, 9.5}), 20, time.Microsecond},
		{"two of six are wild", 100, regular(4, 5, anchor{-5, 900}, anchor{17, -4000}), 20, time.Microsecond},
		{"five of eleven are wild", -200, regular(6, 4, anchor{1, 50}, anchor{5, 60}, anchor{9, 70}, anchor{13, 40}, anchor{17, 30}), 10, time.Microsecond},
		{"hundreds of anchors", 250, regular(400, 0.2), 80, time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := func(at float64) int64 { return int64(math.Round(at * 1e9 * (1 + tt.ppm*1e-6))) }
			var ps []point
			for _, a := range tt.anchors {
				ps = append(ps, point{rtp: int64(math.Round(a.at * rate)), ntp: line(a.at) + int64(a.off*1e6), timed: true})
			}
			f, kept, ok := fitLine(ps, rate, 0)
			if !ok {
				t.Fatal("no line")
			}
			for i, a := range tt.anchors {
				if a.off != 0 && slices.Contains(kept, ps[i]) {
					t.Errorf("the anchor at %v s, %v ms off, was kept", a.at, a.off)
				}
			}
			if off := time.Duration(f.ntp(int64(tt.at*rate)) - line(tt.at)); off.Abs() > tt.limit {
				t.Errorf("%v off at %v s, slope %v ppm", off, tt.at, f.slope*1e6)
			}
		})
	}
	if _, _, ok := fitLine([]point{{rtp: 1, arrival: 2}}, rate, 0); ok {
		t.Error("a line through points without NTP time")
	}
}

// TestUnder: the envelope lies below every sample and finds offset and drift under random delays.
func TestUnder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for _, ppm := range []float64{-400, -50, 0, 50, 400} {
		var ss []sample
		for x := 0.0; x < 60e9; x += 0.7e9 {
			ss = append(ss, sample{x, 5e6 + x*ppm*1e-6 + random.ExpFloat64()*8e6})
		}
		e := under(ss, offsetSlopeSpan)
		for _, s := range ss {
			if e.y(s.x) > s.y+1 {
				t.Errorf("%v ppm: the envelope lies above a sample at %v", ppm, s.x)
			}
		}
		if off := e.y(30e9) - (5e6 + 30e9*ppm*1e-6); off < 0 || off > 2e6 {
			t.Errorf("%v ppm: %v ms above the truth in the middle", ppm, off/1e6)
		}
		if e.spread < 2e6 || e.spread > 12e6 {
			t.Errorf("%v ppm: spread %v ms of delays of 8 ms in the mean", ppm, e.spread/1e6)
		}
	}
	if e := under([]sample{{0, 7}}, offsetSlopeSpan); e.y(1e12) != 7 {
		t.Errorf("one sample gives %v", e.y(1e12))
	}
	if e := under([]sample{{0, 7}, {5e9, 3}, {5e9, 9}}, offsetSlopeSpan); e.y(0) != 3 || e.slope != 0 {
		t.Errorf("samples close together have a slope: %+v", e)
	}
}

// TestAHintOfASlope: few reports over a short time say something of a rate when they agree, and nothing when they do not.
func TestAHintOfASlope(t *testing.T) {
	const rate = 48000
	at := func(off ...float64) []point { // ms, one every four seconds
		var ps []point
		for i, ms := range off {
			ps = append(ps, point{rtp: int64(4*i) * rate, ntp: int64(4*i)*1e9 + int64(ms*1e6), arrival: int64(4*i) * 1e9, timed: true, report: true})
		}
		return ps
	}
	for _, tt := range []struct {
		name     string
		ps       []point
		from, to float64 // ppm
	}{
		{"three on a line of 150 ppm are believed by half", at(0, 0.6, 1.2), 60, 110},
		{"two say nothing", at(0, 0.6), 0, 0},
		{"three of which one is wild say nothing", at(9.5, 0.6, 1.2), 0, 0},
		{"a line that no clock has says nothing", at(0, 4, 8), 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, _, ok := fitLine(tt.ps, rate, 0)
			if got := f.slope * 1e6; !ok || got < tt.from || got > tt.to || f.sloped {
				t.Errorf("slope %.1f ppm (sure: %v), want %v to %v and not sure", got, f.sloped, tt.from, tt.to)
			}
		})
	}
}
