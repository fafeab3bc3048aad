// Package signaling is the WebSocket between a browser and the conference: typed messages of the protocol
// consilium.v1, one handler function each.
//
// In come JSON messages of one participant; out go JSON messages and calls on the conference. It never decides who may
// do what (package consultation does) and never touches media.
package signaling

import (
	"consilium/internal/conference"
	"consilium/internal/events"
	"consilium/internal/media"
)

// Subprotocol is the WebSocket subprotocol that both sides must name.
const Subprotocol = "consilium.v1"

// Every message is one JSON object in one text frame with a field "type". A client's message may carry "id"; the answer
// to it carries the same number in "re".

// Client messages.

// Hello is the first message: who am I. The server answers Welcome or Error.
type Hello struct {
	Token string `json:"token,omitempty"` // join token; absent when the session cookie speaks
}

// Join asks to be present. It needs the participant's answer to the recording notice first. The server answers with
// State.
type Join struct{}

// OfferedTrack says what a sending m-line of an offer carries.
type OfferedTrack struct {
	MID    string       `json:"mid"`
	Source media.Source `json:"source"`
	Muted  bool         `json:"muted,omitempty"`
}

// Offer carries an SDP offer. The client always offers, the server only answers, with Answer.
type Offer struct {
	SDP    string         `json:"sdp"`
	Tracks []OfferedTrack `json:"tracks"`
	// New asks for a new PeerConnection; otherwise the offer belongs to the one that exists, if it does.
	New bool `json:"new,omitempty"`
}

// Candidate is one trickled ICE candidate, in both directions. An empty Candidate ends them.
type Candidate struct {
	Candidate     string  `json:"candidate"`
	SDPMid        *string `json:"sdpMid,omitempty"`
	SDPMLineIndex *uint16 `json:"sdpMLineIndex,omitempty"`
}

// Mute tells that the participant switched a source off or on.
type Mute struct {
	Source media.Source `json:"source"`
	Muted  bool         `json:"muted"`
}

// Hindered tells what keeps the participant out or silent as far as its page knows: the whole list of codes, empty when
// nothing does (docs/failures.md). There is no answer.
type Hindered struct {
	Codes []string `json:"codes"`
}

// CheckedWay is one way to this server that the check before the call tried.
type CheckedWay struct {
	Way    string `json:"way"`    // udp, tcp, tls
	Result string `json:"result"` // ok, failed, skipped, absent
	MS     int64  `json:"ms"`     // until the relay answered
}

// Checked tells what the check before the call found. There is no answer.
type Checked struct {
	Camera     string       `json:"camera"`     // ok, failed, off, skipped
	Microphone string       `json:"microphone"` // ok, failed, off, skipped
	Speaker    string       `json:"speaker"`    // ok, failed, skipped
	Ways       []CheckedWay `json:"ways"`
	Codes      []string     `json:"codes"`
	TookMS     int64        `json:"tookMs"`
}

// Leave ends the participant's presence.
type Leave struct{}

// End ends the consultation for everybody; hosts only.
type End struct{}

// Ping is answered with Pong. A client that gets none for 5 s connects again.
type Ping struct{}

// Server messages.

// ICEServer is one entry for RTCConfiguration.iceServers.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Welcome answers Hello.
type Welcome struct {
	Consultation string        `json:"consultation"`
	Participant  string        `json:"participant"`
	Name         string        `json:"name"` // the participant's own
	Role         string        `json:"role"`
	Title        string        `json:"title"`
	Language     string        `json:"language"`
	Policy       events.Policy `json:"policy"`
	Consent      string        `json:"consent"` // "", given, refused, withdrawn
	Host         bool          `json:"host"`    // may end the consultation
	ICEServers   []ICEServer   `json:"iceServers"`
	State        State         `json:"state"`
}

// State is the whole truth about the consultation as this participant may see it. It is sent after Join and again after
// every change; nothing is ever sent as a difference.
type State = conference.View

// AnsweredTrack says whose track a receiving m-line of the client carries.
type AnsweredTrack struct {
	MID         string       `json:"mid"`
	Participant string       `json:"participant"`
	Track       string       `json:"track"`
	Source      media.Source `json:"source"`
}

// Answer answers Offer. Tracks names every m-line on which the server sends now.
type Answer struct {
	SDP    string          `json:"sdp"`
	Tracks []AnsweredTrack `json:"tracks"`
}

// PleaseOffer asks the client for a new offer with at least that many recvonly m-lines that carry nothing yet.
type PleaseOffer struct {
	Audio int `json:"audio"`
	Video int `json:"video"`
}

// Ended says that this participant's part is over. The server closes the WebSocket afterwards.
type Ended struct {
	Reason string `json:"reason"` // closed, abandoned, kicked, left, replaced, shutdown
}

// Moved says which node hosts the consultation now.
type Moved struct {
	URL string `json:"url"`
}

// Pong answers Ping.
type Pong struct{}

// Error answers a message that could not be followed, or tells of a failure. The connection stays open unless the code
// says otherwise (docs/signaling.md).
type Error struct {
	Code    string `json:"code"`    // stable: bad_message, unauthorized, unknown_consultation, consent_needed, not_joined, bad_sdp, sdp_too_large, no_tracks, unsupported_codec, too_many, ended, forbidden, internal
	Message string `json:"message"` // one plain sentence
}
