package consultation

import (
	"errors"
	"testing"
	"time"

	"consilium/internal/events"
)

// Without room nothing that is recorded begins; what has begun goes on, and what is not recorded needs none.
func TestNothingRecordedBeginsWithoutRoom(t *testing.T) {
	errFull := errors.New("there is no room")
	doctor := events.NewID()
	given := &events.Consent{By: events.ByService}
	past := func(policy events.Policy, opened bool) []events.Stored {
		all := []events.Event{events.ConsultationScheduled{Policy: policy}, events.ParticipantInvited{Role: events.RoleClinician}}
		if opened {
			all = append(all, events.ConsultationOpened{Policy: policy})
		}
		var history []events.Stored
		for i, e := range all {
			s := events.Stored{Event: e}
			s.Seq, s.Participant = uint64(i+1), doctor
			history = append(history, s)
		}
		return history
	}
	tests := []struct {
		name    string
		history []events.Stored
		command Command
		want    error
	}{
		{"a recorded one is not scheduled", nil, Schedule{Policy: events.PolicyRequired}, errFull},
		{"nor one that may be recorded", nil, Schedule{Policy: events.PolicyOptional}, errFull},
		{"one that is not recorded is", nil, Schedule{Policy: events.PolicyForbidden}, nil},
		{"a scheduled one is not opened by who joins", past(events.PolicyRequired, false), Join{Participant: doctor, Claimed: given}, errFull},
		{"one that is not recorded is opened", past(events.PolicyForbidden, false), Join{Participant: doctor}, nil},
		{"an open one can be joined", past(events.PolicyRequired, true), Join{Participant: doctor, Claimed: given}, nil},
		{"consent can be answered", past(events.PolicyRequired, false), AnswerConsent{Participant: doctor, Answer: Given}, nil},
		{"an open one can be ended", past(events.PolicyRequired, true), End{Reason: events.EndedClosed}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by := By{Source: "/live/test", Now: time.Now, Room: func() error { return errFull }}
			drafts, err := Deciding(tt.command, by)(tt.history)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if (err == nil) != (len(drafts) > 0) {
				t.Errorf("%d facts and the error %v", len(drafts), err)
			}
		})
	}
}
