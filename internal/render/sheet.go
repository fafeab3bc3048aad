package render

import (
	"strings"
	"time"
	"unicode"

	"consilium/internal/sheet"
)

// nameOn is how a participant is called in the archive: the name on the sheet or, where it is empty, the role in the
// sheet's language.
func nameOn(s sheet.Sheet, id, role string) string {
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

// locationOf is where the sheet's clock hangs; UTC when the zone is unknown.
func locationOf(s sheet.Sheet) *time.Location {
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
