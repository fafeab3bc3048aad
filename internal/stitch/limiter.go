package stitch

import "consilium/internal/ffmpeg"

const (
	ceiling = 0.95 // no sample is louder
	// lookAhead is how long before a peak the sound is turned down: 5 ms.
	lookAhead = 5 * ffmpeg.SampleRate / 1000
	// recovery is the share of the missing gain that comes back with each sample: about 100 ms.
	recovery = 1.0 / (ffmpeg.SampleRate / 10)
)

// limiter turns sound down just before it would clip, when several people speak at once, and back up slowly. What comes
// out is lookAhead-1 samples behind what goes in.
type limiter struct {
	n        int64
	delayed  [lookAhead]frame
	wanted   float64            // gain, recovering
	lows     []low              // candidates for the least gain wanted in the last lookAhead samples, rising
	smoothed [lookAhead]float64 // the least gains of the last lookAhead samples
	sum      float64            // of smoothed
}

type low struct {
	n    int64
	gain float64
}

func newLimiter() *limiter {
	l := &limiter{wanted: 1, sum: lookAhead}
	for i := range l.smoothed {
		l.smoothed[i] = 1
	}
	return l
}

// next takes a sample and gives the one from lookAhead-1 samples ago. The gain of every sample is the mean of minima that
// all have its own peak in view, so it is never too high.
func (l *limiter) next(in frame) frame {
	l.wanted += (1 - l.wanted) * recovery
	for _, v := range in {
		if v < 0 {
			v = -v
		}
		if g := ceiling / float64(v); g < l.wanted {
			l.wanted = g
		}
	}
	for len(l.lows) > 0 && l.lows[len(l.lows)-1].gain >= l.wanted {
		l.lows = l.lows[:len(l.lows)-1]
	}
	l.lows = append(l.lows, low{l.n, l.wanted})
	if l.lows[0].n <= l.n-lookAhead {
		l.lows = append(l.lows[:0], l.lows[1:]...)
	}
	at := l.n % lookAhead
	l.sum += l.lows[0].gain - l.smoothed[at]
	l.smoothed[at] = l.lows[0].gain
	l.delayed[at] = in
	l.n++
	out := l.delayed[l.n%lookAhead]
	gain := float32(min(1, l.sum/lookAhead))
	for c := range out {
		out[c] *= gain
	}
	return out
}
