package events

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// row is one line of the tables of docs/events.md: | `type` | v | data | written by | read by |
var row = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\| (\\d+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")

func TestEveryTypeHasARowInTheDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[Type][]string{}
	var names []Type
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		names = append(names, Type(m[1]))
		rows[Type(m[1])] = m
	}
	slices.Sort(names)
	if diff := cmp.Diff(Types(), names); diff != "" {
		t.Errorf("types without a row (-) or rows of no type (+):\n%s", diff)
	}
	for _, e := range examples {
		name, version := e.kind()
		m := rows[name]
		if m == nil {
			continue
		}
		if m[2] != strconv.Itoa(version) {
			t.Errorf("%s: the document says version %s, the code writes %d", name, m[2], version)
		}
		// Rows that repeat a field say "as above", but name it all the same.
		for _, field := range fieldsOf(reflect.TypeOf(e)) {
			if !strings.Contains(m[3], "`"+field+"`") {
				t.Errorf("%s: the document does not explain the field %s", name, field)
			}
		}
	}
}

// fieldsOf lists the JSON names of a struct and of the structs in it.
func fieldsOf(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return fieldsOf(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return nil
		}
	default:
		return nil
	}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
		names = append(names, fieldsOf(f.Type)...)
	}
	return names
}

func TestTheDocumentsExampleIsAnEvent(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```json\n")
	example, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		t.Fatal("no example in the document")
	}
	s, err := Open([]byte(example), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Event.(ParticipantJoined); !ok {
		t.Errorf("the example is a %T", s.Event)
	}
	// The names of the envelope are in the table, and the table has no others.
	var envelope map[string]json.RawMessage
	full, _, err := Seal(consultation, Version{}, draftOf(ConsultationReopened{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(full, &envelope); err != nil {
		t.Fatal(err)
	}
	for name := range envelope {
		if !regexp.MustCompile("(?m)^\\|.*`" + name + "`.* \\|").Match(doc) {
			t.Errorf("the document does not explain %s of the envelope", name)
		}
	}
}
