package store

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"consilium/internal/consultation"
	"consilium/internal/events"
)

// conditions is the text after "where" and its arguments. Only numbers of arguments and our own words get into the text.
type conditions struct {
	all  []string
	args []any
}

// add takes a condition with a ? for each value.
func (c *conditions) add(condition string, values ...any) {
	for _, v := range values {
		c.args = append(c.args, v)
		condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.all = append(c.all, condition)
}

func (c *conditions) text() string { return strings.Join(c.all, " and ") }

// where turns f into a condition, but for its words.
func (f Filter) where() (conditions, error) {
	var c conditions
	for _, part := range []func(*conditions) error{f.whose, f.when, f.which} {
		if err := part(&c); err != nil {
			return c, err
		}
	}
	if len(c.all) == 0 {
		c.add("true")
	}
	return c, nil
}

// whose bounds the list to what the asker may see or asks for by id.
func (f Filter) whose(c *conditions) error {
	if f.Own && f.Consultation == "" {
		c.add("false")
	}
	if f.Consultation != "" {
		if !events.ValidID(f.Consultation) {
			return invalid("consultation", "the consultation's id is not a UUID")
		}
		c.add("c.id = ?", f.Consultation)
	}
	if f.Participant != "" {
		c.add("exists (select from readmodel.participants p where p.consultation = c.id and p.id = ?)", ident(f.Participant))
	}
	return nil
}

func (f Filter) when(c *conditions) error {
	if !f.From.IsZero() {
		c.add("c.held_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		c.add("c.held_at < ?", f.To)
	}
	if f.Cursor == "" {
		return nil
	}
	at, err := parseCursor(f.Cursor)
	if err != nil {
		return err
	}
	c.add("(c.held_at, c.id) < (?, ?)", at.heldAt, at.id.String())
	return nil
}

// which are the columns with few values. The conditions without an argument are those of the partial indexes.
func (f Filter) which(c *conditions) error {
	if f.State != "" {
		if !validState(f.State) {
			return invalid("state", "there is no such state")
		}
		c.add("c.state = ?", f.State)
	}
	switch {
	case f.Problem == "":
	case f.Problem == NoProblem:
		c.add("c.problems = '{}'")
	case f.Problem == AnyProblem:
		c.add("c.problems <> '{}'")
	case slices.Contains(Problems, f.Problem):
		c.add("c.problems <> '{}' and c.problems @> array[?]::text[]", f.Problem)
	default:
		return invalid("problem", "there is no such problem")
	}
	switch consultation.Answer(f.Consent) {
	case "":
	case consultation.Given:
		c.add("c.consents = '{given}'")
	case consultation.Refused, consultation.Withdrawn, ConsentNone:
		c.add("c.consents <> '{given}' and c.consents @> array[?]::text[]", f.Consent)
	default:
		return invalid("consent", "there is no such answer")
	}
	return f.held(c)
}

func (f Filter) held(c *conditions) error {
	switch f.Held {
	case "":
	case HeldYes:
		c.add("c.holds > 0")
	case HeldNo:
		c.add("c.holds = 0")
	case HeldAsked:
		c.add("c.holds > 0 and c.release_asked_at > now() - ?::interval", consultation.ReleaseWithin)
	default:
		return invalid("held", "there is no such state of holds")
	}
	return nil
}

// words are searches in texts, one after the other: of title, reference and names together (query), and of one name
// (person). They are empty when nothing is searched for.
func (f Filter) words(c *conditions) (query, person string, err error) {
	search := func(field, text, column string) (string, error) {
		terms, err := termsOf(field, text)
		if err != nil || len(terms) == 0 {
			return "", err
		}
		all := conditions{args: c.args}
		for _, term := range terms {
			all.add(column+" "+match(term), term)
		}
		c.args = all.args
		return all.text(), nil
	}
	if query, err = search("query", f.Query, "d.search"); err != nil {
		return "", "", err
	}
	person, err = search("person", f.Person, "n.search")
	return query, person, err
}

// match is how a folded text is compared with a term. Part of a word is enough, but for one or two letters, which would
// be in nearly every text: those count where a word begins.
func match(term string) string {
	short := utf8.RuneCountInString(term) <= 2
	for _, r := range term {
		short = short && (unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	if short {
		return "~ directory.starts(?)"
	}
	return "like directory.contains(?)"
}

func (f Filter) limit() (int, error) {
	switch {
	case f.Limit == 0:
		return DefaultLimit, nil
	case f.Limit < 0 || f.Limit > MaxLimit:
		return 0, invalid("limit", "a page has between 1 and %d rows", MaxLimit)
	default:
		return f.Limit, nil
	}
}

func termsOf(field, text string) ([]string, error) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxQuery {
		return nil, invalid(field, "the search text is longer than %d characters or not valid UTF-8", maxQuery)
	}
	terms := strings.Fields(plain(text))
	if len(terms) > maxTerms {
		return nil, invalid(field, "the search text has more than %d words", maxTerms)
	}
	return terms, nil
}

func validState(s consultation.Phase) bool {
	switch s {
	case consultation.Scheduled, consultation.Open, consultation.Ended, consultation.Completed, consultation.Archived:
		return true
	default:
		return false
	}
}
