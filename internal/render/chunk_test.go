package render

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoCameras is a plan with one scene of two cameras, which have keyframes at the given seconds.
func twoCameras(seconds int64, a, b []float64) *Plan {
	frames := func(at []float64) (all []int64) {
		for _, s := range at {
			all = append(all, int64(s*Rate))
		}
		return all
	}
	picture := func(track string) Tile {
		return Tile{Picture: &Picture{Track: track, Width: 1280, Height: 720}}
	}
	return &Plan{
		Profile: Profile{Video: true}, Frames: seconds * Rate,
		Scenes:    []Scene{{End: seconds * Rate, Tiles: []Tile{picture("a"), picture("b")}}},
		Keyframes: Keyframes{"a": frames(a), "b": frames(b)},
	}
}

// ends are where the chunks of a plan end, in seconds.
func ends(p *Plan) (all []float64) {
	for _, c := range p.Chunks() {
		all = append(all, float64(c.Start+c.Frames)/Rate)
	}
	return all
}

func TestChunksBeginWhereLittleIsDecodedInVain(t *testing.T) {
	for name, c := range map[string]struct {
		plan *Plan
		want []float64
	}{
		"nothing is known of keyframes": {twoCameras(70, nil, nil), []float64{30, 60, 70}},
		"cameras that are cut together": {
			twoCameras(90, []float64{0, 26, 52, 78}, []float64{0, 26.5, 52.5, 78.5}), []float64{26.5, 52.5, 78.5, 90},
		},
		"cameras that are cut apart share one of the two keyframes": {
			twoCameras(80, []float64{0, 26, 52, 78}, []float64{13, 39, 65}), []float64{26, 52, 66, 80},
		},
		"one of the two has keyframes all the time": {
			twoCameras(60, []float64{0, 28, 56}, []float64{0, 5, 10, 15, 20, 25, 28.2, 35, 40, 45, 50, 55, 56.1}), []float64{28, 56, 60},
		},
		"a good place comes early":               {twoCameras(50, []float64{0, 12}, []float64{0, 12.5}), []float64{12.5, 42.5, 50}},
		"what is left at the end is made by two": {twoCameras(56, []float64{0, 26}, []float64{0, 26}), []float64{26, 41, 56}},
		"nothing but the end":                    {twoCameras(28, []float64{0, 12}, []float64{0, 12}), []float64{14, 28}},
		"too little for two":                     {twoCameras(15, []float64{0, 12}, []float64{0, 12}), []float64{15}},
		"a keyframe with which the scene ends":   {twoCameras(14, []float64{0, 14}, []float64{0, 14}), []float64{14}},
	} {
		if diff := cmp.Diff(c.want, ends(c.plan)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is decided while the call goes on stays so: whoever knows the recording up to a frame finds all chunks that are
// decided by then, whatever comes later.
func TestADecidedChunkStaysWhatItIs(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		keys := func() (all []float64) {
			for at := random.Float64() * 10; at < 200; at += 3 + random.Float64()*float64(random.IntN(40)) {
				all = append(all, at)
			}
			return all
		}
		a, b := keys(), keys()
		whole := twoCameras(200, a, b).Chunks()
		for known := int64(1); known < 200; known += 7 {
			until := func(all []float64) []float64 {
				return slices.DeleteFunc(slices.Clone(all), func(s float64) bool { return s > float64(known) })
			}
			// Beyond what is known the scene goes on, with keyframes that are not there in the end, but never for longer.
			early := twoCameras(min(200, known+random.Int64N(50)), append(until(a), float64(known)+1), until(b))
			for i, c := range early.Chunks() {
				if c.Known < early.Frames && c.Known <= known*Rate && (i >= len(whole) || c != whole[i]) {
					t.Fatalf("seed %d: chunk %d, decided by frame %d of %d: %v; in the end %v", seed, i, c.Known, known*Rate, c, whole[min(i, len(whole)-1)])
				}
			}
		}
	}
}

func TestChunksCoverAScene(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		var a, b []float64
		for at := 0.0; at < 300; at += random.Float64() * 30 {
			a, b = append(a, at), append(b, at+random.Float64()*10)
		}
		p := twoCameras(1+random.Int64N(300), a, b)
		at := int64(0)
		for _, c := range p.Chunks() {
			if c.Start != at || c.Frames < 1 || c.Frames > maxChunk {
				t.Fatalf("seed %d: %s", seed, fmt.Sprint(p.Chunks()))
			}
			at += c.Frames
		}
		if at != p.Frames {
			t.Errorf("seed %d: chunks end at %d of %d", seed, at, p.Frames)
		}
	}
}
