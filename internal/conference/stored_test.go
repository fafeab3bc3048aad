package conference_test

import (
	"log/slog"
	"testing"
	"time"

	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
)

// However long a consultation is, to say that one more file of it is stored takes no look at what was before: else its last
// files would be announced the later the longer it was, and its archive with them.
func TestAFileIsAnnouncedWithoutALookAtTheConsultation(t *testing.T) {
	slow(t)
	m := open(t, quickRotation).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	await(m, "a stored file", whatever[events.SegmentStored])
	read, stored := m.door.reads.Load(), m.stored()
	eventually(t, "that eight more files are stored", func() bool { return m.stored() >= stored+8 })
	if n := m.door.reads.Load() - read; n > 0 {
		t.Errorf("the consultation was read %d times for that", n)
	}
	m.finish()
	seen := map[string]bool{}
	for _, e := range m.history() {
		if e, ok := e.Event.(events.SegmentStored); ok {
			if seen[e.Segment] {
				t.Errorf("segment %s is announced twice", e.Segment)
			}
			seen[e.Segment] = true
		}
	}
}

// What is stored when nobody waited for it any more is in the next version of the archive.
func TestAFileThatComesAfterCompletionIsInTheNextVersion(t *testing.T) {
	slow(t)
	m := open(t, func(c *conference.Config) {
		quickRotation(c)
		c.GiveUp = time.Second
	}).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	await(m, "a stored file", whatever[events.SegmentStored])
	free := block(t, m.blobs+"/c/"+m.id+"/segments")
	m.wish(consultation.End{Reason: events.EndedClosed})
	completed, e := await(m, "completion", whatever[events.ConsultationCompleted])
	if len(e.Missing) == 0 {
		t.Fatal("nothing is said to be missing")
	}
	free()
	for _, missing := range e.Missing {
		await(m, "a missing file", func(_ events.Stored, e events.SegmentStored) bool { return e.Segment == missing.Segment })
	}
	result := events.NewDraft("/stitcher/test", time.Now(), events.ArchiveFailed{Version: 1, Code: "CANCELLED"}) // one version at a time
	if _, err := appender.New(m.log, slog.New(slog.DiscardHandler), nil).Fact(t.Context(), m.id, result); err != nil {
		t.Fatal(err)
	}
	await(m, "another version", func(at events.Stored, e events.ArchiveRequested) bool {
		return e.Version == 2 && at.Seq > completed.Seq
	})
}

func quickRotation(c *conference.Config) {
	c.Recorder.Rotate, c.Recorder.KeyframeAt = 500*time.Millisecond, 400*time.Millisecond
}

// stored counts the files that are said to be stored.
func (m *meeting) stored() int {
	n := 0
	for _, e := range m.history() {
		if _, ok := e.Event.(events.SegmentStored); ok {
			n++
		}
	}
	return n
}
