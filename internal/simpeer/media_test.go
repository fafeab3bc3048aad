package simpeer

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"consilium/internal/testenv"
)

// short is a participant whose media is made quickly.
func short(n int) Spec {
	s := Someone(n)
	s.Seconds = 4
	return s
}

// made gives media from the cache.
func made(t testing.TB, spec Spec) *Media {
	t.Helper()
	testenv.Require(t, "ffmpeg", "ffprobe")
	m, err := Make(t.Context(), "", spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// writeIVF writes frames that are shown at 30 a second.
func writeIVF(t *testing.T, spec Spec, frames [][]byte) string {
	t.Helper()
	header := make([]byte, 32)
	copy(header, "DKIF\x00\x00\x20\x00VP80")
	binary.LittleEndian.PutUint16(header[12:], uint16(spec.Width))
	binary.LittleEndian.PutUint16(header[14:], uint16(spec.Height))
	binary.LittleEndian.PutUint32(header[16:], FPS)
	binary.LittleEndian.PutUint32(header[20:], 1)
	binary.LittleEndian.PutUint32(header[24:], uint32(len(frames)))
	raw := header
	for n, f := range frames {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(f)))
		raw = binary.LittleEndian.AppendUint64(raw, uint64(n))
		raw = append(raw, f...)
	}
	path := filepath.Join(t.TempDir(), "x.ivf")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a participant sends is a chain of frames in which a whole one may stand anywhere. It must decode to the right
// pictures, or every test that asks for a picture sees garbage.
func TestAWholeFrameMayStandAnywhere(t *testing.T) {
	for _, spec := range []Spec{short(3), short(5).Portrait()} {
		t.Run(fmt.Sprintf("%dx%d", spec.Width, spec.Height), func(t *testing.T) {
			m := made(t, spec)
			var frames [][]byte
			whole := map[int]bool{0: true, 40: true, 41: true, 75: true, 133: true}
			for n := range 150 { // over the place where everything repeats
				frames = append(frames, m.frame(n, whole[n]))
			}
			shots, err := ReadVideo(t.Context(), writeIVF(t, spec, frames),
				Pictures{spec.Who: {image.Rect(0, 0, spec.Width, spec.Height)}})
			if err != nil {
				t.Fatal(err)
			}
			if len(shots[spec.Who]) != len(frames) {
				t.Fatalf("%d of %d frames can be read", len(shots[spec.Who]), len(frames))
			}
			for n, s := range shots[spec.Who] {
				if s.Number != n%spec.Frames() || s.Flash != (n%FPS < flashFrames) || s.At.Round(time.Millisecond) != (time.Duration(n)*time.Second/FPS).Round(time.Millisecond) {
					t.Errorf("frame %d reads %+v", n, s)
				}
			}
			if keys := count(m.delta, isKeyframe); keys != 1 {
				t.Errorf("%d frames are whole that nobody asked for, want the first", keys)
			}
		})
	}
}

func count(frames [][]byte, is func([]byte) bool) int {
	n := 0
	for _, f := range frames {
		if is(f) {
			n++
		}
	}
	return n
}

func TestMediaIsMadeOnce(t *testing.T) {
	testenv.Require(t, "ffmpeg")
	dir := t.TempDir()
	spec := short(1)
	spec.Seconds, spec.Width, spec.Height = 1, 160, 96
	if _, err := Make(t.Context(), dir, spec); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // ffmpeg would not start with it
	if _, err := Make(ended, dir, spec); err != nil {
		t.Errorf("the second time: %v", err)
	}
	spec.Tone++
	if _, err := Make(ended, dir, spec); err == nil {
		t.Error("other media came out of the same folder")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "making-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, bad := range []Spec{{}, {Width: 641, Height: 360, Seconds: 1, Tone: 1000}, {Width: 640, Height: 360, Seconds: 1, Tone: 1000, Who: 16}} {
		if _, err := Make(t.Context(), dir, bad); err == nil {
			t.Errorf("made %+v", bad)
		}
	}
}

func TestReadFrameReadsWhatWasDrawn(t *testing.T) {
	for _, n := range []int{0, 1, 299, 4660, 65_535} {
		spec := Someone(n % 16)
		raw := spec.frame(n)
		img := &image.Gray{Pix: raw[:spec.Width*spec.Height], Stride: spec.Width, Rect: image.Rect(0, 0, spec.Width, spec.Height)}
		got, ok := ReadFrame(img, img.Rect)
		if want := (Reading{Who: spec.Who, Number: n, Flash: n%FPS < flashFrames}); !ok || got != want {
			t.Errorf("frame %d reads %+v, %v, want %+v", n, got, ok, want)
		}
		if got, ok := ReadFrame(img, image.Rect(37, 11, 500, 300)); ok {
			t.Errorf("frame %d reads %+v in a rectangle that cuts it", n, got)
		}
	}
	if got, ok := ReadFrame(image.NewGray(image.Rect(0, 0, 640, 360)), image.Rect(0, 0, 640, 360)); ok {
		t.Errorf("black reads %+v", got)
	}
	if _, ok := ReadFrame(image.NewGray(image.Rect(0, 0, 640, 360)), image.Rect(600, 300, 900, 700)); ok {
		t.Error("a rectangle outside reads something")
	}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		tile image.Rectangle
		w, h int
		want image.Rectangle
	}{
		{image.Rect(0, 0, 640, 360), 640, 360, image.Rect(0, 0, 640, 360)},
		{image.Rect(640, 0, 1280, 360), 360, 640, image.Rect(859, 0, 1061, 360)},
		{image.Rect(0, 0, 640, 720), 640, 360, image.Rect(0, 180, 640, 540)},
	} {
		if got := Fit(tt.tile, tt.w, tt.h); got != tt.want {
			t.Errorf("Fit(%v, %d, %d) = %v, want %v", tt.tile, tt.w, tt.h, got, tt.want)
		}
	}
}
