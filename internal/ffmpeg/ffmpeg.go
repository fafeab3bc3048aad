// Package ffmpeg is the only place that knows ffmpeg: how its arguments are written, how it is run and how what it says
// is read.
//
// In come a Command (made by Compose, DecodeVoice, EncodeAudio, EncodeADTS, Storyboard) and a folder; out come files in that
// folder, a Result, or a RunError with what the tool wrote. Every process runs in a process group of its own, without
// network, as an unprivileged user when we are root, with whitelists for formats and codecs, limits of time and memory, and nothing but
// relative file names. The package never decides what a picture shows and never sees a name of a person: text reaches
// the tool only as pixels.
package ffmpeg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrMissing says that ffmpeg is not installed. Its text names the command that installs it.
var ErrMissing = errors.New("ffmpeg is not installed: run ./task setup (or apt-get install ffmpeg), then try again")

// ErrNoSpace says that the tool could not write because the disk is full.
var ErrNoSpace = errors.New("no space left on device")

// ErrTimeLimit says that the tool took longer than its command may.
var ErrTimeLimit = errors.New("time limit passed")

// Config tells where ffmpeg is. The zero Config looks in PATH.
type Config struct {
	Path       string                // CONSILIUM_FFMPEG: the program itself
	User       string                // whom it runs as when we are root; default "nobody"
	Nice       int                   // added to the niceness of the process, 0 to 19; default 10
	Registerer prometheus.Registerer // nil: not registered
}

// Tool runs ffmpeg. It is safe for concurrent use.
type Tool struct {
	cfg    Config
	owner  *owner // nil: whoever we are
	logger *slog.Logger
	runs   *prometheus.HistogramVec
	cpu    *prometheus.CounterVec

	mu   sync.Mutex // guards cage
	cage *cage      // nil until ffmpeg has run for the first time
}

// defaultNice leaves the processor to calls that are live on the same machine.
const defaultNice = 10

// New prepares a Tool. It does not look for ffmpeg: that happens at every call, so that installing it is enough.
func New(cfg Config, logger *slog.Logger) (*Tool, error) {
	if cfg.Nice == 0 {
		cfg.Nice = defaultNice
	}
	o, err := lookupOwner(cfg.User)
	if err != nil {
		return nil, fmt.Errorf("choose the user of ffmpeg: %w", err)
	}
	t := &Tool{cfg: cfg, owner: o, logger: logger, runs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "consilium_ffmpeg_run_seconds",
		Help:    "How long a run of ffmpeg took, by step and result (ok, failed).",
		Buckets: prometheus.ExponentialBuckets(0.05, 3, 10),
	}, []string{"step", "result"}), cpu: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "consilium_ffmpeg_cpu_seconds_total",
		Help: "Processor time, user and system, of runs of ffmpeg that have ended, by step.",
	}, []string{"step"})}
	if cfg.Registerer != nil {
		if err := errors.Join(cfg.Registerer.Register(t.runs), cfg.Registerer.Register(t.cpu)); err != nil {
			return nil, fmt.Errorf("register metrics of ffmpeg: %w", err)
		}
	}
	return t, nil
}

// Own gives a folder and nothing in it to the user that ffmpeg runs as, so that it can write there. Nobody else but that
// user and root can look into it afterwards. The folders above it need not be open to that user.
func (t *Tool) Own(dir string) error {
	if err := t.owner.own(dir); err != nil {
		return fmt.Errorf("give %s to the user of ffmpeg: %w", dir, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder has to be entered
		return fmt.Errorf("close %s to others: %w", dir, err)
	}
	return nil
}

// Version is the first line that ffmpeg says of itself, without its copyright, for instance "ffmpeg 5.1.9-0+deb12u1".
func (t *Tool) Version(ctx context.Context) (string, error) {
	about, err := t.About(ctx)
	return about.Version, err
}

// About tells which ffmpeg it is that runs now. It is run for that when it is new, or another file than before.
func (t *Tool) About(ctx context.Context) (About, error) {
	c, err := t.enter(ctx)
	if err != nil {
		return About{}, err
	}
	return c.about, nil
}

// program is a file that can be run. One that was put in the place of another is another one.
type program struct {
	path    string
	bytes   int64
	changed int64 // nanoseconds
}

// find looks ffmpeg up.
func (t *Tool) find() (program, error) {
	path, err := exec.LookPath(cmp.Or(t.cfg.Path, "ffmpeg"))
	if err != nil {
		return program{}, ErrMissing
	}
	if path, err = filepath.Abs(path); err != nil {
		return program{}, fmt.Errorf("find ffmpeg: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return program{}, ErrMissing
	}
	return program{path: path, bytes: info.Size(), changed: info.ModTime().UnixNano()}, nil
}

// versionTimeout bounds the first run of ffmpeg, which loads its libraries from a cold disk.
const versionTimeout = 30 * time.Second
