package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Tenant is the only tenant until there are several.
const Tenant = "main"

// NoHash is the prevhash of the first event of a consultation: 64 zeros.
const NoHash = "0000000000000000000000000000000000000000000000000000000000000000"

// Draft is a fact on its way into the log. Its place in the consultation (seq, prevhash) is decided by Log.Append.
type Draft struct {
	ID          string    // UUIDv7, minted once: the same fact keeps it over every retry
	Source      string    // "/live/NODE" or "/stitcher/NODE"
	Time        time.Time // conference clock where there is one
	Participant string    // whom it is about, or empty
	Actor       string    // who did it, or empty
	CausationID string    // the id of the event that led to it, or empty
	Event       Event
}

// NewDraft mints an id for e.
func NewDraft(source string, at time.Time, e Event) Draft {
	return Draft{ID: NewID(), Source: source, Time: at, Event: e}
}

// NewID mints a UUIDv7 in text.
func NewID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// ValidID says whether id is a UUID in its canonical text form: nothing else may become a subject, a key or a path.
func ValidID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// Envelope is the stored form of an event: one line of JSON with CloudEvents 1.0 names.
type Envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        Type            `json:"type"`
	TypeVersion int             `json:"typeversion"`
	Subject     string          `json:"subject"` // consultation
	Seq         uint64          `json:"seq"`     // 1, 2, 3 … in the consultation
	Time        time.Time       `json:"time"`
	Participant string          `json:"participant,omitempty"`
	Actor       string          `json:"actor,omitempty"`
	CausationID string          `json:"causationid,omitempty"`
	PrevHash    string          `json:"prevhash"` // hex SHA-256 of the stored bytes of seq-1
	Data        json.RawMessage `json:"data"`
}

// Decode gives the fact in the newest form of its type, or Unknown.
func (e Envelope) Decode() (Event, error) {
	return decode(e.Type, e.TypeVersion, e.Data)
}

// Stored is an event as the log holds it.
type Stored struct {
	Envelope
	Event  Event  // decoded from Data
	Raw    []byte // the stored bytes; never changed, never encoded again
	Stream uint64 // place in the whole log: 1, 2, 3 …
}

// Hash is the hex SHA-256 of the stored bytes: the prevhash of the event after it.
func (s Stored) Hash() string {
	return HashOf(s.Raw)
}

// Version is the version of the consultation after this event.
func (s Stored) Version() Version {
	return Version{Seq: s.Seq, Stream: s.Stream, Hash: s.Hash()}
}

// HashOf is the hex SHA-256 of stored bytes.
func HashOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// MaxSize is how many bytes a stored event may have. What is larger goes to the blob store and is named in the event.
const MaxSize = 512 << 10

// Seal gives d its place directly after the version after and encodes it. The returned version lacks the stream
// sequence, which only the log can give. A draft that Seal refuses can never be stored: to try again is useless.
func Seal(consultation string, after Version, d Draft) ([]byte, Version, error) {
	if err := check(consultation, d); err != nil {
		return nil, Version{}, err
	}
	name, version := d.Event.kind()
	data, err := json.Marshal(d.Event)
	if err != nil {
		return nil, Version{}, fmt.Errorf("seal %s: %w", name, err)
	}
	prev := after.Hash
	if after.Seq == 0 {
		prev = NoHash
	}
	raw, err := json.Marshal(Envelope{
		SpecVersion: "1.0", ID: d.ID, Source: d.Source, Type: name, TypeVersion: version, Subject: consultation,
		Seq: after.Seq + 1, Time: d.Time.UTC(), Participant: d.Participant, Actor: d.Actor, CausationID: d.CausationID,
		PrevHash: prev, Data: data,
	})
	if err != nil {
		return nil, Version{}, fmt.Errorf("seal %s: %w", name, err)
	}
	if len(raw) > MaxSize {
		return nil, Version{}, fmt.Errorf("seal %s: %d bytes are more than an event may have (%d)", name, len(raw), MaxSize)
	}
	return raw, Version{Seq: after.Seq + 1, Hash: HashOf(raw)}, nil
}

// check refuses drafts that cannot be repaired once they are stored. The id becomes a message header, so only the
// canonical form of a UUID passes.
func check(consultation string, d Draft) error {
	if d.Event == nil {
		return errors.New("seal event: no event in the draft")
	}
	name := TypeOf(d.Event)
	switch {
	case !ValidID(consultation):
		return fmt.Errorf("seal %s: consultation id %q is not a UUID", name, consultation)
	case !ValidID(d.ID):
		return fmt.Errorf("seal %s: event id %q is not a UUID", name, d.ID)
	case d.Source == "":
		return fmt.Errorf("seal %s: no source", name)
	case d.Time.IsZero():
		return fmt.Errorf("seal %s: no time", name)
	}
	if _, ok := d.Event.(Unknown); ok {
		return fmt.Errorf("seal %s: the type is unknown here and cannot be written", name)
	}
	return nil
}

// Open reads stored bytes back. It keeps raw; the caller must not change it afterwards.
func Open(raw []byte, stream uint64) (Stored, error) {
	if bytes.IndexByte(raw, '\n') >= 0 {
		return Stored{}, errors.New("open event: stored bytes hold a newline")
	}
	var env Envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return Stored{}, fmt.Errorf("open event: %w", err)
	}
	if env.Seq == 0 || env.Type == "" || len(env.Data) == 0 || !ValidID(env.Subject) {
		return Stored{}, errors.New("open event: not an envelope (seq, type, subject or data is missing)")
	}
	if env.Data[0] != '{' {
		return Stored{}, fmt.Errorf("open event %d of %s: its data is no object", env.Seq, env.Subject)
	}
	e, err := env.Decode()
	if err != nil {
		return Stored{}, fmt.Errorf("open event %d of %s: %w", env.Seq, env.Subject, err)
	}
	return Stored{Envelope: env, Event: e, Raw: raw, Stream: stream}, nil
}

// Subject is the NATS subject of an event: ev.<tenant>.<consultation>.<type>, the dot of the type as underscore.
func Subject(consultation string, t Type) string {
	return "ev." + Tenant + "." + consultation + "." + strings.ReplaceAll(string(t), ".", "_")
}

// ConsultationSubject matches every event of a consultation.
func ConsultationSubject(consultation string) string {
	return "ev." + Tenant + "." + consultation + ".>"
}

// SubjectOfAll matches the events of one type in every consultation.
func SubjectOfAll(t Type) string {
	return "ev." + Tenant + ".*." + strings.ReplaceAll(string(t), ".", "_")
}
