package render

import (
	"image"

	"consilium/internal/media"
)

// Places: every tile of a grid has the same size and the form 16:9, rows are centred, and all edges lie on even pixels, because
// colour has half the resolution.

// even rounds down to an even number.
func even(n int) int { return n &^ 1 }

// cells places n tiles in area, row by row. Of all numbers of columns it takes the one that makes the tiles largest, and
// of equals the widest.
func cells(area image.Rectangle, n int) []image.Rectangle {
	if n == 0 {
		return nil
	}
	best, columns := image.Point{}, 1
	for c := 1; c <= n; c++ {
		if size := tileSize(area.Dx()/c, area.Dy()/rows(n, c)); size.X*size.Y >= best.X*best.Y {
			best, columns = size, c
		}
	}
	all := make([]image.Rectangle, 0, n)
	top := area.Min.Y + even((area.Dy()-rows(n, columns)*best.Y)/2)
	for row := range rows(n, columns) {
		inRow := min(columns, n-row*columns)
		left := area.Min.X + even((area.Dx()-inRow*best.X)/2)
		for column := range inRow {
			at := image.Pt(left+column*best.X, top+row*best.Y)
			all = append(all, image.Rectangle{Min: at, Max: at.Add(best)})
		}
	}
	return all
}

func rows(n, columns int) int { return (n + columns - 1) / columns }

// tileSize is the largest 16:9 with even sides in w × h; the shorter side may be one line off the exact form.
func tileSize(w, h int) image.Point {
	w, h = even(w), even(h)
	if w*9 <= h*16 {
		return image.Pt(w, min(h, (w*9/16+1)&^1))
	}
	return image.Pt(min(w, (h*16/9+1)&^1), h)
}

// fit places a picture of w × h in cell, as large as it goes, in its own form and centred. Where the size is unknown
// the picture is given the whole cell.
func fit(cell image.Rectangle, w, h int) image.Rectangle {
	if w <= 0 || h <= 0 {
		return cell
	}
	size := image.Pt(cell.Dx(), max(2, nearestEven(h*cell.Dx(), w)))
	if size.Y > cell.Dy() {
		size = image.Pt(max(2, nearestEven(w*cell.Dy(), h)), cell.Dy())
	}
	size.X, size.Y = min(size.X, cell.Dx()), min(size.Y, cell.Dy())
	at := cell.Min.Add(image.Pt(even((cell.Dx()-size.X)/2), even((cell.Dy()-size.Y)/2)))
	return image.Rectangle{Min: at, Max: at.Add(size)}
}

// nearestEven is the even number nearest to a/b.
func nearestEven(a, b int) int { return (a + b) / (2 * b) * 2 }

// thinBars are the widest pair of bars beside a picture, in pixels, that nobody minds.
const thinBars = 16

// surroundings is the cell of a camera's picture that does not fill it, such as of a phone held upright: there the picture
// stands before a blurred, darkened copy of itself. Beside what an examination camera or a screen shows there is nothing,
// because whoever looks there for findings must not see what is none. Bars of a few lines are left as they are.
func surroundings(source media.Source, cell, picture image.Rectangle) image.Rectangle {
	bare := cell.Size().Sub(picture.Size())
	if source != media.Camera || bare.X <= thinBars && bare.Y <= thinBars {
		return image.Rectangle{}
	}
	return cell
}

// stripWidth is the column for people beside a stage.
const stripWidth = Width / 5

// arrange gives every screen, or whoever speaks, a place on the stage and every other tile its place in the grid or,
// beside a stage, in the strip.
func arrange(staged, others int) (stage, grid []image.Rectangle) {
	canvas := image.Rect(0, 0, Width, Height)
	switch {
	case staged == 0:
		return nil, cells(canvas, others)
	case others == 0:
		return cells(canvas, staged), nil
	}
	edge := Width - stripWidth
	return cells(image.Rect(0, 0, edge, Height), staged), cells(image.Rect(edge, 0, Width, Height), others)
}
