package render

import (
	"image"
	"testing"
)

func TestCellsLieEvenApartAndInside(t *testing.T) {
	areas := []image.Rectangle{image.Rect(0, 0, Width, Height), image.Rect(1024, 0, Width, Height), image.Rect(0, 0, 1024, Height)}
	for _, area := range areas {
		for n := 1; n <= 40; n++ {
			all := cells(area, n)
			if len(all) != n {
				t.Fatalf("%d tiles in %v: got %d places", n, area, len(all))
			}
			for i, c := range all {
				if !isEven(c) || !c.In(area) || c.Empty() || c.Dx() != all[0].Dx() || c.Dy() != all[0].Dy() {
					t.Errorf("%d tiles in %v: place %d is %v", n, area, i, c)
				}
				if d := c.Dx()*9 - c.Dy()*16; d < -16*2 || d > 9*2 {
					t.Errorf("%d tiles in %v: place %d is %v, not 16:9", n, area, i, c)
				}
				for j, other := range all[:i] {
					if c.Overlaps(other) {
						t.Errorf("%d tiles in %v: places %d and %d overlap: %v %v", n, area, i, j, c, other)
					}
				}
			}
		}
	}
}

func isEven(r image.Rectangle) bool {
	return (r.Min.X|r.Min.Y|r.Max.X|r.Max.Y)&1 == 0
}

func TestKnownGrids(t *testing.T) {
	tests := []struct {
		name string
		n    int
		want []image.Rectangle
	}{
		{"one fills the canvas", 1, []image.Rectangle{image.Rect(0, 0, 1280, 720)}},
		{"two stand side by side", 2, []image.Rectangle{image.Rect(0, 180, 640, 540), image.Rect(640, 180, 1280, 540)}},
		{"the third is centred below", 3, []image.Rectangle{
			image.Rect(0, 0, 640, 360), image.Rect(640, 0, 1280, 360), image.Rect(320, 360, 960, 720),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, got := range cells(image.Rect(0, 0, Width, Height), test.n) {
				if got != test.want[i] {
					t.Errorf("place %d: got %v, want %v", i, got, test.want[i])
				}
			}
		})
	}
}

func TestFitKeepsTheForm(t *testing.T) {
	tests := []struct {
		name string
		w, h int
		want image.Rectangle
	}{
		{"the same size stays", 640, 360, image.Rect(0, 180, 640, 540)},
		{"a portrait phone stands between bars", 360, 640, image.Rect(218, 180, 420, 540)},
		{"4:3 stands between bars", 640, 480, image.Rect(80, 180, 560, 540)},
		{"a panorama lies between bars", 1000, 200, image.Rect(0, 296, 640, 424)},
		{"odd sizes become even", 135, 240, image.Rect(218, 180, 420, 540)},
		{"an unknown size fills the place", 0, 0, image.Rect(0, 180, 640, 540)},
		{"one pixel is drawn", 1, 10000, image.Rect(318, 180, 320, 540)},
	}
	cell := image.Rect(0, 180, 640, 540)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := fit(cell, test.w, test.h); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	for w := 1; w < 2000; w += 37 {
		for h := 1; h < 2000; h += 41 {
			if got := fit(cell, w, h); !isEven(got) || !got.In(cell) || got.Empty() {
				t.Fatalf("%d × %d: got %v", w, h, got)
			}
		}
	}
}

func TestScreenTakesTheStage(t *testing.T) {
	stage, grid := arrange(1, 2)
	if want := image.Rect(0, 72, 1024, 648); stage[0] != want {
		t.Errorf("stage %v, want %v", stage[0], want)
	}
	for _, c := range grid {
		if !c.In(image.Rect(1024, 0, Width, Height)) {
			t.Errorf("%v is not in the strip", c)
		}
	}
}
