// Package webhook tells other systems over HTTP what happens, after the Standard Webhooks specification 1.0.
//
// In come the events of the log and addresses that somebody entitled has named; out go small signed messages: the type of
// an event, its place and the ids of what it is about. A message never holds a name, a title or media, and a request never
// goes to an address that the rules do not allow. Every message is delivered at least once and, within a consultation, in
// the order of seq; what was not delivered is kept and can be seen, and everything can be told again.
package webhook

import (
	"errors"
	"fmt"
	"time"

	"consilium/internal/events"
)

// ErrNotFound says that there is no such endpoint, or no such letter.
var ErrNotFound = errors.New("no such webhook")

// InvalidError says which field of a request cannot be taken, in words for the person who asked.
type InvalidError struct{ Field, Reason string }

// Error is a sentence without its full stop.
func (e *InvalidError) Error() string { return e.Reason }

func invalid(field, reason string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

// State of an endpoint.
type State string

// The states.
const (
	Active    State = "active"
	Paused    State = "paused"    // by a person
	Suspended State = "suspended" // by itself: Reason says why, and nothing is lost
)

// Why an endpoint is suspended.
const (
	ReasonGone     = "gone"   // the receiver answered 410
	ReasonAway     = "away"   // nobody has taken anything for as long as Config.GiveUp
	ReasonOtherLog = "log"    // the log is another one than the position counts in, or shorter
	ReasonSecret   = "secret" // the secret was encrypted with another API secret
	ReasonAddress  = "rules"  // the rules do not allow the URL any more
	maxEndpoints   = 50       // each follows the log for itself
	oldSecretFor   = 24 * time.Hour
)

// Endpoint is one receiver.
type Endpoint struct {
	ID          string
	URL         string
	Types       []events.Type // empty: Announced
	CreatedAt   time.Time
	CreatedBy   string     // actor
	OldUntil    *time.Time // until then the secret before signs as well
	Position    uint64     // stream sequence: every event up to here is delivered, set aside, or of no concern
	State       State
	Reason      string
	Attempts    int // in vain, one after another, since the receiver is away
	AwaySince   *time.Time
	NextAt      *time.Time // of the next attempt while it is away
	LastCode    string     // of the newest failure since the newest success
	DeliveredAt *time.Time // newest success
	Waiting     int        // letters that are tried again
	Dead        int        // letters that were given up
}

// Letter is an event that a receiver has refused, or one behind it in the same consultation.
type Letter struct {
	Position     uint64 // stream sequence
	Consultation string
	Seq          uint64
	Event        string // id, as in webhook-id
	Type         events.Type
	Dead         bool
	Attempts     int
	Code         string // of the newest failure; empty: never tried
	SetAsideAt   time.Time
	NextAt       time.Time
}
