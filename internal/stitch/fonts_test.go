package stitch

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"

	"consilium/internal/render"
)

func cardFor(name string) render.Scene {
	return render.Scene{Tiles: []render.Tile{{Cell: image.Rect(0, 0, 640, 360), Name: name, Reason: "camera off"}}}
}

// inked counts the pixels of the card's upper half, where the name stands, that are brighter than the card.
func inked(img *image.RGBA) (n int, widest image.Rectangle) {
	for y := 100; y < 190; y++ {
		for x := range 640 {
			if img.RGBAAt(x, y).R > 0x80 {
				n++
				widest = widest.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return n, widest
}

func TestNamesAreDrawn(t *testing.T) {
	fonts := map[string]*Fonts{"the fonts of the system": SystemFonts(nil), "no fonts": SystemFonts([]string{t.TempDir()})}
	names := []string{
		"Anna", "Dr. O'Brien: \"50%{pts}\" [v];,\\", "د. محمد", "שרה לוי", "डॉ. प्रिया", "李雷", "Ngọc Ánh", "👩‍⚕️🇺🇦", "a\u0301\u0301\u0301\u0301",
		strings.Repeat("very long ", 30), "\ufffd\ufffe",
	}
	for what, f := range fonts {
		painter := render.NewPainter(f)
		for _, name := range names {
			t.Run(fmt.Sprintf("%q with %s", name, what), func(t *testing.T) {
				img := painter.Draw(cardFor(name))
				n, where := inked(img)
				if n < 20 || where.Min.X < 5 || where.Max.X > 635 {
					t.Errorf("%d pixels in %v", n, where)
				}
				if got := img.RGBAAt(900, 500); got != (color.RGBA{}) {
					t.Errorf("beside the card it is not transparent: %v", got)
				}
			})
		}
	}
}

// Emoji that no font has are left out of a name, whole: no boxes, and no skin or sign of a doctor without its person. A name
// of nothing else is not left out, nor are letters.
func TestEmojiThatNoFontHasAreNoBoxes(t *testing.T) {
	painter := render.NewPainter(SystemFonts([]string{t.TempDir()})) // Latin letters, and no more
	for _, test := range []struct {
		name, as string
		same     bool
	}{
		{"Anna 👩\u200d⚕️🏳️\u200d🌈", "Anna", true},
		{"👨🏿\u200d🦱 Dr. 🇺🇦 Anna", "Dr. Anna", true},
		{"Anna\u200d☎", "Anna", true},
		{"Anna 李", "Anna", false},
		{"👩\u200d⚕️", "", false},
	} {
		if same := bytes.Equal(painter.Draw(cardFor(test.name)).Pix, painter.Draw(cardFor(test.as)).Pix); same != test.same {
			t.Errorf("%q is drawn as %q: %v", test.name, test.as, same)
		}
	}
}

// The fonts that ./task setup installs have the letters of the world's scripts.
func TestTheWorldHasLetters(t *testing.T) {
	fonts := SystemFonts(nil)
	for _, name := range []string{
		"Ñandú Łódź Ngọc Ánh", "Ольга", "Ελένη", "Հայկ", "გიორგი", "שרה", "محمد فریدون", "ܝܘܚܢܢ", "አበበ", "प्रिया", "রহিম", "ਸਿੰਘ", "પટેલ", "ଓଡ଼ିଆ", "தமிழ்",
		"తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල", "สมชาย", "ລາວ", "မြန်မာ", "សុខា", "བསྟན་འཛིན", "ᠮᠣᠩᠭᠣᠯ", "ⵉⴷⵉⵔ", "ᏣᎳᎩ",
	} {
		for _, r := range name {
			if _, ok := fonts.ResolveFace(r).NominalGlyph(r); !ok {
				t.Errorf("no font has the %q of %q: ./task setup installs fonts", r, name)
			}
		}
	}
}

func FuzzNamesAreDrawn(f *testing.F) {
	painter := render.NewPainter(SystemFonts(nil))
	for _, name := range []string{"Anna", "د. محمد", "डॉ. प्रिया", "👩‍⚕️", "\u202e\u0000\u0300"} {
		f.Add(name)
	}
	f.Fuzz(func(_ *testing.T, name string) { painter.Draw(cardFor(name)) })
}

// On the small cards of a strip, too, all of a name and of a reason can be read: they go on in a second line.
func TestNothingOnASmallCardIsCutShort(t *testing.T) {
	painter := render.NewPainter(SystemFonts(nil))
	cell := image.Rect(1024, 288, 1280, 432)
	bands := func(name, reason string) (n int) {
		img := painter.Draw(render.Scene{Tiles: []render.Tile{{Cell: cell, Name: name, Reason: reason}}})
		inside := false
		for y := cell.Min.Y; y < cell.Max.Y; y++ {
			row := false
			for x := cell.Min.X + 4; x < cell.Max.X-4; x++ {
				row = row || img.RGBAAt(x, y).R > 0x80
			}
			if row && !inside {
				n++
			}
			inside = row
		}
		return n
	}
	for _, test := range []struct {
		name, reason string
		want         int
	}{
		{"Anna", "camera on", 2},
		{"Anna", "nicht aufgezeichnet: keine Einwilligung", 3},
		{"Anna-Maria von Niemannsbusen", "camera on", 3},
	} {
		if got := bands(test.name, test.reason); got != test.want {
			t.Errorf("%q, %q: %d lines, want %d", test.name, test.reason, got, test.want)
		}
	}
}
