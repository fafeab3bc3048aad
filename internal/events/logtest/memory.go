package logtest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"consilium/internal/events"
)

// Memory is an events.Log for the tests of other rooms. It keeps nothing: what it holds ends with the test.
type Memory struct {
	created time.Time

	mu    sync.Mutex // guards what follows; never held while yielding
	all   []events.Stored
	heads map[string]events.Version
	grown chan struct{} // closed and replaced at every append
}

var _ events.Log = (*Memory)(nil)

// NewMemory makes an empty log.
func NewMemory() *Memory {
	return &Memory{created: time.Now(), heads: map[string]events.Version{}, grown: make(chan struct{})}
}

// Append implements events.Log.
func (m *Memory) Append(ctx context.Context, consultation string, after events.Version, drafts ...events.Draft) (events.Version, error) {
	if err := ctx.Err(); err != nil {
		return events.Version{}, fmt.Errorf("append to %s: %w", consultation, err)
	}
	if !events.ValidID(consultation) {
		return events.Version{}, fmt.Errorf("append: consultation id %q is not a UUID", consultation)
	}
	if len(drafts) == 0 {
		return after, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, found := m.findLocked(drafts); found == len(drafts) {
		return at, nil
	} else if found > 0 {
		return events.Version{}, fmt.Errorf("append to %s: %w", consultation, events.ErrConflict)
	}
	if m.heads[consultation] != after {
		return events.Version{}, fmt.Errorf("append to %s: %w", consultation, events.ErrConflict)
	}
	var fresh []events.Stored
	for _, d := range drafts {
		raw, sealed, err := events.Seal(consultation, after, d)
		if err != nil {
			return events.Version{}, err
		}
		s, err := events.Open(raw, m.lastLocked()+uint64(len(fresh))+1)
		if err != nil {
			return events.Version{}, err
		}
		fresh, after = append(fresh, s), events.Version{Seq: sealed.Seq, Stream: s.Stream, Hash: sealed.Hash}
	}
	m.all = append(m.all, fresh...)
	m.heads[consultation] = after
	close(m.grown)
	m.grown = make(chan struct{})
	return after, nil
}

// findLocked counts the drafts that are stored and gives the version after the last one of them.
func (m *Memory) findLocked(drafts []events.Draft) (events.Version, int) {
	at, found := events.Version{}, 0
	for _, s := range m.all {
		if slices.ContainsFunc(drafts, func(d events.Draft) bool { return d.ID == s.ID }) {
			at, found = s.Version(), found+1
		}
	}
	return at, found
}

// Read implements events.Log.
func (m *Memory) Read(ctx context.Context, consultation string, from uint64) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		if !events.ValidID(consultation) {
			yield(events.Stored{}, fmt.Errorf("read: consultation id %q is not a UUID", consultation))
			return
		}
		m.mu.Lock()
		all := m.all
		m.mu.Unlock()
		var chain events.Chain
		for _, s := range all {
			if s.Subject != consultation {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(events.Stored{}, fmt.Errorf("read %s: %w", consultation, err))
				return
			}
			if err := chain.Next(s); err != nil {
				yield(events.Stored{}, err)
				return
			}
			if s.Seq >= from && !yield(s, nil) {
				return
			}
		}
	}
}

// Follow implements events.Log.
func (m *Memory) Follow(ctx context.Context, after uint64, filter events.Filter) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		if filter.Consultation != "" && !events.ValidID(filter.Consultation) {
			yield(events.Stored{}, fmt.Errorf("follow: consultation id %q is not a UUID", filter.Consultation))
			return
		}
		m.mu.Lock()
		last := m.lastLocked()
		m.mu.Unlock()
		if last < after {
			yield(events.Stored{}, &events.GapError{Want: after + 1, Got: last})
			return
		}
		gaps := gapCheck{after: after, filter: filter}
		for ctx.Err() == nil {
			fresh, grown := m.since(gaps.at)
			for _, s := range fresh {
				if ctx.Err() != nil {
					return
				}
				if err := gaps.next(s); err != nil {
					yield(events.Stored{}, err)
					return
				}
				if s.Stream > after && wanted(filter, s) && !yield(s, nil) {
					return
				}
			}
			if len(fresh) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
			case <-grown:
			}
		}
	}
}

// since gives the events after stream sequence at, and a channel that is closed when there are more.
func (m *Memory) since(at uint64) ([]events.Stored, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.all, at+1, func(s events.Stored, stream uint64) int {
		return cmp.Compare(s.Stream, stream)
	})
	return m.all[i:], m.grown
}

// gapCheck checks what Follow reads, as far as the filter lets it.
type gapCheck struct {
	after  uint64
	filter events.Filter
	at     uint64 // stream sequence of the newest event seen
	chain  events.Chain
}

func (g *gapCheck) next(s events.Stored) error {
	want := g.at + 1
	g.at = s.Stream
	switch {
	case len(g.filter.Types) > 0:
		return nil
	case g.filter.Consultation == s.Subject:
		return g.chain.Next(s)
	case g.filter.Consultation == "" && s.Stream != want && s.Stream > g.after:
		return &events.GapError{Want: max(want, g.after+1), Got: s.Stream}
	}
	return nil
}

func wanted(filter events.Filter, s events.Stored) bool {
	return (filter.Consultation == "" || filter.Consultation == s.Subject) &&
		(len(filter.Types) == 0 || slices.Contains(filter.Types, s.Type))
}

// Last implements events.Log.
func (m *Memory) Last(ctx context.Context, consultation string) (events.Version, error) {
	if err := ctx.Err(); err != nil {
		return events.Version{}, fmt.Errorf("last event of %s: %w", consultation, err)
	}
	if !events.ValidID(consultation) {
		return events.Version{}, fmt.Errorf("last event: consultation id %q is not a UUID", consultation)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[consultation], nil
}

// Info implements events.Log.
func (m *Memory) Info(context.Context) (events.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return events.Info{Last: m.lastLocked(), Created: m.created}, nil
}

func (m *Memory) lastLocked() uint64 {
	if len(m.all) == 0 {
		return 0
	}
	return m.all[len(m.all)-1].Stream
}

// Lose takes an event away, as a damaged disk would. It must not be the newest one.
func (m *Memory) Lose(t testing.TB, stream uint64) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.all, func(s events.Stored) bool { return s.Stream == stream })
	if i < 0 || i == len(m.all)-1 {
		t.Fatalf("event %d cannot be taken away", stream)
	}
	m.all = slices.Delete(slices.Clone(m.all), i, i+1)
}
