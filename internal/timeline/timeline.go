// Package timeline turns the events of one consultation into what its archive shows: the clocks of all senders fitted to
// the conference clock, segments placed as clips, every hole named as a gap with its cause, every event as a marker.
//
// In come stored events (State.Apply, or all at once with Build); out goes a Timeline. The package is pure: it opens no
// file or socket and reads no clock, and the same events give the same bytes. Three readers share the one fold: the
// stitcher renders the Timeline, the projector shows it, the auditor reconciles it (Timeline.Accounts).
//
// It never opens media and never guesses what the log does not say. docs/timeline.md explains the algorithm.
package timeline

import (
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// Timeline is what the archive of one consultation shows. All times ending in NS are nanoseconds of archive time: 0 is
// the first participant.joined, DurationNS is the end of the archive. Every slice is non-nil, so that it encodes as [].
type Timeline struct {
	Consultation string        `json:"consultation"`
	Policy       events.Policy `json:"policy,omitempty"` // empty when it is not known: rebuilt from files
	StartTime    time.Time     `json:"startTime"`        // archive time 0 on the conference clock, UTC
	DurationNS   int64         `json:"durationNs"`       // ≥ 0
	Participants []Participant `json:"participants"`     // by first invitation
	Markers      []Marker      `json:"markers"`          // by seq
}

// Interval is a half-open stretch of archive time: StartNS is in it, EndNS is not. EndNS > StartNS.
type Interval struct {
	StartNS int64 `json:"startNs"`
	EndNS   int64 `json:"endNs"`
}

// Participant is one person or device and what the archive has of them.
type Participant struct {
	ID      string     `json:"id"`
	Role    string     `json:"role"`
	For     []string   `json:"for,omitempty"` // a device's: whose consent it needs
	Consent Consent    `json:"consent"`       // the participant's own last answer
	Present []Interval `json:"present"`       // by time, disjoint
	// Absent holds the stretches in which the participant is present and no video track of theirs is live, with the
	// reason: where a card stands instead of a picture. Present is the union of Absent and the video tracks' spans
	// (Track.StartNS to Track.EndNS), within which clips and gaps say what is to be seen.
	Absent []Gap   `json:"absent"`
	Tracks []Track `json:"tracks"` // by start
}

// Consent is the last answer of a participant.
type Consent string

// The answers.
const (
	ConsentNone      Consent = "none" // never answered
	ConsentGiven     Consent = "given"
	ConsentRefused   Consent = "refused"
	ConsentWithdrawn Consent = "withdrawn"
)

// Track is one track of a participant. Clips and Gaps together cover StartNS to EndNS without overlap.
type Track struct {
	ID      string       `json:"id"`
	Kind    media.Kind   `json:"kind"`
	Source  media.Source `json:"source"`
	StartNS int64        `json:"startNs"`
	EndNS   int64        `json:"endNs"` // where the track ended, or its successor came after an interruption
	Clips   []Clip       `json:"clips"` // by time, disjoint
	Gaps    []Gap        `json:"gaps"`  // by time, disjoint
}

// Quality says what a clip's place was derived from.
type Quality string

// The qualities, best first.
const (
	QualitySR      Quality = media.AnchorSR      // RTCP sender reports, with abs-capture-time where there is some
	QualityACT     Quality = media.AnchorACT     // abs-capture-time alone
	QualityArrival Quality = media.AnchorArrival // only the arrival of packets, or the sender's clock contradicts them
)

// Clip is the use of one segment, or of a part of it: several clips may use one segment (always with the same Rate),
// where something inside the file must not or cannot be shown.
//
// The archive's moment t in [StartNS, EndNS) shows the segment's file at FileStartNS + (t − StartNS) × Rate, in
// nanoseconds from the file's first timestamp. The last frame holds, or silence stands, where EndNS lies past the end of
// the file: by less than a frame, by the pause between two video frames that lie in two files (≤ 2 s), or at the end of
// the track by what was still on its way (≤ 250 ms).
type Clip struct {
	Segment     string  `json:"segment"`
	StartNS     int64   `json:"startNs"`
	EndNS       int64   `json:"endNs"`
	FileStartNS int64   `json:"fileStartNs"` // 0 unless the beginning of the file is not shown; never negative
	Rate        float64 `json:"rate"`        // file seconds per archive second: 1 ± 0.0005, a multiple of 1e-9
	ErrorNS     int64   `json:"errorNs"`     // estimated error of StartNS against the conference clock, ≥ 0
	Quality     Quality `json:"quality"`

	Codec       media.Codec `json:"codec"`
	ClockRate   uint32      `json:"clockRate"` // Hz
	Width       int         `json:"width,omitempty"`
	Height      int         `json:"height,omitempty"`
	Frames      int64       `json:"frames"`                // in the whole file: video frames or audio packets
	ConcealedNS int64       `json:"concealedNs,omitempty"` // holes inside the clip too short to be gaps: silence or a held frame

	Key    string `json:"key"`    // of the file in the blob store
	Bytes  int64  `json:"bytes"`  // of the whole file
	SHA256 string `json:"sha256"` // of the whole file, hex
}

// Cause says why there is no media.
type Cause string

// The causes.
const (
	NotConsented Cause = "not_consented" // the participant, or somebody a device needs, has not consented
	Muted        Cause = "muted"         // audio, by the participant's own switch
	CameraOff    Cause = "camera_off"    // video, by the participant's own switch
	Loss         Cause = "loss"          // packets lost, or frames useless until the next keyframe
	Stall        Cause = "stall"         // no packets although nobody had switched off
	Disconnected Cause = "disconnected"  // connection lost
	Paused       Cause = "paused"        // recording paused
	Overrun      Cause = "overrun"       // the recorder could not keep up
	Corrupt      Cause = "corrupt"       // the segment is damaged, or what is said of it makes no sense
	Crash        Cause = "crash"         // the recording process died
	Missing      Cause = "missing"       // the segment was opened but is not in the blob store
)

// Gap is a stretch without media and its cause.
type Gap struct {
	StartNS int64 `json:"startNs"`
	EndNS   int64 `json:"endNs"`
	Cause   Cause `json:"cause"`
}

// Marker is an event worth showing beside the archive: all but anchors, archive, access and export events.
type Marker struct {
	Seq         uint64 `json:"seq"`
	AtNS        int64  `json:"atNs"` // within 0 … DurationNS; what lies outside stands at its edge
	Type        string `json:"type"`
	Participant string `json:"participant,omitempty"`
}
