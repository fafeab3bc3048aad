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
	phases = 1024
)

// kernels holds the weights of the neighbours for each place between two samples.
var kernels = func() (k [phases + 1][taps]float32) {
	for p := range k {
		var sum float64
		var w [taps]float64
		for i := range w {
			x := float64(i-(taps/2-1)) - float64(p)/phases
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

// frame is one moment of sound: a sample for each channel.
type frame [ffmpeg.Channels]float32

// frameBytes is its size between processes.
const frameBytes = 4 * ffmpeg.Channels

// source reads decoded sound forwards and gives it between the samples. Before the first and behind the last sample
// there is silence.
type source struct {
	r     io.Reader
	base  int64 // number of the first sample in held
	held  []frame
	ended bool
	raw   []byte
}

// at is the sound at place. Places never go back by more than a few samples.
func (s *source) at(place float64) (frame, error) {
	whole := math.Floor(place)
	first := int64(whole) - (taps/2 - 1)
	if err := s.reach(first, first+taps); err != nil {
		return frame{}, err
	}
	kernel := &kernels[int(math.Round((place-whole)*phases))]
	var out frame
	n := first - s.base
	if n >= 0 && n+taps <= int64(len(s.held)) {
		near := (*[taps]frame)(s.held[n:])
		for i, weight := range kernel {
			out[0] += weight * near[i][0]
			out[1] += weight * near[i][1]
		}
		return out, nil
	}
	for i, weight := range kernel {
		if k := n + int64(i); k >= 0 && k < int64(len(s.held)) {
			out[0] += weight * s.held[k][0]
			out[1] += weight * s.held[k][1]
		}
	}
	return out, nil
}

// readAhead is how many samples are read at once.
const readAhead = 4096

// reach reads until sample end-1 is held and forgets what lies well before first.
func (s *source) reach(first, end int64) error {
	if drop := first - s.base - readAhead; drop > readAhead && drop < int64(len(s.held)) {
		s.held = append(s.held[:0], s.held[drop:]...)
		s.base += drop
	}
	for !s.ended && s.base+int64(len(s.held)) < end {
		if s.raw == nil {
			s.raw = make([]byte, readAhead*frameBytes)
		}
		n, err := io.ReadFull(s.r, s.raw)
		for b := s.raw[:n-n%frameBytes]; len(b) > 0; b = b[frameBytes:] {
			var f frame
			for c := range f {
				f[c] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*c:]))
			}
			s.held = append(s.held, f)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			s.ended = true
		case err != nil:
			return err
		}
	}
	return nil
}
