package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// The names of all types, in the order of docs/events.md.
const (
	TypeConsultationReindexed      Type = "consultation.reindexed"
	TypeConsultationScheduled      Type = "consultation.scheduled"
	TypeConsultationOpened         Type = "consultation.opened"
	TypeConsultationEnded          Type = "consultation.ended"
	TypeConsultationReopened       Type = "consultation.reopened"
	TypeConsultationCompleted      Type = "consultation.completed"
	TypeConferenceHosted           Type = "conference.hosted"
	TypeParticipantInvited         Type = "participant.invited"
	TypeParticipantJoined          Type = "participant.joined"
	TypeParticipantLeft            Type = "participant.left"
	TypeParticipantChecked         Type = "participant.checked"
	TypeParticipantHindered        Type = "participant.hindered"
	TypeConsentGiven               Type = "consent.given"
	TypeConsentRefused             Type = "consent.refused"
	TypeConsentWithdrawn           Type = "consent.withdrawn"
	TypeConnectionOpened           Type = "connection.opened"
	TypeConnectionClosed           Type = "connection.closed"
	TypeConnectionICEChanged       Type = "connection.ice_changed"
	TypeConnectionPairSelected     Type = "connection.pair_selected"
	TypeConnectionCandidateIgnored Type = "connection.candidate_ignored"
	TypeConnectionRestarted        Type = "connection.restarted"
	TypeConnectionTimedOut         Type = "connection.timed_out"
	TypeTrackStarted               Type = "track.started"
	TypeTrackEnded                 Type = "track.ended"
	TypeTrackMuted                 Type = "track.muted"
	TypeTrackUnmuted               Type = "track.unmuted"
	TypeTrackStalled               Type = "track.stalled"
	TypeTrackResumed               Type = "track.resumed"
	TypeRecordingPaused            Type = "recording.paused"
	TypeRecordingResumed           Type = "recording.resumed"
	TypeSegmentOpened              Type = "segment.opened"
	TypeSegmentAnchored            Type = "segment.anchored"
	TypeSegmentDiscontinuity       Type = "segment.discontinuity"
	TypeSegmentGap                 Type = "segment.gap"
	TypeSegmentSealed              Type = "segment.sealed"
	TypeSegmentStored              Type = "segment.stored"
	TypeSegmentRecovered           Type = "segment.recovered"
	TypeArchiveRequested           Type = "archive.requested"
	TypeArchiveStarted             Type = "archive.started"
	TypeArchiveRendered            Type = "archive.rendered"
	TypeArchiveFailed              Type = "archive.failed"
	TypeAccessOpened               Type = "access.opened"
	TypeAccessWatched              Type = "access.watched"
	TypeAccessClosed               Type = "access.closed"
	TypeExportMade                 Type = "export.made"
	TypeHoldPlaced                 Type = "hold.placed"
	TypeHoldReleaseRequested       Type = "hold.release_requested"
	TypeHoldReleaseDeclined        Type = "hold.release_declined"
	TypeHoldReleased               Type = "hold.released"
)

func (ConsultationReindexed) kind() (Type, int)      { return TypeConsultationReindexed, 1 }
func (ConsultationScheduled) kind() (Type, int)      { return TypeConsultationScheduled, 1 }
func (ConsultationOpened) kind() (Type, int)         { return TypeConsultationOpened, 1 }
func (ConsultationEnded) kind() (Type, int)          { return TypeConsultationEnded, 1 }
func (ConsultationReopened) kind() (Type, int)       { return TypeConsultationReopened, 1 }
func (ConsultationCompleted) kind() (Type, int)      { return TypeConsultationCompleted, 1 }
func (ConferenceHosted) kind() (Type, int)           { return TypeConferenceHosted, 1 }
func (ParticipantInvited) kind() (Type, int)         { return TypeParticipantInvited, 1 }
func (ParticipantJoined) kind() (Type, int)          { return TypeParticipantJoined, 1 }
func (ParticipantLeft) kind() (Type, int)            { return TypeParticipantLeft, 1 }
func (ParticipantChecked) kind() (Type, int)         { return TypeParticipantChecked, 1 }
func (ParticipantHindered) kind() (Type, int)        { return TypeParticipantHindered, 1 }
func (ConsentGiven) kind() (Type, int)               { return TypeConsentGiven, 1 }
func (ConsentRefused) kind() (Type, int)             { return TypeConsentRefused, 1 }
func (ConsentWithdrawn) kind() (Type, int)           { return TypeConsentWithdrawn, 1 }
func (ConnectionOpened) kind() (Type, int)           { return TypeConnectionOpened, 1 }
func (ConnectionClosed) kind() (Type, int)           { return TypeConnectionClosed, 1 }
func (ConnectionICEChanged) kind() (Type, int)       { return TypeConnectionICEChanged, 1 }
func (ConnectionPairSelected) kind() (Type, int)     { return TypeConnectionPairSelected, 1 }
func (ConnectionCandidateIgnored) kind() (Type, int) { return TypeConnectionCandidateIgnored, 1 }
func (ConnectionRestarted) kind() (Type, int)        { return TypeConnectionRestarted, 1 }
func (ConnectionTimedOut) kind() (Type, int)         { return TypeConnectionTimedOut, 1 }
func (TrackStarted) kind() (Type, int)               { return TypeTrackStarted, 1 }
func (TrackEnded) kind() (Type, int)                 { return TypeTrackEnded, 1 }
func (TrackMuted) kind() (Type, int)                 { return TypeTrackMuted, 1 }
func (TrackUnmuted) kind() (Type, int)               { return TypeTrackUnmuted, 1 }
func (TrackStalled) kind() (Type, int)               { return TypeTrackStalled, 1 }
func (TrackResumed) kind() (Type, int)               { return TypeTrackResumed, 1 }
func (RecordingPaused) kind() (Type, int)            { return TypeRecordingPaused, 1 }
func (RecordingResumed) kind() (Type, int)           { return TypeRecordingResumed, 1 }
func (SegmentOpened) kind() (Type, int)              { return TypeSegmentOpened, 1 }
func (SegmentAnchored) kind() (Type, int)            { return TypeSegmentAnchored, 1 }
func (SegmentDiscontinuity) kind() (Type, int)       { return TypeSegmentDiscontinuity, 1 }
func (SegmentGap) kind() (Type, int)                 { return TypeSegmentGap, 1 }
func (SegmentSealed) kind() (Type, int)              { return TypeSegmentSealed, 1 }
func (SegmentStored) kind() (Type, int)              { return TypeSegmentStored, 1 }
func (SegmentRecovered) kind() (Type, int)           { return TypeSegmentRecovered, 1 }
func (ArchiveRequested) kind() (Type, int)           { return TypeArchiveRequested, 1 }
func (ArchiveStarted) kind() (Type, int)             { return TypeArchiveStarted, 1 }
func (ArchiveRendered) kind() (Type, int)            { return TypeArchiveRendered, 1 }
func (ArchiveFailed) kind() (Type, int)              { return TypeArchiveFailed, 1 }
func (AccessOpened) kind() (Type, int)               { return TypeAccessOpened, 1 }
func (AccessWatched) kind() (Type, int)              { return TypeAccessWatched, 1 }
func (AccessClosed) kind() (Type, int)               { return TypeAccessClosed, 1 }
func (ExportMade) kind() (Type, int)                 { return TypeExportMade, 1 }
func (HoldPlaced) kind() (Type, int)                 { return TypeHoldPlaced, 1 }
func (HoldReleaseRequested) kind() (Type, int)       { return TypeHoldReleaseRequested, 1 }
func (HoldReleaseDeclined) kind() (Type, int)        { return TypeHoldReleaseDeclined, 1 }
func (HoldReleased) kind() (Type, int)               { return TypeHoldReleased, 1 }
func (u Unknown) kind() (Type, int)                  { return u.Name, u.Version }

// form is one stored form of one type.
type form struct {
	name    Type
	version int
}

type decoder func(json.RawMessage) (Event, error)

func as[E Event](raw json.RawMessage) (Event, error) {
	var e E
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	return e, nil
}

// decoders has exactly the newest form of every type.
var decoders = func() map[form]decoder {
	m := map[form]decoder{}
	add := func(zero Event, d decoder) {
		name, version := zero.kind()
		m[form{name, version}] = d
	}
	add(ConsultationReindexed{}, as[ConsultationReindexed])
	add(ConsultationScheduled{}, as[ConsultationScheduled])
	add(ConsultationOpened{}, as[ConsultationOpened])
	add(ConsultationEnded{}, as[ConsultationEnded])
	add(ConsultationReopened{}, as[ConsultationReopened])
	add(ConsultationCompleted{}, as[ConsultationCompleted])
	add(ConferenceHosted{}, as[ConferenceHosted])
	add(ParticipantInvited{}, as[ParticipantInvited])
	add(ParticipantJoined{}, as[ParticipantJoined])
	add(ParticipantLeft{}, as[ParticipantLeft])
	add(ParticipantChecked{}, as[ParticipantChecked])
	add(ParticipantHindered{}, as[ParticipantHindered])
	add(ConsentGiven{}, as[ConsentGiven])
	add(ConsentRefused{}, as[ConsentRefused])
	add(ConsentWithdrawn{}, as[ConsentWithdrawn])
	add(ConnectionOpened{}, as[ConnectionOpened])
	add(ConnectionClosed{}, as[ConnectionClosed])
	add(ConnectionICEChanged{}, as[ConnectionICEChanged])
	add(ConnectionPairSelected{}, as[ConnectionPairSelected])
	add(ConnectionCandidateIgnored{}, as[ConnectionCandidateIgnored])
	add(ConnectionRestarted{}, as[ConnectionRestarted])
	add(ConnectionTimedOut{}, as[ConnectionTimedOut])
	add(TrackStarted{}, as[TrackStarted])
	add(TrackEnded{}, as[TrackEnded])
	add(TrackMuted{}, as[TrackMuted])
	add(TrackUnmuted{}, as[TrackUnmuted])
	add(TrackStalled{}, as[TrackStalled])
	add(TrackResumed{}, as[TrackResumed])
	add(RecordingPaused{}, as[RecordingPaused])
	add(RecordingResumed{}, as[RecordingResumed])
	add(SegmentOpened{}, as[SegmentOpened])
	add(SegmentAnchored{}, as[SegmentAnchored])
	add(SegmentDiscontinuity{}, as[SegmentDiscontinuity])
	add(SegmentGap{}, as[SegmentGap])
	add(SegmentSealed{}, as[SegmentSealed])
	add(SegmentStored{}, as[SegmentStored])
	add(SegmentRecovered{}, as[SegmentRecovered])
	add(ArchiveRequested{}, as[ArchiveRequested])
	add(ArchiveStarted{}, as[ArchiveStarted])
	add(ArchiveRendered{}, as[ArchiveRendered])
	add(ArchiveFailed{}, as[ArchiveFailed])
	add(AccessOpened{}, as[AccessOpened])
	add(AccessWatched{}, as[AccessWatched])
	add(AccessClosed{}, as[AccessClosed])
	add(ExportMade{}, as[ExportMade])
	add(HoldPlaced{}, as[HoldPlaced])
	add(HoldReleaseRequested{}, as[HoldReleaseRequested])
	add(HoldReleaseDeclined{}, as[HoldReleaseDeclined])
	add(HoldReleased{}, as[HoldReleased])
	return m
}()

// upcaster lifts the data of version n of a type to version n+1. It is pure; stored bytes never change. Numbers in the
// map are json.Number.
type upcaster func(map[string]any) map[string]any

// upcasters is empty until a type changes its meaning for the first time.
var upcasters = map[form]upcaster{}

// Types lists the name of every known type in alphabetical order.
func Types() []Type {
	names := make([]Type, 0, len(decoders))
	for f := range decoders {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}

// decode turns stored data into the newest form of its type; what is not known becomes Unknown.
func decode(name Type, version int, raw json.RawMessage) (Event, error) {
	return decodeWith(decoders, upcasters, name, version, raw)
}

func decodeWith(dec map[form]decoder, up map[form]upcaster, name Type, version int, raw json.RawMessage) (Event, error) {
	data := raw
	for at := version; ; at++ {
		f := form{name, at}
		if d, ok := dec[f]; ok {
			e, err := d(data)
			if err != nil {
				return nil, fmt.Errorf("decode %s version %d: %w", name, version, err)
			}
			return e, nil
		}
		lift, ok := up[f]
		if !ok {
			return Unknown{Name: name, Version: version, Raw: raw}, nil
		}
		lifted, err := lift.apply(data)
		if err != nil {
			return nil, fmt.Errorf("lift %s from version %d: %w", name, at, err)
		}
		data = lifted
	}
}

// apply lifts encoded data. Numbers pass as json.Number, so that large integers keep every digit.
func (lift upcaster) apply(data json.RawMessage) (json.RawMessage, error) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("the data is no object")
	}
	return json.Marshal(lift(fields))
}
