package stitch

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/ffmpeg"
)

// What lies over moving pictures has to be drawn for every frame, so no more than that may be.
func TestNamesAreFoundByTheirPixels(t *testing.T) {
	canvas := func(all ...image.Rectangle) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, 1280, 720))
		for _, r := range all {
			draw.Draw(img, r, image.NewUniform(color.RGBA{A: 0xa0}), image.Point{}, draw.Src)
		}
		return img
	}
	place := func(x, y, w, h int) *ffmpeg.Place { return &ffmpeg.Place{X: x, Y: y, Width: w, Height: h} }
	left := ffmpeg.Tile{Y: 180, Width: 640, Height: 360, Window: place(2, 182, 636, 356)}
	right := ffmpeg.Tile{X: 640, Y: 180, Width: 640, Height: 360, Window: place(642, 182, 636, 356)}
	phone := ffmpeg.Tile{X: 858, Y: 180, Width: 202, Height: 360, Window: place(642, 182, 636, 356)}
	filled := phone
	filled.Fill = place(640, 180, 640, 360)
	tests := []struct {
		name   string
		canvas *image.RGBA
		tiles  []ffmpeg.Tile
		want   []ffmpeg.Place
	}{
		{"each tile has its own", canvas(image.Rect(11, 493, 180, 527), image.Rect(651, 493, 740, 527)), []ffmpeg.Tile{left, right}, []ffmpeg.Place{*place(10, 492, 170, 36), *place(650, 492, 90, 36)}},
		{"what lies beside the tiles is none", canvas(image.Rect(11, 600, 180, 640)), []ffmpeg.Tile{left, right}, nil},
		{"where a card stands there is no tile", canvas(image.Rect(2, 182, 638, 538)), []ffmpeg.Tile{right}, nil},
		{"of one that begins beside a narrow picture, what is over that", canvas(image.Rect(650, 493, 900, 527)), []ffmpeg.Tile{phone}, []ffmpeg.Place{*place(858, 492, 42, 36)}},
		{"over the blurred copy beside it too", canvas(image.Rect(650, 493, 900, 527)), []ffmpeg.Tile{filled}, []ffmpeg.Place{*place(650, 492, 250, 36)}},
		{"no further than the tile is seen", canvas(image.Rect(0, 0, 1280, 720)), []ffmpeg.Tile{left}, []ffmpeg.Place{*place(2, 182, 636, 356)}},
		{"nothing is drawn", canvas(), []ffmpeg.Tile{left}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := layer(test.canvas)
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.over(ffmpeg.Composition{Tiles: test.tiles})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
