package simpeer

import (
	"image"
	"path/filepath"
	"testing"
	"time"
)

// TestDevicesShowTheSame reads back what a browser is given in place of a camera and a microphone.
func TestDevicesShowTheSame(t *testing.T) {
	spec := short(0)
	dir := t.TempDir()
	camera, microphone := filepath.Join(dir, "camera.y4m"), filepath.Join(dir, "microphone.wav")
	if err := spec.WriteY4M(camera); err != nil {
		t.Fatal(err)
	}
	if err := spec.WriteWAV(microphone); err != nil {
		t.Fatal(err)
	}
	shots, err := ReadVideo(t.Context(), camera, Pictures{spec.Who: {image.Rect(0, 0, spec.Width, spec.Height)}})
	if err != nil {
		t.Fatal(err)
	}
	if len(shots[spec.Who]) != spec.Frames() {
		t.Fatalf("%d frames can be read of %d", len(shots[spec.Who]), spec.Frames())
	}
	for n, shot := range shots[spec.Who] {
		want := Reading{Who: spec.Who, Number: n, Flash: n%FPS < flashFrames}
		if at := time.Duration(n) * time.Second / FPS; shot.Reading != want || (shot.At-at).Abs() > time.Millisecond {
			t.Errorf("frame %d at %s is %+v, want %+v at %s", n, shot.At, shot.Reading, want, at)
		}
	}
	beeps, err := ReadBeeps(t.Context(), microphone, spec.Tone)
	if err != nil {
		t.Fatal(err)
	}
	if len(beeps[spec.Tone]) != spec.Seconds {
		t.Fatalf("beeps at %v, want one in each of %d seconds", beeps[spec.Tone], spec.Seconds)
	}
	for n, at := range beeps[spec.Tone] {
		if want := time.Duration(n) * time.Second; (at - want).Abs() > 2*time.Millisecond {
			t.Errorf("beep %d at %s, want %s", n, at, want)
		}
	}
}
