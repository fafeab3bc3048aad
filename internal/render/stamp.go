package render

import (
	"image"
	"time"

	"consilium/internal/ffmpeg"
)

// Clock tells what the clock on the wall showed, for the stamp in the picture.
type Clock struct {
	zero time.Time // begin of the archive
	zone *time.Location
}

// clockForm is the one that nobody reads in two ways, the day first of all.
const clockForm = "2006-01-02 15:04:05 MST"

// moments are what the clock shows in frames frames from start on: one text a second, the first of which has been there for
// begun frames already.
func (c *Clock) moments(start, frames int64) (texts []string, begun int64) {
	showing := func(frame int64) time.Time {
		// Half a frame more, so that rounding does not put a frame that lies on a second before it.
		return c.zero.Add(time.Duration(TimeOfFrame(frame)) + time.Second/(2*Rate)).Truncate(time.Second)
	}
	first := showing(start)
	for begun < Rate-1 && showing(start-begun-1).Equal(first) {
		begun++
	}
	for shown := first; !shown.After(showing(start + frames - 1)); shown = shown.Add(time.Second) {
		texts = append(texts, shown.In(c.zone).Format(clockForm))
	}
	return texts, begun
}

const stampSize = 20 // pixels

// Stamp draws the wall clock of a chunk: pictures of one size, which are shown as the ffmpeg.Stamp says.
func (p *Painter) Stamp(c *Clock, at Chunk) (ffmpeg.Stamp, []*image.RGBA) {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts, begun := c.moments(at.Start, at.Frames)
	const pad = stampSize / 2
	var lines []line
	width := 0
	for _, text := range texts {
		l := p.set(text, stampSize, Width/2)
		lines, width = append(lines, l), max(width, l.width)
	}
	var all []*image.RGBA
	for _, l := range lines {
		img := image.NewRGBA(image.Rect(0, 0, (width+2*pad+1)&^1, stampSize*8/5))
		fill(img, img.Rect, plateColor)
		l.draw(img, image.Pt(pad, img.Rect.Dy()-stampSize/2), nameColor)
		all = append(all, img)
	}
	return ffmpeg.Stamp{File: StampFile, X: pad, Y: pad, Begun: begun}, all
}
