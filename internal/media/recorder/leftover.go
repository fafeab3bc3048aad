package recorder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/media"
)

// leftover is a segment that could be neither sealed nor salvaged when its time had come: the disk was full, or its folder
// could not be written. Its bytes are there, and it is tried again until it is sealed, so that a disk that gets well in
// mid-call costs nothing that had reached it.
type leftover struct {
	segment media.Segment
	dir     string
	opened  bool // that was reported
	durable *durable
}

// mendAtEnd is how long a recorder that is closed goes on to try. What is left then is for Recover.
const mendAtEnd = 20 * time.Second

// leave keeps a segment for later.
func (o *output) leave(seg *segment) {
	o.left = append(o.left, leftover{segment: seg.Segment, dir: seg.dir, opened: seg.opened, durable: seg.durable})
	o.mendAt = o.retryAt
}

// mend tries once more what is left, once a second.
func (o *output) mend(now time.Time) {
	if len(o.left) == 0 || now.Before(o.mendAt) {
		return
	}
	var left []leftover
	for _, l := range o.left {
		s, path, err := sealLater(l.segment, l.dir)
		switch {
		case err != nil:
			o.metrics.failures.Inc()
			o.logger.Warn("a segment is not sealed yet", "segment", s.ID, "track", o.track.ID, "error", err)
			left = append(left, l)
		case s.Frames > 0:
			o.sealed(s, path, l.opened, l.durable)
		}
	}
	o.left, o.mendAt = left, now.Add(diskRetry)
}

// mendDeadline is when mend has something to do; zero if nothing is left.
func (o *output) mendDeadline() time.Time {
	if len(o.left) == 0 {
		return time.Time{}
	}
	return o.mendAt
}

// sealLater is salvage, for a segment that may have got its sealed name already.
func sealLater(s media.Segment, dir string) (media.Segment, string, error) {
	if _, err := os.Stat(partPath(dir, s)); !errors.Is(err, fs.ErrNotExist) {
		return salvage(s, dir)
	}
	path := sealedPath(dir, s)
	if _, err := os.Stat(path); err != nil {
		return s, "", err
	}
	said, err := readSidecar(filepath.Join(dir, s.SidecarName()))
	if err != nil {
		return s, "", err
	}
	return said, path, syncFolder(dir)
}
