package stitch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// The hostile corpus: recordings, events and tools to which something bad was done, by code, and for each of them what
// has to become of it. Nothing of it is right because ffmpeg was content: each archive is decoded, and at every sixth
// frame each tile is compared with what its case says must be seen there, and each voice is listened for. What is not
// seen or heard must be in the manifest, with its cause; what cannot be made must be a failure with a text.
//
// Victims of several cases sit in one consultation, so that the test also shows that none of them harms another one.
//
// What is planned is compared for all of them each time, which takes a moment; rendered is one of eight. STITCH_HOSTILE=all
// renders all, STITCH_HOSTILE=alone each in a consultation of its own; both add what takes minutes.

// hostileEnv is the variable that asks for the long forms.
const hostileEnv = "STITCH_HOSTILE"

// hostileLength is how long these consultations are.
const hostileLength = 2000

// hostile is one case: somebody to whom something happened.
type hostile struct {
	name  string
	do    func(v *victim)
	shows []view         // of the tile; nil: it has the card of somebody without a camera all the time
	heard [][2]int64     // stretches in which the tone is there, in milliseconds; nothing is to be heard elsewhere
	cause timeline.Cause // that the manifest must name for the recording; empty: none, and none may be named
	drawn bool           // only a decoder finds out what is wrong
	quiet bool           // what is recorded is silent here and there
}

// view says what a tile shows from a moment on, in milliseconds.
type view struct {
	from int64
	what sight
}

// sight is what there may be to see.
type sight string

const (
	first   sight = "blue"   // the first second of what was recorded
	second  sight = "yellow" // the second one
	carding sight = "card"   // no picture, and a reason
	either  sight = "any"    // a decoder's way with damaged pictures: anything, named in the manifest
)

var (
	colours = map[sight][3]int{first: {0, 0, 0xff}, second: {0xff, 0xff, 0}, carding: {0x37, 0x3e, 0x49}}

	whole   = []view{{0, first}, {1000, second}}
	half    = []view{{0, first}, {1000, carding}}
	later   = []view{{0, carding}, {1000, second}}
	nothing = []view{{0, carding}}

	throughout = [][2]int64{{0, hostileLength}}
	silence    = [][2]int64(nil)
)

// victim is the participant of a case.
type victim struct {
	person
	t       *testing.T
	number  int     // in the consultation
	tone    int     // Hz
	sources sources // healthy, to be spoiled
	segment string  // that the case is about, the last one that was recorded
}

// sources are healthy recordings of two seconds: blue, then yellow.
type sources struct {
	two clip           // with a keyframe at each second
	one clip           // with a keyframe at the beginning only
	big clip           // of another size, one second of yellow
	hz  func(int) clip // a tone
}

func newSources(t *testing.T) sources {
	t.Helper()
	tones := map[int]clip{}
	return sources{
		two: twoColours(t, "160x90", "blue", "yellow", 30, 30), one: twoColours(t, "160x90", "blue", "yellow", 1000, 30),
		big: twoColours(t, "256x144", "yellow", "", 1000, 30),
		hz: func(hz int) clip {
			if _, ok := tones[hz]; !ok {
				tones[hz] = toneOf(t, hz, hostileLength/20)
			}
			return tones[hz]
		},
	}
}

// twoColours makes a second of one colour and, if there is one, a second of another, with a keyframe every so many frames.
func twoColours(t *testing.T, size, a, b string, every, rate int) clip {
	t.Helper()
	graph, seconds := fmt.Sprintf("color=c=%s:s=%s:r=%d:d=1", a, size, rate), 1
	if b != "" {
		graph, seconds = fmt.Sprintf("%s[a];color=c=%s:s=%s:r=%d:d=1[b];[a][b]concat", graph, b, size, rate), 2
	}
	raw := run_(t, "-filter_complex", graph, "-frames:v", fmt.Sprint(rate*seconds), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
		"-b:v", "300k", "-g", fmt.Sprint(every), "-keyint_min", fmt.Sprint(every), "-f", "ivf", "pipe:1")
	return packed(ivfFrames(raw), size, rate)
}

// packed is a segment of frames in a steady rhythm.
func packed(frames [][]byte, size string, rate int) clip {
	c := ivfOf(media.VP8, frames)
	var w, h uint16
	fmt.Sscanf(size, "%dx%d", &w, &h)
	binary.LittleEndian.PutUint16(c.content[12:], w)
	binary.LittleEndian.PutUint16(c.content[14:], h)
	c.content = everyPTS(c.content, func(n int64) int64 { return n * 90_000 / int64(rate) })
	c.ticks = int64(len(frames)-1) * 90_000 / int64(rate)
	return c
}

// toneOf makes a steady tone of so many packets of 20 ms.
func toneOf(t *testing.T, hz, packets int) clip {
	t.Helper()
	raw := run_(t, "-f", "lavfi", "-i", fmt.Sprintf("sine=f=%d:r=48000:d=%g,volume=4", hz, float64(packets)*0.02+0.1),
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
	return oggClip(t, oggPackets(raw)[2:][:packets])
}

// shown lets the victim have a camera and records what it sent from a moment on.
func (v *victim) shown(c clip) {
	ssrc := uint32(1000 + v.number)
	v.segment = v.record(0, v.track(0, media.VP8, media.Camera, ssrc), ssrc, c)
}

// said is the same with a microphone.
func (v *victim) said(c clip) {
	ssrc := uint32(2000 + v.number)
	v.segment = v.record(0, v.track(0, media.Opus, media.Microphone, ssrc), ssrc, c)
}

// overwritten puts other bytes into the blob store than were sealed.
func (v *victim) overwritten(codec media.Codec, content []byte) {
	v.t.Helper()
	if _, err := v.w.blobs.Put(v.t.Context(), v.w.segmentKey(v.segment, codec), bytes.NewReader(content)); err != nil {
		v.t.Fatal(err)
	}
}

// gone takes the segment out of the blob store.
func (v *victim) gone(codec media.Codec) {
	v.t.Helper()
	if err := v.w.blobs.Delete(v.t.Context(), v.w.segmentKey(v.segment, codec)); err != nil {
		v.t.Fatal(err)
	}
}

// changed is a copy of a recording with other bytes, sealed as it is.
func (c clip) changed(change func(b []byte) []byte) clip {
	c.content = change(bytes.Clone(c.content))
	return c
}

// frameAt is where the n-th frame of an IVF file begins, with its header.
func frameAt(ivf []byte, n int) int {
	at := media.IVFHeaderSize
	for range n {
		at += media.IVFFrameHeaderSize + int(uint32(ivf[at])|uint32(ivf[at+1])<<8|uint32(ivf[at+2])<<16|uint32(ivf[at+3])<<24)
	}
	return at
}

// TestHostileRecordings renders the corpus.
func TestHostileRecordings(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many archives")
	}
	seats, each := 8, 8 // beside the witness: a grid of nine
	switch os.Getenv(hostileEnv) {
	case "all":
		each = 1
	case "alone":
		seats, each = 1, 1
	}
	rounds(t, seats, each, func(t *testing.T, s *seated, profile string) {
		version := s.w.end(hostileLength, profile)
		a, places := s.w.survived(t, version)
		for i, c := range s.cases {
			a.examine(s.victims[i], c, places)
		}
	})
}

// TestHostilePlans holds what is planned for all cases of the corpus against them: where there is a picture in a tile and
// where a card, where a voice is heard, and what the manifest would say of it.
func TestHostilePlans(t *testing.T) {
	rounds(t, 8, 1, func(t *testing.T, s *seated, profile string) {
		version := s.w.end(hostileLength, profile)
		worker := s.w.worker(ffmpeg.Config{}, nil)
		j, err := worker.take(t.Context(), s.w.consultation, version)
		if err != nil {
			t.Fatal(err)
		}
		defer j.closeSegments()
		if err := errors.Join(worker.begin(t.Context(), j), worker.prepare(t.Context(), j)); err != nil {
			t.Fatal(err)
		}
		for i, c := range s.cases {
			v := s.victims[i]
			if !c.drawn { // what only a decoder finds out
				planned(t, j, v, c)
				accounted(t, j.manifest(), v, c)
			}
		}
	})
}

// planned compares the plan with what must be seen and heard.
func planned(t *testing.T, j *job, v *victim, c hostile) {
	t.Helper()
	for ms := int64(0); c.shows != nil && ms < hostileLength; ms += 50 {
		want, sure := c.at(ms)
		for _, s := range j.plan.Scenes {
			for _, tile := range s.Tiles {
				frame := ms * render.Rate / 1000
				if tile.Participant == v.id && s.Start <= frame && frame < s.End && sure && (tile.Picture == nil) != (want == carding) {
					t.Errorf("%s: at %d ms the tile is planned as %+v, want %s", c.name, ms, tile, want)
					return
				}
			}
		}
	}
	for ms := int64(0); ms < hostileLength; ms += 50 {
		want, sure := c.hears(ms, ms+50)
		got := false
		for _, voice := range j.plan.Voices {
			for _, clip := range voice.Clips {
				got = got || voice.Participant == v.id && clip.StartNS <= ms*1e6 && ms*1e6 < clip.EndNS
			}
		}
		if sure && got != want && !c.quiet {
			t.Errorf("%s: at %d ms a voice is planned: %v", c.name, ms, got)
			return
		}
	}
}

// seated is a consultation with a witness, to whom nothing happens, and the victims of some cases.
type seated struct {
	w       *world
	cases   []hostile // the first one is that of the witness
	victims []*victim
}

// rounds seats the cases, each of them in a consultation, so many at a time; of each kind every one of so many.
func rounds(t *testing.T, seats, each int, examine func(t *testing.T, s *seated, profile string)) {
	good := newSources(t)
	kinds := map[string][]hostile{}
	for _, c := range hostileRecordings() {
		kind := "fast"
		if c.shows == nil {
			kind = "audio"
		}
		kinds[kind] = append(kinds[kind], c)
	}
	for _, profile := range []string{"fast", "audio"} {
		var cases []hostile
		for i, c := range kinds[profile] {
			if i%each == 0 {
				cases = append(cases, c)
			}
		}
		for from := 0; from < len(cases); from += seats {
			some := cases[from:min(from+seats, len(cases))]
			name := fmt.Sprintf("%s %d", profile, from/seats)
			if seats == 1 {
				name = some[0].name
			}
			t.Run(name, func(t *testing.T) { examine(t, seat(t, some, good), profile) })
		}
	}
}

// seat lets the witness and the victims come.
func seat(t *testing.T, cases []hostile, good sources) *seated {
	w := newWorld(t)
	witness := &victim{person: w.join(0, "witness"), t: t, tone: 300, sources: good}
	witness.shown(good.two)
	witness.said(good.hz(witness.tone))
	s := &seated{w: w, cases: []hostile{{name: "the witness", shows: whole, heard: throughout}}, victims: []*victim{witness}}
	for i, c := range cases {
		// The tones are no multiples of each other and fit into the windows of tone.
		v := &victim{person: w.join(0, hostileName), t: t, number: i + 1, tone: 300 + 170*(i+1), sources: good}
		c.do(v)
		s.cases, s.victims = append(s.cases, c), append(s.victims, v)
	}
	return s
}

// at is what is to be seen at a moment; sure says that it is not too near to a change, and not left open.
func (c hostile) at(ms int64) (want sight, sure bool) {
	since, next := int64(0), int64(math.MaxInt64)
	for _, s := range c.shows {
		if s.from <= ms {
			want, since = s.what, s.from
		} else {
			next = min(next, s.from)
		}
	}
	return want, want != either && ms-since >= settles && next-ms >= settles
}

// hears says whether the tone is to be heard in a stretch; sure says that no change is near.
func (c hostile) hears(from, to int64) (want, sure bool) {
	sure = true
	for _, h := range c.heard {
		want = want || from >= h[0]+settles && to <= h[1]-settles
		for _, edge := range h {
			sure = sure && (to <= edge-settles || from >= edge+settles)
		}
	}
	return want, sure
}

// hostileName tries to be an instruction, to leave its file, to turn the text round and to be no text at all.
const hostileName = "A\x1b[2J'\"\\:;,%{pts}[v]\r\n-->\u202e\u202d\u2066ד\u0000\ufffe👩\u200d⚕️" + "../../etc/passwd $(id) <script>"

// survived makes a version that must be rendered, within two minutes, and checks what every archive must be: decoded
// without a word by a decoder that stops at the first fault, of the planned length, and with nothing left behind.
func (w *world) survived(t *testing.T, version int) (archiveOf, map[string]image.Rectangle) {
	t.Helper()
	worker := w.worker(ffmpeg.Config{}, nil)
	w.within(t, 2*time.Minute, func() error { return worker.Make(t.Context(), w.consultation, version) })
	if failed, ok := w.result(version).(events.ArchiveFailed); ok {
		t.Fatalf("%s: %s", failed.Code, w.get(failed.Detail.Key))
	}
	a := w.open(version)
	w.leftNothing(t, worker)
	about := w.get(fmt.Sprintf("c/%s/archives/%d/%s", w.consultation, version, ManifestFile))
	for _, name := range []string{"passwd", "script", "witness", "\u202e"} {
		if bytes.Contains(about, []byte(name)) {
			t.Errorf("the manifest holds a name: %q", name)
		}
	}
	return a, w.places(t, worker, version)
}

// within fails the test when do takes longer than it may.
func (w *world) within(t *testing.T, limit time.Duration, do func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- do() }() // ends with do
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(limit):
		t.Fatalf("no end after %s", limit)
	}
}

// leftNothing looks for processes and files that a job has left.
func (w *world) leftNothing(t *testing.T, worker *Worker) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(worker.folder.dir, "[ac]-*")); len(left) != 0 {
		t.Errorf("left in the work folder: %v", left)
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == fmt.Sprint(os.Getpid()) && strings.Contains(string(raw), "(ffmpeg)") && f[0] != "Z" {
			t.Errorf("ffmpeg lives on: %s", raw)
		}
	}
}

// places are the cells of all participants by the plan, which are the same in all scenes because everybody stays.
func (w *world) places(t *testing.T, worker *Worker, version int) map[string]image.Rectangle {
	t.Helper()
	history, err := events.ReadAll(t.Context(), w.log, w.consultation)
	if err != nil {
		t.Fatal(err)
	}
	b, err := BundleOf(history, version)
	if err != nil {
		t.Fatal(err)
	}
	p, err := worker.Preview(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]image.Rectangle{}
	for _, s := range p.Plan.Scenes {
		for _, tile := range s.Tiles {
			if was, ok := cells[tile.Participant]; ok && was != tile.Cell {
				t.Fatalf("somebody moves from %v to %v", was, tile.Cell)
			}
			cells[tile.Participant] = tile.Cell
		}
	}
	return cells
}

// settles is how long after a change nothing is asked: the place of a frame is known to a few milliseconds, and a scene of
// less than half a second is left out.
const settles = 150

// examine holds what the archive shows and says of a victim against its case.
func (a archiveOf) examine(v *victim, c hostile, places map[string]image.Rectangle) {
	a.t.Helper()
	if c.shows != nil {
		a.watched(v, c, places[v.id])
	}
	a.listened(v, c)
	accounted(a.t, a.manifest, v, c)
}

// watched compares a tile with what it must show.
func (a archiveOf) watched(v *victim, c hostile, cell image.Rectangle) {
	a.t.Helper()
	if cell.Empty() {
		a.t.Errorf("%s: there is no tile", c.name)
		return
	}
	at := image.Pt(cell.Min.X+cell.Dx()/2, cell.Min.Y+cell.Dy()/7)
	for frame := 0; frame < a.frames; frame += 6 {
		ms := int64(frame) * 1000 / render.Rate
		want, sure := c.at(ms)
		if !sure {
			continue
		}
		got, colour := a.at(frame, at.X, at.Y), colours[want]
		for i, part := range [3]uint8{got.R, got.G, got.B} {
			if math.Abs(float64(part)-float64(colour[i])) > 28 {
				a.t.Errorf("%s: at %d ms the tile is %v and not %s", c.name, ms, got, want)
				return
			}
		}
	}
}

// listened looks for the tone of a victim in stretches of a tenth of a second.
func (a archiveOf) listened(v *victim, c hostile) {
	a.t.Helper()
	const window = ffmpeg.SampleRate / 10
	for ms := int64(0); ms+100 <= hostileLength; ms += 100 {
		want, sure := c.hears(ms, ms+100)
		from := ms * ffmpeg.SampleRate / 1000
		if !sure || from+window > int64(len(a.sound)) {
			continue
		}
		if level := tone(a.sound[from:from+window], v.tone); (level > 0.01) != want {
			a.t.Errorf("%s: at %d ms the tone has a level of %.4f, heard should be %v", c.name, ms, level, want)
			return
		}
	}
}

// tone is the amplitude of a frequency in a stretch of sound (a Hann window, then one term of Fourier's sum).
func tone(sound []float64, hz int) float64 {
	var re, im float64
	for i, s := range sound {
		s *= 1 - math.Cos(2*math.Pi*float64(i)/float64(len(sound)))
		turn := 2 * math.Pi * float64(hz) * float64(i) / ffmpeg.SampleRate
		re, im = re+s*math.Cos(turn), im+s*math.Sin(turn)
	}
	return 2 * math.Hypot(re, im) / float64(len(sound))
}

// accounted looks whether the manifest says what is missing, and says nothing else: what is not shown is a gap of the
// timeline with the cause, and a recording of which not all is shown is listed.
func accounted(t *testing.T, about Manifest, v *victim, c hostile) {
	t.Helper()
	causes := map[timeline.Cause]bool{}
	for _, m := range about.Missing {
		if m.Segment == v.segment {
			causes[m.Cause] = true
		}
	}
	gaps := int64(0)
	for _, p := range about.Timeline.Participants {
		if p.ID != v.id {
			continue
		}
		for _, track := range p.Tracks {
			for _, g := range track.Gaps {
				if g.Cause == c.cause {
					causes[g.Cause] = true
					gaps += g.EndNS - g.StartNS
				}
			}
		}
	}
	if c.cause == "" {
		if len(causes) > 0 {
			t.Errorf("%s: the manifest says %v", c.name, causes)
		}
		return
	}
	if !causes[c.cause] {
		t.Errorf("%s: the manifest does not say %s: missing %v", c.name, c.cause, about.Missing)
	}
	for _, s := range c.shows {
		if s.what == carding && gaps == 0 {
			t.Errorf("%s: the timeline has no gap of the cause %s", c.name, c.cause)
		}
	}
}

// digestOf is the SHA-256 that events name.
func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
