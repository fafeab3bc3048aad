package stitch

import (
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// chunkRounds is how often TestBenchChunk runs each command; unset, the test does nothing. ./task bench:chunk sets it.
const chunkRounds = "STITCH_CHUNK_ROUNDS"

// TestBenchChunk measures what one chunk of two talking heads costs, and what each part of drawing it does, in seconds of
// processor time: the command as it is, the same without one part, and the plain commands of the floor. They run by
// turns, so that a machine that has other work disturbs all of them alike; the least and the median are printed.
func TestBenchChunk(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(chunkRounds))
	if rounds == 0 {
		t.Skip("a measurement: ./task bench:chunk")
	}
	say := func(key, format string, value any) { fmt.Printf("%s="+format+"\n", key, value) }
	say("load_before", "%s", load(t))
	const seconds = 30
	dir := t.TempDir()
	heads := grid(t, dir, seconds, talkingHead(t, 1, seconds+1), talkingHead(t, 2, seconds+1))
	raw := heads.drawn(t, dir, "raw.yuv")
	frames := strconv.FormatInt(heads.Frames, 10)
	plain := []string{"-f", "rawvideo", "-s", "1280x720", "-r", "30", "-pix_fmt", "yuv420p", "-i", raw, "-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-g", "60", "-threads", "1", "-f", "null", "-"}
	fast := heads
	profile, err := render.ProfileNamed("fast")
	if err != nil {
		t.Fatal(err)
	}
	fast.Encoder = profile.Encoder
	commands := []measured{
		{name: "chunk", args: heads.args(t)},
		{name: "chunk_without_watching", args: unwatched(heads.args(t))},
		{name: "chunk_without_names", args: heads.nameless().args(t)},
		{name: "chunk_bare", args: unwatched(heads.nameless().args(t))},
		{name: "chunk_fast", args: fast.args(t)},
		{name: "drawing", args: unencoded(heads.args(t), "-f", "null", "-")},
		{name: "drawing_bare", args: unencoded(unwatched(heads.nameless().args(t)), "-f", "null", "-")},
		{name: "floor_scale_1", args: []string{"-threads", "1", "-i", heads.Tiles[0].File, "-frames:v", frames, "-vf", "scale=640:360:flags=bilinear", "-f", "null", "-"}},
		{name: "floor_scale_2", args: []string{"-threads", "1", "-i", heads.Tiles[1].File, "-frames:v", frames, "-vf", "scale=640:360:flags=bilinear", "-f", "null", "-"}},
		{name: "floor_encode", args: plain},
		{name: "floor_encode_fast", args: swapped(plain, "veryfast", "ultrafast")},
	}
	byTurns(t, dir, rounds, commands)
	least := map[string]float64{}
	for _, c := range commands {
		least[c.name] = slices.Min(c.cpu)
		say(c.name+"_cpu_s", "%.2f", least[c.name])
		say(c.name+"_median_cpu_s", "%.2f", median(c.cpu))
	}
	scale := least["floor_scale_1"] + least["floor_scale_2"]
	say("length_s", "%d", seconds)
	say("chunk_floor_ratio", "%.3f", (scale+least["floor_encode"])/least["chunk"])
	say("chunk_fast_floor_ratio", "%.3f", (scale+least["floor_encode_fast"])/least["chunk_fast"])
	say("load_after", "%s", load(t))
}

// measured is a command of ffmpeg and the processor time in seconds of each of its runs.
type measured struct {
	name string
	args []string
	cpu  []float64
}

// byTurns runs every command once, then every one again, and so on.
func byTurns(t *testing.T, dir string, rounds int, all []measured) {
	t.Helper()
	for range rounds {
		for i := range all {
			cmd := exec.Command("ffmpeg", append([]string{"-nostats", "-nostdin", "-y", "-filter_threads", "1", "-filter_complex_threads", "1"}, all[i].args...)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", all[i].name, err, out)
			}
			all[i].cpu = append(all[i].cpu, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		}
	}
}

func median(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }

// sample is a composition whose files are there.
type sample struct{ ffmpeg.Composition }

// grid writes the files of a composition of people, as a chunk of an archive has them.
func grid(t *testing.T, dir string, seconds int, heads ...recorded) sample {
	t.Helper()
	cells := map[int][]image.Rectangle{
		2: {image.Rect(0, 180, 640, 540), image.Rect(640, 180, 1280, 540)},
		4: {image.Rect(0, 0, 640, 360), image.Rect(640, 0, 1280, 360), image.Rect(0, 360, 640, 720), image.Rect(640, 360, 1280, 720)},
	}[len(heads)]
	return compose(t, dir, seconds, cells, heads)
}

// compose writes the files of a composition of 16:9 pictures with names on them.
func compose(t *testing.T, dir string, seconds int, cells []image.Rectangle, pictures []recorded) sample {
	t.Helper()
	profile, err := render.ProfileNamed("standard")
	if err != nil {
		t.Fatal(err)
	}
	var scene render.Scene
	for i, cell := range cells {
		scene.Tiles = append(scene.Tiles, render.Tile{
			Cell: cell, Name: fmt.Sprint("Person ", i+1),
			Picture: &render.Picture{Source: media.Camera, Codec: media.VP8, Width: 1280, Height: 720, Rect: cell},
		})
		if err := os.WriteFile(filepath.Join(dir, render.TileFile(i)), pictures[i].file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plan := render.Plan{Profile: profile, Scenes: []render.Scene{scene}}
	over, err := layer(render.NewPainter(SystemFonts(nil)).Draw(scene))
	if err != nil {
		t.Fatal(err)
	}
	c, err := over.over(plan.Compose(render.Chunk{Frames: int64(seconds) * render.Rate}, make([]render.Way, len(cells))))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Names) != len(cells) {
		t.Fatalf("%d names on %d pictures", len(c.Names), len(cells))
	}
	if err := os.WriteFile(filepath.Join(dir, c.Overlay), over.PNG, 0o600); err != nil {
		t.Fatal(err)
	}
	return sample{c}
}

// nameless is the composition with nothing over its pictures.
func (s sample) nameless() sample {
	s.Names = nil
	return s
}

func (s sample) args(t *testing.T) []string {
	t.Helper()
	cmd, err := ffmpeg.Compose(s.Composition)
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Args
}

// drawn writes the composition as raw pictures.
func (s sample) drawn(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("ffmpeg", append([]string{"-nostats", "-nostdin", "-y"}, unencoded(unwatched(s.args(t)), "-f", "rawvideo", path)...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != s.Frames*render.Width*render.Height*3/2 {
		t.Fatalf("%s holds %v: %v", name, info, err)
	}
	return path
}

// unwatched is a command without the branch in which the picture is watched.
func unwatched(args []string) []string {
	args = slices.Clone(args)
	graph := slices.Index(args, "-filter_complex") + 1
	args[graph] = strings.Replace(args[graph], "split=2[watch]", "null", 1)
	args[graph], _, _ = strings.Cut(args[graph], ";[watch]")
	return args
}

// unencoded is a command whose pictures go elsewhere.
func unencoded(args []string, output ...string) []string {
	frames := args[slices.Index(args, "-frames:v")+1]
	return slices.Concat(args[:slices.Index(args, "-map")+2], []string{"-frames:v", frames}, output)
}

// swapped is a command with another value in the place of one.
func swapped(args []string, old, value string) []string {
	args = slices.Clone(args)
	args[slices.Index(args, old)] = value
	return args
}
