package stitch

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

// galleryFolder says where the pictures of docs/archive.md are written; ./task pictures:archive sets it.
const galleryFolder = "STITCH_GALLERY"

// scene is how long each scene of the gallery lasts, in milliseconds.
const scene = 1200

// hall is a consultation in which everything that an archive can show is shown once, in scenes of one length:
// 0 one person, 1 a second one with a phone, 2 a camera that is off, 3 somebody who did not consent, 4 a lost connection,
// 5 a pause, 6 a shared screen, 7 nobody.
func hall(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.say(-500, "", events.ConsultationOpened{Policy: events.PolicyOptional, Layout: "grid", Language: "en"})
	at := func(n int) int64 { return int64(n) * scene }
	smaller := 4 // a test need not be beautiful
	if os.Getenv(galleryFolder) != "" {
		smaller = 1
	}
	doctor := face{skin: color.RGBA{0xe0, 0xb0, 0x90, 0xff}, hair: color.RGBA{0x50, 0x38, 0x28, 0xff}, shirt: color.RGBA{0xf0, 0xf4, 0xf8, 0xff}, wall: color.RGBA{0x88, 0xa8, 0xb8, 0xff}}
	patient := face{skin: color.RGBA{0xb0, 0x80, 0x60, 0xff}, hair: color.RGBA{0x20, 0x20, 0x28, 0xff}, shirt: color.RGBA{0x30, 0x60, 0x50, 0xff}, wall: color.RGBA{0xc8, 0xb0, 0x90, 0xff}}

	anna := w.join(0, "Dr. Anna Weber")
	camera := anna.track(0, media.VP8, media.Camera, 1)
	anna.record(0, camera, 1, motion(t, doctor.draw(1280/smaller, 720/smaller), 5*scene))
	voice := anna.track(0, media.Opus, media.Microphone, 2)
	anna.record(0, voice, 2, talk(t, 300, 5*scene/1000., 0, 3.4))

	besim := w.join(at(1), "Besim Çelik")
	phone := besim.track(at(1), media.VP8, media.Camera, 3)
	besim.record(at(1), phone, 3, motion(t, patient.draw(360/smaller, 640/smaller), 3*scene))
	said := besim.track(at(1), media.Opus, media.Microphone, 4)
	besim.record(at(1), said, 4, talk(t, 200, 3*scene/1000., 2.4, 3.6))

	olga := w.join(at(2), "Ольга Соколова, переводчик")
	mic := olga.track(at(2), media.Opus, media.Microphone, 5)
	olga.record(at(2), mic, 5, talk(t, 400, 3*scene/1000.))
	off := olga.track(at(2), media.VP8, media.Camera, 6)
	w.say(at(2), olga.id, events.TrackMuted{Track: off})

	refused := w.refuse(at(3), "محمد الأمين")

	w.say(at(4), besim.id, events.ConnectionICEChanged{Connection: besim.connection, State: "disconnected"})
	w.say(at(5)-50, besim.id, events.ConnectionICEChanged{Connection: besim.connection, State: "connected"})
	w.say(at(5), "", events.RecordingPaused{Reason: "examination"})
	w.say(at(6), "", events.RecordingResumed{Reason: "examination"})

	anna.record(at(6), camera, 1, motion(t, doctor.draw(1280/smaller, 720/smaller), scene))
	besim.record(at(6), phone, 3, motion(t, patient.draw(360/smaller, 640/smaller), scene))
	screen := anna.track(at(6), media.VP8, media.Screen, 7)
	anna.record(at(6), screen, 7, motion(t, curve(1280/smaller, 800/smaller), scene))
	for _, p := range []person{anna, besim, olga, refused} {
		p.leave(at(7))
	}
	w.say(at(8), anna.id, events.ParticipantJoined{Role: "patient"}) // so that it does not end when nobody is there
	w.say(at(8)+200, "", events.ConsultationEnded{Reason: events.EndedClosed})
	return w
}

// losses is a consultation of six people with names of the world. One of them is seen; what was recorded of the others was lost
// in five ways.
func losses(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	const length = 2000
	smaller := 4
	if os.Getenv(galleryFolder) != "" {
		smaller = 1
	}
	f := face{skin: color.RGBA{0xe0, 0xb0, 0x90, 0xff}, hair: color.RGBA{0x50, 0x38, 0x28, 0xff}, shirt: color.RGBA{0xf0, 0xf4, 0xf8, 0xff}, wall: color.RGBA{0x88, 0xa8, 0xb8, 0xff}}
	whole, begun := motion(t, f.draw(1280/smaller, 720/smaller), length), motion(t, f.draw(160, 90), 300)
	for i, one := range []struct {
		name   string
		closed string // what was begun was closed for that reason
		lost   func(key string) error
	}{
		{"Dr. Anna Weber 👩\u200d⚕️", "", nil},
		{"משה לוי", "lost", nil},
		{"محمد الأمين", "recovered", nil},
		{"สมชาย ใจดี", "disk", nil},
		{"Ольга Соколова", "", func(key string) error { return w.blobs.Delete(t.Context(), key) }},
		{"राजेश कुमार", "", func(key string) error {
			_, err := w.blobs.Put(t.Context(), key, strings.NewReader("this is no recording"))
			return err
		}},
	} {
		p, ssrc, c := w.join(0, one.name), uint32(i+1), whole
		if one.closed != "" {
			c, c.closed = begun, one.closed
		}
		segment := p.record(0, p.track(0, media.VP8, media.Camera, ssrc), ssrc, c)
		if one.lost != nil {
			if err := one.lost(w.segmentKey(segment, media.VP8)); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.say(length, "", events.ConsultationEnded{Reason: events.EndedClosed})
	return w
}

// TestWhatWasLostSaysSo holds the cards for what should have been recorded and was not, as TestWhatPeopleSee does with all others.
func TestWhatWasLostSaysSo(t *testing.T) {
	t.Parallel() // others wait
	w := losses(t)
	a := w.made(w.order(events.ArchiveRequested{Layout: "grid", Profile: "fast"}))
	const frame = 45
	i := slices.IndexFunc(a.manifest.Scenes, func(s ManifestScene) bool { return s.StartFrame <= frame && frame < s.EndFrame })
	var causes []timeline.Cause
	for n, tile := range a.manifest.Scenes[i].Tiles {
		causes = append(causes, tile.Cause)
		cell := image.Rect(tile.X, tile.Y, tile.X+tile.Width, tile.Y+tile.Height)
		if isCard := a.plain(frame, cell, card); isCard != (n > 0) || isCard && a.letters(frame, cell) < 20 {
			t.Errorf("in %v is a card: %v, with %d points of letters", cell, isCard, a.letters(frame, cell))
		}
	}
	if want := []timeline.Cause{"", timeline.Loss, timeline.Crash, timeline.Overrun, timeline.Missing, timeline.Corrupt}; !slices.Equal(causes, want) {
		t.Errorf("causes %q, want %q", causes, want)
	}
	a.keep(t, frame, "lost")
}

// refuse lets somebody come who does not want to be recorded.
func (w *world) refuse(ms int64, name string) person {
	p := person{w: w, id: events.NewID(), connection: events.NewID()}
	w.sheet.Participants = append(w.sheet.Participants, sheet.Participant{ID: p.id, Name: name, Role: "observer"})
	w.say(ms-5, p.id, events.ParticipantInvited{Role: "observer"})
	w.say(ms, p.id, events.ParticipantJoined{Role: "observer"})
	w.say(ms, p.id, events.ConsentRefused{Consent: events.Consent{TextSHA256: "0", Language: "en", By: events.BySelf}})
	w.say(ms, p.id, events.ConnectionOpened{Connection: p.connection, Via: "websocket"})
	w.say(ms, p.id, events.ConnectionICEChanged{Connection: p.connection, State: "connected"})
	return p
}

// TestWhatPeopleSee goes through all layouts and cards in the pictures of finished archives, and writes them for
// docs/archive.md where that is wanted.
func TestWhatPeopleSee(t *testing.T) {
	t.Parallel() // others wait
	w := hall(t)
	grid := w.made(w.order(events.ArchiveRequested{Layout: "grid", Profile: "fast"}))
	speaker := w.made(w.order(events.ArchiveRequested{Layout: "speaker", Profile: "fast", Stamp: true}))

	// Cells of a grid of two and of four, and of the strip.
	left, right := image.Rect(0, 180, 640, 540), image.Rect(640, 180, 1280, 540)
	quarter := func(x, y int) image.Rectangle { return image.Rect(640*x, 360*y, 640*x+640, 360*y+360) }
	tests := []struct {
		name     string
		in       archiveOf
		scene    int
		pictures []image.Rectangle
		cards    []image.Rectangle
	}{
		{"one", grid, 0, []image.Rectangle{image.Rect(0, 0, 1280, 720)}, nil},
		{"two", grid, 1, []image.Rectangle{left, right}, nil},
		{"camera-off", grid, 2, []image.Rectangle{quarter(0, 0), quarter(1, 0)}, []image.Rectangle{image.Rect(320, 360, 960, 720)}},
		{"no-consent", grid, 3, []image.Rectangle{quarter(0, 0), quarter(1, 0)}, []image.Rectangle{quarter(0, 1), quarter(1, 1)}},
		{"connection-lost", grid, 4, []image.Rectangle{quarter(0, 0)}, []image.Rectangle{quarter(1, 0), quarter(0, 1), quarter(1, 1)}},
		{"paused", grid, 5, nil, []image.Rectangle{image.Rect(0, 0, 1280, 720)}},
		{"screen", grid, 6, []image.Rectangle{image.Rect(52, 72, 972, 648)}, nil},
		{"nobody", grid, 7, nil, nil},
		{"speaker", speaker, 1, []image.Rectangle{image.Rect(0, 72, 1024, 648), image.Rect(1024, 288, 1280, 432)}, nil},
		{"speaker-phone", speaker, 3, []image.Rectangle{image.Rect(0, 72, 1024, 648)}, []image.Rectangle{image.Rect(1024, 288, 1280, 432), image.Rect(1024, 432, 1280, 576)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.in.t = t
			frame := (test.scene*scene + scene*3/4) * 30 / 1000
			for _, cell := range test.pictures {
				if test.in.plain(frame, cell, card) || test.in.plain(frame, cell, empty) {
					t.Errorf("there is no picture in %v", cell)
				}
			}
			for _, cell := range test.cards {
				if !test.in.plain(frame, cell, card) {
					t.Errorf("there is no card in %v", cell)
				}
				if n := test.in.letters(frame, cell); n < 20 {
					t.Errorf("%d points of letters on the card in %v", n, cell)
				}
			}
			if test.name == "nobody" && (!test.in.plain(frame, image.Rect(0, 0, 1280, 720), empty) || test.in.letters(frame, image.Rect(300, 300, 980, 420)) < 20) {
				t.Error("an empty canvas does not say that nobody is present")
			}
			test.in.keep(t, frame, test.name)
		})
	}
}

// plain says whether a cell has one colour near its corners, which a card has and a face has not.
func (a archiveOf) plain(frame int, cell image.Rectangle, want color.RGBA) bool {
	in := cell.Inset(12)
	for _, p := range []image.Point{in.Min, {in.Max.X - 4, in.Min.Y}, {in.Min.X, in.Max.Y - 4}, in.Max.Sub(image.Pt(4, 4))} {
		if !near(a.at(frame, p.X, p.Y), want) {
			return false
		}
	}
	return true
}

// letters counts the bright points of a cell.
func (a archiveOf) letters(frame int, cell image.Rectangle) (n int) {
	for y := cell.Min.Y; y < cell.Max.Y; y += 4 {
		for x := cell.Min.X; x < cell.Max.X; x += 4 {
			if c := a.at(frame, x, y); c.R > 0x90 && c.G > 0x90 && c.B > 0x90 {
				n++
			}
		}
	}
	return n
}

// keep writes a frame as it is in the archive, at half its size, where pictures are wanted.
func (a archiveOf) keep(t *testing.T, frame int, name string) {
	t.Helper()
	dir := os.Getenv(galleryFolder)
	if dir == "" {
		return
	}
	path := filepath.Join(t.TempDir(), "archive.mp4")
	if err := os.WriteFile(path, a.content, 0o644); err != nil {
		t.Fatal(err)
	}
	run_(t, "-y", "-i", path, "-vf", fmt.Sprintf("select=eq(n\\,%d),scale=640:360:flags=area", frame), "-frames:v", "1", "-q:v", "4",
		"-bitexact", "-update", "1", filepath.Join(dir, "archive-"+name+".jpg"))
}

// face is a drawing of somebody before a camera.
type face struct{ skin, hair, shirt, wall color.RGBA }

func (f face) draw(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	m := float64(min(w, h))
	middle := float64(w) / 2
	within := func(x, y int, cx, cy, rx, ry float64) bool {
		return math.Hypot((float64(x)-cx)/rx, (float64(y)-cy)/ry) < 1
	}
	for y := range h {
		for x := range w {
			c := f.wall
			shade := 1 - 0.35*float64(y)/float64(h) - 0.15*float64(x)/float64(w)
			cy := float64(h)*0.5 - m*0.06
			switch {
			case within(x, y, middle-m*0.07, cy-m*0.01, m*0.022, m*0.016), within(x, y, middle+m*0.07, cy-m*0.01, m*0.022, m*0.016):
				c, shade = color.RGBA{0x20, 0x20, 0x20, 0xff}, 1
			case within(x, y, middle, cy+m*0.12, m*0.06, m*0.016):
				c, shade = color.RGBA{0xa0, 0x40, 0x40, 0xff}, 1
			case within(x, y, middle, cy+m*0.03, m*0.165, m*0.215):
				c, shade = f.skin, 1-0.2*math.Abs(float64(x)-middle)/(m*0.165)
			case within(x, y, middle, cy-m*0.03, m*0.195, m*0.23):
				c, shade = f.hair, 1
			case within(x, y, middle, cy+m*0.68, m*0.44, m*0.38), float64(y) > cy+m*0.68 && math.Abs(float64(x)-middle) < m*0.44:
				c = f.shirt
			case within(x, y, middle, cy+m*0.25, m*0.07, m*0.14):
				c, shade = f.skin, 0.8
			}
			img.SetRGBA(x, y, color.RGBA{uint8(float64(c.R) * shade), uint8(float64(c.G) * shade), uint8(float64(c.B) * shade), 0xff})
		}
	}
	return img
}

// curve is a drawing of what a doctor might share: a trace on paper.
func curve(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{0xff, 0xf6, 0xf0, 0xff}
			if x%(w/32) < 2 || y%(w/32) < 2 {
				c = color.RGBA{0xf0, 0xc8, 0xc0, 0xff}
			}
			img.SetRGBA(x, y, c)
		}
	}
	beat := func(x float64) float64 { // P, QRS, T
		bump := func(at, wide, high float64) float64 { return high * math.Exp(-math.Pow((x-at)/wide, 2)) }
		return bump(0.2, 0.04, 0.12) - bump(0.36, 0.012, 0.15) + bump(0.4, 0.016, 1) - bump(0.44, 0.014, 0.25) + bump(0.7, 0.06, 0.25)
	}
	for lead := range 3 {
		for i := range w * 8 {
			x := float64(i) / 8
			y := float64(h)*(0.28+0.26*float64(lead)) - float64(h)*0.16*(1-0.2*float64(lead))*beat(math.Mod(5*x/float64(w), 1))
			for dy := range 3 {
				img.SetRGBA(int(x), int(y)+dy, color.RGBA{0x18, 0x18, 0x38, 0xff})
			}
		}
	}
	return img
}

// motion makes video of a still picture with the noise of a sensor, in 15 frames a second.
func motion(t *testing.T, still image.Image, ms int) clip {
	t.Helper()
	path := filepath.Join(t.TempDir(), "still.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, still); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	const rate = 15
	raw := run_(t, "-loop", "1", "-framerate", fmt.Sprint(rate), "-i", path, "-frames:v", fmt.Sprint(ms*rate/1000), "-vf", "noise=alls=6:allf=t,format=yuv420p",
		"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M", "-g", "1000", "-f", "ivf", "pipe:1")
	out := media.AppendIVFHeader(nil, media.IVFHeader{Codec: media.VP8, Width: still.Bounds().Dx(), Height: still.Bounds().Dy(), Den: 90000, Num: 1})
	n := int64(0)
	for at := 32; at < len(raw); n++ {
		length := int(binary.LittleEndian.Uint32(raw[at:]))
		out = media.AppendIVFFrameHeader(out, length, n*90000/rate)
		out = append(out, raw[at+12:at+12+length]...)
		at += 12 + length
	}
	return clip{codec: media.VP8, content: out, frames: n, ticks: (n - 1) * 90000 / rate}
}
