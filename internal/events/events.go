// Package events is the vocabulary of the log: every fact that can happen in a consultation, its JSON form and
// version, the envelope that carries it, and the contract of the log that stores it.
//
// In come typed facts (Event) and stored bytes; out go stored bytes and typed facts. The package touches no network,
// disk or clock and imports nothing of ours. docs/events.md has a row for each type.
package events

import "time"

// Event is one fact about a consultation. The interface is sealed: only this package declares facts, so that every
// type has a decoder, a golden file and a row in docs/events.md.
type Event interface {
	// kind is the noun.verb name and the version of the JSON form.
	kind() (Type, int)
}

// Type is the noun.verb name of an event type, for instance "participant.joined".
type Type string

// TypeOf names the type of e.
func TypeOf(e Event) Type {
	t, _ := e.kind()
	return t
}

// Policy says whether a consultation is recorded.
type Policy string

// The recording policies. Required is the default: to record is what a consultation is held here for.
const (
	PolicyRequired  Policy = "required"  // who does not consent stays out
	PolicyOptional  Policy = "optional"  // who does not consent takes part unrecorded
	PolicyForbidden Policy = "forbidden" // nothing is ever written
)

// ConsultationScheduled is the first event of every consultation but of one that was rebuilt from its files.
type ConsultationScheduled struct {
	Policy   Policy `json:"policy"`
	Layout   string `json:"layout"`   // default layout of archives, "grid"
	Language string `json:"language"` // BCP 47
}

// ConsultationOpened says that the first participant is about to join.
type ConsultationOpened struct {
	Policy   Policy `json:"policy"`
	Layout   string `json:"layout"`
	Language string `json:"language"`
}

// Reasons of ConsultationReindexed.
const (
	ReindexedLogLost = "log_lost" // the log did not know the consultation, its files were there
)

// ConsultationReindexed says, before anything else, that what follows was not observed but rebuilt from the sidecars of
// segment files: their times and clocks are true, who was present when follows from them, and what no file can tell is
// empty. Consent is among that: no byte is ever written without one, so nothing is asked and nothing made up.
type ConsultationReindexed struct {
	Segments int    `json:"segments"`
	Reason   string `json:"reason"`
}

// Unknown codes of a rebuilt consultation: no file tells how it ended or why somebody left.
const ReasonUnknown = "unknown"

// Reasons of ConsultationEnded.
const (
	EndedClosed    = "closed"    // the host or a service ended it
	EndedAbandoned = "abandoned" // nobody was present for 15 minutes
)

// ConsultationEnded closes the live part. It can be reopened for 15 minutes.
type ConsultationEnded struct {
	Reason string `json:"reason"`
}

// ConsultationReopened takes back a ConsultationEnded.
type ConsultationReopened struct{}

// TrackAccount is the reconciliation of one track: expected = recorded + the sum of the gaps, in milliseconds. Frames and
// Bytes are those of the whole files that the recorded time is in.
type TrackAccount struct {
	Track      string           `json:"track"`
	ExpectedMS int64            `json:"expected_ms"`
	RecordedMS int64            `json:"recorded_ms"`
	GapsMS     map[string]int64 `json:"gaps_ms"`          // by cause (timeline.Cause)
	Frames     int64            `json:"frames,omitempty"` // video frames or audio packets
	Bytes      int64            `json:"bytes,omitempty"`
}

// MissingSegment is a segment that was opened and never stored, with the cause as far as it is known.
type MissingSegment struct {
	Segment string `json:"segment"`
	Cause   string `json:"cause"`
}

// Blob points at an object of the blob store by key and digest.
type Blob struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

// QualityBlob points at the quality samples of a consultation (NDJSON).
type QualityBlob struct {
	Blob   string `json:"blob"`
	SHA256 string `json:"sha256"`
}

// ConsultationCompleted says that every segment is stored or named as missing: what the archive can be made of.
type ConsultationCompleted struct {
	Segments int              `json:"segments"`
	Missing  []MissingSegment `json:"missing"`
	Tracks   []TrackAccount   `json:"tracks"`
	Quality  *QualityBlob     `json:"quality,omitempty"`
}

// ConferenceHosted claims a consultation for one process of live. Wall is the wall clock that this epoch's conference
// clock started from.
type ConferenceHosted struct {
	Epoch int       `json:"epoch"` // 1, 2, 3 … in the consultation
	Wall  time.Time `json:"wall"`
	Node  string    `json:"node"`
	URL   string    `json:"url"`
}

// ParticipantInvited makes a participant known. For lists the participants whose consent a device needs.
type ParticipantInvited struct {
	Role string   `json:"role"`
	For  []string `json:"for,omitempty"`
}

// ParticipantJoined says that the participant is present.
type ParticipantJoined struct {
	Role string `json:"role"`
}

// Reasons of ParticipantLeft.
const (
	LeftLeft    = "left"    // by their own choice
	LeftKicked  = "kicked"  // removed by the host or a service
	LeftTimeout = "timeout" // did not come back after the connection was lost
	LeftEnded   = "ended"   // the consultation ended
)

// ParticipantLeft says that the participant is not present any more.
type ParticipantLeft struct {
	Reason string `json:"reason"`
}

// Who gave a consent.
const (
	BySelf    = "self"    // the participant, on the consent screen
	ByService = "service" // the calling system asserts it
)

// Consent is what ConsentGiven, ConsentRefused and ConsentWithdrawn say alike.
type Consent struct {
	TextSHA256 string `json:"text_sha256"` // of the text that was shown, UTF-8
	Language   string `json:"language"`
	By         string `json:"by"`
}

// ConsentGiven opens the recording gate for the participant's own tracks.
type ConsentGiven struct{ Consent }

// ConsentRefused keeps the gate closed.
type ConsentRefused struct{ Consent }

// ConsentWithdrawn closes the gate again.
type ConsentWithdrawn struct{ Consent }

// Browser is the family and the major version of a user agent, never the whole string.
type Browser struct {
	Family string `json:"family"`
	Major  int    `json:"major,omitempty"`
}

// ConnectionOpened says that a PeerConnection was made for the participant.
type ConnectionOpened struct {
	Connection string   `json:"connection"`
	Via        string   `json:"via"` // "websocket" or "whip"
	Browser    *Browser `json:"browser,omitempty"`
}

// ConnectionClosed ends a PeerConnection's life.
type ConnectionClosed struct {
	Connection string `json:"connection"`
	Reason     string `json:"reason"` // stable code
}

// ConnectionICEChanged is a change of the ICE connection state.
type ConnectionICEChanged struct {
	Connection string `json:"connection"`
	State      string `json:"state"` // new, checking, connected, completed, disconnected, failed, closed
}

// Candidate is one end of a candidate pair. Net is the address cut to /24 (IPv4) or /48 (IPv6), empty for mdns.
type Candidate struct {
	Kind      string `json:"kind"`      // host, srflx, prflx, relay, mdns
	Transport string `json:"transport"` // udp, tcp, tls
	Net       string `json:"net,omitempty"`
}

// ConnectionPairSelected says which pair of candidates carries the media.
type ConnectionPairSelected struct {
	Connection string    `json:"connection"`
	Local      Candidate `json:"local"`
	Remote     Candidate `json:"remote"`
}

// ConnectionCandidateIgnored counts remote candidates that were not used.
type ConnectionCandidateIgnored struct {
	Connection string `json:"connection"`
	Reason     string `json:"reason"` // stable code: mdns, private, limit, malformed, tcp, stale, refused
	Count      int    `json:"count"`
}

// ConnectionRestarted is an ICE restart.
type ConnectionRestarted struct {
	Connection string `json:"connection"`
}

// Phases of ConnectionTimedOut.
const (
	PhaseSignaling = "signaling"
	PhaseICE       = "ice"
	PhaseDTLS      = "dtls"
	PhaseMedia     = "media"
)

// ConnectionTimedOut says which phase of connecting passed its deadline.
type ConnectionTimedOut struct {
	Connection string `json:"connection"` // empty in the phase signaling: without an offer there is no connection
	Phase      string `json:"phase"`
	AfterMS    int64  `json:"after_ms"`
	Code       string `json:"code"` // stable code of package failures: SIGNALING-TIMEOUT, ICE-TIMEOUT, DTLS-TIMEOUT, DTLS-FAIL, MEDIA-TIMEOUT
}

// ParticipantHindered says that something keeps the participant out or silent that is no deadline of a connection: a link
// outside its time, a device, a network.
type ParticipantHindered struct {
	Connection string `json:"connection,omitempty"` // absent before there is one
	Phase      string `json:"phase"`                // link, device, network, signaling
	Code       string `json:"code"`                 // stable code of package failures
}

// Results of the parts of ParticipantChecked.
const (
	CheckOK      = "ok"
	CheckFailed  = "failed"
	CheckOff     = "off"     // switched off by the participant
	CheckSkipped = "skipped" // not looked at, or not to the end
	CheckAbsent  = "absent"  // the server has no such way
)

// CheckedWay is one way to this server that the check tried.
type CheckedWay struct {
	Way    string `json:"way"`    // udp, tcp, tls
	Result string `json:"result"` // ok, failed, skipped, absent
	MS     int64  `json:"ms"`     // until the relay answered; 0 if it did not
}

// ParticipantChecked is what the check before the call found, as the participant's page tells it.
type ParticipantChecked struct {
	Camera     string       `json:"camera"`     // ok, failed, off, skipped
	Microphone string       `json:"microphone"` // ok: it gave sound; failed, off, skipped
	Speaker    string       `json:"speaker"`    // ok: the participant heard the tone; failed, skipped
	Ways       []CheckedWay `json:"ways"`
	Codes      []string     `json:"codes"` // stable codes of package failures
	TookMS     int64        `json:"took_ms"`
}

// TrackStarted says that the first packet of a track arrived.
type TrackStarted struct {
	Connection string `json:"connection"`
	Track      string `json:"track"`
	Kind       string `json:"kind"`   // audio, video
	Source     string `json:"source"` // microphone, camera, screen, device
	Codec      string `json:"codec"`  // media.Codec
	SSRC       uint32 `json:"ssrc"`
	RID        string `json:"rid,omitempty"`
}

// TrackEnded says that no more packets of the track are expected.
type TrackEnded struct {
	Track  string `json:"track"`
	Reason string `json:"reason"` // stable code: closed, replaced, removed, consent, kicked
}

// TrackMuted is the participant's own switch, from signaling.
type TrackMuted struct {
	Track string `json:"track"`
}

// TrackUnmuted takes back a TrackMuted.
type TrackUnmuted struct {
	Track string `json:"track"`
}

// TrackStalled says that no packet came for AfterMS although the track is not muted.
type TrackStalled struct {
	Track   string `json:"track"`
	AfterMS int64  `json:"after_ms"`
	Code    string `json:"code,omitempty"` // stable code of package failures: MEDIA-STALL; absent in older events
}

// TrackResumed ends a stall that lasted AfterMS.
type TrackResumed struct {
	Track   string `json:"track"`
	AfterMS int64  `json:"after_ms"`
}

// RecordingPaused stops all writing until RecordingResumed.
type RecordingPaused struct {
	Reason string `json:"reason"` // stable code: examination, private, other
}

// RecordingResumed lets writing go on.
type RecordingResumed struct {
	Reason string `json:"reason"`
}

// SegmentOpened says that the first whole frame of a new segment file was written.
type SegmentOpened struct {
	Segment   string    `json:"segment"`
	Track     string    `json:"track"`
	SSRC      uint32    `json:"ssrc"`
	Codec     string    `json:"codec"`
	ClockRate uint32    `json:"clock_rate"` // Hz
	FirstRTP  int64     `json:"first_rtp"`  // unwrapped RTP time of the first frame
	Arrival   time.Time `json:"arrival"`    // of the first frame's last packet, conference clock
	Width     int       `json:"width,omitempty"`
	Height    int       `json:"height,omitempty"`
	Reason    string    `json:"reason"` // stable code: started, rotation, ssrc, codec, resolution, discontinuity, silence, unmuted, resumed, loss
}

// Kinds of Anchor, best first.
const (
	AnchorSR      = "sr"      // RTCP sender report (RFC 3550 §6.4.1)
	AnchorACT     = "act"     // abs-capture-time header extension
	AnchorArrival = "arrival" // the packet with the least delay since the anchor before; NTP is absent
)

// Anchor is one observation of a sender's clock: at RTP time RTP the sender's NTP clock showed NTP, as we learnt at
// Arrival on the conference clock.
type Anchor struct {
	Kind    string     `json:"kind"`
	RTP     int64      `json:"rtp"` // unwrapped like SegmentOpened.FirstRTP
	NTP     *time.Time `json:"ntp,omitempty"`
	Arrival time.Time  `json:"arrival"`
	RTTUS   int64      `json:"rtt_us,omitempty"` // round-trip time of the path at that moment
}

// SegmentAnchored carries the anchors that were observed of one SSRC since the one before.
type SegmentAnchored struct {
	Track   string   `json:"track"`
	SSRC    uint32   `json:"ssrc"`
	Anchors []Anchor `json:"anchors"`
}

// SegmentDiscontinuity says that RTP time and arrival time went apart: a frozen or jumping sender clock.
type SegmentDiscontinuity struct {
	Track          string `json:"track"`
	RTPBefore      int64  `json:"rtp_before"`
	RTPAfter       int64  `json:"rtp_after"`
	ArrivalDeltaMS int64  `json:"arrival_delta_ms"`
}

// SegmentGap is a stretch of a track, on the conference clock, for which there is no media.
type SegmentGap struct {
	Track string    `json:"track"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Cause string    `json:"cause"` // loss, stall, dtx, overrun, corrupt
}

// SegmentSealed says that the file is complete and synced. RTP times are unwrapped.
type SegmentSealed struct {
	Segment string `json:"segment"`
	LastRTP int64  `json:"last_rtp"` // of the last frame
	EndRTP  int64  `json:"end_rtp"`  // where the content ends: LastRTP plus the last audio packet's duration; LastRTP for video
	Frames  int64  `json:"frames"`   // video frames or audio packets, silence included
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Reason  string `json:"reason"` // why it was closed, codes as in SegmentOpened, and ended, muted, paused, consent, shutdown
}

// SegmentStored says that the blob store holds the segment under Key with that length and digest.
type SegmentStored struct {
	Segment string `json:"segment"`
	Key     string `json:"key"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
}

// SegmentRecovered is a SegmentSealed after a crash.
type SegmentRecovered struct {
	Segment   string `json:"segment"`
	LastRTP   int64  `json:"last_rtp"`
	EndRTP    int64  `json:"end_rtp"`
	Frames    int64  `json:"frames"`
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
	LostBytes int64  `json:"lost_bytes"` // cut off at the end because they were no whole frame or page
}

// ArchiveRequested orders an archive: a function of the events up to ThroughSeq, without archive and access events.
type ArchiveRequested struct {
	Version    int    `json:"version"`
	ThroughSeq uint64 `json:"through_seq"`
	Layout     string `json:"layout"`
	Profile    string `json:"profile"`
	Sheet      Blob   `json:"sheet"`            // names, title, language, time zone (render sheet)
	Stamp      bool   `json:"stamp,omitempty"`  // the wall clock stands in the picture
	Voices     bool   `json:"voices,omitempty"` // each participant's sound lies beside it in a file of its own
}

// ArchiveStarted says that a stitcher took the work.
type ArchiveStarted struct {
	Version int `json:"version"`
}

// ArchiveRendered says that the archive is in the blob store.
type ArchiveRendered struct {
	Version        int    `json:"version"`
	Key            string `json:"key"`
	Bytes          int64  `json:"bytes"`
	SHA256         string `json:"sha256"`
	ManifestSHA256 string `json:"manifest_sha256"`
	DurationMS     int64  `json:"duration_ms"`
	// Unverified are the checks that could not be made, as codes; what was found wrong fails the archive instead.
	Unverified []string `json:"unverified,omitempty"`
}

// ArchiveFailed says that the archive could not be made. Code is stable; Detail points at what the tools said.
type ArchiveFailed struct {
	Version int    `json:"version"`
	Code    string `json:"code"`
	Detail  *Blob  `json:"detail,omitempty"`
}

// AccessOpened says that an archive was opened for a purpose.
type AccessOpened struct {
	Purpose string `json:"purpose"` // stable code
	Version int    `json:"version,omitempty"`
}

// Range is a stretch of an archive in milliseconds from its start.
type Range struct {
	FromMS int64 `json:"from_ms"`
	ToMS   int64 `json:"to_ms"`
}

// AccessWatched says which ranges were really watched.
type AccessWatched struct {
	Purpose string  `json:"purpose"`
	Ranges  []Range `json:"ranges"`
}

// AccessClosed ends an access.
type AccessClosed struct {
	Purpose string `json:"purpose"`
}

// ExportMade says that something was taken out of the system.
type ExportMade struct {
	Kind   string `json:"kind"`
	SHA256 string `json:"sha256"`
}

// Unknown keeps an event that a newer writer stored: never dropped, never encoded again.
type Unknown struct {
	Name    Type
	Version int
	Raw     []byte
}

// Reasons of HoldPlaced: for what nothing of the consultation may be deleted.
const (
	HoldLitigation    = "litigation"      // a court case that is there or to be expected
	HoldAuthority     = "authority"       // an authority or an insurer examines it
	HoldComplaint     = "complaint"       // a patient's complaint
	HoldIncident      = "incident"        // harm to a patient, or what could have become one
	HoldPatient       = "patient_request" // the patient wants it kept, or its use restricted
	HoldAudit         = "audit"           // an audit of one's own
	HoldOther         = "other"
	ReleaseResolved   = "resolved"   // what it was for is over
	ReleaseMistake    = "mistake"    // it should not have been placed
	ReleaseSuperseded = "superseded" // another hold takes its place
	ReleaseOther      = "other"
)

// HoldReasons and ReleaseReasons list the codes in the order in which people are asked.
var (
	HoldReasons    = []string{HoldLitigation, HoldAuthority, HoldComplaint, HoldIncident, HoldPatient, HoldAudit, HoldOther}
	ReleaseReasons = []string{ReleaseResolved, ReleaseMistake, ReleaseSuperseded, ReleaseOther}
)

// HoldPlaced forbids that anything of the consultation is deleted, until HoldReleased. There may be several holds at a
// time; each has an id of its own and is released by itself. The case that it is for stands in the directory, not here.
type HoldPlaced struct {
	Hold   string `json:"hold"`
	Reason string `json:"reason"` // one of HoldReasons
	By     string `json:"by"`     // role of the actor
}

// HoldReleaseRequested asks a second person to release a hold. The hold stays until that person does.
type HoldReleaseRequested struct {
	Hold   string `json:"hold"`
	Reason string `json:"reason"` // one of ReleaseReasons
	By     string `json:"by"`     // role of the actor
}

// HoldReleaseDeclined takes a HoldReleaseRequested off the table: a second person refused it, or the first took it back.
type HoldReleaseDeclined struct {
	Hold string `json:"hold"`
	By   string `json:"by"` // role of the actor
}

// HoldReleased ends a hold. Its actor is never the one who requested it.
type HoldReleased struct {
	Hold   string `json:"hold"`
	Reason string `json:"reason"` // of the request
	By     string `json:"by"`     // role of the actor
}
