package stitch

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"consilium/internal/media"
)

// A tone of 997 Hz with a peak of -20 dB in both channels has -20 LUFS: that is how the measure is calibrated
// (EBU Tech 3341).
func TestLoudnessOfKnownSounds(t *testing.T) {
	tone := func(db float64, n int) float32 {
		return float32(math.Pow(10, db/20) * math.Sin(2*math.Pi*997*float64(n)/48000))
	}
	tests := []struct {
		name    string
		seconds int
		at      func(n int) (left, right float32)
		want    float64 // LUFS; 0: nothing can be said
		gain    float64
	}{
		{"a tone in both channels", 20, func(n int) (left, right float32) { return tone(-20, n), tone(-20, n) }, -20, 4},
		{"a tone in one channel", 20, func(n int) (left, right float32) { return tone(-20, n), 0 }, -23, 7},
		{"pauses count for nothing", 20, func(n int) (left, right float32) {
			if n/48000%2 == 1 {
				return 0, 0
			}
			return tone(-23, n), tone(-23, n)
		}, -23.5, 7.5},
		{"a loud voice", 20, func(n int) (left, right float32) { return tone(-1, n), tone(-1, n) }, -1, -12},
		{"a quiet voice is lifted so far and no farther", 20, func(n int) (left, right float32) { return tone(-40, n), tone(-40, n) }, -40, 15},
		{"a quiet room is no voice", 20, func(n int) (left, right float32) { return tone(-60, n), tone(-60, n) }, 0, 0},
		{"a word is too little", 1, func(n int) (left, right float32) { return tone(-30, n), tone(-30, n) }, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newLoudnessMeter()
			for n := 0; n < test.seconds*48000; n += mixBlock {
				b := newBlock(mixBlock)
				for i := range mixBlock {
					b.channels[0][i], b.channels[1][i] = test.at(n + i)
				}
				b.single = slices.Equal(b.channels[0], b.channels[1])
				m.add(b)
			}
			blocks := speechBlocks(m.tenths)
			got, ok := 0.0, len(blocks) >= leastSpeech
			if ok {
				got = loudnessOf(blocks)
			}
			if ok != (test.want != 0) || math.Abs(got-test.want) > 0.7 {
				t.Errorf("%.2f LUFS, %v, want %.2f", got, ok, test.want)
			}
			if gain := gainFor(m.tenths); math.Abs(gain-test.gain) > 0.7 {
				t.Errorf("gain %.1f dB, want %.1f", gain, test.gain)
			}
		})
	}
}

// A minute of speech is enough: what comes later changes nothing.
func TestGainIsSettledAfterAMinute(t *testing.T) {
	loud := func(tenths int, db float64) []float32 {
		return slices.Repeat([]float32{float32(math.Pow(10, (db+0.691)/10))}, tenths)
	}
	minute := loud(enoughSpeech+3, -26)
	if got := gainFor(minute); got != 10 {
		t.Errorf("gain %.1f dB, want 10", got)
	}
	if got := gainFor(slices.Concat(minute, loud(600, -6))); got != 10 {
		t.Errorf("gain %.1f dB after louder words, want 10", got)
	}
}

// Somebody far from the microphone is heard as well as somebody near it, and the curve shows where.
func TestVoicesAreBroughtTowardOneLoudness(t *testing.T) {
	w := newWorld(t)
	speak := func(level string) clip {
		raw := run_(t, "-f", "lavfi", "-i", "aevalsrc='"+level+"*sin(2*PI*500*t)*(0.6+0.4*sin(2*PI*4*t))':s=48000:d=4.1",
			"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
		return oggClip(t, oggPackets(raw)[2:202])
	}
	near := w.join(0, "near")
	near.record(0, near.track(0, media.Opus, media.Microphone, 1), 1, speak("0.5"))
	far := w.join(0, "far")
	far.record(5000, far.track(0, media.Opus, media.Microphone, 2), 2, speak("0.08"))
	archive := w.made(w.end(10_000, "audio"))
	level := func(from, to int) float64 {
		sum := 0.0
		for _, v := range archive.sound[from*48000 : to*48000] {
			sum += v * v
		}
		return 10 * math.Log10(sum/float64((to-from)*48000))
	}
	if a, b := level(1, 3), level(6, 8); math.Abs(a-b) > 2 {
		t.Errorf("near %.1f dB, far %.1f dB, gains %v", a, b, archive.manifest.Gains)
	}
	if len(archive.manifest.Gains) != 2 || archive.manifest.Gains[near.id] >= archive.manifest.Gains[far.id] {
		t.Errorf("gains %v", archive.manifest.Gains)
	}
	var curve struct{ Peaks []int }
	if err := json.Unmarshal(w.get(fmt.Sprintf("c/%s/archives/1/%s", w.consultation, PeaksFile)), &curve); err != nil {
		t.Fatal(err)
	}
	if len(curve.Peaks) != 100 || curve.Peaks[20] < 40 || curve.Peaks[45] > 2 || curve.Peaks[70] < 40 {
		t.Errorf("curve %v", curve.Peaks)
	}
}
