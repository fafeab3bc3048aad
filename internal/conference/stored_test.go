package conference_test

import (
	"log/slog"
	"testing"
	"time"

	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
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

// What a crash left is announced once, with one look at each consultation, however many files there are of it.
func TestWhatACrashLeftIsAnnouncedWithOneLook(t *testing.T) {
	m := open(t, nil).schedule(events.PolicyRequired, 2)
	var all []recorder.Recovered
	for n := range 20 {
		s := media.Segment{ID: events.NewID(), Room: m.id, Owner: m.people[n%2], Track: events.NewID(), Codec: media.Opus, ClockRate: 48000, Arrival: time.Now(), CloseReason: "recovered"}
		all = append(all, recorder.Recovered{Segment: s})
	}
	read := m.door.reads.Load()
	for range 2 { // a start that is cut off is followed by another one
		if err := m.manager.AnnounceRecovered(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.door.reads.Load() - read; n > 2 {
		t.Errorf("the consultation was read %d times, want once each time", n)
	}
	owners := map[string]string{}
	for _, e := range m.history() {
		if r, ok := e.Event.(events.SegmentRecovered); ok {
			if owners[r.Segment] != "" {
				t.Errorf("segment %s is announced twice", r.Segment)
			}
			owners[r.Segment] = e.Participant
		}
	}
	for _, r := range all {
		if owners[r.Segment.ID] != r.Segment.Owner {
			t.Errorf("segment %s is said to be of %q", r.Segment.ID, owners[r.Segment.ID])
		}
	}
}
