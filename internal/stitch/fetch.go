package stitch

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// segmentFile is one segment on the way into an archive.
type segmentFile struct {
	clip    timeline.Clip  // one of those that use it: key, bytes and digest are the same in all
	cause   timeline.Cause // why it cannot be used; empty when it can
	file    *os.File
	release func() // lets the shelf forget it
	ivf     media.IVFScan
	ogg     media.OggScan
	width   int // of the first keyframe
	height  int
}

// ref is where the segment is to be found.
func (s *segmentFile) ref() segmentRef {
	return segmentRef{Key: s.clip.Key, SHA256: s.clip.SHA256, Bytes: s.clip.Bytes}
}

// close lets go of the file.
func (s *segmentFile) close() {
	if s.file != nil {
		_ = s.file.Close() // it was only read
		s.release()
		s.file = nil
	}
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

// fetch brings all segments onto the shelf, which checks them against what the log says of them, and scans them. One
// that is not there or not what it should be gets a cause; an error means that the blob store or the disk failed. The
// caller closes the segments.
func (w *Worker) fetch(ctx context.Context, all []*segmentFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchAtOnce)
	for _, s := range all {
		group.Go(func() error {
			err := w.fetchOne(ctx, s)
			switch {
			case errors.Is(err, blob.ErrNotFound):
				s.cause = timeline.Missing
			case errors.Is(err, errDamaged), errors.Is(err, blob.ErrBadKey):
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

// fetchOne scans a segment. One that is known and still there is not fetched: whoever makes a piece of it does that, and in a
// long call that is planned again and again nobody has to.
func (w *Worker) fetchOne(ctx context.Context, s *segmentFile) error {
	if known, ok := w.scans.find(s.ref()); ok && known.is(s.clip.Codec) {
		info, err := w.deps.Blobs.Stat(ctx, s.clip.Key)
		if err != nil {
			return err
		}
		if info.Bytes == s.clip.Bytes {
			s.ivf, s.ogg, s.width, s.height = known.ivf, known.ogg, known.width, known.height
			return nil
		}
	}
	var err error
	if s.file, s.release, err = w.shelf.take(ctx, s.ref()); err != nil {
		return err
	}
	if err := s.look(); err != nil {
		return err
	}
	w.scans.keep(s.ref(), scanned{s.clip.Codec, s.ivf, s.ogg, s.width, s.height})
	return nil
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
	if s.ivf.Header.Num != 1 || s.ivf.Header.Den != ivfClock || s.ivf.Header.Codec != s.clip.Codec {
		return errDamaged
	}
	for _, f := range s.ivf.Frames {
		if f.Key {
			s.width, s.height = f.Width, f.Height
			if (s.width == 0 || s.height == 0) && s.clip.Codec != media.VP8 {
				s.width, s.height = s.ivf.Header.Width, s.ivf.Header.Height
			}
			if pixels := s.width * s.height; pixels <= 0 || pixels > mostPixels {
				return errDamaged
			}
			return nil
		}
	}
	return errDamaged
}
