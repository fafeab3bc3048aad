package stitch

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"consilium/internal/ffmpeg"
)

// Reading sound between two samples: a windowed sinc over the neighbours, good to the edge of hearing and exact where
// the place is a whole sample.
const (
	taps   = 16 // neighbours that count, half of them on either side
	before = taps/2 - 1
	phases = 1024
)

// kernel holds the weights of the neighbours of a place between two samples.
type kernel [taps]float32

// kernels are those of phases places from one sample to the next.
var kernels = func() (k [phases + 1]kernel) {
	for p := range k {
		var sum float64
		var w [taps]float64
		for i := range w {
			x := float64(i-before) - float64(p)/phases
			w[i] = sinc(x) * window(x/(taps/2))
			sum += w[i]
		}
		for i := range w {
			k[p][i] = float32(w[i] / sum)
		}
	}
	return k
}()

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	if x == math.Trunc(x) {
		return 0
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// window is Blackman's, for x from -1 to 1.
func window(x float64) float64 {
	if math.Abs(x) >= 1 {
		return 0
	}
	return 0.42 + 0.5*math.Cos(math.Pi*x) + 0.08*math.Cos(2*math.Pi*x)
}

// of is the sound in the middle of its neighbours. It is added up in four parts because a processor is faster then.
func (k *kernel) of(near *[taps]float32) float32 {
	a := k[0]*near[0] + k[4]*near[4] + k[8]*near[8] + k[12]*near[12]
	b := k[1]*near[1] + k[5]*near[5] + k[9]*near[9] + k[13]*near[13]
	c := k[2]*near[2] + k[6]*near[6] + k[10]*near[10] + k[14]*near[14]
	d := k[3]*near[3] + k[7]*near[7] + k[11]*near[11] + k[15]*near[15]
	return a + b + (c + d)
}

// source reads decoded sound forwards and gives it between the samples. Before the first and behind the last sample
// there is silence.
type source struct {
	r     io.Reader
	base  int64                      // number of the first sample in held
	held  [ffmpeg.Channels][]float32 // by channel
	apart int64                      // number behind the last sample of which the channels are not the same
	ended bool
	raw   []byte
	out   *block
}

func newSource(r io.Reader, base int64) *source {
	return &source{r: r, base: base, apart: base, raw: make([]byte, readAhead*decodedBytes), out: newBlock(mixBlock)}
}

// A place is counted in parts of a sample: 2^33 samples are more than two days.
const (
	partBits  = 30
	phaseBits = 10 // of phases
)

func parts(samples float64) int64 { return int64(math.Round(samples * (1 << partBits))) }

// read gives samples of sound, at most mixBlock, the first at place and each next one a step further. They are good until
// the next read. Places never go back by more than a few samples.
func (s *source) read(place, step float64, samples int) (*block, error) {
	at, by := parts(place), parts(step)
	first, last := at>>partBits-before, (at+int64(samples-1)*by)>>partBits-before+taps
	if err := s.reach(first, last); err != nil {
		return nil, err
	}
	out := s.out.part(0, samples)
	out.single = s.apart <= first
	for c, sound := range out.different() {
		s.between(sound, s.held[c], at-s.base<<partBits, by)
	}
	return out, nil
}

// between fills out with what lies at a place in held and, each time, by further on.
func (s *source) between(out, held []float32, at, by int64) {
	const part, half = 1<<partBits - 1, 1 << (partBits - phaseBits - 1)
	for i := range out {
		n := at>>partBits - before
		k := &kernels[(at&part+half)>>(partBits-phaseBits)]
		if n >= 0 && n+taps <= int64(len(held)) {
			out[i] = k.of((*[taps]float32)(held[n:]))
		} else {
			out[i] = k.of(edgeOf(held, n))
		}
		at += by
	}
}

// edgeOf are the samples from the nth on, with silence around what is held.
func edgeOf(held []float32, n int64) *[taps]float32 {
	var near [taps]float32
	for i := range near {
		if at := n + int64(i); at >= 0 && at < int64(len(held)) {
			near[i] = held[at]
		}
	}
	return &near
}

const (
	// readAhead is how many samples are read at once.
	readAhead = 8192
	// decodedBytes is the size of a sample of all channels as decoders write it.
	decodedBytes = 2 * ffmpeg.Channels
)

// reach reads until sample end-1 is held and forgets what lies well before first.
func (s *source) reach(first, end int64) error {
	for {
		if drop := min(first-s.base-readAhead, int64(len(s.held[0]))); drop > readAhead {
			for c, all := range s.held {
				s.held[c] = append(all[:0], all[drop:]...)
			}
			s.base += drop
		}
		if s.ended || s.base+int64(len(s.held[0])) >= end {
			return nil
		}
		n, err := io.ReadFull(s.r, s.raw)
		s.take(s.raw[:n-n%decodedBytes])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			s.ended = true
		case err != nil:
			return err
		}
	}
}

// take puts samples behind those that are held.
func (s *source) take(raw []byte) {
	left, right := s.held[0], s.held[1]
	for ; len(raw) >= decodedBytes; raw = raw[decodedBytes:] {
		l, r := int16(binary.LittleEndian.Uint16(raw)), int16(binary.LittleEndian.Uint16(raw[2:]))
		left, right = append(left, float32(l)/ffmpeg.FullScale), append(right, float32(r)/ffmpeg.FullScale)
		if l != r {
			s.apart = s.base + int64(len(left))
		}
	}
	s.held[0], s.held[1] = left, right
}
