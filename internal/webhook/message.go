package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"consilium/internal/events"
)

// Announced are the types that an endpoint is told of unless it names others: what a calling system acts on.
var Announced = []events.Type{
	events.TypeConsultationScheduled, events.TypeConsultationOpened, events.TypeConsultationEnded, events.TypeConsultationReopened,
	events.TypeConsultationCompleted, events.TypeParticipantInvited, events.TypeParticipantJoined, events.TypeParticipantLeft,
	events.TypeConsentGiven, events.TypeConsentRefused, events.TypeConsentWithdrawn, events.TypeConnectionTimedOut,
	events.TypeRecordingPaused, events.TypeRecordingResumed, events.TypeArchiveRequested, events.TypeArchiveRendered,
	events.TypeArchiveFailed, events.TypeAccessOpened, events.TypeExportMade,
	events.TypeHoldPlaced, events.TypeHoldReleased,
}

// wanted says whether an endpoint that has chosen these types is told of an event of type t.
func wanted(chosen []events.Type, t events.Type) bool {
	if len(chosen) == 0 {
		chosen = Announced
	}
	return slices.Contains(chosen, t)
}

// checkTypes refuses what is no type of event.
func checkTypes(types []events.Type) error {
	known := events.Types()
	for _, t := range types {
		if !slices.Contains(known, t) {
			return invalid("types", "there is no such type of event")
		}
	}
	return nil
}

// message is the body of a request. It is thin: whoever needs more asks for the consultation, which is checked and on record.
type message struct {
	Type      events.Type `json:"type"`
	Timestamp time.Time   `json:"timestamp"` // of the event, not of the request
	Data      about       `json:"data"`
}

// about says where an event stands and what it is about: ids, and codes out of closed lists.
type about struct {
	Consultation string `json:"consultation"`
	Seq          uint64 `json:"seq"`      // in the consultation
	Position     uint64 `json:"position"` // in the whole log
	Participant  string `json:"participant,omitempty"`
	Actor        string `json:"actor,omitempty"`
	Version      int    `json:"version,omitempty"` // of an archive
	Code         string `json:"code,omitempty"`    // of a failure
	Reason       string `json:"reason,omitempty"`
}

// body is what is sent for an event: the same bytes whenever it is sent.
func body(e events.Stored) ([]byte, error) {
	m := message{Type: e.Type, Timestamp: e.Time.UTC(), Data: about{
		Consultation: e.Subject, Seq: e.Seq, Position: e.Stream, Participant: e.Participant, Actor: e.Actor,
	}}
	switch v := e.Event.(type) {
	case events.ConsultationEnded:
		m.Data.Reason = v.Reason
	case events.ParticipantLeft:
		m.Data.Reason = v.Reason
	case events.RecordingPaused:
		m.Data.Reason = v.Reason
	case events.RecordingResumed:
		m.Data.Reason = v.Reason
	case events.HoldPlaced:
		m.Data.Reason = v.Reason
	case events.HoldReleased:
		m.Data.Reason = v.Reason
	case events.ConnectionTimedOut:
		m.Data.Code = v.Code
	case events.ArchiveRequested:
		m.Data.Version = v.Version
	case events.ArchiveStarted:
		m.Data.Version = v.Version
	case events.ArchiveRendered:
		m.Data.Version = v.Version
	case events.ArchiveFailed:
		m.Data.Version, m.Data.Code = v.Version, v.Code
	case events.AccessOpened:
		m.Data.Version, m.Data.Reason = v.Version, v.Purpose
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write message of event %s: %w", e.ID, err)
	}
	return raw, nil
}
