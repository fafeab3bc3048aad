// Package failures is the table of what can keep a participant out or silent: a stable code for each, the phase in which
// it happens, one sentence for the patient in each language of the pages, and one for the operator.
//
// Nothing comes in; out goes the table, which events take their codes from and docs/failures.md is made of. It notices
// no failure and decides nothing.
//
// # Adding one
//
// Add a constant and a row to Table: a code in capitals with hyphens that will never change its meaning, a phase of
// package events, sentences that say what the reader can do. Then run go test ./internal/failures -update, which writes
// docs/failures.md. A test compares both, and fails on a row that lacks a sentence.
package failures

// Code is a stable name of a failure. It stands in events, logs, metrics and on the screen.
type Code string

// The codes.
const (
	SignalingTimeout Code = "SIGNALING-TIMEOUT"
	ICETimeout       Code = "ICE-TIMEOUT"
	DTLSFail         Code = "DTLS-FAIL"
	MediaTimeout     Code = "MEDIA-TIMEOUT"
)

// Failure is one row of the table.
type Failure struct {
	Code  Code
	Phase string // of connecting: signaling, ice, dtls, media
	When  string // what is noticed, for documents
	// Patient holds one sentence by language (BCP 47): what happened and what helps, without a word of technology.
	Patient map[string]string
	// Operator is one sentence: where to look.
	Operator string
}

// Languages are those that every row has a sentence in.
var Languages = []string{"en", "de"}

// Table is every failure, in the order of the phases.
var Table = []Failure{
	{
		Code: SignalingTimeout, Phase: "signaling",
		When: "a participant has joined and its page offers no connection",
		Patient: map[string]string{
			"en": "Your page has stopped responding; please reload it.",
			"de": "Ihre Seite reagiert nicht mehr; bitte laden Sie sie neu.",
		},
		Operator: "The WebSocket works and no offer came over it: look for an old browser, an extension that blocks WebRTC, or a page that waits for a camera prompt.",
	},
	{
		Code: ICETimeout, Phase: "ice",
		When: "no way between the browser and the media port was found",
		Patient: map[string]string{
			"en": "Your network does not let the call through; please try mobile data or another Wi-Fi.",
			"de": "Ihr Netzwerk lässt das Gespräch nicht durch; bitte versuchen Sie es mit mobilen Daten oder einem anderen WLAN.",
		},
		Operator: "Neither UDP nor TCP nor the relay was reached: check that both port numbers are open to the outside, CONSILIUM_PUBLIC_ADDR behind NAT, and that TLS is spoken on the port.",
	},
	{
		Code: DTLSFail, Phase: "dtls",
		When: "a way was found and the keys could not be exchanged over it",
		Patient: map[string]string{
			"en": "The secure connection could not be made; please update your browser or try another one.",
			"de": "Die sichere Verbindung kam nicht zustande; bitte aktualisieren Sie Ihren Browser oder nehmen Sie einen anderen.",
		},
		Operator: "Packets pass and DTLS does not: look for a network that drops large packets (MTU), or a device that takes WebRTC apart.",
	},
	{
		Code: MediaTimeout, Phase: "media",
		When: "the connection stands and not one packet of sound or picture came over it",
		Patient: map[string]string{
			"en": "We neither see nor hear you yet; please check that your camera and microphone are on and not used by another program.",
			"de": "Wir sehen und hören Sie noch nicht; bitte prüfen Sie, ob Kamera und Mikrofon eingeschaltet und von keinem anderen Programm belegt sind.",
		},
		Operator: "The page said that it sends and does not: a camera that another program holds, a device that sleeps, or a browser that suspended the page.",
	},
}

// Of finds the row of a code.
func Of(code Code) (Failure, bool) {
	for _, f := range Table {
		if f.Code == code {
			return f, true
		}
	}
	return Failure{}, false
}
