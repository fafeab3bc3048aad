// Package spool carries closed segments from this machine's disk to the blob store.
//
// In come sealed segment files with their sidecars, named by a recorder or found on the disk at the start; out go blobs
// and, for each, the word that it is stored. The state of a segment is its file's extension, so nothing else has to
// survive a crash. Local files go only when the blob store has given the very bytes back and the word is spoken. A segment
// is never changed and never given up.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/blob"
	"consilium/internal/media"
)

// Sealed is the extension of a segment file that waits for the blob store.
const Sealed = media.SealedExtension

// Config of a Spool.
type Config struct {
	Dir string // the recorder's folder: <Dir>/<room>/<segment>.{ivf,ogg}.sealed with <segment>.json beside it
	// Retry is the pause after a segment's first failure; it doubles up to RetryMax. Defaults: 200 ms and 30 s.
	Retry, RetryMax time.Duration
	Workers         int                   // segments that are stored at once; default 4
	Registerer      prometheus.Registerer // nil: metrics are not registered
}

// Stored says that the blob store holds the segment under key. It is called until it succeeds, and again when the process
// died before the local files were gone: it must bear to be told twice.
type Stored func(ctx context.Context, s media.Segment, key string) error

// Spool is the queue between the disk and the blob store. It is safe for concurrent use.
type Spool struct {
	cfg     Config
	blobs   *blob.Store
	stored  Stored
	logger  *slog.Logger
	metrics *metrics
	wake    chan struct{} // one slot: something may be due

	mu    sync.Mutex       // guards tasks and what changes in them; never held while calling out
	tasks map[string]*task // every segment that is not stored yet, by id
}

// task is one segment on its way. The worker that has it owns it while busy is set.
type task struct {
	segment  media.Segment
	since    time.Time // when it was sealed
	due      time.Time // when to try again
	failures int
	busy     bool
	damaged  bool // will not mend
	uploaded bool // the store holds it, only the word is missing
}

// New makes a spool. Run does the work.
func New(cfg Config, blobs *blob.Store, stored Stored, logger *slog.Logger) *Spool {
	if cfg.Retry <= 0 {
		cfg.Retry = 200 * time.Millisecond
	}
	if cfg.RetryMax <= 0 {
		cfg.RetryMax = 30 * time.Second
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 4
	}
	s := &Spool{
		cfg: cfg, blobs: blobs, stored: stored, logger: logger,
		wake: make(chan struct{}, 1), tasks: map[string]*task{},
	}
	s.metrics = newMetrics(cfg.Registerer, s)
	return s
}

// Add hands over a sealed segment. It never blocks; a segment that is known already is not taken twice.
func (s *Spool) Add(seg media.Segment) {
	s.add(seg, time.Now())
}

func (s *Spool) add(seg media.Segment, since time.Time) {
	s.mu.Lock()
	if s.tasks[seg.ID] == nil {
		s.tasks[seg.ID] = &task{segment: seg, since: since}
	}
	s.mu.Unlock()
	s.rouse()
}

func (s *Spool) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pending lists the segments of a room that are not stored yet, damaged ones included, by id. What an earlier process
// left is known as soon as Run has looked.
func (s *Spool) Pending(room string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, t := range s.tasks {
		if t.segment.Room == room {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Damaged lists the segments of a room whose files are not what was sealed, by id. They will never be stored.
func (s *Spool) Damaged(room string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, t := range s.tasks {
		if t.segment.Room == room && t.damaged {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Run finds what an earlier process left behind, and stores segments until ctx ends, the oldest first. A segment that
// cannot be stored now is tried again for ever and holds nobody else up.
func (s *Spool) Run(ctx context.Context) error {
	if err := s.find(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	free := make(chan struct{}, s.cfg.Workers)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		t, err := s.next(ctx)
		if err != nil {
			return nil
		}
		workers.Go(func() {
			s.finish(ctx, t, s.store(ctx, t))
			<-free
		})
	}
}

// find queues every sealed file on the disk.
func (s *Spool) find() error {
	files, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*", "*"+Sealed))
	if err != nil {
		return err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was stored just now
		}
		var seg media.Segment
		if err == nil {
			seg, err = readSidecar(strings.TrimSuffix(file, Sealed))
		}
		if err != nil {
			s.metrics.damaged.Inc()
			s.logger.Error("a sealed segment has no readable sidecar and stays where it is", "file", file, "error", err)
			continue
		}
		s.add(seg, info.ModTime())
	}
	return nil
}

// next waits for the oldest segment that is due and takes it; it fails only when ctx ends.
func (s *Spool) next(ctx context.Context) (*task, error) {
	for {
		t, wait := s.take(time.Now())
		if t != nil {
			return t, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take takes the oldest segment that is due, or says how long there will be none.
func (s *Spool) take(now time.Time) (*task, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *task
	wait := time.Hour
	for _, t := range s.tasks {
		switch {
		case t.busy || t.damaged:
		case t.due.After(now):
			wait = min(wait, t.due.Sub(now))
		case oldest == nil || t.segment.ID < oldest.segment.ID: // ids grow with time
			oldest = t
		}
	}
	if oldest != nil {
		oldest.busy = true
	}
	return oldest, wait
}

// finish forgets a segment that is stored, and puts one that is not back for later.
func (s *Spool) finish(ctx context.Context, t *task, err error) {
	s.mu.Lock()
	t.busy = false
	pause := min(s.cfg.Retry<<min(t.failures, 20), s.cfg.RetryMax)
	switch {
	case err == nil:
		delete(s.tasks, t.segment.ID)
		s.hurryLocked()
	case errors.Is(err, errDamaged):
		t.damaged = true
	case ctx.Err() == nil:
		t.failures++
		t.due = time.Now().Add(pause)
	}
	s.mu.Unlock()
	s.rouse()
	logger := s.logger.With("segment", t.segment.ID, "consultation", t.segment.Room)
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, errDamaged):
		s.metrics.failures.Inc()
		s.metrics.damaged.Inc()
		logger.Error("a sealed segment is damaged and stays on the disk", "error", err)
	default:
		s.metrics.failures.Inc()
		logger.Warn("segment is not stored yet", "error", err, "again_in", pause)
	}
}

// hurryLocked makes everything due that waits for another attempt: what has just worked for one works for the others, and
// a store that was away for long is not waited for any longer. The pauses of one that fails for reasons of its own stay.
func (s *Spool) hurryLocked() {
	for _, t := range s.tasks {
		t.due = time.Time{}
	}
}
