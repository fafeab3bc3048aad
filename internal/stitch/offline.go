package stitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// Bundle is a consultation at hand: its events, and what is to be made of them. An archive that is made of a bundle is
// announced nowhere.
type Bundle struct {
	Consultation string
	History      []events.Stored
	Request      events.ArchiveRequested
}

// BundleOf takes the newest order of an archive from the events, or that of a version. Where nothing was ordered yet, it
// is everything so far, with people called by their roles.
func BundleOf(history []events.Stored, version int) (Bundle, error) {
	if len(history) == 0 {
		return Bundle{}, errors.New("a consultation without events")
	}
	last := history[len(history)-1]
	b := Bundle{
		Consultation: last.Subject, History: history,
		Request: events.ArchiveRequested{Version: 1, ThroughSeq: last.Seq, Sheet: events.Blob{Key: "sheets/none.json"}},
	}
	found := version == 0
	for _, ev := range history {
		if e, ok := ev.Event.(events.ArchiveRequested); ok && (version == 0 || e.Version == version) {
			b.Request, found = e, true
		}
	}
	if !found {
		return Bundle{}, fmt.Errorf("version %d: %w", version, ErrNoRequest)
	}
	return b, nil
}

func (w *Worker) jobOf(b Bundle) *job {
	return &job{
		consultation: b.Consultation, request: b.Request, history: b.History,
		logger: w.logger.With("consultation", b.Consultation, "version", b.Request.Version),
	}
}

// Render makes the archive of a bundle and puts its files into the folder out. The error of a tool has what it said.
func (w *Worker) Render(ctx context.Context, b Bundle, out string) (Manifest, error) {
	j := w.jobOf(b)
	err := w.carefully(ctx, j, func(ctx context.Context, j *job) error { return w.deliver(ctx, j, out) })
	if err = judge(ctx, err, true); err != nil {
		var f *failure
		if errors.As(err, &f) {
			err = errors.New(strings.TrimSpace(detail(f)))
		}
		return Manifest{}, fmt.Errorf("render %s: %w", b.Consultation, err)
	}
	return j.manifest(), nil
}

// deliver puts the files of the archive into a folder: none of them where the disk is too small for all.
func (w *Worker) deliver(ctx context.Context, j *job, out string) (err error) {
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // whoever renders by hand shows it to others
		return err
	}
	aside, err := os.MkdirTemp(out, ".archive-") // of the same file system, so that it takes a rename
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	manifest, err := json.MarshalIndent(j.manifest(), "", "  ")
	if err != nil {
		return err
	}
	texts := j.texts()
	texts[ManifestFile] = manifest
	for _, f := range j.result.failures {
		if texts[path.Base(f.Detail.Key)], err = w.read(ctx, f.Detail.Key); err != nil {
			return err
		}
	}
	for name, content := range texts {
		if err := os.WriteFile(filepath.Join(aside, name), content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	for _, name := range j.media() {
		if err := copyFile(filepath.Join(aside, name), filepath.Join(j.dir, name)); err != nil {
			return err
		}
	}
	names, err := os.ReadDir(aside)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := os.Rename(filepath.Join(aside, n.Name()), filepath.Join(out, n.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// read gives a small blob.
func (w *Worker) read(ctx context.Context, key string) ([]byte, error) {
	in, err := w.deps.Blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// Preview is what Render would make.
type Preview struct {
	Plan   *render.Plan
	Pieces []PreviewPiece // in the order in which they are made
}

// PreviewPiece is a chunk, or the sound, that an archive needs.
type PreviewPiece struct {
	Key      string
	Sound    bool
	Voice    string       // participant, where it is the sound of one; else empty
	Chunk    render.Chunk // zero for the sound
	Finished bool         // it lies in the blob store already
	Args     []string     // of ffmpeg
}

// Preview plans the archive of a bundle and makes nothing.
func (w *Worker) Preview(ctx context.Context, b Bundle) (Preview, error) {
	j := w.jobOf(b)
	p, err := w.preview(ctx, j)
	j.closeSegments()
	if err != nil {
		return Preview{}, fmt.Errorf("plan %s: %w", b.Consultation, err)
	}
	return p, nil
}

func (w *Worker) preview(ctx context.Context, j *job) (Preview, error) {
	if err := w.begin(ctx, j); err != nil {
		return Preview{}, err
	}
	if err := w.prepare(ctx, j); err != nil {
		return Preview{}, err
	}
	orders, err := w.orders(j)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Plan: j.plan}
	for _, o := range orders {
		_, finished, err := w.finished(ctx, o.key, o.recipe.extension())
		if err != nil {
			return Preview{}, err
		}
		var cmd ffmpeg.Command
		if cmd, err = o.recipe.command(); err != nil {
			return Preview{}, err
		}
		p.Pieces = append(p.Pieces, PreviewPiece{Key: o.key, Sound: o.isSound(), Voice: o.voice, Chunk: o.at, Finished: finished, Args: cmd.Args})
	}
	return p, nil
}

// begin finds the tool and builds the timeline: what every job needs first.
func (w *Worker) begin(ctx context.Context, j *job) error {
	var err error
	if j.tool, err = w.tool(ctx); err != nil {
		return judge(ctx, err, true)
	}
	if j.timeline, err = timeline.Build(j.history, j.request.ThroughSeq); err != nil {
		return &failure{CodeSourceDamaged, err}
	}
	j.missing = newMissing()
	j.meter = &meter{parts: map[int]int64{}, p: Progress{Consultation: j.consultation, Version: j.request.Version}}
	return nil
}
