package appender_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
)

var errAway = errors.New("the log is away")

// fault is what happens to one append.
type fault int

const (
	none     fault = iota
	away           // nothing is stored, and the caller learns that it failed
	lost           // everything is stored, but the answer is lost and so is what could be read back
	late           // everything is stored, but the log still has it in its hands and says that there is a conflict
	overtake       // somebody else appends first
	hang           // nothing happens until ctx ends
)

// faulty is a log with faults before its answers, one an append, in order; then none. It counts what it is asked.
type faulty struct {
	events.Log
	t *testing.T

	mu      sync.Mutex
	faults  []fault
	always  fault // once faults are used up
	appends int
	reads   int // Read and Last
}

func newFaulty(t *testing.T, faults ...fault) *faulty {
	t.Helper()
	return &faulty{Log: logtest.NewMemory(), t: t, faults: faults}
}

func (f *faulty) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends++
	if len(f.faults) == 0 {
		return f.always
	}
	next := f.faults[0]
	f.faults = f.faults[1:]
	return next
}

func (f *faulty) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.always = nil, none
}

func (f *faulty) counts() (appends, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appends, f.reads
}

func (f *faulty) Append(ctx context.Context, consultation string, after events.Version, drafts ...events.Draft) (events.Version, error) {
	// A real log knows an id behind a newer version for two minutes only: nobody may rely on it.
	for s, err := range f.Log.Read(context.Background(), consultation, 1) {
		if err == nil && s.Seq <= after.Seq && slices.ContainsFunc(drafts, func(d events.Draft) bool { return d.ID == s.ID }) {
			f.t.Errorf("event %d is appended once more after event %d", s.Seq, after.Seq)
		}
	}
	switch f.next() {
	case away:
		return events.Version{}, errAway
	case lost:
		if _, err := f.Log.Append(ctx, consultation, after, drafts...); err != nil {
			return events.Version{}, err
		}
		return events.Version{}, errAway
	case late:
		if _, err := f.Log.Append(ctx, consultation, after, drafts...); err != nil {
			return events.Version{}, err
		}
		return events.Version{}, events.ErrConflict
	case overtake:
		other(f.t, f.Log, consultation)
	case hang:
		<-ctx.Done()
		return events.Version{}, ctx.Err()
	case none:
	}
	return f.Log.Append(ctx, consultation, after, drafts...)
}

func (f *faulty) Read(ctx context.Context, consultation string, from uint64) iter.Seq2[events.Stored, error] {
	f.mu.Lock()
	f.reads++
	f.mu.Unlock()
	return f.Log.Read(ctx, consultation, from)
}

func (f *faulty) Last(ctx context.Context, consultation string) (events.Version, error) {
	f.mu.Lock()
	f.reads++
	f.mu.Unlock()
	return f.Log.Last(ctx, consultation)
}

// other appends a fact of somebody else, past the faults.
func other(t *testing.T, l events.Log, consultation string, es ...events.Event) {
	t.Helper()
	if len(es) == 0 {
		es = []events.Event{events.ParticipantInvited{Role: "observer"}}
	}
	for _, e := range es {
		at, err := l.Last(context.Background(), consultation)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := l.Append(context.Background(), consultation, at, draft(e)); err != nil {
			t.Error(err)
		}
	}
}
