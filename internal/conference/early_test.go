package conference_test

import (
	"testing"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/jobs"
	"consilium/internal/media"
)

// While a consultation goes on stitchers are told once of the files that are stored within a moment, with the names of then;
// of one that is over they are told nothing.
func TestStitchersAreToldOfACallThatGoesOn(t *testing.T) {
	t.Parallel() // it waits
	h := open(t, nil)
	m := h.schedule(events.PolicyRequired, 2)
	m.answer(m.people[0], consultation.Given)
	m.wish(consultation.Join{Participant: m.people[0]})
	stored := func(n int) {
		t.Helper()
		for range n {
			s := media.Segment{ID: events.NewID(), Room: m.id, Owner: m.people[0], Track: events.NewID(), Codec: media.Opus, ClockRate: 48000, Arrival: time.Now()}
			if err := m.manager.SegmentStored(t.Context(), s, "c/"+m.id+"/segments/"+s.FileName()); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored(4)
	var first jobs.Early
	select {
	case first = <-h.early:
	case <-time.After(limit):
		t.Fatal("nobody is told")
	}
	if first.Consultation != m.id || first.Layout != "grid" || first.Profile != "standard" {
		t.Errorf("told was %+v", first)
	}
	if want := "sheets/" + m.id + "/" + first.Sheet.SHA256 + ".json"; first.Sheet.Key != want {
		t.Errorf("the names are in %q, want %q", first.Sheet.Key, want)
	}
	select {
	case again := <-h.early:
		t.Errorf("told again, of nothing new: %+v", again)
	default:
	}
	m.wish(consultation.End{Reason: events.EndedClosed})
	stored(1)
	select {
	case <-h.early:
		t.Error("told of a consultation that is over")
	case <-time.After(8 * time.Second): // longer than what waits for more
	}
}
