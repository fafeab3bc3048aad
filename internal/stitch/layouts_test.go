package stitch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// talk makes the sound of somebody who speaks in the given stretches of seconds, with the pauses that words have, and is
// silent in all others.
func talk(t testing.TB, hz int, seconds float64, stretches ...float64) clip {
	t.Helper()
	when := "0"
	for i := 0; i < len(stretches); i += 2 {
		when += fmt.Sprintf("+gte(t,%g)*lt(t,%g)*lt(mod(t-%g,0.7),0.6)", stretches[i], stretches[i+1], stretches[i])
	}
	raw := run_(t, "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='(%s)*0.3*sin(2*PI*%d*t)':s=48000:d=%g", when, hz, seconds),
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
	return oggClip(t, oggPackets(raw)[2:])
}

// onStage says who has the stage, by the colour of its middle, and from which frame on. White flashes are nobody.
func (a archiveOf) onStage(colours map[string]color.RGBA) []string {
	var all []string
	last := ""
	for f := range a.frames {
		for name, c := range colours {
			if name != last && near(a.at(f, 500, 300), c) {
				all = append(all, fmt.Sprintf("%s from %d", name, f))
				last = name
			}
		}
	}
	return all
}

func TestWhoeverSpeaksHasTheStage(t *testing.T) {
	t.Parallel() // others wait
	w := newWorld(t)
	type one struct {
		name, colour, size string
		hz                 int
		speaks             []float64
	}
	var ids []string
	for i, o := range []one{
		{"Anna", "red", "320x180", 440, []float64{0.5, 3.5}},
		{"Bert", "blue", "90x160", 660, []float64{4, 7}}, // a phone held upright
		{"Carl", "green", "320x180", 880, nil},
	} {
		p := w.join(0, o.name)
		ssrc := uint32(2*i + 1)
		p.record(0, p.track(0, media.VP8, media.Camera, ssrc), ssrc, camera(t, o.colour, o.size, 10, 80))
		if o.speaks != nil {
			p.record(0, p.track(0, media.Opus, media.Microphone, ssrc+1), ssrc+1, talk(t, o.hz, 8, o.speaks...))
		}
		if o.name == "Carl" {
			p.record(6000, p.track(6000, media.VP8, media.Screen, 9), 9, camera(t, "yellow", "320x180", 10, 20))
		}
		ids = append(ids, p.id)
	}
	w.say(8000, "", events.ConsultationEnded{Reason: events.EndedClosed})
	archive := w.made(w.order(events.ArchiveRequested{Layout: "speaker", Profile: "fast", Stamp: true, Voices: true}))

	// Bert's first word is in frame 120; his picture comes 9 frames before it. From 6 s on there is a screen.
	// Pictures flash in the first tenth of each second, here of frames 0 and 180.
	want := []string{"Anna from 4", "Bert from 111", "screen from 184"}
	if got := archive.onStage(map[string]color.RGBA{"Anna": red, "Bert": blue, "Carl": green, "screen": yellow}); !slices.Equal(got, want) {
		t.Errorf("on the stage: %v, want %v", got, want)
	}
	archive.shows(45, "Bert, small", 1152, 330, blue)
	archive.shows(45, "Bert again, blurred, beside him", 1050, 280, darkBlue)
	archive.shows(45, "Carl, small", 1152, 490, green)
	archive.shows(45, "above the stage", 640, 40, empty)
	archive.shows(135, "Anna, small", 1152, 300, red)
	archive.shows(135, "Bert again, blurred, beside himself", 100, 300, darkBlue)
	for i, y := range []int{200, 330, 490} {
		archive.shows(225, "beside the screen", 1152, y, []color.RGBA{red, blue, green}[i])
	}
	archive.ticks(t)
	archive.voices(t, w, ids[0], ids[1])
}

var yellow = color.RGBA{0xff, 0xff, 0, 0xff}

// ticks holds that the wall clock in the corner changes when a second begins, and only then.
func (a archiveOf) ticks(t *testing.T) {
	t.Helper()
	if m := a.manifest; !m.Stamp || m.Layout != "speaker" {
		t.Errorf("manifest: %s, stamp %v", m.Layout, m.Stamp)
	}
	corner := func(f int) (all []uint8) {
		for y := 12; y < 40; y += 4 {
			for x := 12; x < 260; x += 4 {
				all = append(all, a.at(f, x, y).R)
			}
		}
		return all
	}
	for f := 1; f < a.frames; f++ {
		before, now, changed := corner(f-1), corner(f), 0
		for i := range now {
			if math.Abs(float64(now[i])-float64(before[i])) > 40 {
				changed++
			}
		}
		if ticked := changed > 1; ticked != (f%30 == 0) {
			t.Errorf("frame %d: %d points of the clock have changed", f, changed)
		}
	}
}

// voices holds that the sound of each participant is in a file of its own, on the clock of the archive, and nobody else's.
func (a archiveOf) voices(t *testing.T, w *world, first, second string) {
	t.Helper()
	if len(a.manifest.Voices) != 2 {
		t.Fatalf("voices: %+v", a.manifest.Voices)
	}
	var alone [2][]float64
	for i, v := range a.manifest.Voices {
		if want := []string{first, second}[i]; v.Participant != want || v.File != "voice-"+want+".m4a" {
			t.Errorf("voice %d is %+v", i, v)
		}
		content := w.get(filepath.Dir(a.rendered.Key) + "/" + v.File)
		if events.HashOf(content) != v.SHA256 || int64(len(content)) != v.Bytes {
			t.Errorf("%s is not what the manifest says", v.File)
		}
		path := filepath.Join(t.TempDir(), "voice.m4a")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		raw := run_(t, "-i", path, "-f", "f32le", "pipe:1")
		for ; len(raw) >= 4; raw = raw[4:] {
			alone[i] = append(alone[i], float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		}
		if len(alone[i]) != len(a.sound) {
			t.Errorf("%s has %d samples, the archive %d", v.File, len(alone[i]), len(a.sound))
		}
	}
	// Each second belongs to one of the two: there its file is the archive's sound, and the other is silent. The archive has
	// two channels, which the tests' reader adds up with half their power each.
	for second := range 7 {
		whose := 0
		if second >= 4 {
			whose = 1
		}
		from, to := second*48000, (second+1)*48000
		both := make([]float64, to-from)
		for i := range both {
			both[i] = a.sound[from+i] / math.Sqrt2
		}
		mixed, own, other := rms(both), rms(alone[whose][from:to]), rms(alone[1-whose][from:to])
		off := make([]float64, to-from)
		for i := range off {
			off[i] = both[i] - alone[whose][from+i]
		}
		if second == 3 {
			continue // half of it is silence
		}
		if mixed < 0.05 || math.Abs(own/mixed-1) > 0.05 || other > 0.001 || rms(off) > mixed/5 {
			t.Errorf("second %d: %.4f mixed, %.4f alone, %.4f in the other file, %.4f apart", second, mixed, own, other, rms(off))
		}
	}
}

func rms(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(all)))
}

// BenchmarkLevels is what finding out who speaks costs: cpu-s/min is processor time for each minute of each voice.
func BenchmarkLevels(b *testing.B) {
	const minutes = 4
	dir := b.TempDir()
	recorded := talk(b, 300, minutes*60, 0, minutes*60)
	scan, err := media.ScanOgg(bytes.NewReader(recorded.content))
	if err != nil {
		b.Fatal(err)
	}
	one := run{
		files: []recording{{file: bytes.NewReader(recorded.content), scan: scan}},
		knots: []knot{{0, 0}, {minutes * 60 * ffmpeg.SampleRate, minutes * 60 * ffmpeg.SampleRate}},
	}
	tool, err := ffmpeg.New(ffmpeg.Config{Nice: 1}, discard())
	if err != nil {
		b.Fatal(err)
	}
	spent := func() (sum float64) {
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var u syscall.Rusage
			if err := syscall.Getrusage(who, &u); err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		}
		return sum
	}
	before := spent()
	for b.Loop() {
		work := &soundWork{Samples: minutes * 60 * ffmpeg.SampleRate}
		m, err := measureVoice(b.Context(), work, &mixer{tool: tool, dir: dir, runs: []run{one}})
		if err != nil || len(m.Tenths) != minutes*600 {
			b.Fatal(len(m.Tenths), err)
		}
	}
	b.ReportMetric((spent()-before)/float64(b.N*minutes), "cpu-s/min")
}
