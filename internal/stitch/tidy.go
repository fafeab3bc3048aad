package stitch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"consilium/internal/blob"
)

// Finished pieces are kept so that a job that was stopped goes on, and so that the next version of an archive takes them
// up. Nothing depends on them: an archive that is finished does not need its pieces, and one that is being made makes again
// what has gone. So they may go by their age alone. The age of a piece counts from when it was made or last used: whoever
// takes one up that is no longer young writes its description anew. No job is in the queue for longer than a week.

const (
	// LeastKept is the least time for which pieces may be kept. A piece is needed from when it is made until the archive's
	// worker has fetched it: minutes, or as long as that worker is away.
	LeastKept = 24 * time.Hour
	// young is how old the description of a piece may be that is taken up without being written anew.
	young = 12 * time.Hour
	// tidyEvery is how often one of all stitchers looks for what may go, tidyLook how often each asks whether it is its turn.
	tidyEvery = 24 * time.Hour
	tidyLook  = time.Hour
	// piecesFolder holds the pieces in the blob store.
	piecesFolder = "chunks"
)

// Tidied is what Tidy found and removed.
type Tidied struct {
	Kept       int   // pieces
	Removed    int   // pieces, whole or in parts
	Bytes      int64 // of them
	Unfinished int64 // bytes that killed processes had left behind
}

// storedPiece is what there is of a piece.
type storedPiece struct {
	key   string
	blobs []blob.Info
	used  time.Time // the newest of them
}

// Tidy removes the pieces in the blob store that were made and last used before a moment, with what is left of those
// that were never finished. With dry it only says what it would remove. It may be stopped anywhere, and run beside jobs
// and beside itself.
func Tidy(ctx context.Context, blobs Blobs, before time.Time, dry bool) (Tidied, error) {
	var t Tidied
	all, err := storedPieces(ctx, blobs)
	if err != nil {
		return t, fmt.Errorf("tidy chunks: %w", err)
	}
	for _, p := range all {
		if !p.used.Before(before) {
			t.Kept++
			continue
		}
		gone := true
		if !dry {
			if gone, err = p.remove(ctx, blobs, before); err != nil {
				return t, fmt.Errorf("tidy chunks: %w", err)
			}
		}
		if !gone {
			t.Kept++
			continue
		}
		t.Removed++
		for _, b := range p.blobs {
			t.Bytes += b.Bytes
		}
	}
	if !dry {
		if t.Unfinished, err = blobs.RemoveUnfinished(ctx, piecesFolder, before); err != nil {
			return t, fmt.Errorf("tidy chunks: %w", err)
		}
	}
	return t, nil
}

// storedPieces lists what there is of pieces. What has no name of a piece is nobody's business.
func storedPieces(ctx context.Context, blobs Blobs) ([]*storedPiece, error) {
	byKey := map[string]*storedPiece{}
	var all []*storedPiece
	for b, err := range blobs.List(ctx, piecesFolder+"/") {
		if err != nil {
			return nil, err
		}
		key, _, _ := strings.Cut(path.Base(b.Key), ".")
		if raw, err := hex.DecodeString(key); err != nil || len(raw) != 32 || path.Dir(b.Key) != piecesFolder {
			continue
		}
		p := byKey[key]
		if p == nil {
			p = &storedPiece{key: key}
			byKey[key], all = p, append(all, p)
		}
		p.blobs = append(p.blobs, b)
		if b.Stored.After(p.used) {
			p.used = b.Stored
		}
	}
	return all, nil
}

// remove takes a piece away, first what says that it is there; false when somebody has used it meanwhile.
func (p *storedPiece) remove(ctx context.Context, blobs Blobs, before time.Time) (bool, error) {
	about := pieceKey(p.key, ".json")
	info, err := blobs.Stat(ctx, about)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return false, err
	}
	if err == nil && !info.Stored.Before(before) {
		return false, nil
	}
	keys := []string{about} // first, and also when it is not there any more
	for _, b := range p.blobs {
		if b.Key != about {
			keys = append(keys, b.Key)
		}
	}
	for _, key := range keys {
		if err := blobs.Delete(ctx, key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// touch makes a piece that is used young again.
func (w *Worker) touch(ctx context.Context, m made) error {
	info, err := w.deps.Blobs.Stat(ctx, pieceKey(m.Key, ".json"))
	if errors.Is(err, blob.ErrNotFound) {
		return nil // it has just gone; its media were fetched
	}
	if err != nil || w.cfg.Now().Sub(info.Stored) < young {
		return err
	}
	return w.describe(ctx, m)
}

// tidy removes old pieces, once a day for all stitchers together, until ctx ends.
func (w *Worker) tidy(ctx context.Context) error {
	look := time.NewTicker(tidyLook)
	defer look.Stop()
	for {
		if turn, err := w.deps.Queue.Turn(ctx, "tidy", tidyEvery); err == nil && turn {
			w.tidyNow(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

func (w *Worker) tidyNow(ctx context.Context) {
	t, err := Tidy(ctx, w.deps.Blobs, w.cfg.Now().Add(-w.cfg.Keep), false)
	w.metrics.tidied.Add(float64(t.Removed))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.logger.Warn("old chunks are not removed", "error", err)
	default:
		w.logger.Info("old chunks removed", "removed", t.Removed, "bytes", t.Bytes, "unfinished_bytes", t.Unfinished, "kept", t.Kept)
	}
}
