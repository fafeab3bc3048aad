package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/media"
)

// segment is one segment file that is being written.
type segment struct {
	media.Segment
	dir    string // folder of the room
	file   *os.File
	out    *gathered // of file
	frames frameWriter
	begun  int64 // length of the file before its first frame
	opened bool  // the first frame is in the file, and that was reported

	counted  int64     // frames that the metrics have
	last     time.Time // arrival of the last frame
	complete time.Time // arrival of the last one that is not held back for an Ogg page
	written  time.Time // arrival of the last one that is in the file; that of the first as long as none is

	durable *durable
	growing *growing
}

// partPath and sealedPath are where a segment's file is while it is written and when it is complete.
func partPath(dir string, s media.Segment) string {
	return filepath.Join(dir, s.FileName()+media.PartExtension)
}

func sealedPath(dir string, s media.Segment) string {
	return filepath.Join(dir, s.FileName()+media.SealedExtension)
}

// openSegment makes the files of a segment and writes its first frame. The sidecar comes first and is synced together
// with its name, so that a file that a crash leaves can always be told apart.
func openSegment(root string, s media.Segment, first frame) (*segment, error) {
	// The spool removes the folder of a room when it is empty, perhaps just now: then it is made once more.
	for attempt := 0; ; attempt++ {
		seg, err := tryOpenSegment(root, s, first)
		if attempt == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return seg, err
	}
}

func tryOpenSegment(root string, s media.Segment, first frame) (*segment, error) {
	dir, err := makeFolder(root, s.Room)
	if err != nil {
		return nil, err
	}
	if err := writeSidecar(dir, s); err != nil {
		return nil, err
	}
	if err := syncFolder(dir); err != nil { // no file has a name before its sidecar can be found, even after a power cut
		return nil, err
	}
	seg := &segment{Segment: s, dir: dir}
	if err := seg.begin(first); err != nil {
		seg.discard()
		return nil, fmt.Errorf("open segment %s: %w", s.ID, err)
	}
	return seg, nil
}

func (s *segment) begin(first frame) error {
	f, err := os.OpenFile(partPath(s.dir, s.Segment), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.file, s.out = f, &gathered{file: f}
	if err := syncFolder(s.dir); err != nil {
		return err
	}
	if s.frames, err = newFrameWriter(s.out, s.Segment, first); err != nil {
		return err
	}
	s.begun = int64(s.out.waiting())
	if err := s.write(first); err != nil {
		return err
	}
	return s.flush() // a disk that takes nothing is noticed at once
}

// landed says whether a frame is in the file already: Ogg pages are gathered first.
func (s *segment) landed() bool {
	return s.out.length > s.begun
}

// write appends a frame, which is in the file after the next flush.
func (s *segment) write(f frame) error {
	before := s.out.waiting()
	if err := s.frames.WriteFrame(f); err != nil {
		return err
	}
	if s.Codec != media.Opus {
		s.complete = f.arrival
	} else if s.out.waiting() > before { // the page of those before
		s.complete = s.last
	}
	s.last = f.arrival
	s.Frames++
	s.LastRTP = f.rtp
	s.EndRTP = f.rtp + int64(f.samples)
	return nil
}

// flush writes to the file what was gathered.
func (s *segment) flush() error {
	if err := s.out.flush(); err != nil {
		return err
	}
	if s.written = s.complete; s.written.IsZero() {
		s.written = s.Arrival
	}
	return nil
}

// seal completes the container, syncs file and sidecar, gives the file its sealed name and syncs the folder. The segment must
// not be used afterwards. When it fails, the files stay for Recover.
func (s *segment) seal() (string, error) {
	defer s.file.Close()
	if err := s.frames.Close(); err != nil {
		return "", fmt.Errorf("seal segment %s: %w", s.ID, err)
	}
	if err := s.flush(); err != nil {
		return "", fmt.Errorf("seal segment %s: %w", s.ID, err)
	}
	return sealFile(s.file, s.dir, &s.Segment)
}

// discard removes what was made. What it cannot remove Recover will.
func (s *segment) discard() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
	_ = os.Remove(filepath.Join(s.dir, s.SidecarName()))
}

// sealFile makes a complete segment file durable under its sealed name, with its description beside it. It sets length
// and digest in s. The file stays open.
func sealFile(f *os.File, dir string, s *media.Segment) (string, error) {
	if err := f.Sync(); err != nil {
		return "", fmt.Errorf("sync segment %s: %w", s.ID, err)
	}
	if err := digest(f, s); err != nil {
		return "", fmt.Errorf("digest segment %s: %w", s.ID, err)
	}
	if err := writeSidecar(dir, *s); err != nil {
		return "", err
	}
	if err := syncFolder(dir); err != nil { // no file is sealed before its sidecar can be found
		return "", err
	}
	path := sealedPath(dir, *s)
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("name sealed segment %s: %w", s.ID, err)
	}
	return path, syncFolder(dir)
}

// digest reads the whole file once more: the container's header is only true after the last frame.
func digest(f *os.File, s *media.Segment) error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return err
	}
	s.Bytes, s.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
	return nil
}
