package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
)

// Two machines may have an ffmpeg of one version and yet make different bytes of a recipe: the encoder and its libraries come from
// elsewhere. So what pieces are made with is told by what it makes: a small chunk is drawn once in a process, through the same
// graph and with the same settings as all others, and its digest stands in every recipe. It is the same on every processor, as
// chunks are.

// tool is what the bytes of a piece depend on beside its recipe.
type tool struct {
	about ffmpeg.About
	x264  string // as the encoder names itself in what it encodes, "core 164 r3095 baee400"; empty when nothing was encoded
	probe string // SHA-256 of the small chunk; empty when nothing was encoded
}

// name is how recipes have it.
func (t tool) name() string {
	return fmt.Sprintf("%s, %s, x264 %s, %s", t.about.Version, t.about.Digest, t.x264, t.probe)
}

// mark is how jobs have it. What a program makes of a recipe counts as much as what it makes it with.
func (t tool) mark() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", recipeForm, t.name()))
	return hex.EncodeToString(sum[:8])
}

// inManifest is how a manifest has it.
func (t tool) inManifest() map[string]string {
	all := map[string]string{"ffmpeg": t.about.Version, "ffmpegBuild": t.about.Digest, "libraries": t.about.Libraries}
	if t.probe != "" {
		all["x264"], all["probe"] = t.x264, t.probe
	}
	return all
}

// toolbox knows the tool, as long as it is the same ffmpeg. It is safe for concurrent use.
type toolbox struct {
	mu    sync.Mutex // guards known; held while one is tried, so that it is tried once
	known tool
}

// tool tells what this process makes pieces with now. The first time that takes as long as drawing a few frames.
func (w *Worker) tool(ctx context.Context) (tool, error) {
	about, err := w.deps.FFmpeg.About(ctx)
	if err != nil {
		return tool{}, err
	}
	w.tools.mu.Lock()
	defer w.tools.mu.Unlock()
	if w.tools.known.about == about {
		return w.tools.known, nil
	}
	t := tool{about: about}
	drawn, err := w.probe(ctx)
	switch {
	case isToolError(err):
		// It is for the chunks to fail: an archive without a picture needs no encoder of pictures.
		w.logger.Warn("ffmpeg does not draw what it was tried with", "error", err)
	case err != nil:
		return tool{}, fmt.Errorf("try ffmpeg: %w", err)
	default:
		sum := sha256.Sum256(drawn)
		t.probe, t.x264 = hex.EncodeToString(sum[:]), encoderIn(drawn)
	}
	w.tools.known = t
	return t, nil
}

//go:generate ffmpeg -y -loglevel error -f lavfi -i testsrc2=s=160x90:r=30,noise=alls=6:allf=t:all_seed=7 -frames:v 6 -c:v libvpx -threads 1 -deadline good -cpu-used 4 -b:v 200k -qmin 30 -g 60 -flags +bitexact -fflags +bitexact probe.ivf

// probeFilm is six frames of VP8 of 160x90 with noise. Other bytes give every piece another key.
//
//go:embed probe.ivf
var probeFilm []byte

// Names in the folder of the probe.
const (
	probeFilmFile    = "probe.ivf"
	probeOverlayFile = "probe.png"
	probeFile        = "probe.ts"
)

// probe draws a small chunk of all that chunks are made of: a film that is scaled, below it its blurred copy, something drawn that
// lies over it, the encoder.
func (w *Worker) probe(ctx context.Context) ([]byte, error) {
	profile, err := render.ProfileNamed("")
	if err != nil {
		return nil, err
	}
	cmd, err := ffmpeg.Compose(ffmpeg.Composition{
		Width: 320, Height: 180, Rate: render.Rate, Background: render.Background, Frames: 6, Encoder: profile.Encoder, Out: probeFile,
		Tiles: []ffmpeg.Tile{{
			File: probeFilmFile, Codec: "vp8", X: 60, Y: 10, Width: 200, Height: 112,
			Fill: &ffmpeg.Place{X: 10, Y: 10, Width: 300, Height: 112},
		}},
		Overlay: probeOverlayFile, OverlayX: 20, OverlayY: 90, Names: []ffmpeg.Place{{X: 20, Y: 90, Width: 64, Height: 32}},
	})
	if err != nil {
		return nil, err
	}
	dir, err := w.makeFolder("p")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // what stays behind goes with the folder of the process
	over, err := probeOverlay()
	if err == nil {
		err = errors.Join(writeFile(filepath.Join(dir, probeFilmFile), probeFilm), writeFile(filepath.Join(dir, probeOverlayFile), over))
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.deps.FFmpeg.Run(ctx, dir, cmd, ffmpeg.Pipes{}); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, probeFile))
}

// probeOverlay is a picture of all colours, which is seen through from the left to the right.
func probeOverlay() ([]byte, error) {
	m := image.NewNRGBA(image.Rect(0, 0, 128, 64))
	for y := range 64 {
		for x := range 128 {
			m.SetNRGBA(x, y, color.NRGBA{uint8(4 * y), uint8(2 * x), uint8(255 - x - y), uint8(2 * x)})
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	return b.Bytes(), err
}

// encoderIn finds what x264 calls itself in a stream that it has written, before its settings.
func encoderIn(stream []byte) string {
	_, rest, _ := bytes.Cut(stream, []byte("x264 - "))
	name, _, found := bytes.Cut(rest, []byte(" - "))
	if !found || len(name) > 64 || slices.ContainsFunc(name, func(c byte) bool { return c < ' ' || c > '~' }) {
		return "of no name"
	}
	return string(name)
}

// mark tells a queue which pieces are for this process.
func (w *Worker) mark(ctx context.Context) (string, error) {
	t, err := w.tool(ctx)
	return t.mark(), err
}

// errOtherTool says that a piece is to be made with something that this process does not have.
var errOtherTool = errors.New("the piece is to be made with another ffmpeg, or another encoder")

// fits says whether this process has what a recipe is to be made with. The error is errOtherTool when it has another one.
func (w *Worker) fits(ctx context.Context, r *recipe) error {
	t, err := w.tool(ctx)
	if err == nil && t.name() != r.Tool {
		err = errOtherTool
	}
	return err
}
