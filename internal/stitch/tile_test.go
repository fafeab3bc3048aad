package stitch

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
	"consilium/internal/timeline"
)

const ms = int64(1_000_000)

// film makes footage whose frames lie at the given milliseconds of the file. A frame is its own number in one byte; those
// in keys are keyframes.
func film(keys []int, at ...float64) footage {
	size := int64(0)
	f := footage{scan: media.IVFScan{Header: media.IVFHeader{Codec: media.VP8, Num: 1, Den: 90000}}}
	for i, t := range at {
		frame := media.IVFFrame{Offset: size, Length: 1, PTS: int64(math.Round(t * 90))}
		for _, k := range keys {
			frame.Key = frame.Key || k == i
		}
		f.scan.Frames = append(f.scan.Frames, frame)
		size++
	}
	return f
}

// every gives n moments step apart.
func every(n int, step float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = float64(i) * step
	}
	return all
}

// told writes packets as frame:slot, in brackets when they are only decoded.
func told(packets []packet) string {
	var words []string
	for _, p := range packets {
		word := fmt.Sprintf("%c:%d", rune('a'+p.frame.Offset), p.slot)
		if !p.shown {
			word = "(" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestCutTile(t *testing.T) {
	thirty := film([]int{0, 6}, every(12, 1000.0/30)...)
	clip := func(segment string, from, to, fileFrom int64) timeline.Clip {
		return timeline.Clip{Segment: segment, StartNS: from * ms, EndNS: to * ms, FileStartNS: fileFrom * ms, Rate: 1, Codec: media.VP8}
	}
	tests := []struct {
		name          string
		films         map[string]footage
		clips         []timeline.Clip
		phases        shifts
		start, frames int64
		want          string
	}{
		{
			"every frame has its slot",
			map[string]footage{"x": thirty},
			[]timeline.Clip{clip("x", 1000, 1400, 0)},
			nil, 30, 12,
			"a:0 b:1 c:2 d:3 e:4 f:5 g:6 h:7 i:8 j:9 k:10 l:11",
		},
		{
			"a chunk in the middle begins at the keyframe before",
			map[string]footage{"x": thirty},
			[]timeline.Clip{clip("x", 1000, 1400, 0)},
			nil, 38, 3,
			"g:0 h:0 i:0 j:1 k:2",
		},
		{
			"a picture that begins between two frames is there from the first on",
			map[string]footage{"x": thirty},
			[]timeline.Clip{clip("x", 1030, 1100, 0)},
			nil, 30, 3,
			"a:0 b:2",
		},
		{
			"what is cut off in front is decoded and not shown",
			map[string]footage{"x": thirty},
			[]timeline.Clip{clip("x", 1000, 1200, 100)},
			nil, 30, 6,
			"(a:0) (b:0) (c:0) d:0 e:1 f:2 g:3 h:4 i:5",
		},
		{
			"what is cut off in front begins at the last keyframe before",
			map[string]footage{"x": thirty},
			[]timeline.Clip{clip("x", 1000, 1100, 234)},
			nil, 30, 3,
			"(g:0) (h:0) i:0 j:2",
		},
		{
			"files that follow each other are one picture",
			map[string]footage{"x": film([]int{0}, 0, 33.3, 66.7), "y": film([]int{0}, 0, 33.3)},
			[]timeline.Clip{clip("x", 1000, 1100, 0), clip("y", 1100, 1167, 0)},
			nil, 30, 5,
			"a:0 b:1 c:2 a:3 b:4",
		},
		{
			"a chunk in the second file needs nothing of the first",
			map[string]footage{"x": film([]int{0}, 0, 33.3, 66.7), "y": film([]int{0}, 0, 33.3)},
			[]timeline.Clip{clip("x", 1000, 1100, 0), clip("y", 1100, 1167, 0)},
			nil, 34, 1,
			"a:0 b:0",
		},
		{
			"a slow picture stands until the next one",
			map[string]footage{"x": film([]int{0}, 0, 200, 400)},
			[]timeline.Clip{clip("x", 0, 600, 0)},
			nil, 10, 8,
			"a:0 b:0 c:2",
		},
		{
			"a fast picture shows the last frame of each slot",
			map[string]footage{"x": film([]int{0}, every(8, 1000.0/120)...)},
			[]timeline.Clip{clip("x", 0, 67, 0)},
			nil, 0, 2,
			"a:0 b:0 c:1 d:1 e:1 f:1",
		},
		{
			"the phase of the camera is taken off",
			map[string]footage{"x": film([]int{0}, 0, 40, 60, 105)},
			[]timeline.Clip{clip("x", 1016, 1200, 0)},
			shifts{{from: 1016 * ms, phase: 0.48}},
			30, 4,
			"a:0 b:1 c:2 d:3",
		},
		{
			"a keyframe that comes late is shown early",
			map[string]footage{"x": film([]int{2}, 0, 33.3, 66.7, 100)},
			[]timeline.Clip{clip("x", 0, 134, 0)},
			nil, 0, 4,
			"c:0 d:3",
		},
		{"no keyframe is no picture", map[string]footage{"x": film(nil, 0, 33.3)}, []timeline.Clip{clip("x", 0, 67, 0)}, nil, 0, 2, ""},
		{"no frame within the clip is no picture", map[string]footage{"x": thirty}, []timeline.Clip{clip("x", 1000, 1010, 10)}, nil, 30, 1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			packets, err := cutTile(test.clips, func(s string) footage { return test.films[s] }, test.phases, test.start, test.frames)
			if (err != nil) != (test.want == "") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, told(packets)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// However a picture is cut into chunks, each output frame shows the same frame of the source.
func TestChunksHaveNoSeams(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var at []float64
		for now := 0.0; now < 5000; now += 5 + r.Float64()*120 {
			at = append(at, now)
		}
		var keys []int
		for k := 0; k < len(at); k += 1 + r.IntN(40) {
			keys = append(keys, k)
		}
		f := film(keys, at...)
		for i := range f.scan.Frames {
			f.scan.Frames[i].Offset, f.scan.Frames[i].Length = 0, i // the length is the number here
		}
		clips := []timeline.Clip{{Segment: "x", StartNS: 333 * ms, EndNS: 5200 * ms, Rate: 1.0003}}
		shown := func(start, frames int64) []int {
			packets, err := cutTile(clips, func(string) footage { return f }, nil, start, frames)
			if err != nil {
				t.Fatal(err)
			}
			all := make([]int, frames)
			for _, p := range packets {
				for s := p.slot; s < frames; s++ {
					all[s] = p.frame.Length
				}
			}
			return all
		}
		whole := shown(10, 140)
		cut := 10 + 1 + r.Int64N(139)
		parts := append(shown(10, cut-10), shown(cut, 150-cut)...)
		if diff := cmp.Diff(whole, parts); diff != "" {
			t.Fatalf("seed %d, cut at %d (-whole +parts):\n%s", seed, cut, diff)
		}
	}
}

func TestTileFile(t *testing.T) {
	f := film([]int{0}, every(4, 10)...)
	clips := []timeline.Clip{{Segment: "x", StartNS: 0, EndNS: 40 * ms, Rate: 1}}
	packets, err := cutTile(clips, func(string) footage { return f }, nil, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		packets[i].file = strings.NewReader("abcd")
	}
	var b bytes.Buffer
	if err := writeTile(&b, media.IVFHeader{Codec: media.VP8, Width: 64, Height: 48}, packets, 5); err != nil {
		t.Fatal(err)
	}
	scan, err := media.ScanIVF(&b)
	if err != nil {
		t.Fatal(err)
	}
	var pts []int64
	for _, frame := range scan.Frames {
		pts = append(pts, frame.PTS)
	}
	// 0, 10, 20 and 30 ms are slots 0, 0, 1, 1; the first frame stands once more behind the end.
	if diff := cmp.Diff([]int64{0, 1, ticksPerFrame, ticksPerFrame + 1, 6 * ticksPerFrame}, pts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if scan.Header.Den != 30*ticksPerFrame || scan.Header.Frames != 5 || scan.Header.Width != 64 {
		t.Errorf("header %+v", scan.Header)
	}
}

func TestPhase(t *testing.T) {
	moments := func(n int, hz, offset, jitter float64) []int64 {
		r := rand.New(rand.NewPCG(1, 1))
		var all []int64
		for i := range n {
			all = append(all, int64((float64(i)/hz+offset+jitter*r.NormFloat64())*1e9))
		}
		return all
	}
	tests := []struct {
		name    string
		moments []int64
		want    float64
	}{
		{"nothing", nil, 0},
		{"on the frame", moments(100, 30, 5, 0), 0},
		{"10 ms late", moments(100, 30, 0.010, 0), 0.3},
		{"10 ms early", moments(100, 30, 1-0.010, 0), -0.3},
		{"with jitter", moments(1000, 30, 0.010, 0.003), 0.3},
		{"half the rate", moments(100, 15, 0.010, 0), 0.3},
		{"25 Hz has none", moments(100, 25, 0.010, 0), 0},
		{"a camera a little off has none over a long time", moments(1800, 29.97, 0.010, 0), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := phase(test.moments); math.Abs(got-test.want) > 0.02 {
				t.Errorf("got %.3f, want %.3f", got, test.want)
			}
		})
	}
	if got := follow(0.49, -0.49); math.Abs(got-0.51) > 1e-9 {
		t.Errorf("a phase around one half jumps to %v", got)
	}
	if got := follow(0.54, -0.40); got != -0.40 {
		t.Errorf("a phase that wandered too far stays at %v", got)
	}
	s := shifts{{from: 100, phase: 0.1}, {from: 200, phase: 0.2}}
	for at, want := range map[int64]float64{0: 0.1, 100: 0.1, 199: 0.1, 200: 0.2, 1 << 40: 0.2} {
		if got := s.at(at); got != want {
			t.Errorf("at %d: %v, want %v", at, got, want)
		}
	}
}

// A picture that was put elsewhere than the sound of the same moment is off by that, and too much of it fails the archive.
func TestPicturesThatAreOffTheirSoundAreNotBelieved(t *testing.T) {
	const second = int64(1e9)
	j := &job{
		owners:      map[string]string{"camera": "anna", "other": "bert"},
		trackPhases: map[string]shifts{"camera": {{0, 10 * second, 0.4}}},
		voiceMoves:  map[string]shifts{"anna": {{second, 3 * second, 0.4}, {5 * second, 9 * second, -0.2}}},
	}
	for _, test := range []struct {
		name, track string
		ns          int64
		want        float64
	}{
		{"before the first word", "camera", 0, 0},
		{"the sound goes with the picture", "camera", 2 * second, 0},
		{"in a silence", "camera", 4 * second, 0},
		{"the sound goes elsewhere", "camera", 6 * second, -0.6},
		{"somebody without a microphone", "other", 6 * second, 0},
	} {
		if got := j.apart(test.track, test.ns); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v of a frame, want %v", test.name, got, test.want)
		}
	}
	off := slices.Repeat([]float64{2}, 95)
	if err := checkLips(append(off, 90, 90, 90, 90, 90)); err != nil {
		t.Errorf("a few frames: %v", err)
	}
	if err := checkLips(append(off, 46, 46, 46, 46, 46, 46)); !poisoned(err) || !strings.Contains(err.Error(), "46.0 ms off their sound") {
		t.Errorf("many frames: %v", err)
	}
}
