package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"consilium/internal/directory"
	"consilium/internal/events"
)

// TestHolds places two holds, releases one, and finds what is held, and what somebody is to decide on, in the list.
func TestHolds(t *testing.T) {
	b := newBench(t)
	names := directory.New(b.pool)
	all := newIDs(6)
	held, free, stale := all[0], all[1], all[2]
	hold, other, alone := all[3], all[4], all[5]
	by := map[string]string{}
	for _, subject := range []string{"ann", "ben"} {
		var err error
		if by[subject], err = names.Actor(t.Context(), "mis", subject, "compliance", "Officer "+subject); err != nil {
			t.Fatal(err)
		}
	}
	does := func(id, who string, e events.Event) *time.Time {
		t.Helper()
		d := b.draft(e)
		d.Actor = by[who]
		b.add(id, d)
		at := d.Time.UTC()
		return &at
	}
	step := func(who string, at *time.Time) HoldStep {
		return HoldStep{Actor: by[who], Role: "compliance", Name: "Officer " + who, At: at}
	}
	b.clock = time.Now().Truncate(time.Microsecond).Add(-8 * 24 * time.Hour)
	b.say(stale, "", events.ConsultationScheduled{})
	does(stale, "ann", events.HoldPlaced{Hold: alone, Reason: events.HoldAudit, By: "compliance"})
	does(stale, "ann", events.HoldReleaseRequested{Hold: alone, Reason: events.ReleaseMistake, By: "compliance"})
	b.clock = time.Now().Truncate(time.Microsecond).Add(-time.Hour)
	b.say(free, "", events.ConsultationScheduled{})
	b.say(held, "", events.ConsultationScheduled{})
	placed := does(held, "ann", events.HoldPlaced{Hold: hold, Reason: events.HoldLitigation, By: "compliance"})
	second := does(held, "ben", events.HoldPlaced{Hold: other, Reason: events.HoldComplaint, By: "compliance"})
	does(held, "ben", events.HoldReleaseRequested{Hold: other, Reason: events.ReleaseOther, By: "compliance"})
	does(held, "ann", events.HoldReleaseDeclined{Hold: other, By: "compliance"})
	asked := does(held, "ben", events.HoldReleaseRequested{Hold: other, Reason: events.ReleaseMistake, By: "compliance"})
	if err := names.PutHold(t.Context(), held, hold, "  Az 7 O\u202e 12/26 "); err != nil {
		t.Fatal(err)
	}
	b.catchUp()
	q, loose := NewQueries(b.pool), cmp.Options{cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()}
	wantList := func(when string, filter Filter, want ...string) {
		t.Helper()
		page, err := q.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range page.Items {
			got = append(got, c.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, held=%s (-want +got):\n%s", when, filter.Held, diff)
		}
	}
	wantList("before", Filter{Held: HeldYes}, held, stale)
	wantList("before", Filter{Held: HeldNo}, free)
	wantList("before", Filter{Held: HeldAsked}, held) // the other one was requested more than a week ago
	got, err := q.Holds(t.Context(), held)
	want := []Hold{
		{ID: hold, Reason: events.HoldLitigation, Reference: "Az 7 O 12/26", Placed: step("ann", placed)},
		{ID: other, Reason: events.HoldComplaint, Placed: step("ben", second), Asked: step("ben", asked), AskedReason: events.ReleaseMistake},
	}
	if diff := cmp.Diff(want, got, loose); diff != "" || err != nil {
		t.Errorf("%v; before (-want +got):\n%s", err, diff)
	}

	released := does(held, "ann", events.HoldReleased{Hold: other, Reason: events.ReleaseMistake, By: "compliance"})
	does(held, "ann", events.HoldReleaseRequested{Hold: other, Reason: events.ReleaseOther, By: "compliance"}) // makes no sense any more
	b.catchUp()
	wantList("after", Filter{Held: HeldYes}, held, stale)
	wantList("after", Filter{Held: HeldAsked})
	want[1].Released = step("ann", released)
	if got, err = q.Holds(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, loose); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	one, err := q.Get(t.Context(), held)
	if err != nil || one.Holds != 1 || one.ReleaseAskedAt != nil {
		t.Errorf("%v; %d holds, asked at %v", err, one.Holds, one.ReleaseAskedAt)
	}
	lanes, err := q.Lanes(t.Context(), held)
	spans := []Span{
		{Seq: 2, Lane: LaneHold, Subject: hold, Value: events.HoldLitigation, StartedAt: *placed},
		{Seq: 3, Lane: LaneHold, Subject: other, Value: events.HoldComplaint, StartedAt: *second, EndedAt: released},
	}
	if diff := cmp.Diff(spans, lanes.Spans, loose); diff != "" || err != nil {
		t.Errorf("%v; spans (-want +got):\n%s", err, diff)
	}
	if _, err := q.Holds(t.Context(), events.NewID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("holds of nothing: %v", err)
	}
}
