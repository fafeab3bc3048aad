package conference_test

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
)

// door is a log whose appends can be held up, and whose readers are counted.
type door struct {
	events.Log
	held  sync.RWMutex // locked while nothing may pass
	reads atomic.Int64
}

// Read implements events.Log.
func (d *door) Read(ctx context.Context, id string, from uint64) iter.Seq2[events.Stored, error] {
	d.reads.Add(1)
	return d.Log.Read(ctx, id, from)
}

// Append implements events.Log.
func (d *door) Append(ctx context.Context, id string, after events.Version, drafts ...events.Draft) (events.Version, error) {
	d.held.RLock()
	defer d.held.RUnlock()
	return d.Log.Append(ctx, id, after, drafts...)
}

// The recorder never waits for the log: while it takes nothing, files are cut and written as ever, and afterwards all of
// it is told.
func TestALogThatTakesNothingHoldsNoRecorderUp(t *testing.T) {
	slow(t)
	m := open(t, func(c *conference.Config) {
		c.Recorder.Rotate, c.Recorder.KeyframeAt = 500*time.Millisecond, 400*time.Millisecond
		c.Recorder.Queue = 200 // a second of what is sent
	}).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	m.door.held.Lock()
	told, files, bytes := len(m.history()), len(m.onDisk()), m.total()
	eventually(t, "that eight more files are written while the log takes nothing", func() bool {
		return len(m.onDisk()) >= files+8
	})
	if grown := m.total() - bytes; grown < 10_000 {
		t.Errorf("%d bytes were written meanwhile", grown)
	}
	if n := len(m.history()); n != told {
		t.Errorf("the log took %d events although it was held", n-told)
	}
	held := time.Now()
	m.door.held.Unlock()
	await(m, "a file that was sealed behind it", func(e events.Stored, _ events.SegmentSealed) bool { return e.Time.After(held) })
	for _, e := range m.history() {
		if gap, ok := e.Event.(events.SegmentGap); ok && gap.Cause == "overrun" {
			t.Errorf("%v from %v to %v was lost because the log was slow", gap.Cause, gap.From, gap.To)
		}
	}
	sealed := 0
	for _, e := range m.history() {
		if _, ok := e.Event.(events.SegmentSealed); ok {
			sealed++
		}
	}
	if sealed < 8 {
		t.Errorf("%d sealed files are told of", sealed)
	}
	m.finish()
}
