package render

import (
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	ot "github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// Fonts finds a face for a character. It always gives one, if only a face that draws a box for it.
type Fonts interface {
	ResolveFace(r rune) *font.Face
}

// Painter draws what lies over the pictures. It is safe for concurrent use; faces keep caches and are not, so it draws
// one scene at a time.
type Painter struct {
	mu      sync.Mutex // guards what follows
	fonts   Fonts
	shaper  shaping.HarfbuzzShaper
	split   shaping.Segmenter
	wrapper shaping.LineWrapper
}

// NewPainter makes a painter that writes with fonts.
func NewPainter(fonts Fonts) *Painter { return &Painter{fonts: fonts} }

// line is text of one line, shaped: letters joined as their script wants, runs in the order in which they are seen.
type line struct {
	runs  []shaping.Output
	width int // pixels
}

// writable is text without the emoji that no font has: a box says nothing about anybody. What is one to a reader goes as
// one, with its skin and its joiners. Letters that no font has stay boxes, since something stands there, and so does a text of
// nothing else.
func (p *Painter) writable(text string) string {
	var out strings.Builder
	for _, g := range asRead([]rune(text)) {
		if !slices.ContainsFunc(g, p.isLackingSymbol) {
			out.WriteString(string(g))
		}
	}
	if out.Len() == len(text) {
		return text
	}
	if short := strings.Join(strings.Fields(out.String()), " "); short != "" {
		return short
	}
	return text
}

// asRead cuts text into what a reader takes for one thing (UAX 29), emoji that are joined to one another among it.
func asRead(text []rune) [][]rune {
	const joiner = '\u200d'
	var parts segmenter.Segmenter
	parts.Init(text)
	var all [][]rune
	for each := parts.GraphemeIterator(); each.Next(); {
		g := each.Grapheme().Text
		if n := len(all) - 1; n >= 0 && unicode.Is(unicode.So, all[n][0]) && all[n][len(all[n])-1] == joiner && unicode.Is(unicode.So, g[0]) {
			all[n] = append(slices.Clip(all[n]), g...)
			continue
		}
		all = append(all, g)
	}
	return all
}

// isLackingSymbol says whether r is a symbol and no font has it.
func (p *Painter) isLackingSymbol(r rune) bool {
	if !unicode.Is(unicode.So, r) {
		return false
	}
	_, has := p.fonts.ResolveFace(r).NominalGlyph(r)
	return !has
}

// set shapes text of that size in pixels and shortens it until it fits.
func (p *Painter) set(text string, size, width int) line {
	runes := []rune(p.writable(text))
	whole := p.shape(runes, size)
	for whole.width > width && len(runes) > 1 {
		runes = runes[:len(runes)-1]
		whole = p.shape(append(slices.Clone(runes), '…'), size)
	}
	return whole
}

// setWithin shapes text of that size or, where it does not fit, of a smaller one. It is cut short only when it does not fit
// in the smallest one.
func (p *Painter) setWithin(text string, size, width int) line {
	text = p.writable(text)
	for ; size > smallest; size-- {
		if l := p.shape([]rune(text), size); l.width <= width {
			return l
		}
	}
	return p.set(text, size, width)
}

// wrap sets text in as many lines as it needs, broken between words.
func (p *Painter) wrap(text string, size, width int) []line {
	var all []line
	now := ""
	for _, word := range strings.Fields(p.writable(text)) {
		longer := strings.TrimSpace(now + " " + word)
		if now != "" && p.shape([]rune(longer), size).width > width {
			all = append(all, p.set(now, size, width))
			longer = word
		}
		now = longer
	}
	return append(all, p.set(now, size, width))
}

// shape brings text into the form in which it is drawn. A text that the shaper cannot take is left out: the archive matters more than one name on it.
func (p *Painter) shape(text []rune, size int) (out line) {
	if len(text) == 0 {
		return line{}
	}
	defer func() {
		if recover() != nil {
			p.shaper, p.split, p.wrapper = shaping.HarfbuzzShaper{}, shaping.Segmenter{}, shaping.LineWrapper{}
			out = line{}
		}
	}()
	in := shaping.Input{
		Text: text, RunEnd: len(text), Direction: directionOf(text), Size: fixed.I(size),
		Script: language.Latin, Language: language.DefaultLanguage(),
	}
	var runs []shaping.Output
	for _, part := range p.split.Split(in, p.fonts) {
		runs = append(runs, p.shaper.Shape(part))
	}
	// The wrapper never wraps here: it brings the runs into the order in which they are read.
	lines, _ := p.wrapper.WrapParagraph(shaping.WrapConfig{Direction: in.Direction}, 1<<24, text, shaping.NewSliceIterator(runs))
	for _, l := range lines {
		seen := slices.Clone(l)
		slices.SortStableFunc(seen, func(a, b shaping.Output) int { return int(a.VisualIndex - b.VisualIndex) })
		out.runs = append(out.runs, seen...)
	}
	var advance fixed.Int26_6
	for _, r := range out.runs {
		advance += r.Advance
	}
	out.width = advance.Ceil()
	return out
}

// directionOf is the direction of the first letter that has one (UAX 9, rule P2).
func directionOf(text []rune) di.Direction {
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam):
			return di.DirectionRTL
		case unicode.IsLetter(r):
			return di.DirectionLTR
		}
	}
	return di.DirectionLTR
}

// draw puts the line on img with its left end at dot, which lies on the baseline. Only the points around it are looked at:
// a canvas has a hundred times as many as a name.
func (l line) draw(img *image.RGBA, dot image.Point, c color.Color) {
	box := l.box(dot).Intersect(img.Rect)
	if box.Empty() {
		return
	}
	raster := vector.NewRasterizer(box.Dx(), box.Dy())
	l.each(dot.Sub(box.Min), func(outline font.GlyphOutline, run shaping.Output, x, y fixed.Int26_6) {
		trace(raster, outline, run, x, y)
	})
	raster.Draw(img, box, image.NewUniform(c), image.Point{})
}

// each gives the outlines of all glyphs with their dots.
func (l line) each(dot image.Point, give func(outline font.GlyphOutline, run shaping.Output, x, y fixed.Int26_6)) {
	x := fixed.I(dot.X)
	for _, run := range l.runs {
		for _, g := range run.Glyphs {
			if outline, ok := run.Face.GlyphDataOutline(g.GlyphID); ok {
				give(outline, run, x+g.XOffset, fixed.I(dot.Y)-g.YOffset)
			}
			x += g.Advance
		}
	}
}

// box holds all that is drawn with a dot: curves never leave their points.
func (l line) box(dot image.Point) (all image.Rectangle) {
	l.each(dot, func(outline font.GlyphOutline, run shaping.Output, x, y fixed.Int26_6) {
		at := placed(run, x, y)
		for _, s := range outline.Segments {
			for _, p := range s.ArgsSlice() {
				px, py := at(p)
				left, top := int(math.Floor(float64(px))), int(math.Floor(float64(py)))
				all = all.Union(image.Rect(left, top, left+2, top+2))
			}
		}
	})
	return all
}

// placed turns the points of an outline, whose y axis points up, into points of a picture.
func placed(run shaping.Output, x, y fixed.Int26_6) func(ot.SegmentPoint) (float32, float32) {
	scale := float32(run.Size) / 64 / float32(run.Face.Upem())
	return func(p ot.SegmentPoint) (float32, float32) {
		return float32(x)/64 + p.X*scale, float32(y)/64 - p.Y*scale
	}
}

// trace adds an outline at a dot.
func trace(r *vector.Rasterizer, outline font.GlyphOutline, run shaping.Output, x, y fixed.Int26_6) {
	at := placed(run, x, y)
	for _, s := range outline.Segments {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		cx, cy := at(s.Args[2])
		switch s.Op {
		case ot.SegmentOpMoveTo:
			r.ClosePath()
			r.MoveTo(ax, ay)
		case ot.SegmentOpLineTo:
			r.LineTo(ax, ay)
		case ot.SegmentOpQuadTo:
			r.QuadTo(ax, ay, bx, by)
		case ot.SegmentOpCubeTo:
			r.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	r.ClosePath()
}
