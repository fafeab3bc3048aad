package render

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const ms = int64(time.Millisecond)

// builder makes timelines by hand. All times are milliseconds.
type builder struct{ tl timeline.Timeline }

func consultation(length int64) *builder {
	return &builder{timeline.Timeline{
		Consultation: "c", StartTime: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), DurationNS: length * ms,
		Participants: []timeline.Participant{}, Markers: []timeline.Marker{},
	}}
}

func (b *builder) person(id string, from, to int64) *timeline.Participant {
	b.tl.Participants = append(b.tl.Participants, timeline.Participant{
		ID: id, Role: "patient", Present: []timeline.Interval{{StartNS: from * ms, EndNS: to * ms}},
	})
	b.mark(from, "participant.joined", id)
	b.mark(to, "participant.left", id)
	return &b.tl.Participants[len(b.tl.Participants)-1]
}

func (b *builder) mark(at int64, kind, who string) {
	b.tl.Markers = append(b.tl.Markers, timeline.Marker{Seq: uint64(len(b.tl.Markers) + 1), AtNS: at * ms, Type: kind, Participant: who})
}

// video adds a track whose clips and gaps are told as "clip 0 1000 640x360" and "gap 1000 2000 loss".
func video(p *timeline.Participant, id string, source media.Source, parts ...string) {
	t := timeline.Track{ID: id, Kind: media.Video, Source: source, StartNS: 1 << 62}
	for _, part := range parts {
		var kind, what string
		var from, to int64
		if _, err := fmt.Sscan(part, &kind, &from, &to, &what); err != nil {
			panic(err)
		}
		t.StartNS, t.EndNS = min(t.StartNS, from*ms), max(t.EndNS, to*ms)
		if kind == "gap" {
			t.Gaps = append(t.Gaps, timeline.Gap{StartNS: from * ms, EndNS: to * ms, Cause: timeline.Cause(what)})
			continue
		}
		c := timeline.Clip{Segment: fmt.Sprintf("%s@%d", id, from), StartNS: from * ms, EndNS: to * ms, Rate: 1, Codec: media.VP8}
		fmt.Sscanf(what, "%dx%d", &c.Width, &c.Height)
		t.Clips = append(t.Clips, c)
	}
	p.Tracks = append(p.Tracks, t)
}

func absent(p *timeline.Participant, from, to int64, cause timeline.Cause) {
	p.Absent = append(p.Absent, timeline.Gap{StartNS: from * ms, EndNS: to * ms, Cause: cause})
}

var who = sheet.Sheet{Consultation: "c", Title: "Second opinion", Language: "en", TimeZone: "Europe/Berlin", Participants: []sheet.Participant{
	{ID: "anna", Name: "Anna", Role: "clinician"}, {ID: "bert", Name: " Bert\u202e\n B. ", Role: "patient"}, {ID: "scope", Name: "", Role: "device"},
}}

// sketch writes scenes as a person would tell them.
func sketch(p *Plan) string {
	var b strings.Builder
	for _, s := range p.Scenes {
		fmt.Fprintf(&b, "%d-%d", s.Start, s.End)
		for _, t := range s.Tiles {
			if t.Picture == nil {
				fmt.Fprintf(&b, " | %s card %q", t.Name, t.Reason)
				continue
			}
			fmt.Fprintf(&b, " | %s %s %s", t.Name, t.Picture.Rect, names(t.Picture.Clips))
		}
		if s.Note != "" {
			fmt.Fprintf(&b, " | %q", s.Note)
		}
		if s.Detail != "" {
			fmt.Fprintf(&b, " %s", s.Detail)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func names(clips []timeline.Clip) string {
	var all []string
	for _, c := range clips {
		all = append(all, c.Segment)
	}
	return strings.Join(all, "+")
}

func TestScenes(t *testing.T) {
	tests := []struct {
		name  string
		build func() *builder
		want  string
	}{
		{"a picture that begins soon after the join appears with the person", func() *builder {
			b := consultation(6000)
			video(b.person("anna", 0, 6000), "a", media.Camera, "clip 0 6000 640x360")
			bert := b.person("bert", 2000, 6000)
			absent(bert, 2000, 2400, timeline.CameraOff)
			video(bert, "b", media.Camera, "clip 2400 6000 640x360")
			return b
		}, `
0-72 | Anna (0,0)-(1280,720) a@0
72-180 | Anna (0,180)-(640,540) a@0 | Bert B. (640,180)-(1280,540) b@2400
`},
		{"a picture that begins late is awaited by a card, which knows a first connection from a lost one", func() *builder {
			b := consultation(6000)
			video(b.person("anna", 0, 6000), "a", media.Camera, "clip 0 6000 640x360")
			bert := b.person("bert", 2000, 6000)
			absent(bert, 2000, 3000, timeline.Disconnected)
			video(bert, "b", media.Camera, "clip 3000 4000 640x360")
			absent(bert, 4000, 5000, timeline.Disconnected)
			video(bert, "c", media.Camera, "clip 5000 6000 640x360")
			return b
		}, `
0-60 | Anna (0,0)-(1280,720) a@0
60-90 | Anna (0,180)-(640,540) a@0 | Bert B. card "connecting"
90-120 | Anna (0,180)-(640,540) a@0 | Bert B. (640,180)-(1280,540) b@3000
120-150 | Anna (0,180)-(640,540) a@0 | Bert B. card "connection lost"
150-180 | Anna (0,180)-(640,540) a@0 | Bert B. (640,180)-(1280,540) c@5000
`},
		{"a short loss holds the last frame, a long one is named", func() *builder {
			b := consultation(9000)
			video(b.person("anna", 0, 9000), "a", media.Camera,
				"clip 0 2000 640x360", "gap 2000 2400 loss", "clip 2400 5000 640x360", "gap 5000 6000 stall", "clip 6000 9000 640x360")
			return b
		}, `
0-150 | Anna (0,0)-(1280,720) a@0+a@2400
150-180 | Anna card "no picture received"
180-270 | Anna (0,0)-(1280,720) a@6000
`},
		{"files that follow each other are one picture, another size is a new scene", func() *builder {
			b := consultation(9000)
			video(b.person("anna", 0, 9000), "a", media.Camera,
				"clip 0 200 320x180", "clip 200 3000 640x360", "clip 3000 6000 640x360", "clip 6000 9000 360x640")
			return b
		}, `
0-6 | Anna (0,0)-(1280,720) a@0
6-180 | Anna (0,0)-(1280,720) a@200+a@3000
180-270 | Anna (436,0)-(842,720) a@6000
`},
		{"the last frame is held up to a leave that follows soon", func() *builder {
			b := consultation(6000)
			video(b.person("anna", 0, 6000), "a", media.Camera, "clip 0 6000 640x360")
			bert := b.person("bert", 0, 4300)
			video(bert, "b", media.Camera, "clip 0 4000 640x360")
			absent(bert, 4000, 4300, timeline.Disconnected)
			return b
		}, `
0-129 | Anna (0,180)-(640,540) a@0 | Bert B. (640,180)-(1280,540) b@0
129-180 | Anna (0,0)-(1280,720) a@0
`},
		{"changes in a row are not put off for ever", func() *builder {
			b := consultation(4000)
			video(b.person("anna", 0, 4000), "a", media.Camera, "clip 0 4000 640x360")
			for i, id := range []string{"p", "q", "r", "s"} {
				p := b.person(id, 0, int64(2000+300*i))
				absent(p, 0, 4000, timeline.CameraOff)
			}
			return b
		}, `
0-69 | Anna (0,120)-(426,360) a@0 | Patient card "camera off" | Patient card "camera off" | Patient card "camera off" | Patient card "camera off"
69-87 | Anna (0,0)-(640,360) a@0 | Patient card "camera off" | Patient card "camera off"
87-120 | Anna (0,0)-(1280,720) a@0
`},
		{"a shared screen takes the stage and people the strip", func() *builder {
			b := consultation(3000)
			anna := b.person("anna", 0, 3000)
			video(anna, "a", media.Camera, "clip 0 3000 640x360")
			video(anna, "s", media.Screen, "clip 1000 2000 1920x1080")
			bert := b.person("bert", 0, 3000)
			absent(bert, 0, 3000, timeline.NotConsented)
			return b
		}, `
0-30 | Anna (0,180)-(640,540) a@0 | Bert B. card "not recorded: no consent"
30-60 | Anna (1024,216)-(1280,360) a@0 | Anna: screen (0,72)-(1024,648) s@1000 | Bert B. card "not recorded: no consent"
60-90 | Anna (0,180)-(640,540) a@0 | Bert B. card "not recorded: no consent"
`},
		{"where nothing is ever recorded the cards do not speak of consent", func() *builder {
			b := consultation(1000)
			b.tl.Policy = events.PolicyForbidden
			absent(b.person("anna", 0, 1000), 0, 1000, timeline.NotConsented)
			return b
		}, `
0-30 | Anna card "recording is switched off"
`},
		{"who shares only a screen has a card as well", func() *builder {
			b := consultation(1000)
			anna := b.person("anna", 0, 1000)
			video(anna, "s", media.Screen, "clip 0 1000 1280x720")
			absent(anna, 0, 1000, timeline.CameraOff)
			return b
		}, `
0-30 | Anna: screen (0,72)-(1024,648) s@0 | Anna card "camera off"
`},
		{"nobody is there in between", func() *builder {
			b := consultation(3000)
			video(b.person("anna", 0, 1000), "a", media.Camera, "clip 0 1000 640x360")
			video(b.person("scope", 2000, 3000), "d", media.Device, "clip 2000 3000 640x480")
			return b
		}, `
0-30 | Anna (0,0)-(1280,720) a@0
30-60 | "Nobody is present"
60-90 | Patient (160,0)-(1120,720) d@2000
`},
		{"everybody is behind one card while the recording is paused", func() *builder {
			b := consultation(6000)
			video(b.person("anna", 0, 6000), "a", media.Camera, "clip 0 2000 640x360", "gap 2000 4100 paused", "clip 4100 6000 640x360")
			b.person("scope", 0, 6000)
			b.mark(2000, "recording.paused", "")
			b.mark(4000, "recording.resumed", "")
			return b
		}, `
0-60 | Anna (0,180)-(640,540) a@0 | Patient card "no picture"
60-123 | "Recording paused" 1 March 2026, 10:00:02–10:00:04 CET
123-180 | Anna (0,180)-(640,540) a@4100 | Patient card "no picture"
`},
		{"a pause that nobody ended lasts to the end", func() *builder {
			b := consultation(4000)
			video(b.person("anna", 0, 4000), "a", media.Camera, "clip 0 2000 640x360", "gap 2000 4000 paused")
			b.mark(2000, "recording.paused", "")
			return b
		}, `
0-60 | Anna (0,0)-(1280,720) a@0
60-120 | "Recording paused" 1 March 2026, 10:00:02–10:00:04 CET
`},
		{"nobody ever joined", func() *builder { return consultation(0) }, `
0-30 | "Nobody joined this consultation"
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := New(&test.build().tl, who, Order{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), sketch(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// full is a consultation with a bit of everything.
func full() *builder {
	b := consultation(70_000)
	anna := b.person("anna", 0, 70_000)
	video(anna, "a", media.Camera, "clip 200 30000 640x360", "clip 30000 40000 640x360", "gap 40000 45000 paused", "clip 45000 69500 640x360")
	anna.Tracks = append(anna.Tracks, timeline.Track{ID: "am", Kind: media.Audio, Source: media.Microphone, StartNS: 0, EndNS: 70_000 * ms, Clips: []timeline.Clip{
		{Segment: "am@0", StartNS: 5 * ms, EndNS: 70_000 * ms, Rate: 1.00001, Codec: media.Opus},
	}})
	bert := b.person("bert", 12_345, 60_000)
	video(bert, "b", media.Camera, "clip 12800 40000 360x640", "gap 40000 45000 paused", "clip 45000 60000 360x640")
	b.mark(40_000, "recording.paused", "")
	b.mark(45_000, "recording.resumed", "")
	b.mark(70_000, "consultation.ended", "")
	slices.SortFunc(b.tl.Markers, func(x, y timeline.Marker) int { return int(x.AtNS - y.AtNS) })
	return b
}

func TestPlanGolden(t *testing.T) {
	p, err := New(&full().tl, who, Order{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", string(raw)+"\n")
	golden(t, "chapters.vtt", p.ChaptersVTT())
	golden(t, "events.vtt", p.EventsVTT())
	var chunks strings.Builder
	for _, c := range p.Chunks() {
		ways := make([]Way, len(p.Scenes[c.Scene].Pictures()))
		cmd, err := ffmpeg.Compose(p.Compose(c, ways))
		if err != nil {
			t.Fatal(err)
		}
		graph := cmd.Args[slices.Index(cmd.Args, "-filter_complex")+1]
		fmt.Fprintf(&chunks, "scene %d, frame %d, %d frames\n  %s\n", c.Scene, c.Start, c.Frames, strings.ReplaceAll(graph, ";", ";\n  "))
	}
	golden(t, "chunks.txt", chunks.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Whatever happens in a consultation, the plan adds up and no picture is asked for before it begins.
func TestPlansAddUp(t *testing.T) {
	for seed := range uint64(400) {
		checkPlan(t, seed, random(rand.New(rand.NewPCG(seed, 1))))
		if t.Failed() {
			return
		}
	}
}

// random makes a timeline as package timeline would: clips and gaps cover their track, absences cover the rest.
func random(r *rand.Rand) *timeline.Timeline {
	length := r.Int64N(200_000)
	b := consultation(length)
	b.tl.DurationNS += r.Int64N(ms)
	for i := range r.IntN(6) {
		from := r.Int64N(length + 1)
		to := from + r.Int64N(length-from+1)
		p := b.person(fmt.Sprint("p", i), from, to)
		at := from
		for k := 0; at < to && k < 8; k++ {
			end := min(to, at+1+r.Int64N(20_000))
			if r.IntN(3) == 0 {
				absent(p, at, end, timeline.CameraOff)
			} else {
				source := []media.Source{media.Camera, media.Camera, media.Device, media.Screen}[r.IntN(4)]
				var parts []string
				for at < end {
					stop := min(end, at+1+r.Int64N(3_000))
					what := fmt.Sprintf("%dx%d", 1+r.IntN(2000), 1+r.IntN(2000))
					kind := "clip"
					if r.IntN(3) == 0 {
						kind, what = "gap", "loss"
					}
					parts = append(parts, fmt.Sprintf("%s %d %d %s", kind, at, stop, what))
					at = stop
				}
				video(p, fmt.Sprintf("t%d.%d", i, k), source, parts...)
			}
			at = end
		}
	}
	return &b.tl
}

func checkPlan(t *testing.T, seed uint64, tl *timeline.Timeline) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	order := Order{Layout: []string{Grid, Speaker}[seed%2], Levels: map[string]Levels{}}
	for _, p := range tl.Participants {
		for range 1 + tl.DurationNS/100/ms {
			order.Levels[p.ID] = append(order.Levels[p.ID], float64(-60*r.IntN(2)))
		}
	}
	p, err := New(tl, who, order)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Duration(tl.DurationNS) - p.Duration(); p.Frames > MinFrames && d.Abs() > 17*time.Millisecond {
		t.Errorf("seed %d: the archive is %s shorter", seed, d)
	}
	at, sum := int64(0), int64(0)
	for _, s := range p.Scenes {
		if s.Start != at || s.End <= s.Start {
			t.Errorf("seed %d: scene from %d to %d follows %d", seed, s.Start, s.End, at)
		}
		at = s.End
		for i, tile := range s.Tiles {
			for _, other := range s.Tiles[:i] {
				if tile.Cell.Overlaps(other.Cell) {
					t.Errorf("seed %d: tiles %v and %v overlap", seed, tile.Cell, other.Cell)
				}
			}
			if tile.Picture != nil {
				checkPicture(t, seed, s, tile)
			}
		}
	}
	if at != p.Frames {
		t.Errorf("seed %d: scenes end at %d of %d", seed, at, p.Frames)
	}
	for _, c := range p.Chunks() {
		sum += c.Frames
		if c.Frames < 1 || c.Frames > maxChunk {
			t.Errorf("seed %d: chunk of %d frames", seed, c.Frames)
		}
	}
	if sum != p.Frames || p.Samples()*Rate != p.Frames*ffmpeg.SampleRate {
		t.Errorf("seed %d: chunks have %d of %d frames", seed, sum, p.Frames)
	}
	checkNothingHidden(t, seed, tl, p)
}

func checkPicture(t *testing.T, seed uint64, s Scene, tile Tile) {
	t.Helper()
	pic := tile.Picture
	if !pic.Rect.In(tile.Cell) || !isEven(pic.Rect) || pic.Rect.Empty() {
		t.Errorf("seed %d: picture %v in %v", seed, pic.Rect, tile.Cell)
	}
	if len(pic.Clips) == 0 || frameAt(pic.Clips[0].StartNS) > s.Start {
		t.Errorf("seed %d: scene at %d has a picture that begins with %+v", seed, s.Start, pic.Clips)
	}
	end := s.Start
	for _, c := range pic.Clips {
		if c.Width != pic.Width || c.Height != pic.Height {
			t.Errorf("seed %d: a clip of %dx%d in a picture of %dx%d", seed, c.Width, c.Height, pic.Width, pic.Height)
		}
		if hold := frameAt(c.StartNS) - end; hold >= shortest {
			t.Errorf("seed %d: the picture stands still for %d frames", seed, hold)
		}
		end = frameAt(c.EndNS)
	}
	if hold := s.End - end; hold >= shortest {
		t.Errorf("seed %d: the picture stands still for the last %d frames", seed, hold)
	}
}

// checkNothingHidden holds that every frame of every clip is in some scene while its participant is present.
func checkNothingHidden(t *testing.T, seed uint64, tl *timeline.Timeline, p *Plan) {
	t.Helper()
	shown := map[string]int64{}
	for _, s := range p.Scenes {
		for _, pic := range s.Pictures() {
			for _, c := range pic.Clips {
				shown[c.Segment] += min(s.End, frameAt(c.EndNS)) - max(s.Start, frameAt(c.StartNS))
			}
		}
	}
	for _, who := range tl.Participants {
		for _, track := range who.Tracks {
			for _, c := range track.Clips {
				want := min(p.Frames, frameAt(c.EndNS)) - frameAt(c.StartNS)
				if shown[c.Segment] != max(0, want) {
					t.Errorf("seed %d: clip %s shows %d of %d frames", seed, c.Segment, shown[c.Segment], want)
				}
			}
		}
	}
}

func TestOrders(t *testing.T) {
	for _, o := range []Order{{Profile: "cinema"}, {Layout: "circle"}} {
		if _, err := New(&full().tl, who, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	p, err := New(&full().tl, who, Order{Profile: "audio", Layout: "grid"})
	if err != nil || p.Chunks() != nil {
		t.Errorf("audio has chunks: %v, %v", p, err)
	}
}

func TestNames(t *testing.T) {
	s := sheet.Sheet{Language: "de-AT", Participants: []sheet.Participant{
		{ID: "1", Name: "  \u202eevil\u2066 \x00name\n\tx "}, {ID: "2", Name: "\u200f", Role: "clinician"}, {ID: "3", Name: strings.Repeat("é", 200)},
	}}
	for id, want := range map[string]string{"1": "evil name x", "2": "Ärztin/Arzt", "3": strings.Repeat("é", 79) + "…", "4": "Teilnehmer/in"} {
		if got := nameOn(s, id, ""); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	for _, w := range languages {
		if len(w.causes) != len(languages["en"].causes) || len(w.roles) != len(languages["en"].roles) {
			t.Errorf("a language lacks words: %+v", w)
		}
	}
}

func TestSubtitlesHoldNoMarkup(t *testing.T) {
	got := VTT([]Cue{{Start: time.Hour + 2*time.Minute + 3*time.Second + 4*time.Millisecond, End: 2 * time.Hour, Text: "<b>a & b</b>\n\n00:00 --> x"}})
	want := "WEBVTT\n\n1\n01:02:03.004 --> 02:00:00.000\n&lt;b&gt;a &amp; b&lt;/b&gt;  00:00 --&gt; x\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestFrameAt(t *testing.T) {
	for frame := range int64(100_000) {
		ns := TimeOfFrame(frame)
		if frameAt(ns) != frame || frameAt(ns+16*ms) != frame || frameAt(ns-16*ms) != frame {
			t.Fatalf("frame %d is at %d", frame, ns)
		}
	}
	if got := frameAt(-int64(time.Second)); got != -30 {
		t.Errorf("a second before: %d", got)
	}
}
