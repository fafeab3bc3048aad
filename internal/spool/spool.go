// Package spool carries closed segments from this machine's disk to the blob store.
//
// In come sealed segment files with their sidecars, named by a recorder or found on the disk at the start; out go blobs
// and, for each, the word that it is stored. The state of a segment is its file's extension, so nothing else has to
// survive a crash. Local files go only when the blob store holds the very bytes and the word is spoken.
package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"consilium/internal/blob"
	"consilium/internal/media"

	"github.com/prometheus/client_golang/prometheus"
)

// Sealed is the extension of a segment file that waits for the blob store.
const Sealed = ".sealed"

// Config of a Spool.
type Config struct {
	Dir string // the recorder's folder: <Dir>/<room>/<segment>.{ivf,ogg}.sealed with <segment>.json beside it
	// Retry is the pause after a first failure; it doubles up to RetryMax. Defaults: 200 ms and 30 s.
	Retry, RetryMax time.Duration
	Registerer      prometheus.Registerer // nil: metrics are not registered
}

// Stored says that the blob store holds the segment under key. It is called until it succeeds.
type Stored func(ctx context.Context, s media.Segment, key string) error

// Spool is the queue between the disk and the blob store.
type Spool struct {
	cfg     Config
	blobs   *blob.Store
	stored  Stored
	logger  *slog.Logger
	metrics *metrics

	mu      sync.Mutex // guards what follows; never held while calling out
	waiting []media.Segment
	known   map[string]string // room of every segment that is not stored yet, by segment id
	wake    chan struct{}     // one slot: waiting has grown
}

// New makes a spool. Run does the work.
func New(cfg Config, blobs *blob.Store, stored Stored, logger *slog.Logger) *Spool {
	if cfg.Retry <= 0 {
		cfg.Retry = 200 * time.Millisecond
	}
	if cfg.RetryMax <= 0 {
		cfg.RetryMax = 30 * time.Second
	}
	return &Spool{
		cfg: cfg, blobs: blobs, stored: stored, logger: logger, metrics: newMetrics(cfg.Registerer),
		known: map[string]string{}, wake: make(chan struct{}, 1),
	}
}

// Add hands over a sealed segment. It never blocks; a segment that is known already is not taken twice.
func (s *Spool) Add(seg media.Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.known[seg.ID]; twice {
		return
	}
	s.known[seg.ID] = seg.Room
	s.waiting = append(s.waiting, seg)
	s.metrics.files.Inc()
	s.metrics.bytes.Add(float64(seg.Bytes))
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pending lists the segments of a room that are not stored yet, in no order.
func (s *Spool) Pending(room string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, in := range s.known {
		if in == room {
			ids = append(ids, id)
		}
	}
	return ids
}

// Run finds what an earlier process left behind, and stores segments until ctx ends. A segment that cannot be stored
// now is tried again for ever and holds nobody else up.
func (s *Spool) Run(ctx context.Context) error {
	if err := s.find(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	var retries sync.WaitGroup
	defer retries.Wait()
	for {
		for _, seg := range s.take() {
			if err := s.store(ctx, seg); err != nil && ctx.Err() == nil {
				retries.Go(func() { s.insist(ctx, seg, err) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
	}
}

// find queues every sealed file on the disk.
func (s *Spool) find() error {
	files, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*", "*"+Sealed))
	if err != nil {
		return err
	}
	for _, file := range files {
		seg, err := readSidecar(file)
		if err != nil {
			s.metrics.damaged.Inc()
			s.logger.Error("a sealed segment has no readable sidecar and stays where it is", "file", file, "error", err)
			continue
		}
		s.Add(seg)
	}
	return nil
}

// readSidecar reads what is said of a sealed file, from the file beside it.
func readSidecar(file string) (media.Segment, error) {
	name := strings.TrimSuffix(filepath.Base(file), Sealed)
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(file), strings.TrimSuffix(name, filepath.Ext(name))+".json"))
	if err != nil {
		return media.Segment{}, err
	}
	var seg media.Segment
	if err := json.Unmarshal(raw, &seg); err != nil {
		return media.Segment{}, err
	}
	if seg.FileName() != name || seg.Room != filepath.Base(filepath.Dir(file)) {
		return media.Segment{}, errors.New("the sidecar speaks of another file")
	}
	return seg, nil
}

func (s *Spool) take() []media.Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waiting
	s.waiting = nil
	return taken
}

// errDamaged says that the file on the disk is not the one that was sealed. It will not mend.
var errDamaged = errors.New("the file is not the one that was sealed")

// insist tries again until it works or ctx ends.
func (s *Spool) insist(ctx context.Context, seg media.Segment, err error) {
	pause := s.cfg.Retry
	for err != nil {
		s.metrics.failures.Inc()
		if errors.Is(err, errDamaged) {
			s.metrics.damaged.Inc()
			s.logger.Error("a sealed segment is damaged and stays on the disk", "segment", seg.ID, "consultation", seg.Room, "error", err)
			return
		}
		s.logger.Warn("segment is not stored yet", "segment", seg.ID, "consultation", seg.Room, "error", err, "again_in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, s.cfg.RetryMax)
		err = s.store(ctx, seg)
	}
}

// store brings one segment into the blob store, says so, and removes it here. Every step may be repeated.
func (s *Spool) store(ctx context.Context, seg media.Segment) error {
	dir := filepath.Join(s.cfg.Dir, seg.Room)
	file, sidecar := filepath.Join(dir, seg.FileName()+Sealed), filepath.Join(dir, seg.ID+".json")
	key := Key(seg)
	info, err := s.blobs.PutFile(ctx, key, file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it is gone", errDamaged)
	}
	if err != nil {
		return fmt.Errorf("store segment %s: %w", seg.ID, err)
	}
	if info.Bytes != seg.Bytes || info.SHA256 != seg.SHA256 {
		return errors.Join(fmt.Errorf("%w: %d bytes, sealed with %d", errDamaged, info.Bytes, seg.Bytes), s.blobs.Delete(ctx, key))
	}
	if _, err := s.blobs.PutFile(ctx, strings.TrimSuffix(key, seg.Codec.Extension())+".json", sidecar); err != nil {
		return fmt.Errorf("store sidecar of %s: %w", seg.ID, err)
	}
	if err := s.stored(ctx, seg, key); err != nil {
		return fmt.Errorf("announce segment %s: %w", seg.ID, err)
	}
	// The segment first: a sidecar alone is swept at the next start, a segment alone would be a riddle.
	if err := errors.Join(os.Remove(file), os.Remove(sidecar)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.logger.Warn("a stored segment is still on the disk", "segment", seg.ID, "error", err)
	}
	s.forget(seg)
	return nil
}

func (s *Spool) forget(seg media.Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, seg.ID)
	s.metrics.files.Dec()
	s.metrics.bytes.Sub(float64(seg.Bytes))
}

// Key is where a segment lies in the blob store: c/<room>/segments/<segment>.ivf or .ogg.
func Key(seg media.Segment) string {
	return "c/" + seg.Room + "/segments/" + seg.FileName()
}
