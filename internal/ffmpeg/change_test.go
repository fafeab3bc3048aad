package ffmpeg

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"testing"
)

// vp9 makes VP9 frames of one colour in a pixel format.
func vp9(t *testing.T, frames int, size, colour, format string) [][]byte {
	t.Helper()
	return framesOf(t, frames, size, colour, "-pix_fmt", format, "-c:v", "libvpx-vp9", "-lag-in-frames", "0")
}

// An encoder that is short of bandwidth makes its pictures smaller without a keyframe, where no planner can see it, and
// another one changes its pixel format. Nobody freezes for that, nobody disappears, and nothing that was drawn once is lost.
func TestPicturesMayChangeTheirFormOnTheWay(t *testing.T) {
	tool, dir := newTool(t, Config{})
	for name, test := range map[string]struct {
		codec         string
		before, after [][]byte
	}{
		"another pixel format":   {"vp9", vp9(t, 30, "640x360", "red", "yuv420p"), vp9(t, 30, "640x360", "blue", "yuv444p")},
		"a smaller picture":      {"vp9", vp9(t, 30, "640x360", "red", "yuv420p"), vp9(t, 30, "320x180", "blue", "yuv420p")},
		"a phone that is turned": {"vp8", source(t, 30, "640x360", "red"), source(t, 30, "360x640", "blue")},
	} {
		t.Run(name, func(t *testing.T) {
			frames := append(test.before[:len(test.before):len(test.before)], test.after...)
			moving := append(source(t, 15, "640x360", "red"), source(t, 45, "640x360", "white")...)
			names := []string{"t0.ivf", "t1.ivf", "t2.ivf", "t3.ivf"}
			for i, f := range [][][]byte{frames, moving, frames, frames} {
				path := filepath.Join(dir, names[i])
				writeTile(t, path, f, 60)
				if i == 1 || test.codec == "vp8" {
					continue
				}
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, bytes.Replace(raw, []byte("VP80"), []byte("VP90"), 1), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			writeOverlay(t, dir)
			c := composition(
				Tile{File: names[0], Codec: test.codec, Width: 640, Height: 360},
				Tile{File: names[1], Codec: "vp8", X: 640, Width: 640, Height: 360},
				Tile{File: names[2], Codec: test.codec, X: 160, Y: 360, Width: 320, Height: 180, Fill: &Place{X: 0, Y: 360, Width: 640, Height: 360}},
				Tile{File: names[3], Codec: test.codec, X: 640, Y: 360, Width: 640, Height: 360, Late: true},
			)
			c.Frames, c.Encoder.Preset = 60, "ultrafast"
			c.Names = []Place{{X: 20, Y: 20, Width: 40, Height: 30}}
			cmd, err := Compose(c)
			if err != nil {
				t.Fatal(err)
			}
			res, err := tool.Run(t.Context(), dir, cmd, Pipes{})
			if err != nil || res.DecodeErrors != 0 {
				t.Fatalf("%v: %+v", err, res)
			}
			for _, want := range []struct {
				frame           int
				changes, steady color.RGBA
			}{{10, red, red}, {29, red, white}, {30, blue, white}, {59, blue, white}} {
				at := pixels(t, filepath.Join(dir, "out.ts"), want.frame)
				for what, p := range map[string]struct {
					x, y int
					c    color.RGBA
				}{
					"its own size": {320, 180, want.changes}, "scaled": {320, 450, want.changes}, "late": {960, 540, want.changes},
					"to the edge": {620, 345, want.changes}, "the neighbour": {960, 180, want.steady}, "a name": {40, 30, white},
				} {
					if got := at(p.x, p.y); !near(got, p.c) {
						t.Errorf("frame %d: %s is %v, want %v", want.frame, what, got, p.c)
					}
				}
				if got := at(40, 600); got.R > 0x90 && got.B > 0x90 || near(got, back) {
					t.Errorf("frame %d: beside the scaled one is %v", want.frame, got)
				}
			}
		})
	}
}
