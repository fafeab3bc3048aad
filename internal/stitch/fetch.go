package stitch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// segmentFile is one segment on the way into an archive.
type segmentFile struct {
	clip   timeline.Clip // one of those that use it: key, bytes and digest are the same in all
	path   string
	cause  timeline.Cause // why it cannot be used; empty when it can
	file   *os.File
	ivf    media.IVFScan
	ogg    media.OggScan
	width  int // of the first keyframe
	height int
}

// fetchAtOnce is how many segments are fetched at a time.
const fetchAtOnce = 4

// segmentsOf lists the segments that tl uses, in the order of their first clip.
func segmentsOf(tl *timeline.Timeline) []*segmentFile {
	seen := map[string]bool{}
	var all []*segmentFile
	for _, p := range tl.Participants {
		for _, t := range p.Tracks {
			for _, c := range t.Clips {
				if !seen[c.Segment] {
					seen[c.Segment] = true
					all = append(all, &segmentFile{clip: c})
				}
			}
		}
	}
	return all
}

// fetch brings all segments into dir, checks them against what the log says of them and scans them. One that is not there
// or not what it should be gets a cause; an error means that the blob store or the disk failed. The caller closes the
// files.
func (w *Worker) fetch(ctx context.Context, dir string, all []*segmentFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchAtOnce)
	for i, s := range all {
		s.path = filepath.Join(dir, fmt.Sprintf("s%04d.seg", i))
		group.Go(func() error {
			err := w.fetchOne(ctx, s)
			switch {
			case errors.Is(err, blob.ErrNotFound):
				s.cause = timeline.Missing
			case errors.Is(err, errDamaged):
				s.cause = timeline.Corrupt
			case err != nil:
				return fmt.Errorf("fetch segment %s: %w", s.clip.Segment, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// errDamaged says that a segment's bytes are not what the log says, or no media.
var errDamaged = errors.New("damaged")

func (w *Worker) fetchOne(ctx context.Context, s *segmentFile) error {
	if sum, n, err := digestFile(s.path); err != nil || n != s.clip.Bytes || sum != s.clip.SHA256 {
		if err := w.download(ctx, s); err != nil {
			return err
		}
	}
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	s.file = f
	return s.look()
}

func (w *Worker) download(ctx context.Context, s *segmentFile) error {
	in, err := w.deps.Blobs.Get(ctx, s.clip.Key)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(s.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	// One byte more than expected is enough to know that it is too long.
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, s.clip.Bytes+1))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != s.clip.Bytes || got != s.clip.SHA256 {
		return errDamaged
	}
	return out.Close()
}

// look scans the file. What has no picture or no sound in it is damaged, whatever its digest says.
func (s *segmentFile) look() error {
	var err error
	if s.clip.Codec.Kind() == media.Audio {
		if s.ogg, err = media.ScanOgg(s.file); err != nil || s.ogg.Samples == 0 {
			return errors.Join(errDamaged, err)
		}
		return nil
	}
	if s.ivf, err = media.ScanIVF(s.file); err != nil {
		return errors.Join(errDamaged, err)
	}
	if s.ivf.Header.Num == 0 || s.ivf.Header.Den == 0 || s.ivf.Header.Codec != s.clip.Codec {
		return errDamaged
	}
	for _, f := range s.ivf.Frames {
		if f.Key {
			s.width, s.height = f.Width, f.Height
			if s.width == 0 || s.height == 0 {
				s.width, s.height = s.ivf.Header.Width, s.ivf.Header.Height
			}
			return nil
		}
	}
	return errDamaged
}

// digestFile gives the SHA-256 and the length of a file.
func digestFile(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), n, err
}
