// Package failures is the table of what can keep a participant out or silent: a stable code for each, the phase in which
// it happens, one sentence for the patient in each language of the pages, and one for the operator.
//
// Nothing comes in; out goes the table, which events take their codes from, and of which docs/failures.md and the
// sentences of the pages (web/src/text/failures.ts) are made. It notices no failure and decides nothing.
//
// # Adding one
//
// Add a constant and a row to Table: a code in capitals with hyphens that will never change its meaning, a phase, who
// notices it and which event carries it, sentences that say what the reader can do. Then run
// go test ./internal/failures -update, which writes both files. A test compares them, and fails on a row that lacks a
// sentence.
package failures

// Code is a stable name of a failure. It stands in events, logs, metrics and on the screen.
type Code string

// The codes.
const (
	TokenExpired Code = "TOKEN-EXPIRED"
	TokenEarly   Code = "TOKEN-EARLY"
	TokenInvalid Code = "TOKEN-INVALID"

	PageInsecure Code = "PAGE-INSECURE"
	BrowserOld   Code = "BROWSER-UNSUPPORTED"
	CamDenied    Code = "CAM-DENIED"
	MicDenied    Code = "MIC-DENIED"
	CamBusy      Code = "CAM-BUSY"
	MicBusy      Code = "MIC-BUSY"
	NoCamera     Code = "NO-CAMERA"
	NoMicrophone Code = "NO-MICROPHONE"
	NoDevice     Code = "NO-DEVICE"
	CamFailed    Code = "CAM-FAILED"
	MicFailed    Code = "MIC-FAILED"
	MicSilent    Code = "MIC-SILENT"

	NetUDPBlocked Code = "NET-UDP-BLOCKED"
	NetBlocked    Code = "NET-BLOCKED"

	SignalingLost    Code = "SIG-LOST"
	SignalingTimeout Code = "SIGNALING-TIMEOUT"
	ICETimeout       Code = "ICE-TIMEOUT"
	DTLSTimeout      Code = "DTLS-TIMEOUT"
	DTLSFail         Code = "DTLS-FAIL"
	MediaTimeout     Code = "MEDIA-TIMEOUT"
	MediaStall       Code = "MEDIA-STALL"
)

// The phases, in order. Those of connecting are spelled as in events.
const (
	PhaseLink      = "link"
	PhaseDevice    = "device"
	PhaseNetwork   = "network"
	PhaseSignaling = "signaling"
	PhaseICE       = "ice"
	PhaseDTLS      = "dtls"
	PhaseMedia     = "media"
)

// Teller is who notices a failure.
type Teller string

// The tellers. What a page tells is believed as far as its participant goes.
const (
	ByServer Teller = "server"
	ByPage   Teller = "page"
)

// Events that carry a code.
const (
	inTimedOut = "connection.timed_out"
	inHindered = "participant.hindered"
	inStalled  = "track.stalled"
	inNone     = "" // the operator's log only: nobody knows whose link it is
)

// Failure is one row of the table.
type Failure struct {
	Code  Code
	Phase string
	By    Teller
	Event string // type of the event that carries the code, "" for none
	When  string // what is noticed, for documents
	// Patient holds one sentence by language (BCP 47): what happened and what helps, without a word of technology.
	Patient map[string]string
	// Operator is one sentence: where to look.
	Operator string
}

// Languages are those that every row has a sentence in.
var Languages = []string{"en", "de"}

// Of finds the row of a code.
func Of(code Code) (Failure, bool) {
	for _, f := range Table {
		if f.Code == code {
			return f, true
		}
	}
	return Failure{}, false
}

// Told finds the row of a code that a page may tell of.
func Told(code Code) (Failure, bool) {
	f, ok := Of(code)
	return f, ok && f.By == ByPage
}
