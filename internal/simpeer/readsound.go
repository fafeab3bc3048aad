package simpeer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/cmplx"
	"os/exec"
	"strings"
	"time"
)

// ReadBeeps decodes the first audio stream of a file and finds when each tone begins to sound, by its frequency in Hz.
// Times are presentation times. It needs ffmpeg in PATH.
func ReadBeeps(ctx context.Context, path string, tones ...int) (map[int][]time.Duration, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a:0",
		"-af", "aresample=48000:first_pts=0", "-ac", "1", "-f", "s16le", "-")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("read %s: decode sound: %w: %s", path, err, strings.TrimSpace(stderr.String()))
	}
	samples := make([]float64, stdout.Len()/2)
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(stdout.Bytes()[2*i:]))) / math.MaxInt16
	}
	return FindBeeps(samples, tones...), nil
}

// FindBeeps is ReadBeeps for samples, 48 kHz mono between -1 and 1. Times count from the first.
func FindBeeps(samples []float64, tones ...int) map[int][]time.Duration {
	beeps := map[int][]time.Duration{}
	for _, tone := range tones {
		beeps[tone] = onsets(loudness(samples, tone))
	}
	return beeps
}

const (
	sampleRate = 48000
	// smooth is half the width of the triangle over which loudness is taken: 10 ms keep a tone apart from one that is 100
	// Hz away.
	smooth = sampleRate / 100
	// faintest is the amplitude below which there is no beep.
	faintest = 0.005
)

// loudness is the amplitude of a tone around every sample.
func loudness(samples []float64, tone int) []float64 {
	turning := make([]complex128, len(samples))
	step := cmplx.Rect(1, -2*math.Pi*float64(tone)/sampleRate)
	turn := complex(1, 0)
	for i, v := range samples {
		turning[i] = complex(2*v, 0) * turn
		turn *= step
		if i%sampleRate == 0 {
			turn /= complex(cmplx.Abs(turn), 0) // rounding makes it drift off the circle
		}
	}
	// Two moving averages are a triangle, centred.
	turning = average(average(turning))
	out := make([]float64, len(samples))
	for i := range out {
		if at := i + smooth - 1; at < len(turning) {
			out[i] = cmplx.Abs(turning[at])
		}
	}
	return out
}

// average is the mean of the newest smooth values.
func average(in []complex128) []complex128 {
	out := make([]complex128, len(in))
	var sum complex128
	for i, v := range in {
		sum += v
		if i >= smooth {
			sum -= in[i-smooth]
		}
		out[i] = sum / smooth
	}
	return out
}

// onsets finds where loudness rises to half of what it then reaches: a triangle that is half over an edge sees half.
func onsets(loud []float64) []time.Duration {
	highest := 0.0
	for _, v := range loud {
		highest = max(highest, v)
	}
	if highest < faintest {
		return nil
	}
	var times []time.Duration
	for i := 0; i < len(loud); i++ {
		if loud[i] < highest/4 {
			continue
		}
		begin, peak := i, 0.0
		for ; i < len(loud) && loud[i] >= highest/4; i++ {
			peak = max(peak, loud[i])
		}
		if length := time.Duration(i-begin) * time.Second / sampleRate; length < beepLength/2 || length > 2*beepLength {
			continue // a click, or something else that lasts
		}
		at := begin
		for loud[at] < peak/2 {
			at++
		}
		exact := float64(at)
		if at > 0 && loud[at] > loud[at-1] {
			exact -= (loud[at] - peak/2) / (loud[at] - loud[at-1])
		}
		times = append(times, time.Duration(exact/sampleRate*float64(time.Second)))
	}
	return times
}
