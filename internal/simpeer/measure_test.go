package simpeer

import (
	"fmt"
	"image"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compose renders an archive by ffmpeg as the product might: two tiles of a 1280 by 720 picture, one of them a phone held
// upright, both voices mixed, H.264 and AAC. Offsets are from the beginning of the archive to that of a participant's
// picture and sound.
func compose(t *testing.T, a, b *Media, aVideo, aSound, bVideo, bSound time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	video := func(m *Media) string {
		var frames [][]byte
		for n := range m.Spec.Frames() {
			frames = append(frames, m.frame(n, n == 0))
		}
		return writeIVF(t, m.Spec, frames)
	}
	tile := "scale=640:720:force_original_aspect_ratio=decrease,pad=640:720:-1:-1,fps=30,tpad=start_duration=%dms"
	out := filepath.Join(dir, "archive.mp4")
	args := []string{
		"-v", "error", "-y", "-i", video(a), "-i", video(b),
		"-f", "lavfi", "-i", beeps(a), "-f", "lavfi", "-i", beeps(b),
		"-filter_complex", fmt.Sprintf("[0:v]"+tile+"[l];[1:v]"+tile+"[r];[l][r]hstack[v];"+
			"[2:a]adelay=%d[x];[3:a]adelay=%d[y];[x][y]amix=normalize=0[s]",
			aVideo.Milliseconds(), bVideo.Milliseconds(), aSound.Milliseconds(), bSound.Milliseconds()),
		"-map", "[v]", "-map", "[s]", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-c:a", "aac", "-b:a", "96k",
		"-movflags", "+faststart", out,
	}
	if raw, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("compose: %v: %s", err, raw)
	}
	return out
}

// beeps is a participant's sound for ffmpeg's lavfi.
func beeps(m *Media) string {
	return fmt.Sprintf("aevalsrc='0.4*sin(2*PI*%d*t)*lt(mod(t,1),0.1)':s=48000:d=%d", m.Spec.Tone, m.Spec.Seconds)
}

// sentBy is what a participant sent that began at a time.
func sentBy(m *Media, at time.Time) Sent {
	s := Sent{Spec: m.Spec}
	for second := range m.Spec.Seconds {
		media := time.Duration(second) * time.Second
		moment := Moment{Media: media, At: at.Add(media)}
		s.Flashes, s.Beeps = append(s.Flashes, moment), append(s.Beeps, moment)
	}
	return s
}

func TestKnownOffsetsAreFound(t *testing.T) {
	const ms = time.Millisecond
	a, b := made(t, short(0)), made(t, short(1).Portrait())
	// a's sound is 20 ms late, b's 60 ms early; b's picture is 200 ms late.
	path := compose(t, a, b, 500*ms, 520*ms, 1700*ms, 1440*ms)
	left, right := image.Rect(0, 0, 640, 720), image.Rect(640, 0, 1280, 720)
	shots, err := ReadVideo(t.Context(), path, Pictures{
		0: {Fit(right, 640, 360), Fit(left, 640, 360)}, 1: {Fit(right, 360, 640)}, 2: {left, right},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(shots[0]) < a.Spec.Frames()-1 || len(shots[1]) < b.Spec.Frames()-1 || len(shots[2]) != 0 {
		t.Fatalf("read %d, %d and %d frames", len(shots[0]), len(shots[1]), len(shots[2]))
	}
	if shots[0][9].Picture != 1 {
		t.Errorf("a is found in picture %d", shots[0][9].Picture)
	}
	beeps, err := ReadBeeps(t.Context(), path, a.Spec.Tone, b.Spec.Tone, 2890)
	if err != nil {
		t.Fatal(err)
	}
	if len(beeps[a.Spec.Tone]) != 4 || len(beeps[b.Spec.Tone]) != 4 || len(beeps[2890]) != 0 {
		t.Fatalf("heard %v", beeps)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sent := []Sent{sentBy(a, start.Add(500*ms)), sentBy(b, start.Add(1500*ms))}
	r := Measure(start, sent, shots, beeps)
	if len(r.AV) != 8 || len(r.Cross) != 3 || len(r.MissingFlashes)+len(r.MissingBeeps) != 0 {
		t.Fatalf("measured %v, %+v", r, r)
	}
	for i, want := range []time.Duration{20 * ms, -260 * ms} {
		for _, got := range r.AV[4*i : 4*i+4] {
			// The picture may be off by half a frame, which rounding to the archive's frames makes.
			if (got - want).Abs() > 17*ms {
				t.Errorf("participant %d: the beep is %v late against its flash, want %v", i, got, want)
			}
		}
	}
	for i, want := range []time.Duration{520 * ms, 1440 * ms} {
		for second, got := range beeps[sent[i].Spec.Tone] {
			if d := got - want - time.Duration(second)*time.Second; d.Abs() > 2*ms {
				t.Errorf("participant %d, second %d: the beep was found %v late", i, second, d)
			}
		}
	}
	for _, got := range r.Cross {
		if (got - 200*ms).Abs() > 34*ms {
			t.Errorf("b's flash is %v late against a's, want 200 ms", got)
		}
	}

	t.Run("and what is missing is missed", func(t *testing.T) {
		more := sent[0]
		moment := Moment{Media: 4 * time.Second, At: start.Add(4500 * ms)}
		more.Flashes, more.Beeps = append(more.Flashes, moment), append(more.Beeps, moment)
		r := Measure(start, []Sent{more}, shots, beeps)
		if d := cmp.Diff([]Moment{moment}, r.MissingFlashes); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]Moment{moment}, r.MissingBeeps); d != "" {
			t.Error(d)
		}
	})
}

func TestP95(t *testing.T) {
	var offsets []time.Duration
	for n := range 100 {
		offsets = append(offsets, -time.Duration(n+1))
	}
	if got := P95(offsets); got != 95 {
		t.Errorf("P95 of 1 … 100 is %d", got)
	}
	if P95(nil) != 0 || Median(nil) != 0 || P95(offsets[:1]) != 1 || Median([]time.Duration{3, -1, 2}) != 2 {
		t.Error("the edges are wrong")
	}
	r := Report{AV: []time.Duration{-12_340 * time.Microsecond}, Cross: []time.Duration{3 * time.Millisecond}, MissingFlashes: make([]Moment, 2)}
	if got, want := r.String(), "av_offset_p95_ms=12.3 cross_offset_p95_ms=3 missing_flashes=2 missing_beeps=0"; got != want {
		t.Errorf("got %s", got)
	}
}
