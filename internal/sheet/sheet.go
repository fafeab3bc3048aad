// Package sheet is the render sheet: the one document that carries names from the server to whoever makes an archive.
//
// In and out comes its JSON, which the blob store holds under sheets/<consultation>/<sha256>.json and archive.requested
// names by its digest. The log holds no name, so a sheet can be erased and the log stays whole. The package knows nothing
// of where names come from or how they are drawn.
package sheet

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Sheet is all that an archive's maker learns of names.
type Sheet struct {
	Consultation string        `json:"consultation"`
	Title        string        `json:"title"`
	Language     string        `json:"language"`     // BCP 47, of the words on cards and in chapters
	TimeZone     string        `json:"timeZone"`     // IANA name
	Participants []Participant `json:"participants"` // in the order of their ids
}

// Participant is one participant on a Sheet.
type Participant struct {
	ID   string `json:"id"`
	Name string `json:"name"` // empty when nobody knows it (any more)
	Role string `json:"role"`
}

// LogValue keeps names out of logs.
func (s Sheet) LogValue() slog.Value { return slog.StringValue("sheet of " + s.Consultation) }

// Parse reads the JSON of a sheet.
func Parse(b []byte) (Sheet, error) {
	var s Sheet
	if err := json.Unmarshal(b, &s); err != nil {
		return Sheet{}, fmt.Errorf("read render sheet: %w", err)
	}
	return s, nil
}

// Encode gives the JSON of a sheet. The same sheet gives the same bytes.
func (s Sheet) Encode() ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode render sheet of %s: %w", s.Consultation, err)
	}
	return raw, nil
}
