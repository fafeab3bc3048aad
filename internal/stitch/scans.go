package stitch

import (
	"slices"
	"sync"

	"consilium/internal/media"
)

// keptScans is how many segments a process remembers what is in: a call of four hours with two people. One has about 40 kB.
const keptScans = 2048

// scanned is what a segment holds. It is never changed.
type scanned struct {
	codec         media.Codec // that it was scanned for
	ivf           media.IVFScan
	ogg           media.OggScan
	width, height int
}

func (s scanned) is(c media.Codec) bool { return s.codec == c }

// scans remembers what sound segments hold, so that a call that is planned again and again is not read again and again. It is
// safe for concurrent use.
type scans struct {
	mu    sync.Mutex // guards known and order
	known map[segmentRef]scanned
	order []segmentRef // oldest first
}

func newScans() *scans { return &scans{known: map[segmentRef]scanned{}} }

func (s *scans) find(of segmentRef) (scanned, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.known[of]
	return found, ok
}

// keep remembers a scan, and forgets the oldest one where there are too many.
func (s *scans) keep(of segmentRef, what scanned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.known[of]; known {
		return
	}
	if len(s.order) == keptScans {
		delete(s.known, s.order[0])
		s.order = append(s.order[:0], s.order[1:]...)
	}
	s.known[of], s.order = what, append(s.order, of)
}

// forget has a segment looked at again.
func (s *scans) forget(of segmentRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.known[of]; known {
		delete(s.known, of)
		s.order = slices.DeleteFunc(s.order, func(o segmentRef) bool { return o == of })
	}
}
