package events

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const consultation = "019ab000-0000-7000-8000-000000000001"

func TestEveryTypeHasOneExampleWithEveryFieldFilled(t *testing.T) {
	var names []Type
	for _, e := range examples {
		names = append(names, TypeOf(e))
		if field := emptyField(reflect.ValueOf(e)); field != "" {
			t.Errorf("the example of %s leaves %s empty", TypeOf(e), field)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(Types(), names); diff != "" {
		t.Errorf("types without an example (-) or examples of no type (+):\n%s", diff)
	}
}

// emptyField names a field of v that is zero; of a list only the first element has to be full.
func emptyField(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "a pointer"
		}
		return emptyField(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return "a list"
		}
		return emptyField(v.Index(0))
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			break
		}
		for i := range v.NumField() {
			if field := emptyField(v.Field(i)); field != "" {
				return v.Type().Field(i).Name + " (" + field + ")"
			}
		}
		return ""
	default:
	}
	if v.IsZero() {
		return v.Kind().String()
	}
	return ""
}

// The golden files are the stored form, with a newline at the end that the log does not store. Once an event of a
// version has been stored anywhere, its golden file must not change any more: new versions get new files.
func TestStoredFormIsTheGoldenFile(t *testing.T) {
	for _, e := range examples {
		name, version := e.kind()
		t.Run(string(name), func(t *testing.T) {
			path := filepath.Join("testdata", fmt.Sprintf("%s.v%d.json", name, version))
			raw, sealed, err := Seal(consultation, Version{Seq: 41, Stream: 977, Hash: other}, draftOf(e))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, append(slices.Clone(raw), '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden := readGolden(t, path)
			if diff := cmp.Diff(string(golden), string(raw)); diff != "" {
				t.Fatalf("%s (-) is not what is stored now (+):\n%s", path, diff)
			}
			got, err := Open(golden, 978)
			if err != nil {
				t.Fatal(err)
			}
			d := draftOf(e)
			want := Stored{
				Envelope: Envelope{
					SpecVersion: "1.0", ID: d.ID, Source: d.Source, Type: name, TypeVersion: version, Subject: consultation,
					Seq: 42, Time: at, Participant: d.Participant, Actor: d.Actor, CausationID: d.CausationID, PrevHash: other,
					Data: got.Data,
				},
				Event: e, Raw: golden, Stream: 978,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("opened event differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(Version{Seq: 42, Stream: 978, Hash: sealed.Hash}, got.Version()); diff != "" {
				t.Errorf("version (-want +got):\n%s", diff)
			}
		})
	}
}

func readGolden(t *testing.T, path string) []byte {
	t.Helper()
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(golden, []byte("\n"))
}

// Versions that are not written any more keep their golden file: whatever was stored once can be read for ever.
func TestEveryVersionEverWrittenIsStillUnderstood(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < len(Types()) {
		t.Fatalf("%d golden files for %d types", len(paths), len(Types()))
	}
	for _, path := range paths {
		s, err := Open(readGolden(t, path), 1)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if _, unknown := s.Event.(Unknown); unknown {
			t.Errorf("%s decodes to Unknown: its upcaster is missing", path)
		}
	}
}

func TestFirstEventLinksToNothing(t *testing.T) {
	raw, v, err := Seal(consultation, Version{}, draftOf(ConsultationReopened{}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s.Seq != 1 || s.PrevHash != strings.Repeat("0", 64) || v.Seq != 1 || v.Hash != HashOf(raw) {
		t.Errorf("seq %d, prevhash %s, version %+v", s.Seq, s.PrevHash, v)
	}
}

func TestTimesAreStoredInUTC(t *testing.T) {
	d := draftOf(ConsultationReopened{})
	d.Time = at.In(time.FixedZone("somewhere", 3*3600))
	raw, _, err := Seal(consultation, Version{}, d)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"time":"2026-11-22T09:30:00.123456789Z"`; !bytes.Contains(raw, []byte(want)) {
		t.Errorf("want %s in %s", want, raw)
	}
}

func TestSealRefusesWhatCannotBeRepairedLater(t *testing.T) {
	good := draftOf(ConsultationReopened{})
	tests := []struct {
		name         string
		consultation string
		change       func(*Draft)
		want         string
	}{
		{"a draft without an event", consultation, func(d *Draft) { d.Event = nil }, "no event"},
		{"a consultation that is a wildcard", "*", func(*Draft) {}, "not a UUID"},
		{"a consultation in capitals", strings.ToUpper(consultation), func(*Draft) {}, "not a UUID"},
		{"an id that would end a header", consultation, func(d *Draft) { d.ID = "a\r\nb" }, "not a UUID"},
		{"no id", consultation, func(d *Draft) { d.ID = "" }, "not a UUID"},
		{"no source", consultation, func(d *Draft) { d.Source = "" }, "no source"},
		{"no time", consultation, func(d *Draft) { d.Time = time.Time{} }, "no time"},
		{"a type that is unknown here", consultation, func(d *Draft) { d.Event = Unknown{Name: "a.b", Version: 1, Raw: []byte("{}")} }, "unknown"},
		{"an event that belongs into the blob store", consultation, func(d *Draft) {
			d.Event = ConsultationEnded{Reason: strings.Repeat("x", MaxSize)}
		}, "more than an event may have"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := good
			tt.change(&d)
			_, _, err := Seal(tt.consultation, Version{}, d)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestOpenRefusesWhatIsNoEvent(t *testing.T) {
	raw, _, err := Seal(consultation, Version{}, draftOf(ConsultationReopened{}))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, raw string }{
		{"nothing", ""},
		{"half an event", string(raw[:len(raw)/2])},
		{"two lines", string(raw) + "\n"},
		{"an object that is no envelope", `{"hello":"world"}`},
		{"a subject that is no consultation", strings.Replace(string(raw), consultation, "not-a-uuid", 1)},
		{"data of the wrong kind", strings.Replace(string(raw), `"data":{}`, `"data":[]`, 1)},
		{"data that is null", strings.Replace(string(raw), `"data":{}`, `"data":null`, 1)},
		{"no data", strings.Replace(string(raw), `,"data":{}`, ``, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := Open([]byte(tt.raw), 1); err == nil {
				t.Errorf("opened as %+v", s)
			}
		})
	}
}

func TestUnknownTypesSurviveReading(t *testing.T) {
	tests := []struct{ name, from, to string }{
		{"a type that a newer writer invented", `"type":"consultation.ended","typeversion":1`, `"type":"consultation.merged","typeversion":3`},
		{"a newer version of a known type", `"typeversion":1`, `"typeversion":99`},
	}
	raw, _, err := Seal(consultation, Version{}, draftOf(ConsultationEnded{Reason: EndedClosed}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := []byte(strings.Replace(string(raw), tt.from, tt.to, 1))
			s, err := Open(stored, 7)
			if err != nil {
				t.Fatal(err)
			}
			want := Unknown{Name: s.Type, Version: s.TypeVersion, Raw: []byte(`{"reason":"closed"}`)}
			if diff := cmp.Diff(Event(want), s.Event); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if !bytes.Equal(s.Raw, stored) || s.Hash() != HashOf(stored) || TypeOf(s.Event) != s.Type {
				t.Error("the stored bytes or the name were not kept")
			}
		})
	}
}

func TestSubjectsHoldTheConsultationAndTheType(t *testing.T) {
	if got, want := Subject(consultation, TypeConnectionICEChanged), "ev.main."+consultation+".connection_ice_changed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := ConsultationSubject(consultation), "ev.main."+consultation+".>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzOpen(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimSuffix(raw, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := slices.Clone(raw)
		s, err := Open(raw, 5)
		if !bytes.Equal(raw, before) {
			t.Fatal("Open changed the stored bytes")
		}
		if err != nil {
			return
		}
		if s.Seq == 0 || !ValidID(s.Subject) || s.Event == nil || s.Hash() != HashOf(before) {
			t.Fatalf("opened as %+v", s)
		}
		if TypeOf(s.Event) != s.Type {
			t.Fatalf("type %q decoded to %q", s.Type, TypeOf(s.Event))
		}
		// What was understood can be stored again as a new fact, and says the same.
		d := draftOf(s.Event)
		again, _, err := Seal(s.Subject, Version{}, d)
		if err != nil {
			return // unknown types, years that JSON has no form for
		}
		reopened, err := Open(again, 1)
		if err != nil {
			t.Fatalf("sealed but not opened: %v", err)
		}
		third, _, err := Seal(s.Subject, Version{}, draftOf(reopened.Event))
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("not stable: %v\n%s\n%s", err, again, third)
		}
	})
}
