package ffmpeg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// newTool is a tool and a folder that it may work in, below folders that an unprivileged user may not pass.
func newTool(t *testing.T, cfg Config) (*Tool, string) {
	t.Helper()
	if cfg.Path == "" {
		for _, name := range []string{"ffmpeg", "ffprobe"} {
			if _, err := exec.LookPath(name); err != nil {
				t.Fatalf("%v; ./task setup installs what the tests need", err)
			}
		}
	}
	cfg.Registerer = prometheus.NewRegistry()
	tool, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "closed", "work")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tool.Own(dir); err != nil {
		t.Fatal(err)
	}
	return tool, dir
}

// source makes VP8 frames of one colour at 30 Hz.
func source(t *testing.T, frames int, size, colour string) [][]byte {
	t.Helper()
	return framesOf(t, frames, size, colour, "-c:v", "libvpx")
}

// framesOf makes frames of one colour at 30 Hz with an encoder of the machine's ffmpeg.
func framesOf(t *testing.T, frames int, size, colour string, encoder ...string) [][]byte {
	t.Helper()
	args := slices.Concat([]string{"-v", "error", "-f", "lavfi", "-i", "color=c=" + colour + ":s=" + size + ":r=30", "-frames:v", fmt.Sprint(frames)},
		encoder, []string{"-deadline", "realtime", "-cpu-used", "8", "-g", "300", "-f", "ivf", "pipe:1"})
	out, err := exec.Command("ffmpeg", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for at := 32; at < len(out); {
		n := int(binary.LittleEndian.Uint32(out[at:]))
		all = append(all, out[at+12:at+12+n])
		at += 12 + n
	}
	return all
}

// ticks is the time base of the tile files in these tests: 1/90000.
const ticks = 90000

// writeTile writes frames at 30 Hz, and the first one once more behind the last frame of the composition.
func writeTile(t *testing.T, path string, frames [][]byte, until int64) {
	t.Helper()
	b := append([]byte("DKIF\x00\x00\x20\x00VP80"), 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, ticks)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = append(b, make([]byte, 8)...)
	add := func(frame []byte, pts int64) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
		b = binary.LittleEndian.AppendUint64(b, uint64(pts))
		b = append(b, frame...)
	}
	for i, f := range frames {
		add(f, int64(i)*ticks/30)
	}
	add(frames[0], (until+1)*ticks/30)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeOverlay(t *testing.T, dir string) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 1280, 720))
	for x := range 100 {
		for y := range 50 {
			img.Set(x, y, color.RGBA{0xff, 0xff, 0xff, 0xff})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.png"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pixels decodes one frame of a video to RGB.
func pixels(t *testing.T, path string, frame int) func(x, y int) color.RGBA {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-vf", fmt.Sprintf("select=eq(n\\,%d)", frame), "-frames:v", "1",
		"-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1").Output()
	if err != nil || len(out) != 1280*720*3 {
		t.Fatalf("decode frame %d of %s: %d bytes, %v", frame, path, len(out), err)
	}
	return func(x, y int) color.RGBA {
		i := (y*1280 + x) * 3
		return color.RGBA{out[i], out[i+1], out[i+2], 0xff}
	}
}

func near(a, b color.RGBA) bool {
	far := func(x, y uint8) bool { return math.Abs(float64(x)-float64(y)) > 12 }
	return !far(a.R, b.R) && !far(a.G, b.G) && !far(a.B, b.B)
}

var (
	red   = color.RGBA{0xff, 0, 0, 0xff}
	blue  = color.RGBA{0, 0, 0xff, 0xff}
	white = color.RGBA{0xff, 0xff, 0xff, 0xff}
	back  = color.RGBA{0x20, 0x24, 0x2b, 0xff}
)

func TestComposeDrawsEveryTileInItsPlace(t *testing.T) {
	tool, dir := newTool(t, Config{})
	writeOverlay(t, dir)
	writeTile(t, filepath.Join(dir, "t0.ivf"), source(t, 30, "640x360", "red"), 60)
	writeTile(t, filepath.Join(dir, "t1.ivf"), source(t, 1, "90x160", "blue"), 60) // one frame is enough
	c := composition(
		Tile{File: "t0.ivf", Codec: "vp8", Width: 640, Height: 360, Window: &Place{20, 20, 600, 320}},
		Tile{File: "t1.ivf", Codec: "vp8", X: 858, Y: 180, Width: 202, Height: 360},
	)
	c.Names = []Place{{20, 20, 40, 30}} // of what the overlay holds in 0,0 to 100,50
	c.Frames = 60
	cmd, err := Compose(c)
	if err != nil {
		t.Fatal(err)
	}
	var reported int64
	res, err := tool.Run(t.Context(), dir, cmd, Pipes{Frames: func(n int64) { reported = n }})
	if err != nil {
		log, _ := IsLog(err)
		t.Fatalf("%v\n%s", err, log)
	}
	if res.Frames != 60 || reported != 60 || res.DecodeErrors != 0 {
		t.Errorf("frames %d, reported %d, %d decode errors: %s", res.Frames, reported, res.DecodeErrors, res.Log)
	}
	probed, err := exec.Command("ffprobe", "-v", "error", "-count_packets", "-of", "csv=p=0",
		"-show_entries", "stream=width,height,duration,nb_read_packets", "-i", filepath.Join(dir, "out.ts")).Output()
	if err != nil || !strings.HasPrefix(string(probed), "1280,720,2.000000,60") {
		t.Errorf("ffprobe: %s, %v", probed, err)
	}
	for _, frame := range []int{0, 30, 59} {
		at := pixels(t, filepath.Join(dir, "out.ts"), frame)
		for _, want := range []struct {
			what string
			x, y int
			c    color.RGBA
		}{
			{"the first tile", 320, 180, red},
			{"the second tile", 960, 360, blue},
			{"the overlay over the first tile", 40, 30, white},
			{"the overlay below the first tile", 80, 30, red},
			{"the overlay beside what is cut off", 10, 10, white},
			{"what is cut off", 630, 180, back},
			{"beside the second tile", 750, 360, back},
			{"below the tiles", 640, 650, back},
		} {
			if got := at(want.x, want.y); !near(got, want.c) {
				t.Errorf("frame %d: %s is %v, want %v", frame, want.what, got, want.c)
			}
		}
	}
}

func TestWrongNumberOfFramesIsAnError(t *testing.T) {
	tool, dir := newTool(t, Config{})
	writeOverlay(t, dir)
	writeTile(t, filepath.Join(dir, "t0.ivf"), [][]byte{[]byte("this is no VP8 frame at all")}, 60)
	c := composition(Tile{File: "t0.ivf", Codec: "vp8", Width: 640, Height: 360})
	cmd, err := Compose(c)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tool.Run(t.Context(), dir, cmd, Pipes{})
	var failed *RunError
	if !errors.As(err, &failed) || res.DecodeErrors == 0 {
		t.Fatalf("got %v, %d decode errors", err, res.DecodeErrors)
	}
}

// A tile whose first frame is damaged must not freeze the other one when it is drawn late.
func TestLateTile(t *testing.T) {
	tool, dir := newTool(t, Config{})
	writeOverlay(t, dir)
	good := source(t, 30, "640x360", "blue")
	broken := append(bytes.Clone(good[0][:10]), 0xff, 0xff, 0xff)
	var frames [][]byte
	for range 30 {
		frames = append(frames, broken)
	}
	writeTile(t, filepath.Join(dir, "t0.ivf"), append(frames, good...), 60)
	moving := append(source(t, 15, "640x360", "red"), source(t, 45, "640x360", "white")...)
	writeTile(t, filepath.Join(dir, "t1.ivf"), moving, 60)
	c := composition(
		Tile{File: "t0.ivf", Codec: "vp8", Width: 640, Height: 360, Late: true},
		Tile{File: "t1.ivf", Codec: "vp8", X: 640, Width: 640, Height: 360},
	)
	c.Frames, c.Encoder.Preset = 60, "ultrafast"
	cmd, err := Compose(c)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tool.Run(t.Context(), dir, cmd, Pipes{})
	if err != nil || res.DecodeErrors == 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, want := range []struct {
		frame       int
		left, right color.RGBA
	}{{10, back, red}, {20, back, white}, {40, blue, white}} {
		at := pixels(t, filepath.Join(dir, "out.ts"), want.frame)
		if l, r := at(320, 100), at(960, 100); !near(l, want.left) || !near(r, want.right) {
			t.Errorf("frame %d: %v and %v, want %v and %v", want.frame, l, r, want.left, want.right)
		}
	}
}

func TestMissing(t *testing.T) {
	path := script(t, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tool, dir := newTool(t, Config{Path: path})
	if _, err := tool.Run(t.Context(), dir, Command{Step: "compose"}, Pipes{}); !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v, want ErrMissing", err)
	}
	if !strings.Contains(ErrMissing.Error(), "./task setup") {
		t.Errorf("%q does not say what to do", ErrMissing)
	}
	installed, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(installed, path); err != nil {
		t.Fatal(err)
	}
	v, err := tool.Version(t.Context())
	if err != nil || !strings.HasPrefix(v, "ffmpeg ") {
		t.Errorf("after installing: %q, %v", v, err)
	}
}

// script is a program that stands where ffmpeg is expected.
func script(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ffmpeg-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$2\" = -version ] && { echo ffmpeg version test; exit 0; }\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheToolIsLockedAway(t *testing.T) {
	t.Setenv("CONSILIUM_API_SECRET", "hunter2")
	tool, dir := newTool(t, Config{Path: script(t, `touch made; echo "uid $(id -u) $(id -G)"; tail -n +3 /proc/net/dev | cut -d: -f1 | sed 's/^ */interface /'; env; nice; exit 3`)})
	var out bytes.Buffer
	_, err := tool.Run(t.Context(), dir, Command{Step: "compose"}, Pipes{Stdout: &out})
	var failed *RunError
	if !errors.As(err, &failed) || failed.Step != "compose" {
		t.Fatalf("got %v", err)
	}
	said := out.String()
	if os.Geteuid() == 0 && !strings.Contains(said, "uid 65534 65534\n") {
		t.Errorf("it runs as a user with rights:\n%s", said)
	}
	if strings.Count(said, "interface ") != strings.Count(said, "interface lo\n") {
		t.Errorf("it sees a network:\n%s", said)
	}
	if strings.Contains(said, "hunter2") {
		t.Errorf("it sees our environment:\n%s", said)
	}
	if !strings.HasSuffix(strings.TrimSpace(said), "10") {
		t.Errorf("it is not nice:\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
		t.Errorf("it cannot write into its folder: %v", err)
	}
}

func TestCancelKillsTheWholeGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	tool, dir := newTool(t, Config{Path: script(t, `sleep 600 & echo $!; wait`)})
	go func() { // ends with the first line of the script
		buf := make([]byte, 32)
		n, _ := r.Read(buf)
		var pid int
		fmt.Sscan(string(buf[:n]), &pid)
		t.Cleanup(func() {
			for range 100 {
				if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
					return
				}
				time.Sleep(10 * time.Millisecond) // the kernel buries it
			}
			t.Errorf("the child %d of the killed process lives on", pid)
		})
		cancel()
	}()
	begun := time.Now()
	_, err := tool.Run(ctx, dir, Command{Step: "compose"}, Pipes{Stdout: w})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begun); d > 30*time.Second {
		t.Errorf("it took %s to stop", d)
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestTimeLimit(t *testing.T) {
	tool, dir := newTool(t, Config{Path: script(t, `echo "still busy" >&2; exec sleep 600`)})
	_, err := tool.Run(t.Context(), dir, Command{Step: "compose", Limit: 300 * time.Millisecond}, Pipes{})
	if !errors.Is(err, ErrTimeLimit) {
		t.Errorf("got %v", err)
	}
	if log, ok := IsLog(err); !ok || !strings.Contains(log, "still busy") {
		t.Errorf("log %q", log)
	}
}

// A process that asks for ever more memory is refused at some point, and what is said of it says so. Nobody else on the
// machine notices.
func TestTheToolGetsSoMuchMemoryAndNoMore(t *testing.T) {
	all := maxMemory
	t.Cleanup(func() { maxMemory = all })
	maxMemory = 256 << 20
	tool, dir := newTool(t, Config{Path: script(t, `echo "core $(ulimit -c)"
	exec awk 'BEGIN { s = "x"; while (length(s) < 2^30) s = s s; print "had it all" }'`)})
	var out bytes.Buffer
	_, err := tool.Run(t.Context(), dir, Command{Step: "compose", Limit: time.Minute}, Pipes{Stdout: &out})
	var failed *RunError
	if !errors.As(err, &failed) || errors.Is(err, ErrTimeLimit) || strings.Contains(out.String(), "had it all") {
		t.Errorf("got %v: %s", err, out.String())
	}
	if log, ok := IsLog(err); !ok || !strings.Contains(strings.ToLower(log), "memory") {
		t.Errorf("log %q", log)
	}
	if !strings.Contains(out.String(), "core 0\n") {
		t.Errorf("it may leave its memory behind: %s", out.String())
	}
}

func TestFullDisk(t *testing.T) {
	tool, dir := newTool(t, Config{Path: script(t, `echo "av_interleaved_write_frame(): No space left on device" >&2; exit 1`)})
	if _, err := tool.Run(t.Context(), dir, Command{Step: "compose"}, Pipes{}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v", err)
	}
}

func TestTailKeepsTheEndAndCountsDamage(t *testing.T) {
	var l tail
	for i := range 5000 {
		fmt.Fprintf(&l, "Error while decoding stream #0:0: Invalid data %d\nnothing special\n", i)
	}
	io.WriteString(&l, "the last ")
	io.WriteString(&l, "words")
	if l.decodeErrors != 5000 {
		t.Errorf("%d decode errors", l.decodeErrors)
	}
	if s := l.String(); !strings.HasSuffix(s, "data 4999\nnothing special\nthe last words") || len(s) > tailSize {
		t.Errorf("%d bytes, end %q", len(s), s[len(s)-60:])
	}
}

func TestProgressCountsFramesOnly(t *testing.T) {
	in := "frame=1\nfps=0.0\nout_time_ms=N/A\nprogress=continue\nframe= 29\nout_time_ms=900000\nframe=x\nprogress=end\n"
	var seen []int64
	if got := readProgress(strings.NewReader(in), func(n int64) { seen = append(seen, n) }); got != 29 || len(seen) != 2 {
		t.Errorf("got %d, %v", got, seen)
	}
}

// A playlist that calls itself a video must not make the tool open other files.
func TestDisguisedPlaylistIsNotOpened(t *testing.T) {
	tool, dir := newTool(t, Config{})
	writeOverlay(t, dir)
	playlist := "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"
	if err := os.WriteFile(filepath.Join(dir, "t0.ivf"), []byte(playlist), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd, err := Compose(composition(Tile{File: "t0.ivf", Codec: "vp8", Width: 640, Height: 360}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tool.Run(t.Context(), dir, cmd, Pipes{})
	log, ok := IsLog(err)
	if !ok || strings.Contains(log, "root:") || strings.Contains(log, "hls") {
		t.Errorf("got %v\n%s", err, log)
	}
}
