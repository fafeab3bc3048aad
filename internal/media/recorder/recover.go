package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"consilium/internal/media"
)

// Recovered is a segment that a crash had left unfinished.
type Recovered struct {
	media.Segment
	Path      string // of the sealed file
	LostBytes int64  // cut off at the end because they were no whole frame or page
}

// reasonRecovered is why such a segment is closed.
const reasonRecovered = "recovered"

// Recover finishes what recorders left in dir when the process died: it cuts every unfinished file behind its last whole
// frame or page, completes its container, and seals it as a recorder would. Files without a whole frame are removed, and so
// are sidecars without a file. It must run before any recorder writes to dir and may itself be killed at any point.
//
// What it cannot read it leaves where it is; the error names it, and everything else is recovered all the same.
func Recover(dir string) ([]Recovered, error) {
	rooms, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recover segments: %w", err)
	}
	var found []Recovered
	var errs error
	for _, room := range rooms {
		if !room.IsDir() {
			continue
		}
		more, err := recoverRoom(filepath.Join(dir, room.Name()))
		found, errs = append(found, more...), errors.Join(errs, err)
	}
	return found, errors.Join(errs, syncFolder(dir)) // a process that died may have made a room and not synced its name
}

func recoverRoom(dir string) ([]Recovered, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("recover segments: %w", err)
	}
	var found []Recovered
	var errs error
	withFile := map[string]bool{} // ids with a file, in any state
	for _, f := range files {
		id, _, _ := strings.Cut(f.Name(), ".")
		switch filepath.Ext(f.Name()) {
		case media.SealedExtension:
			withFile[id] = true
		case media.PartExtension:
			withFile[id] = true
			r, err := recoverSegment(dir, id)
			if err != nil {
				errs = errors.Join(errs, err)
			} else if r.Frames > 0 {
				found = append(found, r)
			}
		}
	}
	for _, f := range files {
		id, ext, _ := strings.Cut(f.Name(), ".")
		orphan := "."+ext == media.SidecarExtension && !withFile[id]
		if orphan || filepath.Ext(f.Name()) == temporary {
			err := os.Remove(filepath.Join(dir, f.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // sealing took a half-written sidecar's place
				errs = errors.Join(errs, err)
			}
		}
	}
	return found, errors.Join(errs, syncFolder(dir))
}

func recoverSegment(dir, id string) (Recovered, error) {
	s, err := readSidecar(filepath.Join(dir, id+media.SidecarExtension))
	if err != nil {
		return Recovered{}, fmt.Errorf("recover segment %s: %w", id, err)
	}
	if s.ID != id {
		return Recovered{}, fmt.Errorf("recover segment %s: its sidecar is of segment %q", id, s.ID)
	}
	info, err := os.Stat(partPath(dir, s))
	if err != nil {
		return Recovered{}, fmt.Errorf("recover segment %s: %w", id, err)
	}
	s.CloseReason = reasonRecovered
	s, path, err := salvage(s, dir)
	if err != nil {
		return Recovered{}, fmt.Errorf("recover segment %s: %w", id, err)
	}
	return Recovered{Segment: s, Path: path, LostBytes: info.Size() - s.Bytes}, nil
}

// salvage seals the whole frames of an unfinished file. Without any it removes the segment and returns no frames.
func salvage(s media.Segment, dir string) (media.Segment, string, error) {
	f, err := os.OpenFile(partPath(dir, s), os.O_RDWR, 0)
	if err != nil {
		return s, "", err
	}
	defer f.Close()
	good, err := scan(f, &s)
	if err != nil {
		return s, "", err
	}
	if s.Frames == 0 {
		err := errors.Join(os.Remove(f.Name()), syncFolder(dir)) // a file without a sidecar would be a riddle
		if err == nil {
			err = os.Remove(filepath.Join(dir, s.SidecarName()))
		}
		return s, "", err
	}
	if err := f.Truncate(good); err != nil {
		return s, "", err
	}
	if err := complete(f, s); err != nil {
		return s, "", err
	}
	path, err := sealFile(f, dir, &s)
	return s, path, err
}

// scan finds out how much of a file is good and sets in s what it holds.
func scan(f *os.File, s *media.Segment) (int64, error) {
	s.Frames = 0
	if s.Codec == media.Opus {
		ogg, err := media.ScanOgg(f)
		if err != nil && !errors.Is(err, media.ErrNotOgg) {
			return 0, err
		}
		if len(ogg.Pages) == 0 {
			return 0, nil
		}
		last := ogg.Pages[len(ogg.Pages)-1]
		s.Frames = ogg.Packets
		s.EndRTP = s.FirstRTP + ogg.Samples
		s.LastRTP = s.EndRTP - int64(last.Last)
		return ogg.Good, nil
	}
	ivf, err := media.ScanIVF(f)
	if err != nil && !errors.Is(err, media.ErrNotIVF) {
		return 0, err
	}
	if len(ivf.Frames) == 0 {
		return 0, nil
	}
	s.Frames = int64(len(ivf.Frames))
	s.LastRTP = s.FirstRTP + ivf.Frames[len(ivf.Frames)-1].PTS
	s.EndRTP = s.LastRTP
	return ivf.Good, nil
}

// complete writes what the container's writer would have written last.
func complete(f *os.File, s media.Segment) error {
	if s.Codec != media.Opus {
		return media.SetIVFFrames(f, s.Frames)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	ogg, err := media.ScanOgg(f)
	if err != nil {
		return err
	}
	last := ogg.Pages[len(ogg.Pages)-1]
	page := make([]byte, last.Length)
	if _, err := f.ReadAt(page, last.Offset); err != nil {
		return err
	}
	if err := media.EndOggPage(page); err != nil {
		return err
	}
	_, err = f.WriteAt(page, last.Offset)
	return err
}
