package render

import (
	"image"
	"image/color"
	"image/draw"
	"slices"

	"consilium/internal/media"
)

var (
	cardColor   = color.RGBA{0x37, 0x3e, 0x49, 0xff}
	nameColor   = color.RGBA{0xff, 0xff, 0xff, 0xff}
	reasonColor = color.RGBA{0xc9, 0xd1, 0xdb, 0xff}
	plateColor  = color.RGBA{0, 0, 0, 0xa0} // behind a name on a picture
)

// border is how far pictures and cards stay away from the edge of their cell, and half the line between two of them.
const border = 2

// Draw is the picture that lies over all of s: names and cards. It is transparent where the pictures and what is between
// them are to be seen.
func (p *Painter) Draw(s Scene) *image.RGBA {
	p.mu.Lock()
	defer p.mu.Unlock()
	img := image.NewRGBA(image.Rect(0, 0, Width, Height))
	for _, t := range s.Tiles {
		if t.Picture != nil {
			p.title(img, t, s)
		} else {
			p.card(img, t)
		}
	}
	switch {
	case s.Detail != "":
		p.pauseCard(img, s)
	case s.Note != "":
		l := p.set(s.Note, textSize(Height), Width)
		l.draw(img, image.Pt((Width-l.width)/2, Height/2), reasonColor)
	}
	return img
}

// pauseCard covers the canvas: two bars, that the recording was paused, and when.
func (p *Painter) pauseCard(img *image.RGBA, s Scene) {
	fill(img, img.Rect, cardColor)
	middle := image.Pt(Width/2, Height/2)
	const bar, tall = 18, 96
	for _, x := range []int{middle.X - 2*bar, middle.X + bar} {
		fill(img, image.Rect(x, middle.Y-150, x+bar, middle.Y-150+tall), nameColor)
	}
	size := textSize(Height) * 3 / 2
	title, when := p.set(s.Note, size, Width-2*size), p.set(s.Detail, size*3/4, Width-2*size)
	title.draw(img, image.Pt(middle.X-title.width/2, middle.Y+size/2), nameColor)
	when.draw(img, image.Pt(middle.X-when.width/2, middle.Y+size*2), reasonColor)
}

// textSize is the height of a name in pixels on a cell of that height.
func textSize(cell int) int { return min(max(cell/16, 17), 32) }

// smallest is the height of the smallest name: what does not fit then is cut short.
const smallest = 13

// title writes a name into the lower left corner of a picture. The name of a screen stands below it where nothing else
// does: what is shown there is to be read.
func (p *Painter) title(img *image.RGBA, t Tile, s Scene) {
	size := textSize(t.Cell.Dy())
	pad := size / 2
	l := p.setWithin(t.Name, size, t.Cell.Dx()-4*pad)
	if l.width == 0 {
		return
	}
	plate := image.Rect(t.Cell.Min.X+pad, t.Cell.Max.Y-pad-size*8/5, t.Cell.Min.X+3*pad+l.width, t.Cell.Max.Y-pad)
	if below := plate.Add(image.Pt(0, plate.Dy()+2*pad)); t.Picture.Source == media.Screen && s.isFree(below, img.Rect) {
		plate = below
	}
	fill(img, plate, plateColor)
	l.draw(img, image.Pt(plate.Min.X+pad, plate.Max.Y-size/2), nameColor)
}

// isFree says whether a place on the canvas has no tile.
func (s Scene) isFree(place, canvas image.Rectangle) bool {
	return place.In(canvas) && !slices.ContainsFunc(s.Tiles, func(t Tile) bool { return t.Cell.Overlaps(place) })
}

// card draws a name and, below it, the reason for there being no picture.
func (p *Painter) card(img *image.RGBA, t Tile) {
	fill(img, t.Cell.Inset(border), cardColor)
	size := textSize(t.Cell.Dy()) * 5 / 4
	small := size * 3 / 4
	width := t.Cell.Dx() - 2*size
	middle := t.Cell.Min.Add(t.Cell.Size().Div(2))
	name := p.wrap(t.Name, size, width)
	if len(name) > 2 {
		name = []line{p.setWithin(t.Name, size, width)}
	}
	for i, l := range name {
		l.draw(img, image.Pt(middle.X-l.width/2, middle.Y-(len(name)-1-i)*size*5/4), nameColor)
	}
	for i, l := range p.wrap(t.Reason, small, width) {
		l.draw(img, image.Pt(middle.X-l.width/2, middle.Y+small*2+i*small*4/3), reasonColor)
	}
}

func fill(img *image.RGBA, r image.Rectangle, c color.Color) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Over)
}
