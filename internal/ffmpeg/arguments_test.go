package ffmpeg

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// oneALine writes arguments so that a person can compare them: an option and its value on a line, a filter on a line.
func oneALine(args []string) string {
	var b strings.Builder
	for i, a := range args {
		switch {
		case i == 0:
		case strings.HasPrefix(a, "-"), i == len(args)-1:
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(strings.ReplaceAll(a, ";", ";\n    "))
	}
	return b.String() + "\n"
}

func composition(tiles ...Tile) Composition {
	return Composition{
		Width: 1280, Height: 720, Rate: 30, Background: 0x20242b, Tiles: tiles, Overlay: "overlay.png", Frames: 90,
		Encoder: Encoder{Preset: "veryfast", CRF: 26, GOP: 60}, Out: "out.ts",
	}
}

func TestArguments(t *testing.T) {
	a := Tile{File: "t0.ivf", Codec: "vp8", Y: 180, Width: 640, Height: 360}
	b := Tile{File: "t1.ivf", Codec: "h264", X: 858, Y: 180, Width: 202, Height: 360}
	late := a
	late.Late = true
	filled := b
	filled.Fill = &Place{X: 640, Y: 180, Width: 640, Height: 360}
	clock := func(c Composition) Composition {
		c.Stamp = &Stamp{File: "stamp.png", X: 10, Y: 10, Begun: 21}
		return c
	}
	framed := filled
	framed.Window = &Place{X: 642, Y: 182, Width: 636, Height: 356}
	named := composition(a, framed)
	named.Encoder.Params = "subme=1"
	named.OverlayX, named.OverlayY = 2, 480
	named.Names = []Place{{X: 10, Y: 492, Width: 170, Height: 36}, {X: 650, Y: 492, Width: 90, Height: 36}}
	stepped := composition(a)
	stepped.Encoder = Encoder{Preset: "ultrafast", QP: 26, GOP: 60}
	tests := []struct {
		name string
		make func() (Command, error)
	}{
		{"compose_two", func() (Command, error) { return Compose(composition(a, b)) }},
		{"compose_cards_only", func() (Command, error) { return Compose(composition()) }},
		{"compose_named", func() (Command, error) { return Compose(named) }},
		{"compose_of_one_step", func() (Command, error) { return Compose(stepped) }},
		{"compose_late", func() (Command, error) { return Compose(composition(late, b)) }},
		{"compose_filled", func() (Command, error) { return Compose(clock(composition(a, filled))) }},
		{"decode", func() (Command, error) { return DecodeVoice("v0.ogg") }},
		{"encode", func() (Command, error) { return EncodeAudio("audio.m4a", 96000, Channels) }},
		{"storyboard", func() (Command, error) { return Storyboard{Count: 15, Width: 160, Height: 90}.Command() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := test.make()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.name+".txt", oneALine(c.Args))
		})
	}
}

func TestComposeRefuses(t *testing.T) {
	tile := func(name, codec string) Tile { return Tile{File: name, Codec: codec, Width: 640, Height: 360} }
	clock := func(c Composition) Composition {
		c.Stamp = &Stamp{File: "stamp.png"}
		return c
	}
	none := composition()
	none.Frames = 0
	tests := []struct {
		name string
		c    Composition
	}{
		{"two inputs of one name", composition(tile("t0.ivf", "vp8"), tile("t0.ivf", "vp8"))},
		{"a name that the overlay has", composition(tile("overlay.png", "vp8"))},
		{"no name", composition(tile("", "vp8"))},
		{"a name that the clock has", clock(composition(tile("stamp.png", "vp8")))},
		{"a codec without a decoder", composition(tile("t0.ivf", "mpeg4"))},
		{"no frames", none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if c, err := Compose(test.c); err == nil {
				t.Errorf("got %q", c.Args)
			}
		})
	}
}

// Twenty-five tiles must not become one input less, nor take the library minutes.
func TestComposeManyTiles(t *testing.T) {
	var tiles []Tile
	for i := range 25 {
		tiles = append(tiles, Tile{File: "t" + itoa(i) + ".ivf", Codec: "vp8", X: i % 5 * 256, Y: i / 5 * 144, Width: 256, Height: 144})
	}
	c, err := Compose(composition(tiles...))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(strings.Join(c.Args, " "), "-i file:"); n != 26 {
		t.Errorf("%d inputs, want 26", n)
	}
}

func TestATileIsCutToItsWindow(t *testing.T) {
	tests := []struct {
		name           string
		window         *Place
		place, visible Place
	}{
		{"no window leaves all of it", nil, Place{0, 180, 640, 360}, Place{0, 180, 640, 360}},
		{"its edges are cut off", &Place{2, 182, 636, 356}, Place{0, 180, 640, 360}, Place{2, 182, 636, 356}},
		{"a narrow one loses what is above and below", &Place{2, 182, 636, 356}, Place{218, 180, 202, 360}, Place{218, 182, 202, 356}},
		{"one that nothing would be left of stays whole", &Place{2, 182, 636, 356}, Place{0, 180, 2, 2}, Place{0, 180, 2, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (Tile{Window: test.window}).Seen(test.place); got != test.visible {
				t.Errorf("got %v, want %v", got, test.visible)
			}
		})
	}
}
