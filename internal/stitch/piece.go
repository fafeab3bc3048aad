package stitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"consilium/internal/blob"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// A finished piece lies in the blob store as two blobs, the second of which says that it is there:
//
//	chunks/<key>.ts, .aac, .m4a   the media; a voice that was measured has none
//	chunks/<key>.json             a made
//
// <key> is the digest of the piece's recipe. Whoever needs the piece again takes it from there: the next run of a job
// that was killed, the next version of an archive, another worker.

// made says what a piece is and what was found while it was made.
type made struct {
	Key          string    `json:"key"` // of the recipe
	SHA256       string    `json:"sha256"`
	Bytes        int64     `json:"bytes"`
	Picture      *encoded  `json:"picture,omitempty"`    // of a chunk: what is in it
	DecodeErrors int       `json:"decodeErrors"`         // frames of the sources that could not be decoded
	Omitted      []int     `json:"omitted,omitempty"`    // tiles that gave no picture, by number
	Damaged      []int     `json:"damaged,omitempty"`    // tiles of which not every frame decodes, by number
	Lost         []int     `json:"lost,omitempty"`       // runs that do not decode to their end, by number
	FrozenMS     int64     `json:"frozenMs,omitempty"`   // nothing in the picture moved, for two seconds or more at a time
	BlackMS      int64     `json:"blackMs,omitempty"`    // the whole picture was black
	Loudness     float64   `json:"loudness,omitempty"`   // of the sound: LUFS
	Tenths       []float32 `json:"tenths,omitempty"`     // of the sound: weighed mean square of each tenth of a second
	Unverified   bool      `json:"unverified,omitempty"` // of the sound: it could not be listened to
	Peaks        []byte    `json:"peaks,omitempty"`      // of the sound: greatest sample of each tenth of a second, 255 is full scale
}

// chunkExtension is that of the media of a chunk of the picture.
const chunkExtension = ".ts"

// extension is that of the media of a piece; empty when it has none.
func (r *recipe) extension() string {
	switch {
	case r.Sound == nil:
		return chunkExtension
	case r.Sound.Measure:
		return "" // there are none
	case r.Sound.Part != nil:
		return ".aac"
	}
	return ".m4a"
}

// kind says what a piece is, for whoever reads logs.
func (r *recipe) kind() string {
	switch {
	case r.Sound == nil:
		return "picture"
	case r.Sound.Measure:
		return "measure"
	}
	return "sound"
}

func pieceKey(key, extension string) string { return piecesFolder + "/" + key + extension }

// piece finds a finished piece in the blob store, or makes it and puts it there. progress is told how many frames are
// done; it may be nil.
func (w *Worker) piece(ctx context.Context, r *recipe, key string, progress func(frames int64)) (m made, err error) {
	defer rescue(w.logger, "piece "+key, &err)
	m, ok, err := w.finished(ctx, key, r.extension())
	if err != nil {
		return made{}, err
	}
	if ok {
		if r.extension() != "" {
			w.metrics.reused.Inc()
		}
		return m, nil
	}
	w.logger.Debug("piece begun", "key", key, "kind", r.kind())
	begun := time.Now()
	m, err = w.makePiece(ctx, r, key, progress)
	w.logger.Debug("piece made", "key", key, "took", time.Since(begun).Round(time.Millisecond), "error", err)
	return m, err
}

// maxMade bounds what says what a piece is, in bytes. With small pictures of the keyframes of half a minute it has 100 kB.
const maxMade = 8 << 20

// finished looks a piece up.
func (w *Worker) finished(ctx context.Context, key, extension string) (made, bool, error) {
	in, err := w.deps.Blobs.Get(ctx, pieceKey(key, ".json"))
	if errors.Is(err, blob.ErrNotFound) {
		return made{}, false, nil
	}
	if err != nil {
		return made{}, false, err
	}
	defer in.Close()
	var m made
	if err := json.NewDecoder(io.LimitReader(in, maxMade)).Decode(&m); err != nil || m.Key != key || extension == chunkExtension && m.Picture == nil {
		return made{}, false, nil // written by nobody who knew what this is: it is made again
	}
	if extension == "" {
		return m, true, nil
	}
	info, err := w.deps.Blobs.Stat(ctx, pieceKey(key, extension))
	if errors.Is(err, blob.ErrNotFound) || err == nil && info.Bytes != m.Bytes {
		return made{}, false, nil
	}
	return m, err == nil, err
}

// makePiece makes a piece and stores it. A *failure says that another try on this machine would fail too.
func (w *Worker) makePiece(ctx context.Context, r *recipe, key string, progress func(int64)) (made, error) {
	if err := w.fits(ctx, r); err != nil {
		return made{}, judge(ctx, err, !errors.Is(err, errOtherTool))
	}
	dir, err := w.makeFolder("c")
	if err != nil {
		return made{}, err
	}
	defer os.RemoveAll(dir) // what stays behind goes with the folder of the process
	files, done, err := w.open(ctx, r.Sources)
	if err != nil {
		return made{}, err
	}
	defer done()
	var m made
	name := render.ChunkFile
	if r.Sound != nil {
		name = r.Sound.file()
		m, err = w.makeSound(ctx, dir, r.Sound, files)
	} else {
		m, err = w.makePicture(ctx, dir, r.Picture, files, progress)
	}
	if err != nil {
		return made{}, judge(ctx, err, true)
	}
	if r.extension() == "" {
		m.Key = key
		return m, w.describe(ctx, m)
	}
	return w.keep(ctx, m, key, r.extension(), filepath.Join(dir, name))
}

// keep stores a piece, its media first.
func (w *Worker) keep(ctx context.Context, m made, key, extension, path string) (made, error) {
	info, err := w.deps.Blobs.PutFile(ctx, pieceKey(key, extension), path)
	if err != nil {
		return made{}, err
	}
	m.Key, m.SHA256, m.Bytes = key, info.SHA256, info.Bytes
	return m, w.describe(ctx, m)
}

// describe writes what says that a piece is there.
func (w *Worker) describe(ctx context.Context, m made) error {
	about, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.deps.Blobs.Put(ctx, pieceKey(m.Key, ".json"), strings.NewReader(string(about)))
	return err
}

// open takes all sources from the shelf; done lets go of them.
func (w *Worker) open(ctx context.Context, all []segmentRef) (files []io.ReaderAt, done func(), err error) {
	var closers []func()
	done = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, s := range all {
		f, release, err := w.shelf.take(ctx, s)
		if err != nil {
			done()
			w.scans.forget(s) // the next plan looks at it again
			return nil, nil, fmt.Errorf("open %s: %w", s.Key, err)
		}
		closers = append(closers, func() {
			_ = f.Close() // it was only read
			release()
		})
		files = append(files, f)
	}
	return files, done, nil
}

// makePicture runs ffmpeg for one chunk. Where a source turns out to be damaged it tries again in a way that keeps the
// damage to its own tile, and leaves out what cannot be decoded at all.
func (w *Worker) makePicture(ctx context.Context, dir string, p *pictureWork, files []io.ReaderAt, progress func(int64)) (made, error) {
	for i, t := range p.Tiles {
		if err := writeTileFile(filepath.Join(dir, p.Composition.Tiles[i].File), t, files, p.Composition.Frames); err != nil {
			return made{}, err
		}
	}
	ways := make([]render.Way, len(p.Tiles))
	seen := &ffmpeg.Watch{}
	res, err := w.compose(ctx, dir, p, ways, ffmpeg.Pipes{Frames: progress, Log: seen})
	if (res.DecodeErrors > 0 || isToolError(err)) && len(ways) > 0 {
		if ways, err = w.examine(ctx, dir, p); err != nil {
			return made{}, err
		}
		seen = &ffmpeg.Watch{}
		res, err = w.compose(ctx, dir, p, ways, ffmpeg.Pipes{Frames: progress, Log: seen})
	}
	if err != nil {
		return made{}, err
	}
	picture, unseen, err := w.look(ctx, dir, filepath.Join(dir, render.ChunkFile), p.Composition.Frames)
	if err != nil {
		return made{}, err
	}
	if unseen != nil {
		w.logger.Warn("the keyframes of a chunk were not decoded", "error", unseen)
	}
	sum, err := w.explained(ctx, dir, p, ways, seen)
	if err != nil {
		return made{}, err
	}
	if length := time.Duration(p.Composition.Frames) * time.Second / render.Rate; length >= 2*time.Second && !slices.ContainsFunc(ways, isDrawn) {
		sum.frozen = length // cards do not move
	}
	m := made{Picture: picture, DecodeErrors: res.DecodeErrors, FrozenMS: sum.frozen.Milliseconds(), BlackMS: sum.black.Milliseconds()}
	for i, way := range ways {
		if way == render.Omit {
			m.Omitted = append(m.Omitted, i)
		} else if way == render.Late {
			m.Damaged = append(m.Damaged, i)
		}
	}
	return m, nil
}

func isDrawn(way render.Way) bool { return way != render.Omit }

// writeTileFile writes the frames of one tile.
func writeTileFile(path string, t tileWork, files []io.ReaderAt, frames int64) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := media.IVFHeader{Codec: t.Codec, Width: t.Width, Height: t.Height}
	if err := writeTile(f, head, t.packets(files), frames); err != nil {
		return err
	}
	return f.Close()
}

// compose draws the tiles in their ways.
func (w *Worker) compose(ctx context.Context, dir string, p *pictureWork, ways []render.Way, pipes ffmpeg.Pipes) (ffmpeg.Result, error) {
	overlay, err := p.overlay(ways)
	if err != nil {
		return ffmpeg.Result{}, err
	}
	if err := writeFile(filepath.Join(dir, p.Composition.Overlay), overlay.PNG); err != nil {
		return ffmpeg.Result{}, err
	}
	if s := p.Composition.Stamp; s != nil {
		var all []byte
		for _, d := range p.Stamp {
			all = append(all, d.PNG...)
		}
		if err := writeFile(filepath.Join(dir, s.File), all); err != nil {
			return ffmpeg.Result{}, err
		}
	}
	composition, err := overlay.over(p.as(ways))
	if err != nil {
		return ffmpeg.Result{}, err
	}
	cmd, err := ffmpeg.Compose(composition)
	if err != nil {
		return ffmpeg.Result{}, err
	}
	return w.deps.FFmpeg.Run(ctx, dir, cmd, pipes)
}

// isToolError says whether the tool failed for a reason that may lie in what it was given, and not in the machine.
func isToolError(err error) bool {
	var e *ffmpeg.RunError
	return errors.As(err, &e) && !errors.Is(err, ffmpeg.ErrNoSpace) && !errors.Is(err, ffmpeg.ErrTimeLimit)
}

// examine tries every tile alone. One that decodes without a complaint stays as it is, one that complains is drawn late,
// and one that twice gives no picture becomes a card that says so: once may be the machine's fault.
func (w *Worker) examine(ctx context.Context, dir string, p *pictureWork) ([]render.Way, error) {
	ways := make([]render.Way, len(p.Tiles))
	for i := range ways {
		alone := slices.Repeat([]render.Way{render.Omit}, len(ways))
		alone[i] = render.Stack
		res, err := w.compose(ctx, dir, p, alone, ffmpeg.Pipes{})
		if isToolError(err) {
			res, err = w.compose(ctx, dir, p, alone, ffmpeg.Pipes{})
		}
		switch {
		case isToolError(err):
			ways[i] = render.Omit
		case err != nil:
			return nil, err
		case res.DecodeErrors > 0:
			ways[i] = render.Late
		}
	}
	return ways, nil
}
