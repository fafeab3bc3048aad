package directory

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked on machines that have no list of them
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"consilium/internal/events"
)

// DefaultLanguage stands where nobody named one.
const DefaultLanguage = "en"

// MaxText is how many characters (code points) a title, a name or an external reference may have.
const MaxText = 200

// ErrInvalid is what every *InvalidError is.
var ErrInvalid = errors.New("not acceptable in the directory")

// InvalidError says which text is not acceptable and why, in words for the person who typed it. It never repeats the
// text.
type InvalidError struct {
	Field   string // "title", "name", "external reference", "language", "time zone", …
	Problem string // "is longer than 200 characters"
}

func (e *InvalidError) Error() string { return "the " + e.Field + " " + e.Problem }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Text cleans what a person typed for one line of text: one form for the same letters (NFC), no control characters,
// nothing that turns the direction of what follows or hides it, white space collapsed. Joiners that scripts need stay.
// An empty result is an error if the field is required.
func Text(field, text string, required bool) (string, error) {
	if !utf8.ValidString(text) {
		return "", &InvalidError{field, "is not valid UTF-8"}
	}
	if len(text) > 100*MaxText {
		return "", tooLong(field)
	}
	clean := strings.Join(strings.Fields(strings.Map(visible, norm.NFC.String(text))), " ")
	// Once more: what stood between two characters may have kept them from becoming one.
	clean = norm.NFC.String(clean)
	if utf8.RuneCountInString(clean) > MaxText {
		return "", tooLong(field)
	}
	if !strings.ContainsFunc(clean, inked) {
		clean = ""
	}
	if clean == "" && required {
		return "", &InvalidError{field, "is missing"}
	}
	return clean, nil
}

func tooLong(field string) error {
	return &InvalidError{field, fmt.Sprintf("is longer than %d characters", MaxText)}
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// visible drops what has no place in one line of text: format characters (bidirectional overrides, isolates and marks,
// invisible operators, tags, byte order marks) and control characters. White space becomes a space.
func visible(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == zeroWidthJoiner, r == zeroWidthNonJoiner:
		return r
	case unicode.In(r, unicode.Cc, unicode.Cf):
		return -1
	default:
		return r
	}
}

// inked says whether the character leaves a mark by itself: a text of joiners and accents alone is an empty one.
func inked(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r)
}

// Clean gives c as the directory will hold it. The error is an *InvalidError.
func (c Consultation) Clean() (Consultation, error) {
	err := checkID("consultation", c.ID)
	if err != nil {
		return Consultation{}, err
	}
	if c.Title, err = Text("title", c.Title, true); err != nil {
		return Consultation{}, err
	}
	if c.ExternalRef, err = Text("external reference", c.ExternalRef, false); err != nil {
		return Consultation{}, err
	}
	if c.Language, err = Language(c.Language); err != nil {
		return Consultation{}, err
	}
	if c.TimeZone, err = TimeZone(c.TimeZone); err != nil {
		return Consultation{}, err
	}
	all := make(Participants, len(c.Participants))
	for i, p := range c.Participants {
		if all[i], err = p.Clean(); err != nil {
			return Consultation{}, err
		}
	}
	c.Participants = all
	return c, nil
}

// Clean gives p as the directory will hold it. The error is an *InvalidError.
func (p Participant) Clean() (Participant, error) {
	err := checkID("participant", p.ID)
	if err != nil {
		return Participant{}, err
	}
	p.Name, err = Text("name", p.Name, true)
	return p, err
}

// Language gives the canonical form of a BCP 47 tag; none becomes DefaultLanguage.
func Language(tag string) (string, error) {
	if tag == "" {
		return DefaultLanguage, nil
	}
	if len(tag) > 35 { // RFC 5646 §4.4.1
		return "", &InvalidError{"language", "is too long"}
	}
	t, err := language.Parse(tag)
	if err != nil {
		return "", &InvalidError{"language", "is not a language tag such as de or pt-BR"}
	}
	return t.String(), nil
}

// TimeZone checks an IANA name; none becomes UTC. "Local" is nobody's time zone but this machine's.
func TimeZone(name string) (string, error) {
	if name == "" {
		return "UTC", nil
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return "", &InvalidError{"time zone", "is not a name such as Europe/Berlin"}
	}
	return name, nil
}

func checkID(of, id string) error {
	if !events.ValidID(id) {
		return &InvalidError{"id of the " + of, "is not a UUID"}
	}
	return nil
}
