// Package stitch makes archives: one job at a time, from the events of a consultation to a video in the blob store.
//
// In come jobs (consultation, version); out go the files of an archive under c/<consultation>/archives/<version>/ and
// after them one event, archive.rendered or archive.failed. A job may be run twice and killed anywhere: the log decides
// whether it is done, finished pieces are found again in the blob store, and a second result is dropped. The package
// never changes a segment, never asks anybody but the log and the blob store, and never names a person in a log line, an
// event or a failure.
//
// docs/archive.md describes the stages and the manifest.
package stitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/render"
)

// Config says where and how a worker works.
type Config struct {
	Dir        string        // work folder; it may grow to the size of all recordings of the jobs in it
	Node       string        // in the source of events, "/stitcher/NODE"
	Parallel   int           // processes of ffmpeg at a time; default the number of processors
	Keep       time.Duration // how long finished chunks are kept that nobody uses; 0: for ever
	Early      bool          // chunks of calls that are going on are made while the machine has nothing else to do
	Fonts      []string      // folders with fonts; nil: those of the system
	Now        func() time.Time
	Registerer prometheus.Registerer // nil: not registered
}

// Blobs is what a worker needs of the blob store.
type Blobs interface {
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	Put(ctx context.Context, key string, r io.Reader) (blob.Info, error)
	PutFile(ctx context.Context, key, path string) (blob.Info, error)
	Give(ctx context.Context, key, path, digest string) (blob.Info, error)
	Stat(ctx context.Context, key string) (blob.Info, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error]
	RemoveUnfinished(ctx context.Context, folder string, before time.Time) (int64, error)
}

// Deps are the rooms that a worker works with.
type Deps struct {
	Log      events.Log
	Appender *appender.Appender
	Blobs    Blobs
	FFmpeg   *ffmpeg.Tool
	Queue    *jobs.Queue // that Run takes work from, and that chunks are shared through; nil: Make makes them all itself
	// Progress tells how far a job is, at least every second while it runs; nil: nobody is told. It must not block.
	Progress func(ctx context.Context, p Progress)
}

// Worker makes archives. It is safe for concurrent use, but one job already keeps all processors busy. Close it when
// nothing runs any more.
type Worker struct {
	cfg     Config
	deps    Deps
	folder  *folder
	shelf   *shelf
	slots   chan struct{} // one for each process of ffmpeg that keeps a processor busy
	nightly chan struct{} // one for each archive that nobody waits for
	painter *render.Painter
	logger  *slog.Logger
	metrics *metrics
	spare   *spare
	// takeSpare begins a chunk of a call that is going on where there is time for it, and calm says whether there is.
	takeSpare func() (done func(made bool), ok bool)
	calm      func() bool

	earlyEvery time.Duration // shorter in tests
	scans      *scans
	tools      toolbox
	making     sync.Map // keys of the pieces of calls that are being made in this process
}

// New checks the configuration and prepares the work folder.
func New(cfg Config, deps Deps, logger *slog.Logger) (*Worker, error) {
	if cfg.Dir == "" {
		return nil, errors.New("stitch: Config.Dir is empty")
	}
	if cfg.Keep != 0 && cfg.Keep < LeastKept {
		return nil, fmt.Errorf("stitch: Config.Keep is %s: chunks are kept for %s at least, or 0 for ever", cfg.Keep, LeastKept)
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.GOMAXPROCS(0)
	}
	if cfg.Node == "" {
		cfg.Node = "stitcher"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("stitch: %w", err)
	}
	f, err := openWorkFolder(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("stitch: prepare work folder: %w", err)
	}
	w := &Worker{
		cfg: cfg, deps: deps, painter: render.NewPainter(SystemFonts(cfg.Fonts)), logger: logger, metrics: m,
		folder: f, shelf: newShelf(filepath.Join(f.dir, segmentsFolder), deps.Blobs), slots: make(chan struct{}, cfg.Parallel),
		nightly: make(chan struct{}, nightlyAtOnce),
		spare:   newSpare(), scans: newScans(), earlyEvery: earlyEvery,
	}
	w.takeSpare, w.calm = w.spare.take, w.spare.isCalm
	return w, nil
}

// Close removes the worker's part of the work folder.
func (w *Worker) Close() error {
	if err := w.folder.close(); err != nil {
		return fmt.Errorf("stitch: remove work folder: %w", err)
	}
	return nil
}

// busy waits for a processor; free gives it back.
func (w *Worker) busy(ctx context.Context) (free func(), err error) {
	select {
	case w.slots <- struct{}{}:
		return func() { <-w.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
