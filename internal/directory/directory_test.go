package directory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/directory"
	"consilium/internal/events"
	"consilium/internal/sheet"
	"consilium/internal/testenv"
)

const (
	visit = "0192a000-0000-7000-8000-000000000001"
	anna  = "0192a000-0000-7000-8000-000000000011"
	boris = "0192a000-0000-7000-8000-000000000012"
	cam   = "0192a000-0000-7000-8000-000000000013"
)

func open(t *testing.T) (*directory.Directory, *pgxpool.Pool) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return directory.New(pool), pool
}

func entry() directory.Consultation {
	return directory.Consultation{
		ID: visit, Title: "Knee after surgery", ExternalRef: "MIS-4711", Language: "de", TimeZone: "Europe/Berlin",
		CreatedAt: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC),
		Participants: directory.Participants{
			{ID: anna, Name: "Dr. Anna Schmidt", CreatedAt: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)},
			{ID: boris, Name: "Борис Иванов", CreatedAt: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)},
		},
	}
}

func put(t *testing.T, d *directory.Directory, c directory.Consultation) {
	t.Helper()
	if err := d.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, d *directory.Directory, id string) directory.Consultation {
	t.Helper()
	c, err := d.Consultation(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPutAndRead(t *testing.T) {
	d, _ := open(t)
	want := entry()
	put(t, d, want)
	if diff := cmp.Diff(want, get(t, d, visit), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}

	t.Run("a second put replaces and keeps who is not listed", func(t *testing.T) {
		again := entry()
		again.Title, again.Participants = "Knee, second visit", directory.Participants{{ID: anna, Name: "Prof. Anna Schmidt"}}
		put(t, d, again)
		got := get(t, d, visit)
		if got.Title != "Knee, second visit" || got.Name(anna, "") != "Prof. Anna Schmidt" || got.Name(boris, "") != "Борис Иванов" {
			t.Errorf("entry = %+v", got)
		}
		if !got.CreatedAt.Equal(want.CreatedAt) {
			t.Errorf("it was created anew at %s", got.CreatedAt)
		}
	})
	t.Run("a participant comes later", func(t *testing.T) {
		if err := d.PutParticipant(t.Context(), visit, directory.Participant{ID: cam, Name: "Camera 2"}); err != nil {
			t.Fatal(err)
		}
		names, err := d.Names(t.Context(), visit)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{anna: "Prof. Anna Schmidt", boris: "Борис Иванов", cam: "Camera 2"}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
	t.Run("a participant of an unknown consultation is refused", func(t *testing.T) {
		err := d.PutParticipant(t.Context(), anna, directory.Participant{ID: cam, Name: "Camera 2"})
		if !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("an entry without a time is made now", func(t *testing.T) {
		c := directory.Consultation{ID: events.NewID(), Title: "x"}
		put(t, d, c)
		if age := time.Since(get(t, d, c.ID).CreatedAt); age < -time.Minute || age > time.Minute {
			t.Errorf("it is %s old", age)
		}
	})
}

func TestNothingIsPutInPart(t *testing.T) {
	d, _ := open(t)
	c := entry()
	c.Participants[1].Name = " "
	if err := d.Put(t.Context(), c); !errors.Is(err, directory.ErrInvalid) {
		t.Fatalf("error = %v", err)
	}
	if _, err := d.Consultation(t.Context(), visit); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("error = %v", err)
	}
}

func TestUnknown(t *testing.T) {
	d, _ := open(t)
	for _, id := range []string{visit, "", "'; drop schema directory; --"} {
		if _, err := d.Consultation(t.Context(), id); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q: error = %v", id, err)
		}
		if names, err := d.Names(t.Context(), id); err != nil || len(names) != 0 {
			t.Errorf("%q: names = %v, error = %v", id, names, err)
		}
	}
}

// TestSearchText looks at the column that internal/store searches.
func TestSearchText(t *testing.T) {
	d, pool := open(t)
	put(t, d, entry())
	// Two at a time: neither may write the text without the other's name.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := d.PutParticipant(t.Context(), visit, directory.Participant{ID: events.NewID(), Name: fmt.Sprintf("Guest%d Ängström", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var search string
	if err := pool.QueryRow(t.Context(), "select search from directory.consultations where id = $1", visit).Scan(&search); err != nil {
		t.Fatal(err)
	}
	want := []string{"knee after surgery", "mis-4711", "dr. anna schmidt", "борис иванов"}
	for i := range 8 {
		want = append(want, fmt.Sprintf("guest%d angstrom", i))
	}
	for _, part := range want {
		if !strings.Contains(search, part) {
			t.Errorf("%q is not in %q", part, search)
		}
	}
}

func TestSheet(t *testing.T) {
	d, _ := open(t)
	put(t, d, entry())
	roles := map[string]string{boris: "patient", anna: "clinician", cam: "device"}
	raw, err := d.SheetOf(t.Context(), visit, roles)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"consultation":"` + visit + `","title":"Knee after surgery","language":"de","timeZone":"Europe/Berlin","participants":[` +
		`{"id":"` + anna + `","name":"Dr. Anna Schmidt","role":"clinician"},` +
		`{"id":"` + boris + `","name":"Борис Иванов","role":"patient"},` +
		`{"id":"` + cam + `","name":"","role":"device"}]}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("sheet (-want +got):\n%s", diff)
	}

	t.Run("a consultation whose names were erased has a sheet without names", func(t *testing.T) {
		s, err := d.Sheet(t.Context(), cam, map[string]string{anna: "clinician"})
		if err != nil {
			t.Fatal(err)
		}
		want := sheet.Sheet{Consultation: cam, Language: "en", TimeZone: "UTC", Participants: []sheet.Participant{{ID: anna, Role: "clinician"}}}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("sheet (-want +got):\n%s", diff)
		}
	})
}

func TestText(t *testing.T) {
	long := strings.Repeat("ä", directory.MaxText)
	tests := []struct {
		name, text, want string
		bad              string // part of the error
	}{
		{name: "plain text stays", text: "Anna Schmidt", want: "Anna Schmidt"},
		{name: "markup stays as it was typed", text: `<script>alert("x")</script>`, want: `<script>alert("x")</script>`},
		{name: "white space is collapsed", text: "  Anna\t\n Schmidt ", want: "Anna Schmidt"},
		{name: "odd spaces are spaces", text: "Anna\u00a0\u2003\u3000Schmidt\u2028", want: "Anna Schmidt"},
		{name: "letters get one form", text: "Mu\u0308ller", want: "M\u00fcller"},
		{name: "a hidden character does not keep letter and accent apart", text: "u\u200b\u0308", want: "\u00fc"},
		{name: "control characters go", text: "An\x00na\x1b[31m\x7f\u0085", want: "Anna[31m"},
		{name: "bidirectional overrides go", text: "\u202egpj.exe\u202c \u2066a\u2069 \u200fb\u061c", want: "gpj.exe a b"},
		{name: "zero-width spaces and byte order marks go", text: "\ufeffAn\u200bna\u2060", want: "Anna"},
		{name: "soft hyphens and tags go", text: "An\u00adna\U000e0041", want: "Anna"},
		{name: "joiners of other scripts stay", text: "می\u200cخواهم", want: "می\u200cخواهم"},
		{name: "an emoji of several parts stays", text: "👩\u200d⚕️", want: "👩\u200d⚕️"},
		{name: "as long as may be", text: long, want: long},
		{name: "one too long", text: long + "ä", bad: "longer than 200 characters"},
		{name: "absurdly long", text: strings.Repeat("x ", 1<<20), bad: "longer than 200 characters"},
		{name: "nothing", text: "", bad: "missing"},
		{name: "only what cannot be seen", text: "\u200b \u202e\u200d\u0301", bad: "missing"},
		{name: "not UTF-8", text: "a\xff", bad: "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := directory.Text("name", tt.text, true)
			if tt.bad != "" {
				if !errors.Is(err, directory.ErrInvalid) || !strings.Contains(err.Error(), tt.bad) || !strings.Contains(err.Error(), "the name") {
					t.Errorf("text = %q, error = %v", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("text = %q, want %q, error = %v", got, tt.want, err)
			}
		})
	}
	t.Run("what is not required may be empty", func(t *testing.T) {
		if got, err := directory.Text("external reference", " \u200b", false); got != "" || err != nil {
			t.Errorf("text = %q, error = %v", got, err)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("Mu\u0308ller \u202e")
	f.Add("\u1100\u200b\u1161\u200c")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := directory.Text("name", text, false)
		if err != nil {
			return
		}
		again, err := directory.Text("name", got, false)
		if err != nil || again != got {
			t.Errorf("cleaning twice makes %q of %q, error = %v", again, got, err)
		}
		if strings.ContainsAny(got, "\x00\n\r\t\x1b\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
			t.Errorf("%q came out", got)
		}
	})
}

func TestLanguageAndTimeZone(t *testing.T) {
	tests := []struct {
		name, in, want string
		f              func(string) (string, error)
		bad            bool
	}{
		{name: "a language", in: "de", want: "de", f: directory.Language},
		{name: "a language and a country", in: "pt-br", want: "pt-BR", f: directory.Language},
		{name: "no language", in: "", want: "en", f: directory.Language},
		{name: "words", in: "the german one", f: directory.Language, bad: true},
		{name: "a very long tag", in: strings.Repeat("de-", 50), f: directory.Language, bad: true},
		{name: "a time zone", in: "Europe/Berlin", want: "Europe/Berlin", f: directory.TimeZone},
		{name: "no time zone", in: "", want: "UTC", f: directory.TimeZone},
		{name: "this machine's", in: "Local", f: directory.TimeZone, bad: true},
		{name: "a path", in: "../../etc/passwd", f: directory.TimeZone, bad: true},
		{name: "an offset", in: "+02:00", f: directory.TimeZone, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.f(tt.in)
			if got != tt.want || errors.Is(err, directory.ErrInvalid) != tt.bad || (err != nil) != tt.bad {
				t.Errorf("%q, error = %v", got, err)
			}
		})
	}
}

func TestNamesStayOutOfLogs(t *testing.T) {
	c := entry()
	sheet := sheet.Sheet{Title: c.Title, Participants: []sheet.Participant{{Name: c.Participants[0].Name}}}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).InfoContext(context.Background(), "seen", "consultation", c, "pointer", &c, "participant", c.Participants[0],
			"participants", c.Participants, "sheet", sheet)
	}
	if strings.Contains(log.String(), "Anna") || strings.Contains(log.String(), "Knee") || !strings.Contains(log.String(), visit) {
		t.Errorf("the log shows names or no id:\n%s", log.String())
	}
	if raw, err := json.Marshal(sheet); err != nil || !strings.Contains(string(raw), "Anna") {
		t.Errorf("the sheet itself lost its names: %s, %v", raw, err)
	}
}
