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
		return drawn(o.painter.Draw(o.plan.Scenes[scene].Without(ways, timeline.Corrupt, o.language)))
	}
	d, ok := o.scenes[scene]
	var err error
	if !ok {
		if d, err = drawn(o.painter.Draw(o.plan.Scenes[scene])); err == nil {
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
		whole := o.painter.Draw(s.Without(ways, timeline.Corrupt, o.language))
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

// overlay is the overlay of a chunk with the cards of the tiles that are omitted.
func (p *pictureWork) overlay(ways []render.Way) ([]byte, error) {
	if !slices.Contains(ways, render.Omit) {
		return p.Overlay.PNG, nil
	}
	below, err := png.Decode(bytes.NewReader(p.Overlay.PNG))
	if err != nil {
		return nil, fmt.Errorf("read overlay: %w", err)
	}
	whole := image.NewRGBA(below.Bounds())
	draw.Draw(whole, whole.Rect, below, image.Point{}, draw.Src)
	for i, way := range ways {
		if way != render.Omit {
			continue
		}
		card, err := png.Decode(bytes.NewReader(p.Tiles[i].Card.PNG))
		if err != nil {
			return nil, fmt.Errorf("read card: %w", err)
		}
		draw.Draw(whole, p.Tiles[i].Cell, card, image.Point{}, draw.Src)
	}
	d, err := drawn(whole)
	return d.PNG, err
}
