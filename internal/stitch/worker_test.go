package stitch

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// archiveOf is a finished archive, taken apart.
type archiveOf struct {
	t        *testing.T
	rendered events.ArchiveRendered
	manifest Manifest
	content  []byte // of the file
	video    []byte // RGB frames of 320x180, a quarter of each side
	frames   int
	sound    []float64 // mono, 48 kHz
}

const (
	smallW, smallH = 320, 180
	smallFrame     = smallW * smallH * 3
)

// made makes the version and takes the archive apart.
func (w *world) made(version int) archiveOf {
	w.t.Helper()
	if err := w.worker(ffmpeg.Config{}, nil).Make(w.t.Context(), w.consultation, version); err != nil {
		w.t.Fatal(err)
	}
	return w.open(version)
}

// makes makes the version for those who do not look at it.
func (w *world) makes(version int) archiveOf {
	w.t.Helper()
	if err := w.worker(ffmpeg.Config{}, nil).Make(w.t.Context(), w.consultation, version); err != nil {
		w.t.Fatal(err)
	}
	return w.archive(version)
}

// archive is a finished version that is not decoded.
func (w *world) archive(version int) archiveOf {
	w.t.Helper()
	rendered, ok := w.result(version).(events.ArchiveRendered)
	if !ok {
		w.t.Fatalf("version %d: %+v", version, w.result(version))
	}
	a := archiveOf{t: w.t, rendered: rendered}
	prefix := fmt.Sprintf("c/%s/archives/%d/", w.consultation, version)
	if rendered.Key != prefix+ArchiveFile {
		w.t.Errorf("key %q", rendered.Key)
	}
	content, about := w.get(rendered.Key), w.get(prefix+ManifestFile)
	if events.HashOf(content) != rendered.SHA256 || int64(len(content)) != rendered.Bytes || events.HashOf(about) != rendered.ManifestSHA256 {
		w.t.Error("the event does not describe what is stored")
	}
	if err := json.Unmarshal(about, &a.manifest); err != nil {
		w.t.Fatal(err)
	}
	a.content = content
	return a
}

// open takes a finished version apart, by a decoder that stops at the first fault.
func (w *world) open(version int) archiveOf {
	w.t.Helper()
	a := w.archive(version)
	path := filepath.Join(w.t.TempDir(), ArchiveFile)
	if err := os.WriteFile(path, a.content, 0o644); err != nil {
		w.t.Fatal(err)
	}
	if keep := os.Getenv("KEEP_ARCHIVE"); keep != "" {
		_ = os.WriteFile(keep, a.content, 0o644)
	}
	if a.manifest.Profile != "audio" {
		a.video = run_(w.t, "-xerror", "-err_detect", "explode", "-i", path, "-an", "-fps_mode", "passthrough", "-vf", "scale=320:180:flags=neighbor", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")
		a.frames = len(a.video) / smallFrame
	}
	raw := run_(w.t, "-xerror", "-err_detect", "explode", "-i", path, "-vn", "-ac", "1", "-ar", "48000", "-f", "f32le", "pipe:1")
	for ; len(raw) >= 4; raw = raw[4:] {
		a.sound = append(a.sound, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
	}
	return a
}

// at is the colour of a frame at a place of the full canvas.
func (a archiveOf) at(frame, x, y int) color.RGBA {
	i := frame*smallFrame + (y/4*smallW+x/4)*3
	return color.RGBA{a.video[i], a.video[i+1], a.video[i+2], 0xff}
}

var (
	red      = color.RGBA{0xff, 0, 0, 0xff}
	green    = color.RGBA{0, 0x80, 0, 0xff}
	blue     = color.RGBA{0, 0, 0xff, 0xff}
	darkBlue = color.RGBA{0, 0, 0x88, 0xff}
	white    = color.RGBA{0xff, 0xff, 0xff, 0xff}
	card     = color.RGBA{0x37, 0x3e, 0x49, 0xff}
	empty    = color.RGBA{0x20, 0x24, 0x2b, 0xff}
)

func near(a, b color.RGBA) bool {
	far := func(x, y uint8) bool { return math.Abs(float64(x)-float64(y)) > 24 }
	return !far(a.R, b.R) && !far(a.G, b.G) && !far(a.B, b.B)
}

// shows fails the test when a place has another colour in a frame.
func (a archiveOf) shows(frame int, what string, x, y int, want color.RGBA) {
	a.t.Helper()
	if frame >= a.frames {
		a.t.Fatalf("there is no frame %d of %d", frame, a.frames)
	}
	if got := a.at(frame, x, y); !near(got, want) {
		a.t.Errorf("frame %d: %s at %d,%d is %v, want %v", frame, what, x, y, got, want)
	}
}

// flashes are the first frames in which a place is white, in milliseconds.
func (a archiveOf) flashes(x, y int) []float64 {
	var all []float64
	on := false
	for f := range a.frames {
		now := near(a.at(f, x, y), white)
		if now && !on {
			all = append(all, float64(f)*1000/30)
		}
		on = now
	}
	return all
}

// beeps are the moments at which the sound rises out of silence, in milliseconds.
func (a archiveOf) beeps() []float64 {
	var all []float64
	quiet := 4800
	for i, v := range a.sound {
		if math.Abs(v) > 0.05 {
			if quiet >= 2400 {
				all = append(all, float64(i)*1000/48000)
			}
			quiet = 0
			continue
		}
		quiet++
	}
	return all
}

func TestGridFollowsWhoComesAndGoes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes four scenes at full quality")
	}
	w := newWorld(t)
	a := w.join(0, `Dr. O'Brien: "50%{pts}" [v];, \ `)
	video := a.track(0, media.VP8, media.Camera, 1)
	a.record(200, video, 1, camera(t, "red", "640x360", 30, 180)) // to 6200
	b := w.join(2000, "د. محمد الأمين 👩‍⚕️")
	portrait := b.track(2100, media.VP8, media.Camera, 2)
	b.record(2100, portrait, 2, camera(t, "blue", "90x160", 15, 30)) // to 4100
	w.say(4100, b.id, events.TrackMuted{Track: portrait})
	b.leave(5200)
	a.leave(6200)
	archive := w.made(w.end(6300, ""))

	if archive.frames != 186 {
		t.Errorf("%d frames, want 186", archive.frames)
	}
	if n := len(archive.sound); n < 186*1600 || n > 186*1600+2048 {
		t.Errorf("%d samples of sound, want %d", n, 186*1600)
	}
	archive.shows(40, "the first one alone", 640, 200, red)
	archive.shows(40, "the first one alone, at the edge", 100, 200, red)
	archive.shows(80, "the first one beside the second", 320, 360, red)
	archive.shows(80, "the second one", 960, 360, blue)
	archive.shows(80, "the phone again, blurred, beside it", 700, 360, darkBlue)
	archive.shows(80, "above both", 640, 60, empty)
	archive.shows(140, "the first one beside the card", 320, 250, red)
	archive.shows(140, "the card", 700, 220, card)
	archive.shows(175, "the first one alone again", 640, 200, red)
	if len(archive.manifest.Segments) != 2 || len(archive.manifest.Missing) != 0 || archive.manifest.Checks.Frames != 186 {
		t.Errorf("manifest: %+v", archive.manifest)
	}
	text := string(w.get(fmt.Sprintf("c/%s/archives/1/%s", w.consultation, ChaptersFile)))
	if !strings.Contains(text, "د. محمد الأمين") || !strings.Contains(text, `"50%{pts}"`) {
		t.Errorf("chapters:\n%s", text)
	}
	if strings.Contains(string(w.get(fmt.Sprintf("c/%s/archives/1/%s", w.consultation, ManifestFile))), "Brien") {
		t.Error("the manifest holds a name")
	}
}

func TestPictureAndSoundFit(t *testing.T) {
	w := newWorld(t)
	a := w.join(0, "A")
	mic := a.track(0, media.Opus, media.Microphone, 11)
	video := a.track(0, media.VP8, media.Camera, 12)
	rtp := int64(226 * 48) // captured at 226 ms: 0.38 of a frame off
	for _, c := range microphone(t, 1000, 130, 70, 100) {
		a.recordFrom(rtp, mic, 11, c)
		rtp += c.ticks
	}
	a.record(226, video, 12, camera(t, "red", "320x180", 30, 180))
	b := w.join(0, "B")
	other := b.track(0, media.VP8, media.Camera, 21)
	b.record(733, other, 21, camera(t, "blue", "320x180", 30, 150))
	archive := w.made(w.end(6400, "fast"))

	flashes, beeps := archive.flashes(320, 360), archive.beeps()
	if len(flashes) != 6 || len(beeps) != 6 {
		t.Fatalf("flashes %v, beeps %v", flashes, beeps)
	}
	t.Logf("flashes at %.1f, beeps at %.1f ms", flashes, beeps)
	if c := archive.manifest.Checks; c.AVOffsetMS < 0 || c.AVOffsetMS > 5 || c.Loudness > -10 || c.Loudness < -40 {
		t.Errorf("checks: %+v", c)
	}
	moved := archive.manifest.Moved // the camera's frames lie 0.38 of a frame behind those of the archive
	if len(moved) != 1 || moved[0].Participant != a.id || math.Abs(moved[0].EarlierMS-12.667) > 0.5 {
		t.Fatalf("moved: %+v", moved)
	}
	for i := range flashes {
		if d := beeps[i] - (float64(1000*i+226+pathDelay) - moved[0].EarlierMS); math.Abs(d) > 1 {
			t.Errorf("second %d: the beep is %.2f ms from where the manifest has it", i, d)
		}
		if d := beeps[i] - flashes[i]; math.Abs(d) > 5 {
			t.Errorf("second %d: the beep comes %.1f ms after the flash", i, d)
		}
		if d := flashes[i] - float64(1000*i+226+pathDelay); math.Abs(d) > 17.5 {
			t.Errorf("second %d: the flash comes %.1f ms late", i, d)
		}
	}
	for i, at := range archive.flashes(960, 360) {
		if d := at - float64(1000*i+733+pathDelay); math.Abs(d) > 17.5 {
			t.Errorf("second %d: the other flash comes %.1f ms late", i, d)
		}
	}
}
