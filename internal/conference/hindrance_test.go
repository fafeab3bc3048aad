package conference_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/failures"
)

// showsSoon waits until the newest view of a screen fits.
func (s *screen) showsSoon(what string, fits func(conference.View) bool) conference.View {
	s.m.t.Helper()
	late := time.After(limit)
	for {
		s.mu.Lock()
		view, changed := s.view, s.changed
		s.mu.Unlock()
		if fits(view) {
			return view
		}
		select {
		case <-changed:
		case <-late:
			s.m.t.Fatalf("the screen does not show %s: %+v", what, view)
		}
	}
}

func personIn(v conference.View, id string) conference.ParticipantView {
	for _, p := range v.Participants {
		if p.ID == id {
			return p
		}
	}
	return conference.ParticipantView{}
}

// open opens a participant's page without joining.
func (m *meeting) look(i int) *screen {
	m.t.Helper()
	s := &screen{m: m, who: m.people[i], changed: make(chan struct{})}
	c, err := m.manager.Host(m.t.Context(), m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	if s.att, err = c.Attend(m.t.Context(), conference.Visitor{Participant: s.who}, s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

func TestWhatAPageFoundIsShownToTheDoctorAndToNobodyElse(t *testing.T) {
	t.Parallel()
	m := open(t, nil).schedule(events.PolicyForbidden, 3)
	doctor, patient, other := m.attend(0), m.look(1), m.attend(2)
	found := events.ParticipantChecked{
		Camera: events.CheckFailed, Microphone: events.CheckOK, Speaker: events.CheckSkipped,
		Ways:  []events.CheckedWay{{Way: "udp", Result: events.CheckFailed}, {Way: "tls", Result: events.CheckOK, MS: 61}},
		Codes: []string{"CAM-DENIED", "NET-UDP-BLOCKED"}, TookMS: 9200,
	}
	if err := patient.att.Checked(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := patient.att.Hindered(t.Context(), []string{"CAM-DENIED"}); err != nil {
		t.Fatal(err)
	}
	s, e := await(m, "the check", whatever[events.ParticipantChecked])
	if diff := cmp.Diff(found, e); diff != "" || s.Participant != patient.who {
		t.Errorf("of %s:\n%s", s.Participant, diff)
	}
	doctor.showsSoon("what the patient's page found", func(v conference.View) bool {
		p := personIn(v, patient.who)
		return p.Waiting && !p.Present && p.Check != nil && p.Check.Camera == "failed" && p.Check.Ways["tls"] == "ok" &&
			slices.Equal(p.Hindered, []string{"CAM-DENIED"})
	})
	view := other.showsSoon("the patient", func(v conference.View) bool { return personIn(v, patient.who).ID != "" })
	if p := personIn(view, patient.who); p.Check != nil || p.Waiting || p.Hindered != nil {
		t.Errorf("another patient is shown %+v", p)
	}
	if err := patient.att.Hindered(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	doctor.showsSoon("that nothing hinders the patient any more", func(v conference.View) bool {
		return len(personIn(v, patient.who).Hindered) == 0
	})
}

func TestAFailureThatIsToldAgainAndAgainIsOneEvent(t *testing.T) {
	t.Parallel()
	m := open(t, nil).schedule(events.PolicyForbidden, 1)
	s := m.look(0)
	for range 5 {
		for _, codes := range [][]string{{"CAM-DENIED"}, {}, {"CAM-DENIED", "MIC-BUSY"}} {
			if err := s.att.Hindered(t.Context(), codes); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(m, "the second failure", func(_ events.Stored, e events.ParticipantHindered) bool { return e.Code == "MIC-BUSY" })
	got := []events.ParticipantHindered{}
	for _, stored := range m.history() {
		if e, ok := stored.Event.(events.ParticipantHindered); ok {
			got = append(got, e)
		}
	}
	want := []events.ParticipantHindered{{Phase: "device", Code: "CAM-DENIED"}, {Phase: "device", Code: "MIC-BUSY"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatNoPageOfOursSaysIsRefused(t *testing.T) {
	t.Parallel()
	m := open(t, nil).schedule(events.PolicyForbidden, 1)
	s := m.look(0)
	good := func(change func(*events.ParticipantChecked)) events.ParticipantChecked {
		c := events.ParticipantChecked{Camera: "ok", Microphone: "ok", Speaker: "ok", Ways: []events.CheckedWay{}, Codes: []string{}}
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"a code that is none", s.att.Hindered(t.Context(), []string{"<b>Pat Maly</b>"})},
		{"a code that only the server knows of", s.att.Hindered(t.Context(), []string{"ICE-TIMEOUT"})},
		{"too many codes", s.att.Hindered(t.Context(), slices.Repeat([]string{"CAM-DENIED"}, 13))},
		{"a camera with a name", s.att.Checked(t.Context(), good(func(c *events.ParticipantChecked) { c.Camera = "Pat's camera" }))},
		{"a way twice", s.att.Checked(t.Context(), good(func(c *events.ParticipantChecked) {
			c.Ways = []events.CheckedWay{{Way: "udp", Result: "ok"}, {Way: "udp", Result: "ok"}}
		}))},
		{"a way that is none", s.att.Checked(t.Context(), good(func(c *events.ParticipantChecked) {
			c.Ways = []events.CheckedWay{{Way: "pigeon", Result: "ok"}}
		}))},
		{"a negative time", s.att.Checked(t.Context(), good(func(c *events.ParticipantChecked) { c.TookMS = -1 }))},
		{"free text as a code", s.att.Checked(t.Context(), good(func(c *events.ParticipantChecked) { c.Codes = []string{"hello"} }))},
	} {
		if !errors.Is(tt.err, consultation.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, tt.err)
		}
	}
	if err := s.att.Checked(t.Context(), good(func(*events.ParticipantChecked) {})); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func TestALinkThatIsTurnedAwayIsToldOnceAndOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	m, over := h.schedule(events.PolicyForbidden, 1), h.schedule(events.PolicyForbidden, 1)
	over.wish(consultation.End{Reason: events.EndedClosed})
	for range 3 {
		h.manager.TurnedAway(t.Context(), m.id, m.people[0], failures.TokenExpired)
		h.manager.TurnedAway(t.Context(), m.id, events.NewID(), failures.TokenExpired)
		h.manager.TurnedAway(t.Context(), over.id, over.people[0], failures.TokenExpired)
		h.manager.TurnedAway(t.Context(), events.NewID(), m.people[0], failures.TokenExpired)
	}
	for id, want := range map[*meeting]int{m: 1, over: 0} {
		n := 0
		for _, stored := range id.history() {
			if e, ok := stored.Event.(events.ParticipantHindered); ok {
				n++
				if e.Phase != "link" || e.Code != "TOKEN-EXPIRED" || stored.Participant != id.people[0] {
					t.Errorf("%+v of %s", e, stored.Participant)
				}
			}
		}
		if n != want {
			t.Errorf("%d events, want %d", n, want)
		}
	}
}

func TestASilentTrackIsToldToItsOwnScreenUntilItIsBack(t *testing.T) {
	t.Parallel()
	m := open(t, func(c *conference.Config) { c.Stall = 300 * time.Millisecond }).schedule(events.PolicyForbidden, 2)
	doctor, patient := m.attend(0), m.attend(1)
	out := patient.publish()
	await(m, "the picture", whatever[events.TrackStarted])
	out.hush(true)
	patient.showsSoon("the stall", func(v conference.View) bool { return slices.Equal(v.Hindered, []string{"MEDIA-STALL"}) })
	doctor.showsSoon("the patient's stall", func(v conference.View) bool {
		return slices.Equal(personIn(v, patient.who).Hindered, []string{"MEDIA-STALL"}) && len(v.Hindered) == 0
	})
	_, e := await(m, "the stall", whatever[events.TrackStalled])
	if e.Code != "MEDIA-STALL" {
		t.Errorf("the event is %+v", e)
	}
	out.hush(false)
	patient.showsSoon("that it is over", func(v conference.View) bool { return len(v.Hindered) == 0 })
}
