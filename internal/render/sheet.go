package render

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
)

// Sheet is a render sheet: all that an archive's maker learns of names. Its JSON is what the blob store holds under
// sheets/<consultation>/<sha256>.json.
type Sheet struct {
	Consultation string             `json:"consultation"`
	Title        string             `json:"title"`
	Language     string             `json:"language"` // BCP 47, of the words on cards and in chapters
	TimeZone     string             `json:"timeZone"` // IANA name
	Participants []SheetParticipant `json:"participants"`
}

// SheetParticipant is one participant on a render sheet.
type SheetParticipant struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// LogValue keeps names out of logs.
func (s Sheet) LogValue() slog.Value { return slog.StringValue("sheet of " + s.Consultation) }

// ParseSheet reads the JSON of a sheet.
func ParseSheet(b []byte) (Sheet, error) {
	var s Sheet
	if err := json.Unmarshal(b, &s); err != nil {
		return Sheet{}, fmt.Errorf("read render sheet: %w", err)
	}
	return s, nil
}

// Name is how a participant is called in the archive: the name on the sheet or, where it is empty, the role in the
// sheet's language.
func (s Sheet) Name(id, role string) string {
	for _, p := range s.Participants {
		if p.ID != id {
			continue
		}
		if name := cleanName(p.Name); name != "" {
			return name
		}
		if role == "" {
			role = p.Role
		}
	}
	return wordsOf(s.Language).role(role)
}

// location is where the sheet's clock hangs; UTC when the zone is unknown.
func (s Sheet) location() *time.Location {
	if loc, err := time.LoadLocation(s.TimeZone); err == nil {
		return loc
	}
	return time.UTC
}

// maxName bounds a name in runes: more does not fit on a tile.
const maxName = 80

// cleanName leaves what can be drawn on one line. Controls that turn the reading direction around go too: a name must
// not be able to look like another text.
func cleanName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar, unicode.IsControl(r), isDirectionControl(r):
			return -1
		}
		return r
	}, name)
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > maxName {
		clean = string(runes[:maxName-1]) + "…"
	}
	return clean
}

// isDirectionControl says whether r overrides, embeds or isolates a reading direction (UAX 9).
func isDirectionControl(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}
