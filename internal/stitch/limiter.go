package stitch

import (
	"slices"

	"consilium/internal/ffmpeg"
)

const (
	ceiling = 0.95 // no sample is louder
	// lookAhead is how long before a peak the sound is turned down: 5 ms.
	lookAhead = 5 * ffmpeg.SampleRate / 1000
	// recovery is the share of the missing gain that comes back with each sample: about 100 ms.
	recovery = 1.0 / (ffmpeg.SampleRate / 10)
	// recovered is so little missing that no sample would be another one.
	recovered = 1e-9
)

// limiter turns sound down just before it would clip, when several people speak at once, and back up slowly. What comes
// out is lookAhead-1 samples behind what goes in. Most of the time there is nothing to turn down: then it rests.
type limiter struct {
	line     *block             // the last samples that went in, and behind them the block that goes through
	gains    []float32          // of the block that goes through
	wanted   float64            // gain, recovering
	full     int                // for how many samples no other gain than 1 was wanted
	n        int64              // samples that went in, rests left out
	lows     lows               // candidates for the least gain wanted in the last lookAhead samples, rising
	smoothed [lookAhead]float64 // the least gains of the last lookAhead samples
	sum      float64            // of smoothed
}

// restful is for how many samples no other gain than 1 was wanted when nothing is left of what was before.
const restful = 2 * lookAhead

func newLimiter() *limiter {
	l := &limiter{line: newBlock(lookAhead - 1 + mixBlock), gains: make([]float32, mixBlock), wanted: 1, full: restful, sum: lookAhead}
	for i := range l.smoothed {
		l.smoothed[i] = 1
	}
	return l
}

// next takes a block of at most mixBlock samples and puts those in their place that come out.
func (l *limiter) next(b *block) {
	const held = lookAhead - 1
	if !b.single {
		l.line.separate()
	}
	for c, line := range l.line.different() {
		copy(line[held:], b.channel(c))
	}
	turned := l.follow(b)
	for c, line := range l.line.different() {
		out := b.channels[c]
		copy(out, line)
		if turned {
			for i, g := range l.gains[:len(out)] {
				out[i] *= g
			}
		}
		copy(line, line[len(out):][:held])
	}
	b.single = l.line.single
	l.line.single = l.line.single || slices.Equal(l.line.channels[0][:held], l.line.channels[1][:held])
}

// follow finds the gain of each sample that comes out when b goes in; false when all are 1. Each is the mean of minima that
// all have its own peak in view, so it is never too high.
func (l *limiter) follow(b *block) (turned bool) {
	gains, left, right := l.gains[:b.len()], b.channels[0], b.channel(1)[:b.len()]
	for i := range gains {
		peak := louder(left[i], right[i])
		if l.full >= restful && peak <= ceiling {
			gains[i] = 1
			continue
		}
		gains[i] = l.gain(float64(peak))
		turned = true
	}
	return turned
}

// louder is the level of the louder one of two samples. The built-in max thinks of numbers that are none, and takes longer.
func louder(a, b float32) float32 {
	if a < 0 {
		a = -a
	}
	if b < 0 {
		b = -b
	}
	if a < b {
		return b
	}
	return a
}

// gain takes the level of a sample and gives the gain of the one from lookAhead-1 samples ago.
func (l *limiter) gain(peak float64) float32 {
	l.full++
	l.wanted += (1 - l.wanted) * recovery
	if peak*l.wanted > ceiling {
		l.wanted = ceiling / peak
	}
	if 1-l.wanted > recovered {
		l.full = 0
	} else {
		l.wanted = 1
	}
	at := l.n % lookAhead
	least := l.lows.least(l.n, l.wanted)
	l.sum += least - l.smoothed[at]
	l.smoothed[at] = least
	l.n++
	if l.full == restful {
		l.sum = lookAhead // whatever rounding has left
	}
	return float32(min(1, l.sum/lookAhead))
}

// lows finds the least of the last lookAhead gains. Those wait in it that may become the least one, each greater than the
// one before it.
type lows struct {
	waiting    [256]low // more than lookAhead, and its places go round by themselves
	first, end uint8
}

type low struct {
	n    int64
	gain float64
}

// least takes the nth gain.
func (l *lows) least(n int64, gain float64) float64 {
	for l.end != l.first && l.waiting[l.end-1].gain >= gain {
		l.end--
	}
	l.waiting[l.end] = low{n, gain}
	l.end++
	if l.waiting[l.first].n <= n-lookAhead {
		l.first++
	}
	return l.waiting[l.first].gain
}
