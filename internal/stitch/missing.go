package stitch

import (
	"slices"
	"strings"
	"sync"

	"consilium/internal/timeline"
)

// missing collects the segments that are not, or not wholly, in the archive. It is safe for concurrent use.
type missing struct {
	mu     sync.Mutex
	causes map[string]timeline.Cause
}

// MissingSegment is a segment that is not, or not wholly, in the archive, and why.
type MissingSegment struct {
	Segment string         `json:"segment"`
	Cause   timeline.Cause `json:"cause"`
}

func newMissing() *missing { return &missing{causes: map[string]timeline.Cause{}} }

func (m *missing) add(segment string, cause timeline.Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.causes[segment] = cause
}

func (m *missing) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.causes)
}

// list is in the order of the segments' ids, which is that of time.
func (m *missing) list() []MissingSegment {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []MissingSegment{}
	for s, c := range m.causes {
		all = append(all, MissingSegment{s, c})
	}
	slices.SortFunc(all, func(a, b MissingSegment) int { return strings.Compare(a.Segment, b.Segment) })
	return all
}
