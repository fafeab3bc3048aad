package stitch

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-text/typesetting/font"
	"golang.org/x/image/font/gofont/goregular"

	"consilium/internal/render"
)

// fontFolders are where systems keep fonts.
var fontFolders = []string{"/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts/opentype"}

// preferredFonts come first, by the beginning of their file name: they are made for reading on screens and cover many
// scripts. All others follow by name.
var preferredFonts = []string{"NotoSans-Regular", "DejaVuSans.", "NotoNaskhArabic-Regular", "NotoSans", "NotoSerif"}

// Fonts are the fonts of the machine, with one of our own where there are none. A file is opened only when a character
// is asked for that no font opened before it has.
type Fonts struct {
	mu      sync.Mutex // guards what follows
	unread  []string   // files, best first
	faces   []*font.Face
	byRune  map[rune]*font.Face
	builtin *font.Face
}

var _ render.Fonts = (*Fonts)(nil)

// SystemFonts lists the fonts in folders; nil is where systems keep them.
func SystemFonts(folders []string) *Fonts {
	if folders == nil {
		folders = fontFolders
	}
	f := &Fonts{byRune: map[rune]*font.Face{}, builtin: builtinFace()}
	for _, dir := range folders {
		// A folder that is not there has no fonts.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && isUpright(filepath.Base(path)) {
				f.unread = append(f.unread, path)
			}
			return nil
		})
	}
	slices.SortStableFunc(f.unread, func(a, b string) int {
		if d := preference(a) - preference(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return f
}

// isUpright says whether a file is a font that is neither bold, slanted nor of fixed width.
func isUpright(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	if ext != ".ttf" && ext != ".otf" && ext != ".ttc" {
		return false
	}
	for _, other := range []string{"Bold", "Italic", "Oblique", "Mono", "Light", "Thin", "Black", "Medium", "Condensed", "Emoji"} {
		if strings.Contains(name, other) {
			return false
		}
	}
	return true
}

func preference(path string) int {
	for i, prefix := range preferredFonts {
		if strings.HasPrefix(filepath.Base(path), prefix) {
			return i
		}
	}
	return len(preferredFonts)
}

func builtinFace() *font.Face {
	face, err := font.ParseTTF(bytes.NewReader(goregular.TTF))
	if err != nil {
		panic("the font in the program is broken: " + err.Error())
	}
	return face
}

// ResolveFace finds a face that can draw r. Where there is none it gives the first one, which draws a box.
func (f *Fonts) ResolveFace(r rune) *font.Face {
	f.mu.Lock()
	defer f.mu.Unlock()
	if face, ok := f.byRune[r]; ok {
		return face
	}
	face := f.lookLocked(r)
	f.byRune[r] = face
	return face
}

func (f *Fonts) lookLocked(r rune) *font.Face {
	for _, face := range f.faces {
		if draws(face, r) {
			return face
		}
	}
	for len(f.unread) > 0 {
		path := f.unread[0]
		f.unread = f.unread[1:]
		opened := openFaces(path)
		f.faces = append(f.faces, opened...)
		for _, face := range opened {
			if draws(face, r) {
				return face
			}
		}
	}
	if draws(f.builtin, r) || len(f.faces) == 0 {
		return f.builtin
	}
	return f.faces[0]
}

func draws(face *font.Face, r rune) bool {
	_, ok := face.NominalGlyph(r)
	return ok
}

// openFaces reads a font file or a collection. One that cannot be read has no faces: the others are as good.
func openFaces(path string) []*font.Face {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	if strings.EqualFold(filepath.Ext(path), ".ttc") {
		faces, err := font.ParseTTC(bytes.NewReader(data))
		if err != nil {
			return nil
		}
		return faces
	}
	face, err := font.ParseTTF(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	return []*font.Face{face}
}
