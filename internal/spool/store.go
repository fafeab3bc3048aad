package spool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/blob"
	"consilium/internal/media"
)

// errDamaged says that the file on the disk is not the one that was sealed. It will not mend.
var errDamaged = errors.New("the file is not the one that was sealed")

// errUnconfirmed says that the blob store took a file and does not hold it as it is. It is sent again.
var errUnconfirmed = errors.New("the blob store does not hold what it was given")

// Key is where a segment lies in the blob store: c/<room>/segments/<segment>.ivf or .ogg. Its sidecar lies beside it
// with the extension .json.
func Key(seg media.Segment) string {
	return keyOf(seg, seg.FileName())
}

func keyOf(seg media.Segment, name string) string {
	return "c/" + seg.Room + "/segments/" + name
}

// readSidecar reads what is said of a media file, from the file beside it. path lacks the extension of its state.
func readSidecar(path string) (media.Segment, error) {
	raw, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + media.SidecarExtension)
	if err != nil {
		return media.Segment{}, err
	}
	var seg media.Segment
	if err := json.Unmarshal(raw, &seg); err != nil {
		return media.Segment{}, err
	}
	if seg.FileName() != filepath.Base(path) || seg.Room != filepath.Base(filepath.Dir(path)) {
		return media.Segment{}, errors.New("the sidecar speaks of another file")
	}
	return seg, nil
}

// store brings one segment into the blob store, says so, and removes it here. Every step may be repeated.
func (s *Spool) store(ctx context.Context, t *task) error {
	seg := t.segment
	path := filepath.Join(s.cfg.Dir, seg.Room, seg.FileName())
	if s.carried(ctx, seg, path) {
		return nil
	}
	if !t.uploaded {
		if err := s.upload(ctx, seg, path); err != nil {
			return fmt.Errorf("store segment %s: %w", seg.ID, err)
		}
		t.uploaded = true
	}
	if err := s.stored(ctx, seg, Key(seg)); err != nil {
		return fmt.Errorf("announce segment %s: %w", seg.ID, err)
	}
	s.metrics.stored.Inc()
	if err := remove(seg, path); err != nil {
		s.logger.Warn("a stored segment is still on the disk", "segment", seg.ID, "error", err)
	}
	return nil
}

// carried says whether everything was done before the segment was handed over: the search at the start may find a file
// that a recorder sealed just then, before the recorder's own word of it comes.
func (s *Spool) carried(ctx context.Context, seg media.Segment, path string) bool {
	for _, name := range []string{path + Sealed, filepath.Join(filepath.Dir(path), seg.SidecarName())} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	found, err := s.blobs.Digest(ctx, Key(seg))
	return err == nil && compare(seg, found) == nil
}

// upload stores the media, then its sidecar. The local file is read before, so that bytes that are not those that were
// sealed never stand under a key.
func (s *Spool) upload(ctx context.Context, seg media.Segment, path string) error {
	ctx, cancel := context.WithTimeout(ctx, patience(seg.Bytes))
	defer cancel()
	if err := s.check(ctx, seg, path); err != nil {
		return err
	}
	if err := s.place(ctx, Key(seg), path+Sealed, &blob.Info{Bytes: seg.Bytes, SHA256: seg.SHA256}); err != nil {
		return err
	}
	return s.place(ctx, keyOf(seg, seg.SidecarName()), filepath.Join(filepath.Dir(path), seg.SidecarName()), nil)
}

// patience is how long one attempt may take: a store that took the connection and says nothing more must not hold a worker
// for ever. It is enough for a megabit a second, there and back.
func patience(bytes int64) time.Duration {
	return time.Minute + 2*time.Duration(bytes/(128<<10))*time.Second
}

// place stores one file and asks the store what it holds then: a store may take every byte, answer that all is well, and
// have lost half of them. want is nil where what was sent is all that is known.
func (s *Spool) place(ctx context.Context, key, path string, want *blob.Info) error {
	sent, err := s.blobs.PutFile(ctx, key, path)
	if err != nil {
		return err
	}
	if want == nil {
		want = &sent
	}
	held, err := s.blobs.Digest(ctx, key)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		s.metrics.unconfirmed.Inc()
		return fmt.Errorf("%w: %w", errUnconfirmed, err)
	case held.Bytes != want.Bytes || held.SHA256 != want.SHA256:
		s.metrics.unconfirmed.Inc()
		return fmt.Errorf("%w: %s has %d bytes, digest %.12s, instead of %d, %.12s",
			errUnconfirmed, key, held.Bytes, held.SHA256, want.Bytes, want.SHA256)
	}
	return nil
}

// check holds the local file against what was sealed.
func (s *Spool) check(ctx context.Context, seg media.Segment, path string) error {
	f, err := os.Open(path + Sealed)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it is gone", errDamaged)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if said, err := readSidecar(path); err != nil {
		return fmt.Errorf("%w: its sidecar: %w", errDamaged, err)
	} else if said.Bytes != seg.Bytes || said.SHA256 != seg.SHA256 {
		return fmt.Errorf("%w: its sidecar has another digest", errDamaged)
	}
	return compare(seg, blob.Info{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
}

func compare(seg media.Segment, found blob.Info) error {
	if found.Bytes != seg.Bytes || found.SHA256 != seg.SHA256 {
		return fmt.Errorf("%w: %d bytes, sealed with %d, digest %.12s, sealed with %.12s",
			errDamaged, found.Bytes, seg.Bytes, found.SHA256, seg.SHA256)
	}
	return nil
}

// remove takes a stored segment off the disk. The segment goes first, even when the power is cut in between: a sidecar
// alone is swept at the next start, a segment alone would be a riddle. The room's folder goes with its last file.
func remove(seg media.Segment, path string) error {
	dir := filepath.Dir(path)
	err := os.Remove(path + Sealed)
	if err == nil {
		err = syncFolder(dir)
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, seg.SidecarName()))
	}
	_ = os.Remove(dir) // fails as long as something is in it
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // below the operator's folder: rooms are checked
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
