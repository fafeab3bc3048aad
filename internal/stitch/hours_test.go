package stitch

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// visit records six seconds of two people that begin a while after the consultation did.
func (w *world) visit(from int64, red, blue clip, voice []clip) {
	a := w.join(from, "A")
	mic, video := a.track(from, media.Opus, media.Microphone, 11), a.track(from, media.VP8, media.Camera, 12)
	rtp := (from + 226) * 48 // captured at 226 ms: 0.38 of a frame off
	for _, c := range voice {
		a.recordFrom(rtp, mic, 11, c)
		rtp += c.ticks
	}
	a.record(from+226, video, 12, red)
	b := w.join(from, "B")
	b.record(from+733, b.track(from, media.VP8, media.Camera, 21), 21, blue)
	a.leave(from + 6400)
	b.leave(from + 6400)
}

// What is recorded four hours after the beginning of a consultation is shown and heard exactly as it is at its beginning: the
// pieces of the archive have the same names, and these say of every frame and of every sample where it stands.
func TestNothingDriftsInFourHours(t *testing.T) {
	t.Parallel()
	const hours = 4 * 3600 * 1000 // whole frames, and whole pieces of the sound
	red, blue, voice := camera(t, "red", "320x180", 30, 180), camera(t, "blue", "320x180", 30, 150), microphone(t, 1000, 130, 70, 100)
	pieces := func(from int64) (chunks, sounds []string) {
		w := newWorld(t)
		x := w.join(0, "X")
		x.leave(100)
		w.visit(from, red, blue, voice)
		for _, o := range w.ordersOf(w.worker(ffmpeg.Config{}, nil), w.end(from+6400, "fast")) {
			switch frame := from * 30 / 1000; {
			case o.isSound() && int64(o.part) == from/64_000:
				sounds = append(sounds, o.key)
			case !o.isSound() && o.at.Start >= frame && len(o.recipe.Picture.Tiles) > 0:
				chunks = append(chunks, o.key)
			}
		}
		return chunks, sounds
	}
	chunks, sounds := pieces(64_000)
	lateChunks, lateSounds := pieces(hours)
	if len(chunks) == 0 || len(sounds) != 1 {
		t.Fatalf("%d chunks and %d pieces of the sound", len(chunks), len(sounds))
	}
	if diff := cmp.Diff(chunks, lateChunks); diff != "" {
		t.Errorf("chunks (-at the beginning +after four hours):\n%s", diff)
	}
	if diff := cmp.Diff(sounds, lateSounds); diff != "" {
		t.Errorf("sound (-at the beginning +after four hours):\n%s", diff)
	}
}
