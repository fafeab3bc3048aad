package simpeer

import (
	"image"
	"math"
	"time"
)

// What every participant shows and sounds like.
const (
	FPS         = 30
	flashFrames = 3                      // at the beginning of each second
	beepLength  = 100 * time.Millisecond // same

	barCells = 13 // in each of the two rows of the bar
	barRow   = 12 // the height of a row is the picture's divided by this

	lumaBlack, lumaWhite = 16, 235 // limited range, as video has it
	lumaBody             = 80      // of the picture below the bar, between flashes
	lumaFlash            = 165     // brighter than that, the body flashes
)

// Spec says what a participant sends. Participants with different Who, Tone and colour can be told apart in a video by
// a program (the first two) and by eye.
type Spec struct {
	Who           int   // 0 … 15, in the bar
	Width, Height int   // even
	Seconds       int   // the length after which everything repeats, frame numbers too
	Tone          int   // Hz, of the beep
	Cb, Cr        uint8 // colour of the body
}

// Someone is the nth participant of a test: 640 by 360, twenty seconds, with a colour and a tone of its own.
func Someone(n int) Spec {
	colours := [][2]uint8{{180, 100}, {100, 180}, {90, 90}, {170, 170}, {128, 190}, {190, 128}, {110, 60}, {60, 110}}
	c := colours[n%len(colours)]
	// No tone is near a multiple of another.
	tones := []int{1000, 1370, 1810, 2330, 730, 2890, 3490, 530}
	return Spec{Who: n, Width: 640, Height: 360, Seconds: 20, Tone: tones[n%len(tones)], Cb: c[0], Cr: c[1]}
}

// Portrait turns the picture as a phone does.
func (s Spec) Portrait() Spec {
	s.Width, s.Height = s.Height, s.Width
	return s
}

// Frames is how many frames there are before everything repeats.
func (s Spec) Frames() int { return s.Seconds * FPS }

// frame draws frame n as planar YCbCr 4:2:0.
func (s Spec) frame(n int) []byte {
	luma := s.Width * s.Height
	chroma := luma / 4
	raw := make([]byte, luma+2*chroma)
	if n%FPS < flashFrames {
		fill(raw[:luma], lumaWhite)
		fill(raw[luma:], 128)
	} else {
		s.weave(raw[:luma])
		fill(raw[luma:luma+chroma], s.Cb)
		fill(raw[luma+chroma:], s.Cr)
	}
	rows := 2 * (s.Height / barRow) / 2 * 2 // even, so that chroma follows
	for row, cells := range bar(n, s.Who) {
		for y := row * rows / 2; y < (row+1)*rows/2; y++ {
			line := raw[y*s.Width : (y+1)*s.Width]
			for x := range line {
				line[x] = lumaBlack
				if cells[x*barCells/s.Width] {
					line[x] = lumaWhite
				}
			}
		}
	}
	for _, plane := range [][]byte{raw[luma : luma+chroma], raw[luma+chroma:]} {
		fill(plane[:rows/2*s.Width/2], 128)
	}
	return raw
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// weave draws the body: a cloth of little squares that are brighter or darker, which costs a codec as much as a face
// does. Whole frames then take many packets, and so does the end of a flash.
func (s Spec) weave(luma []byte) {
	for i := range luma {
		x, y := i%s.Width/2, i/s.Width/2
		h := uint32(x*73_856_093 ^ y*19_349_663)
		h ^= h >> 13
		luma[i] = byte(lumaBody - 12 + h*2_654_435_761>>27%24)
	}
}

// bar encodes a frame number and a participant: white and black to compare with, then 16 bits of number, 4 of Who and 4
// to check.
func bar(number, who int) (rows [2][barCells]bool) {
	bits := number<<8 | who<<4 | check(number, who)
	rows[0][0] = true
	for i := range 24 {
		row, cell := 0, 2+i
		if cell >= barCells {
			row, cell = 1, cell-barCells
		}
		rows[row][cell] = bits>>(23-i)&1 == 1
	}
	return rows
}

func check(number, who int) int {
	return (number ^ number>>4 ^ number>>8 ^ number>>12 ^ who*7 ^ 0b1010) & 15
}

// Reading is what one frame says inside of a rectangle.
type Reading struct {
	Who    int
	Number int
	Flash  bool
}

// ReadFrame reads the picture of a participant that fills r. It says false when there is none, or one that cannot be
// read.
func ReadFrame(img *image.Gray, r image.Rectangle) (Reading, bool) {
	r = r.Intersect(img.Rect)
	if r.Dx() < 2*barCells || r.Dy() < 2*barRow {
		return Reading{}, false
	}
	rowHeight := float64(r.Dy()) / barRow
	cell := func(row, n int) float64 {
		// The middle of a cell: its edges are smeared by scaling and by the codec.
		x0 := float64(r.Min.X) + (float64(n)+0.3)*float64(r.Dx())/barCells
		y0 := float64(r.Min.Y) + (float64(row)+0.3)*rowHeight
		return mean(img, x0, y0, x0+0.4*float64(r.Dx())/barCells, y0+0.4*rowHeight)
	}
	white, black := cell(0, 0), cell(0, 1)
	if white-black < 80 {
		return Reading{}, false
	}
	bits := 0
	for i := range 24 {
		row, n := 0, 2+i
		if n >= barCells {
			row, n = 1, n-barCells
		}
		level := (cell(row, n) - black) / (white - black)
		if level > 0.35 && level < 0.65 {
			return Reading{}, false
		}
		bits = bits<<1 | int(math.Round(min(max(level, 0), 1)))
	}
	reading := Reading{Number: bits >> 8, Who: bits >> 4 & 15}
	if bits&15 != check(reading.Number, reading.Who) {
		return Reading{}, false
	}
	// The body, away from the bar above and from a name below.
	x, y, w, h := float64(r.Min.X), float64(r.Min.Y), float64(r.Dx()), float64(r.Dy())
	body := mean(img, x+0.3*w, y+0.3*h, x+0.7*w, y+0.7*h)
	reading.Flash = body > lumaFlash
	return reading, true
}

// mean is the average brightness of a rectangle.
func mean(img *image.Gray, x0, y0, x1, y1 float64) float64 {
	r := image.Rect(int(x0), int(y0), max(int(math.Ceil(x1)), int(x0)+1), max(int(math.Ceil(y1)), int(y0)+1)).Intersect(img.Rect)
	if r.Empty() {
		return 0
	}
	sum := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, v := range img.Pix[img.PixOffset(r.Min.X, y):img.PixOffset(r.Max.X, y)] {
			sum += int(v)
		}
	}
	return float64(sum) / float64(r.Dx()*r.Dy())
}

// Fit is where a picture of w by h lies in a tile that it fills as far as it can without being cut: centred, with bars
// at two sides.
func Fit(tile image.Rectangle, w, h int) image.Rectangle {
	fw, fh := tile.Dx(), tile.Dx()*h/w
	if fh > tile.Dy() {
		fw, fh = tile.Dy()*w/h, tile.Dy()
	}
	at := tile.Min.Add(image.Pt((tile.Dx()-fw)/2, (tile.Dy()-fh)/2))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(fw, fh))}
}

// sound is the samples, 48 kHz mono 16 bit little endian, of one second.
func (s Spec) sound() []byte {
	const rate = 48000
	raw := make([]byte, 2*rate)
	length := int(beepLength.Seconds() * rate)
	const fade = rate / 1000 // one millisecond, so that the edge does not click
	for i := range length {
		v := 0.4 * math.Sin(2*math.Pi*float64(s.Tone)*float64(i)/rate)
		v *= min(1, float64(i)/fade, float64(length-i)/fade)
		n := uint16(int16(v * math.MaxInt16))
		raw[2*i], raw[2*i+1] = byte(n), byte(n>>8)
	}
	return raw
}
