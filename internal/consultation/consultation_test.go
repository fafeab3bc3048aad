package consultation

import (
	"errors"
	"testing"
	"time"

	"consilium/internal/events"

	"github.com/google/go-cmp/cmp"
)

const (
	testID  = "01890a5d-ac96-774b-bcce-b302099a8057"
	doctor  = "01890a5d-ac96-774b-bcce-b302099a8001"
	patient = "01890a5d-ac96-774b-bcce-b302099a8002"
	camera  = "01890a5d-ac96-774b-bcce-b302099a8003"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// script builds a consultation by carrying commands out at given moments, as the appender would.
type script struct {
	t       *testing.T
	history []events.Stored
	after   events.Version
	now     time.Time
}

func newScript(t *testing.T, policy events.Policy) *script {
	s := &script{t: t, now: start}
	s.must(Schedule{Policy: policy, Layout: "grid", Language: "en", Participants: []Invite{
		{ID: doctor, Role: events.RoleClinician}, {ID: patient, Role: events.RolePatient},
	}})
	return s
}

func (s *script) state() *State { return Fold(s.history) }

func (s *script) try(c Command) ([]events.Type, error) {
	s.t.Helper()
	drafts, err := Deciding(c, By{Source: "/live/test", Now: func() time.Time { return s.now }})(s.history)
	var types []events.Type
	for _, d := range drafts {
		types = append(types, events.TypeOf(d.Event))
		s.append(d)
	}
	return types, err
}

func (s *script) append(d events.Draft) {
	s.t.Helper()
	raw, v, err := events.Seal(testID, s.after, d)
	if err != nil {
		s.t.Fatal(err)
	}
	stored, err := events.Open(raw, v.Seq)
	if err != nil {
		s.t.Fatal(err)
	}
	v.Stream = v.Seq
	s.after, s.history = v, append(s.history, stored)
}

func (s *script) must(c Command) []events.Type {
	s.t.Helper()
	types, err := s.try(c)
	if err != nil {
		s.t.Fatalf("%T: %v", c, err)
	}
	return types
}

func (s *script) fact(participant string, e events.Event) {
	s.t.Helper()
	d := events.NewDraft("/live/test", s.now, e)
	d.Participant = participant
	s.append(d)
}

func (s *script) agree(participant string) {
	s.t.Helper()
	s.must(AnswerConsent{Participant: participant, Answer: Given, Consent: events.Consent{Language: "en", By: events.BySelf}})
}

func TestNobodyJoinsARequiredConsultationWithoutConsent(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	if _, err := s.try(Join{Participant: patient}); !errors.Is(err, ErrConsentNeeded) {
		t.Fatalf("join without an answer: got %v, want ErrConsentNeeded", err)
	}
	s.must(AnswerConsent{Participant: patient, Answer: Refused})
	if _, err := s.try(Join{Participant: patient}); !errors.Is(err, ErrRefused) {
		t.Fatalf("join after a refusal: got %v, want ErrRefused", err)
	}
	s.agree(patient)
	got := s.must(Join{Participant: patient})
	want := []events.Type{events.TypeConsultationOpened, events.TypeParticipantJoined}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	if got := s.must(Join{Participant: patient}); got != nil {
		t.Fatalf("joining twice appended %v", got)
	}
}

func TestAClaimedConsentIsInTheLogBeforeTheJoin(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	got := s.must(Join{Participant: patient, Claimed: &events.Consent{By: events.ByService}})
	want := []events.Type{events.TypeConsentGiven, events.TypeConsultationOpened, events.TypeParticipantJoined}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

func TestTheGate(t *testing.T) {
	type gate struct{ Publish, Record bool }
	tests := []struct {
		name   string
		policy events.Policy
		play   func(*script)
		want   gate
	}{
		{"required and unanswered takes nothing in", events.PolicyRequired, func(*script) {}, gate{false, false}},
		{"required and given records", events.PolicyRequired, func(s *script) { s.agree(patient) }, gate{true, true}},
		{"required and withdrawn takes nothing in", events.PolicyRequired, func(s *script) {
			s.agree(patient)
			s.must(AnswerConsent{Participant: patient, Answer: Withdrawn})
		}, gate{false, false}},
		{"optional and unanswered is seen and not written", events.PolicyOptional, func(*script) {}, gate{true, false}},
		{"optional and refused is seen and not written", events.PolicyOptional, func(s *script) {
			s.must(AnswerConsent{Participant: patient, Answer: Refused})
		}, gate{true, false}},
		{"optional and given records", events.PolicyOptional, func(s *script) { s.agree(patient) }, gate{true, true}},
		{"forbidden never records", events.PolicyForbidden, func(s *script) { s.agree(patient) }, gate{true, false}},
		{"a pause stops the writing only", events.PolicyRequired, func(s *script) {
			s.agree(patient)
			s.must(Pause{Reason: "examination"})
		}, gate{true, false}},
		{"a resumed recording writes again", events.PolicyRequired, func(s *script) {
			s.agree(patient)
			s.must(Pause{Reason: "examination"})
			s.must(Resume{Reason: "examination"})
		}, gate{true, true}},
		{"an ended consultation writes nothing", events.PolicyRequired, func(s *script) {
			s.agree(patient)
			s.must(End{Reason: events.EndedClosed})
		}, gate{true, false}},
		{"a removed participant is not taken in", events.PolicyOptional, func(s *script) {
			s.agree(patient)
			s.must(Leave{Participant: patient, Reason: events.LeftKicked})
		}, gate{false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, tt.policy)
			s.agree(doctor)
			s.must(Join{Participant: doctor})
			tt.play(s)
			state := s.state()
			if d := cmp.Diff(tt.want, gate{state.MayPublish(patient), state.MayRecord(patient)}); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestADeviceNeedsTheConsentOfEverybodyItIsFor(t *testing.T) {
	for _, policy := range []events.Policy{events.PolicyRequired, events.PolicyOptional} {
		t.Run(string(policy), func(t *testing.T) {
			s := newScript(t, policy)
			s.agree(doctor)
			s.must(Join{Participant: doctor})
			s.must(Invite{ID: camera, Role: events.RoleDevice, For: []string{patient}, Consent: &events.Consent{By: events.ByService}})
			if s.state().MayPublish(camera) {
				t.Fatal("the device is taken in before the patient agreed")
			}
			s.agree(patient)
			if !s.state().MayPublish(camera) || !s.state().MayRecord(camera) {
				t.Fatal("the device is not taken in although everybody agreed")
			}
			s.must(AnswerConsent{Participant: patient, Answer: Withdrawn})
			if s.state().MayPublish(camera) {
				t.Fatal("the device is taken in after the patient withdrew")
			}
		})
	}
}

func TestEndAndReopen(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.agree(doctor)
	s.must(Join{Participant: doctor})
	got := s.must(End{Reason: events.EndedClosed})
	if d := cmp.Diff([]events.Type{events.TypeConsultationEnded, events.TypeParticipantLeft}, got); d != "" {
		t.Fatal(d)
	}
	if _, err := s.try(End{Reason: events.EndedClosed}); !errors.Is(err, ErrEnded) {
		t.Fatalf("second end: got %v, want ErrEnded", err)
	}
	if _, err := s.try(Join{Participant: doctor}); !errors.Is(err, ErrEnded) {
		t.Fatalf("join after the end: got %v, want ErrEnded", err)
	}
	s.now = s.now.Add(ReopenWithin)
	s.must(Reopen{})
	s.must(Join{Participant: doctor})
	s.must(End{Reason: events.EndedClosed})
	s.now = s.now.Add(ReopenWithin + time.Second)
	if _, err := s.try(Reopen{}); !errors.Is(err, ErrTooLate) {
		t.Fatalf("late reopen: got %v, want ErrTooLate", err)
	}
}

func TestAnAbandonedConsultationEndsOnlyAfterAQuarterOfAnHour(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.agree(doctor)
	s.must(Join{Participant: doctor})
	if got := s.must(End{Reason: events.EndedAbandoned}); got != nil {
		t.Fatalf("ended with the doctor present: %v", got)
	}
	s.must(Leave{Participant: doctor, Reason: events.LeftTimeout})
	s.now = s.now.Add(AbandonAfter - time.Second)
	if got := s.must(End{Reason: events.EndedAbandoned}); got != nil {
		t.Fatalf("ended too early: %v", got)
	}
	s.now = s.now.Add(time.Second)
	if got := s.must(End{Reason: events.EndedAbandoned}); len(got) != 1 {
		t.Fatalf("not ended: %v", got)
	}
}

func TestCompletionNamesEverySegment(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.agree(doctor)
	s.must(Join{Participant: doctor})
	s.must(Host{Node: "n", Wall: start})
	const stored, lost = "01890a5d-ac96-774b-bcce-b302099a8101", "01890a5d-ac96-774b-bcce-b302099a8102"
	s.fact(doctor, events.SegmentOpened{Segment: stored})
	s.fact(doctor, events.SegmentSealed{Segment: stored})
	s.fact(doctor, events.SegmentOpened{Segment: lost})
	s.must(End{Reason: events.EndedClosed})
	s.fact(doctor, events.SegmentStored{Segment: stored})
	if _, err := s.try(Complete{Epoch: 1}); !errors.Is(err, ErrNotComplete) {
		t.Fatalf("completed with a segment on its way: %v", err)
	}
	if got := s.must(Complete{Epoch: 2}); got != nil {
		t.Fatalf("a process that does not host completed the consultation: %v", got)
	}
	got := s.must(Complete{Epoch: 1, Missing: []events.MissingSegment{{Segment: lost, Cause: "not_stored"}}})
	if d := cmp.Diff([]events.Type{events.TypeConsultationCompleted, events.TypeArchiveRequested}, got); d != "" {
		t.Fatal(d)
	}
	request := s.state().Archives()[0].Request
	if request.Version != 1 || request.ThroughSeq != s.after.Seq-1 {
		t.Fatalf("the archive is ordered as %+v; the log ends at %d", request, s.after.Seq)
	}
	if got := s.must(Complete{Epoch: 1}); got != nil {
		t.Fatalf("completed twice: %v", got)
	}
}

func TestArchivesAreOrderedOneAfterAnother(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	if _, err := s.try(RequestArchive{}); !errors.Is(err, ErrNotComplete) {
		t.Fatalf("archive of a scheduled consultation: got %v, want ErrNotComplete", err)
	}
	s.must(Host{Node: "n", Wall: start})
	s.must(End{Reason: events.EndedClosed})
	s.must(Complete{Epoch: 1})
	if _, err := s.try(RequestArchive{}); !errors.Is(err, ErrArchivePending) {
		t.Fatalf("second archive while the first is made: got %v, want ErrArchivePending", err)
	}
	s.fact("", events.ArchiveFailed{Version: 1, Code: "FFMPEG-MISSING"})
	s.must(RequestArchive{Profile: ProfileFast})
	got := s.state().Archives()[1].Request
	if got.Version != 2 || got.Profile != ProfileFast || got.Layout != "grid" {
		t.Fatalf("second version ordered as %+v", got)
	}
	yes, no := true, false
	s.fact("", events.ArchiveFailed{Version: 2, Code: "FFMPEG-MISSING"})
	s.must(RequestArchive{Layout: "speaker", Stamp: &yes, Voices: &yes})
	s.fact("", events.ArchiveFailed{Version: 3, Code: "FFMPEG-MISSING"})
	s.must(RequestArchive{Voices: &no})
	if got := s.state().Archives()[3].Request; got.Layout != "speaker" || got.Profile != ProfileFast || !got.Stamp || got.Voices {
		t.Fatalf("what is not said is not as in the version before: %+v", got)
	}
}

func TestInvitations(t *testing.T) {
	tests := []struct {
		name   string
		invite Invite
		want   error
	}{
		{"a role that takes no part is refused", Invite{ID: camera, Role: "auditor"}, ErrInvalid},
		{"only a device is for others", Invite{ID: camera, Role: events.RoleObserver, For: []string{patient}}, ErrInvalid},
		{"a device for a stranger is refused", Invite{ID: camera, Role: events.RoleDevice, For: []string{testID}}, ErrUnknownParticipant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := newScript(t, events.PolicyRequired).try(tt.invite); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnUnknownConsultationRefusesEverything(t *testing.T) {
	for _, c := range []Command{
		Invite{ID: patient, Role: events.RolePatient},
		Join{Participant: patient},
		End{},
		Reopen{},
		Pause{},
		Host{},
		RequestArchive{},
		Leave{Participant: patient},
		AnswerConsent{Participant: patient, Answer: Given},
	} {
		if _, err := Decide(&State{}, c, start); !errors.Is(err, ErrUnknown) {
			t.Errorf("%T: got %v, want ErrUnknown", c, err)
		}
	}
}

func TestACompletedConsultationNeedsNoHost(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.must(Host{Node: "n", Wall: start})
	s.must(End{Reason: events.EndedClosed})
	s.must(Host{Node: "n", Wall: start}) // to finish it
	s.must(Complete{Epoch: 2})
	if _, err := s.try(Host{Node: "n", Wall: start}); !errors.Is(err, ErrEnded) {
		t.Fatalf("got %v, want ErrEnded", err)
	}
	s.must(Reopen{})
	s.must(Host{Node: "n", Wall: start})
}

func TestAnArchiveThatIsReadyDoesNotCloseAReopenedConsultation(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.agree(doctor)
	s.must(Join{Participant: doctor})
	s.must(Host{Node: "n", Wall: start})
	s.must(End{Reason: events.EndedClosed})
	s.must(Complete{Epoch: 1})
	s.must(Reopen{})
	s.must(Host{Node: "n", Wall: start})
	s.must(Join{Participant: doctor})
	s.fact("", events.ArchiveRendered{Version: 1})
	if got := s.state(); got.Phase != Open || !got.MayRecord(doctor) {
		t.Fatalf("the phase is %q and the doctor is recorded: %v", got.Phase, got.MayRecord(doctor))
	}
	s.must(End{Reason: events.EndedClosed})
	s.must(Complete{Epoch: 2})
	if got := s.state().Phase; got != Archived {
		t.Fatalf("completed with a version that is ready, the phase is %q", got)
	}
}

func TestWhoComesOnlyToPublishNeedsConsentUnderEveryPolicy(t *testing.T) {
	for _, policy := range []events.Policy{events.PolicyRequired, events.PolicyOptional, events.PolicyForbidden} {
		t.Run(string(policy), func(t *testing.T) {
			s := newScript(t, policy)
			s.must(Invite{ID: camera, Role: events.RoleDevice, For: []string{patient}})
			claimed := &events.Consent{By: events.ByService}
			for _, c := range []Join{
				{Participant: patient, Publishing: true},
				{Participant: camera, Publishing: true, Claimed: claimed},
				{Participant: doctor, Publishing: true, Claimed: claimed, For: []string{patient}},
			} {
				if types, err := s.try(c); !errors.Is(err, ErrConsentNeeded) || types != nil {
					t.Fatalf("%+v: got %v, %v, want ErrConsentNeeded and nothing appended", c, types, err)
				}
			}
			s.agree(patient)
			s.must(Join{Participant: camera, Publishing: true, Claimed: claimed})
		})
	}
}

func TestNobodyOverrulesAPersonsOwnNo(t *testing.T) {
	s := newScript(t, events.PolicyOptional)
	vouch := AnswerConsent{Participant: patient, Answer: Given, Consent: events.Consent{By: events.ByService}}
	s.must(AnswerConsent{Participant: patient, Answer: Refused, Consent: events.Consent{By: events.BySelf}})
	if _, err := s.try(vouch); !errors.Is(err, ErrAnswered) {
		t.Fatalf("after a refusal: got %v, want ErrAnswered", err)
	}
	s.agree(patient)
	s.must(AnswerConsent{Participant: patient, Answer: Withdrawn, Consent: events.Consent{By: events.BySelf}})
	if _, err := s.try(vouch); !errors.Is(err, ErrAnswered) {
		t.Fatalf("after a withdrawal: got %v, want ErrAnswered", err)
	}
}

func TestNobodyIsRemovedFromAConsultationThatIsOver(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.must(End{Reason: events.EndedClosed})
	if _, err := s.try(Leave{Participant: patient, Reason: events.LeftKicked}); !errors.Is(err, ErrEnded) {
		t.Fatalf("got %v, want ErrEnded", err)
	}
}

func TestNothingIsRecordableFromBeforeTheLastConsentOrResumption(t *testing.T) {
	s := newScript(t, events.PolicyOptional)
	s.agree(doctor)
	s.must(Join{Participant: doctor})
	s.now = start.Add(time.Minute)
	s.agree(patient)
	s.must(Invite{ID: camera, Role: events.RoleDevice, For: []string{patient}, Consent: &events.Consent{By: events.ByService}})
	if got := s.state().RecordableSince(doctor); !got.Equal(start) {
		t.Errorf("the doctor's tracks since %v, want since the doctor agreed", got)
	}
	if got := s.state().RecordableSince(camera); !got.Equal(start.Add(time.Minute)) {
		t.Errorf("the device's tracks since %v, want since the patient agreed", got)
	}
	s.must(Pause{Reason: "private"})
	s.now = start.Add(2 * time.Minute)
	s.must(Resume{Reason: "private"})
	if got := s.state().RecordableSince(doctor); !got.Equal(start.Add(2 * time.Minute)) {
		t.Errorf("after a pause since %v, want since the resumption", got)
	}
}
