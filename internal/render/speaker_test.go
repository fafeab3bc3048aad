package render

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"consilium/internal/media"
)

// talk is somebody who speaks at -16 LUFS in the given stretches of seconds, with the pauses that words have, and has the
// noise of a room in all others.
func talk(length float64, stretches ...float64) Levels {
	l := make(Levels, int(length*10))
	for t := range l {
		l[t] = -60
		for i := 0; i < len(stretches); i += 2 {
			if s := float64(t) / 10; s >= stretches[i] && s < stretches[i+1] && t%7 != 6 {
				l[t] = -16
			}
		}
	}
	return l
}

// turns writes who has the stage, as "1.0 anna".
func turns(p *Plan) string {
	var all []string
	last := ""
	for _, s := range p.Scenes {
		name := "nobody"
		for _, t := range s.Tiles {
			if t.Cell.Dx() >= Width-stripWidth {
				name = t.Participant
			}
		}
		if name != last {
			all = append(all, fmt.Sprintf("%.1f %s", float64(s.Start)/Rate, name))
		}
		last = name
	}
	return strings.Join(all, ", ")
}

func TestWhoSpeaksIsOnTheStage(t *testing.T) {
	three := func() *builder {
		b := consultation(30_000)
		for _, id := range []string{"anna", "bert", "carl"} {
			video(b.person(id, 0, 30_000), id, media.Camera, "clip 0 30000 640x360")
		}
		return b
	}
	quiet := talk(30)
	tests := []struct {
		name   string
		build  func() *builder
		levels map[string]Levels
		want   string
	}{
		{"the cut comes shortly before the first word", three, map[string]Levels{
			"anna": talk(30, 0, 9.5), "bert": talk(30, 10, 20), "carl": quiet,
		}, "0.0 anna, 9.7 bert"},
		{"before the first word it is the first", three, map[string]Levels{"anna": quiet, "bert": quiet, "carl": talk(30, 10, 20)}, "0.0 anna, 9.7 carl"},
		{"a yes changes nothing", three, map[string]Levels{
			"anna": talk(30, 0, 10, 11, 30), "bert": talk(30, 10.2, 10.8), "carl": talk(30, 5, 5.5),
		}, "0.0 anna"},
		{"who speaks over somebody waits until that one is silent", three, map[string]Levels{
			"anna": talk(30, 0, 14), "bert": talk(30, 10, 20),
		}, "0.0 anna, 13.3 bert"},
		{"an echo in another microphone is nobody who speaks", three, map[string]Levels{
			"anna": talk(30, 0, 30), "bert": softer(talk(30, 0, 30), 14), "carl": softer(talk(30, 3, 30), 20),
		}, "0.0 anna"},
		{"a noisy room is nobody who speaks", three, map[string]Levels{
			"anna": talk(30, 0, 8), "bert": noise(30, -32),
		}, "0.0 anna"},
		{"a short answer does not make the picture jump there and back", three, map[string]Levels{
			"anna": talk(30, 0, 5, 6.2, 7.4), "bert": talk(30, 5, 6.2, 7.4, 30),
		}, "0.0 anna, 4.7 bert"},
		{"everybody stays on the stage for two seconds", three, map[string]Levels{
			"anna": talk(30, 0, 5, 6.5, 30), "bert": talk(30, 5, 6.5),
		}, "0.0 anna, 4.7 bert, 6.7 anna"},
		{"who leaves makes room for who spoke before", func() *builder {
			b := consultation(30_000)
			for _, id := range []string{"anna", "bert", "carl"} {
				to := int64(30_000)
				if id == "carl" {
					to = 20_000
				}
				video(b.person(id, 0, to), id, media.Camera, fmt.Sprintf("clip 0 %d 640x360", to))
			}
			return b
		}, map[string]Levels{"bert": talk(30, 2, 8), "carl": talk(30, 10, 20)}, "0.0 anna, 1.8 bert, 9.7 carl, 20.0 bert"},
		{"nobody has the stage before they came", func() *builder {
			b := three()
			video(b.person("dora", 10_000, 30_000), "dora", media.Camera, "clip 10000 30000 640x360")
			return b
		}, map[string]Levels{"anna": talk(30, 0, 9), "dora": talk(30, 10, 20)}, "0.0 anna, 10.0 dora"},
		{"a shared screen takes the stage from everybody", func() *builder {
			b := consultation(30_000)
			anna := b.person("anna", 0, 30_000)
			video(anna, "anna", media.Camera, "clip 0 30000 640x360")
			video(anna, "screen", media.Screen, "clip 5000 25000 1920x1080")
			video(b.person("bert", 0, 30_000), "bert", media.Camera, "clip 0 30000 640x360")
			return b
		}, map[string]Levels{"anna": talk(30, 0, 12), "bert": talk(30, 12, 30)}, "0.0 anna, 25.0 bert"},
		{"one alone fills the canvas", func() *builder {
			b := consultation(30_000)
			video(b.person("anna", 0, 30_000), "anna", media.Camera, "clip 0 30000 640x360")
			return b
		}, map[string]Levels{"anna": talk(30, 5, 12)}, "0.0 anna"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := New(&test.build().tl, who, Order{Layout: Speaker, Levels: test.levels})
			if err != nil {
				t.Fatal(err)
			}
			if got := turns(p); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// An examination camera says nothing and is what is looked at.
func TestExaminationCamerasAreOnTheStageToo(t *testing.T) {
	b := consultation(6000)
	for _, id := range []string{"anna", "scope", "bert"} {
		source := media.Camera
		if id == "scope" {
			source = media.Device
		}
		video(b.person(id, 0, 6000), id, source, "clip 0 6000 640x360")
	}
	p, err := New(&b.tl, who, Order{Layout: Speaker, Levels: map[string]Levels{"bert": talk(6, 2, 6)}})
	if err != nil {
		t.Fatal(err)
	}
	want := `
0-54 | Anna (192,0)-(832,360) anna@0 | Patient (192,360)-(832,720) scope@0 | Bert B. (1024,288)-(1280,432) bert@0
54-180 | Anna (1024,288)-(1280,432) anna@0 | Patient (192,0)-(832,360) scope@0 | Bert B. (192,360)-(832,720) bert@0
`
	if got := "\n" + sketch(p); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func softer(l Levels, db float64) Levels {
	for t := range l {
		l[t] -= db
	}
	return l
}

func noise(length float64, db float64) Levels {
	l := make(Levels, int(length*10))
	for t := range l {
		l[t] = db + 3*math.Sin(float64(t*t))
	}
	return l
}

// What was decided must not change when the consultation goes on: then chunks keep their keys.
func TestSpeakersAreSettledTwoSecondsLater(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		levels := map[string]Levels{}
		c := &cast{}
		for i := range 3 {
			id := fmt.Sprint("p", i)
			c.people = append(c.people, player{id: id, present: []span[struct{}]{{from: 0, to: 60 * Rate}}})
			for t := 0; t < 600; {
				level := -60 + 50*r.Float64()
				for n := t + r.IntN(40); t <= n; t++ {
					levels[id] = append(levels[id], level-10*r.Float64())
				}
			}
		}
		whole := c.speaking(levels, 60*Rate)
		for id := range levels {
			levels[id] = levels[id][:300]
		}
		part := c.speaking(levels, 30*Rate)
		settled := func(all []span[int]) []string {
			var s []string
			for _, turn := range all {
				if turn.from < 28*Rate {
					s = append(s, fmt.Sprint(turn.from, turn.what))
				}
			}
			return s
		}
		if !slices.Equal(settled(whole), settled(part)) {
			t.Fatalf("seed %d: %v became %v", seed, settled(part), settled(whole))
		}
	}
}

func TestPhonesStandBeforeThemselves(t *testing.T) {
	tests := []struct {
		name   string
		source media.Source
		size   string
		want   bool
	}{
		{"a phone held upright", media.Camera, "360x640", true},
		{"an old camera", media.Camera, "640x480", true},
		{"a wide picture", media.Camera, "640x360", false},
		{"a picture that is a few lines off", media.Camera, "636x360", false},
		{"an examination camera: nothing stands beside what it shows", media.Device, "640x480", false},
		{"a screen", media.Screen, "1024x768", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := consultation(2000)
			video(b.person("anna", 0, 2000), "a", test.source, "clip 0 2000 "+test.size)
			p, err := New(&b.tl, who, Order{})
			if err != nil {
				t.Fatal(err)
			}
			tiles := p.Compose(p.Chunks()[0], make([]Way, 1)).Tiles
			if got := tiles[0].Fill != nil; got != test.want {
				t.Errorf("filled: %v, %+v", got, tiles[0])
			}
			if f := tiles[0].Fill; f != nil && (f.Width*9 != f.Height*16 || f.X != 0) {
				t.Errorf("it fills %+v", *f)
			}
		})
	}
}
