package stitch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"slices"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// overlays draws what lies over the pictures of each scene, once.
type overlays struct {
	painter  *render.Painter
	plan     *render.Plan
	language string
	scenes   map[int]drawing
	cards    map[[2]int]drawing // by scene and number of the picture
}

func newOverlays(p *render.Painter, plan *render.Plan, language string) *overlays {
	return &overlays{painter: p, plan: plan, language: language, scenes: map[int]drawing{}, cards: map[[2]int]drawing{}}
}

// of is the overlay of a scene, with a card in the place of every picture that is omitted.
func (o *overlays) of(scene int, ways []render.Way) (drawing, error) {
	if slices.Contains(ways, render.Omit) {
		return layer(o.painter.Draw(o.plan.Scenes[scene].Without(ways, timeline.Corrupt, o.language)))
	}
	d, ok := o.scenes[scene]
	var err error
	if !ok {
		if d, err = layer(o.painter.Draw(o.plan.Scenes[scene])); err == nil {
			o.scenes[scene] = d
		}
	}
	return d, err
}

// card is what stands in the cell of a picture that cannot be shown.
func (o *overlays) card(scene, number int) (drawing, image.Rectangle, error) {
	s := o.plan.Scenes[scene]
	ways, i, cell := make([]render.Way, len(s.Pictures())), 0, image.Rectangle{}
	ways[number] = render.Omit
	for _, t := range s.Tiles {
		if t.Picture == nil {
			continue
		}
		if i == number {
			cell = t.Cell
		}
		i++
	}
	d, ok := o.cards[[2]int{scene, number}]
	var err error
	if !ok {
		bare := s.Without(ways, timeline.Corrupt, o.language)
		bare.Tiles = slices.DeleteFunc(bare.Tiles, func(t render.Tile) bool { return t.Cell != cell }) // all else is cut off
		whole := o.painter.Draw(bare)
		part := image.NewRGBA(image.Rectangle{Max: cell.Size()})
		draw.Draw(part, part.Rect, whole, cell.Min, draw.Src)
		if d, err = drawn(part); err == nil {
			o.cards[[2]int{scene, number}] = d
		}
	}
	return d, cell, err
}

// stamp adds the wall clock to a chunk, where the plan wants one.
func (o *overlays) stamp(work *pictureWork, c render.Chunk) error {
	if o.plan.Clock == nil {
		return nil
	}
	place, pictures := o.painter.Stamp(o.plan.Clock, c)
	for _, img := range pictures {
		d, err := drawn(img)
		if err != nil {
			return err
		}
		work.Stamp = append(work.Stamp, d)
	}
	work.Composition.Stamp = &place
	return nil
}

// drawn packs a picture.
func drawn(img *image.RGBA) (drawing, error) {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, img); err != nil {
		return drawing{}, fmt.Errorf("draw overlay: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%v\n", img.Rect)
	_, _ = sum.Write(img.Pix) // it never fails
	return drawing{PNG: b.Bytes(), Pixels: hex.EncodeToString(sum.Sum(nil))}, nil
}

// layer packs that part of a canvas where something is drawn, with a margin: colours have half as many points as a picture,
// and each of them is mixed from its neighbours, so that without it the edges would be others.
func layer(canvas *image.RGBA) (drawing, error) {
	const margin = 8
	box := image.Rect(0, 0, 2, 2)
	if drawn := drawnOn(canvas, canvas.Rect); !drawn.Empty() {
		box = evenly(drawn.Inset(-margin)).Intersect(canvas.Rect)
	}
	part := image.NewRGBA(box)
	draw.Draw(part, box, canvas, box.Min, draw.Src)
	d, err := drawn(part)
	d.At = box.Min
	return d, err
}

// drawnOn is where a canvas is not transparent within a rectangle.
func drawnOn(canvas *image.RGBA, within image.Rectangle) image.Rectangle {
	var box image.Rectangle
	within = within.Intersect(canvas.Rect)
	nothing := make([]byte, 4*within.Dx())
	for y := within.Min.Y; y < within.Max.Y; y++ {
		row := canvas.Pix[canvas.PixOffset(within.Min.X, y):][:len(nothing)]
		if bytes.Equal(row, nothing) {
			continue
		}
		first := 0
		for row[first+3] == 0 {
			first += 4
		}
		last := len(row) - 4
		for row[last+3] == 0 {
			last -= 4
		}
		box = box.Union(image.Rect(within.Min.X+first/4, y, within.Min.X+last/4+1, y+1))
	}
	return box
}

// evenly is the smallest rectangle around r whose numbers are even.
func evenly(r image.Rectangle) image.Rectangle {
	return image.Rect(r.Min.X&^1, r.Min.Y&^1, (r.Max.X+1)&^1, (r.Max.Y+1)&^1)
}

// overlay is the overlay of a chunk with the cards of the tiles that are omitted.
func (p *pictureWork) overlay(ways []render.Way) (drawing, error) {
	if !slices.Contains(ways, render.Omit) {
		return p.Overlay, nil
	}
	below, err := png.Decode(bytes.NewReader(p.Overlay.PNG))
	if err != nil {
		return drawing{}, fmt.Errorf("read overlay: %w", err)
	}
	whole := image.NewRGBA(image.Rect(0, 0, p.Composition.Width, p.Composition.Height))
	draw.Draw(whole, below.Bounds().Add(p.Overlay.At), below, below.Bounds().Min, draw.Src)
	for i, way := range ways {
		if way != render.Omit {
			continue
		}
		card, err := png.Decode(bytes.NewReader(p.Tiles[i].Card.PNG))
		if err != nil {
			return drawing{}, fmt.Errorf("read card: %w", err)
		}
		draw.Draw(whole, p.Tiles[i].Cell, card, image.Point{}, draw.Src)
	}
	return layer(whole)
}

// over is a composition with the drawing in it. Names are found by their pixels: whatever of the drawing would lie under a
// tile lies over it as well.
func (d drawing) over(c ffmpeg.Composition) (ffmpeg.Composition, error) {
	img, err := png.Decode(bytes.NewReader(d.PNG))
	if err != nil {
		return c, fmt.Errorf("read overlay: %w", err)
	}
	c.OverlayX, c.OverlayY, c.Names = d.At.X, d.At.Y, nil
	canvas := image.NewRGBA(image.Rectangle{d.At, d.At.Add(img.Bounds().Size())})
	draw.Draw(canvas, canvas.Rect, img, img.Bounds().Min, draw.Src)
	for _, t := range c.Tiles {
		at := ffmpeg.Place{X: t.X, Y: t.Y, Width: t.Width, Height: t.Height}
		if t.Fill != nil {
			at = *t.Fill // the tile lies in it
		}
		seen := t.Seen(at)
		under := image.Rect(seen.X, seen.Y, seen.X+seen.Width, seen.Y+seen.Height)
		if box := evenly(drawnOn(canvas, under)).Intersect(under); !box.Empty() {
			c.Names = append(c.Names, ffmpeg.Place{X: box.Min.X, Y: box.Min.Y, Width: box.Dx(), Height: box.Dy()})
		}
	}
	return c, nil
}
