package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/consultation"
	"consilium/internal/directory"
	"consilium/internal/events"
)

// named puts an entry into the directory.
func (b *bench) named(id, title, ref string, people map[string]string) {
	b.Helper()
	c := directory.Consultation{ID: id, Title: title, ExternalRef: ref, Language: "de", TimeZone: "Europe/Berlin"}
	for person, name := range people {
		c.Participants = append(c.Participants, directory.Participant{ID: person, Name: name})
	}
	if err := directory.New(b.pool).Put(b.Context(), c); err != nil {
		b.Fatal(err)
	}
}

// TestScriptedConsultation tells a whole consultation and reads back every field.
func TestScriptedConsultation(t *testing.T) {
	b := newBench(t)
	all := newIDs(4)
	id, anna, boris, cam := all[0], all[1], all[2], all[3]
	b.named(id, "Knee after surgery", "MIS-4711", map[string]string{anna: "Dr. Anna Schmidt", boris: "Борис Иванов"})
	consent := events.Consent{TextSHA256: "ab", Language: "de", By: events.BySelf}

	b.say(id, "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "de"})                                                           // 1
	b.say(id, anna, events.ParticipantInvited{Role: "clinician"})                                                                                                        // 2
	b.say(id, boris, events.ParticipantInvited{Role: "patient"})                                                                                                         // 3
	b.say(id, cam, events.ParticipantInvited{Role: "device", For: []string{boris}})                                                                                      // 4
	b.say(id, "", events.ConsultationOpened{}, events.ConferenceHosted{Epoch: 1})                                                                                        // 5, 6
	b.say(id, anna, events.ConsentGiven{Consent: consent}, events.ParticipantJoined{Role: "clinician"})                                                                  // 7, 8
	b.say(id, boris, events.ConsentRefused{Consent: consent}, events.ConsentGiven{Consent: consent}, events.ParticipantJoined{Role: "patient"})                          // 9, 10, 11
	b.say(id, anna, events.SegmentOpened{Segment: "a1"}, events.SegmentStored{Segment: "a1", Bytes: 1000}, events.SegmentOpened{Segment: "a2"})                          // 12, 13, 14
	b.say(id, boris, events.SegmentOpened{Segment: "b1"}, events.ParticipantLeft{Reason: events.LeftLeft})                                                               // 15, 16
	b.say(id, "", events.ConsultationEnded{Reason: events.EndedClosed}, events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: "b1", Cause: "crash"}}}) // 17, 18
	b.say(id, "", events.ArchiveRequested{Version: 1, ThroughSeq: 18, Layout: "grid", Profile: "standard"}, events.ArchiveStarted{Version: 1},
		events.ArchiveFailed{Version: 1, Code: "FFMPEG-MISSING"}) // 19, 20, 21
	b.say(id, "", events.ArchiveRequested{Version: 2, ThroughSeq: 18, Layout: "grid", Profile: "standard"}, events.ArchiveStarted{Version: 2},
		events.ArchiveRendered{Version: 2, Key: "c/x/archives/2/archive.mp4", Bytes: 5000, SHA256: "cd", ManifestSHA256: "ef", DurationMS: 8500}) // 22, 23, 24
	b.catchUp()

	at := func(n int) time.Time { return second(n).UTC() }
	when := func(n int) *time.Time { t := at(n); return &t }
	second := Archive{
		Version: 2, State: ArchiveReady, Layout: "grid", Profile: "standard", RequestedAt: at(22), StartedAt: when(23), FinishedAt: when(24),
		Key: "c/x/archives/2/archive.mp4", Bytes: 5000, Duration: 8500 * time.Millisecond,
	}
	want := Consultation{
		ID: id, State: consultation.Archived, Policy: events.PolicyRequired, Layout: "grid", Language: "de",
		Title: "Knee after surgery", ExternalRef: "MIS-4711", TimeZone: "Europe/Berlin",
		ScheduledAt: at(1), StartedAt: when(8), EndedAt: when(17), EndReason: "closed", CompletedAt: when(18),
		Participants: 3, Present: 0, SegmentsStored: 1, SegmentsPending: []string{"a2"}, SegmentsMissing: []string{"b1"}, Bytes: 1000, Seq: 24,
		Problems: []string{ProblemMissing}, Consents: []string{"given"},
		People: Participants{
			{ID: anna, Name: "Dr. Anna Schmidt", Role: "clinician", Consent: consultation.Given, ConsentAt: when(7), InvitedAt: at(2), JoinedAt: when(8), LeftAt: when(17), LeftReason: "ended"},
			{ID: boris, Name: "Борис Иванов", Role: "patient", Consent: consultation.Given, ConsentAt: when(10), InvitedAt: at(3), JoinedAt: when(11), LeftAt: when(16), LeftReason: "left"},
			{ID: cam, Role: "device", For: []string{boris}, InvitedAt: at(4)},
		},
		Archive: &second,
	}
	loose := gocmp.Options{cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()}
	q := NewQueries(b.pool)
	got, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got, loose); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
	page, err := q.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(Page{Items: []Consultation{want}}, page, loose); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	archives, err := q.Archives(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	first := Archive{
		Version: 1, State: ArchiveFailed, Code: "FFMPEG-MISSING", Layout: "grid", Profile: "standard",
		RequestedAt: at(19), StartedAt: when(20), FinishedAt: when(21),
	}
	if diff := gocmp.Diff([]Archive{first, second}, archives, loose); diff != "" {
		t.Errorf("Archives (-want +got):\n%s", diff)
	}

	t.Run("names stay out of logs", func(t *testing.T) {
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
			slog.New(h).Info("seen", "one", got, "people", got.People, "person", got.People[0], "page", page)
		}
		if strings.Contains(log.String(), "Anna") || strings.Contains(log.String(), "Knee") || !strings.Contains(log.String(), id) {
			t.Errorf("the log shows names or no id:\n%s", log.String())
		}
	})
}

// library makes five consultations, an hour apart, the last one the newest.
func library(t *testing.T) (b *bench, ids []string, guest string) {
	t.Helper()
	b = newBench(t)
	ids, guest = newIDs(5), events.NewID()
	titles := []string{"Knee", "Shoulder", "Knee, second visit", "Herz-Kreislauf", "100% recovered"}
	for i, id := range ids {
		b.clock = morning.Add(time.Duration(i) * time.Hour)
		person := events.NewID()
		b.named(id, titles[i], fmt.Sprintf("MIS-%d", 100+i), map[string]string{person: []string{"Anna Müller", "Boris"}[i%2]})
		b.say(id, "", events.ConsultationScheduled{})
		b.say(id, person, events.ParticipantInvited{Role: "patient"})
		if i > 0 {
			b.say(id, "", events.ConsultationOpened{})
		}
		if i == 1 {
			b.say(id, guest, events.ParticipantInvited{Role: "observer"})
		}
		if i == 2 {
			b.say(id, "", events.ConsultationEnded{Reason: "closed"})
			b.say(id, person, events.ConsentGiven{})
		}
		if i == 3 {
			b.say(id, person, events.ConsentGiven{}, events.ConsentWithdrawn{}, events.ConnectionTimedOut{Phase: "ice", Code: "ICE-TIMEOUT"})
		}
		if i == 4 {
			b.say(id, "", events.ConsultationEnded{Reason: events.EndedAbandoned})
		}
	}
	b.catchUp()
	return b, ids, guest
}

func TestList(t *testing.T) {
	b, ids, guest := library(t)
	q := NewQueries(b.pool)
	hour := func(n int) time.Time { return morning.Add(time.Duration(n) * time.Hour) }
	tests := []struct {
		name   string
		filter Filter
		want   []int // indexes of ids
	}{
		{name: "everything, newest first", want: []int{4, 3, 2, 1, 0}},
		{name: "a word of the title", filter: Filter{Query: "knee"}, want: []int{2, 0}},
		{name: "part of a word", filter: Filter{Query: "oulde"}, want: []int{1}},
		{name: "a name without its accent", filter: Filter{Query: "muller"}, want: []int{4, 2, 0}},
		{name: "several words from different places", filter: Filter{Query: "MÜLLER  knee mis-102"}, want: []int{2}},
		{name: "words that never meet", filter: Filter{Query: "boris knee"}},
		{name: "an external reference", filter: Filter{Query: "MIS-103"}, want: []int{3}},
		{name: "a percent sign is no wildcard", filter: Filter{Query: "0%"}, want: []int{4}},
		{name: "two letters begin a word", filter: Filter{Query: "kn"}, want: []int{2, 0}},
		{name: "two letters within a word are not enough", filter: Filter{Query: "nn"}},
		{name: "one letter begins a word of a name", filter: Filter{Query: "b m"}, want: []int{3, 1}},
		{name: "a person", filter: Filter{Person: "mül an"}, want: []int{4, 2, 0}},
		{name: "a person is not looked for in titles", filter: Filter{Person: "knee"}},
		{name: "a person and a word of the title", filter: Filter{Person: "anna", Query: "knee"}, want: []int{2, 0}},
		{name: "with problems", filter: Filter{Problem: AnyProblem}, want: []int{4, 3}},
		{name: "without problems", filter: Filter{Problem: NoProblem}, want: []int{2, 1, 0}},
		{name: "with this problem", filter: Filter{Problem: ProblemConnection}, want: []int{3}},
		{name: "everybody has agreed", filter: Filter{Consent: "given"}, want: []int{2}},
		{name: "somebody has not answered", filter: Filter{Consent: "none"}, want: []int{4, 1, 0}},
		{name: "somebody has withdrawn", filter: Filter{Consent: "withdrawn"}, want: []int{3}},
		{name: "a percent sign alone", filter: Filter{Query: "%"}, want: []int{4}},
		{name: "quotes do no harm", filter: Filter{Query: `'; drop schema readmodel cascade; --"`}},
		{name: "a nul character is nothing", filter: Filter{Query: "kn\x00ee"}, want: []int{2, 0}},
		{name: "a state", filter: Filter{State: consultation.Open}, want: []int{3, 1}},
		{name: "from a time on", filter: Filter{From: hour(3)}, want: []int{4, 3}},
		{name: "before a time", filter: Filter{To: hour(1)}, want: []int{0}},
		{name: "between two times", filter: Filter{From: hour(1), To: hour(3)}, want: []int{2, 1}},
		{name: "one consultation", filter: Filter{Consultation: ids[3]}, want: []int{3}},
		{name: "the asker's own", filter: Filter{Own: true, Consultation: ids[3]}, want: []int{3}},
		{name: "the asker's own, who has none", filter: Filter{Own: true}},
		{name: "of one participant", filter: Filter{Participant: guest}, want: []int{1}},
		{name: "of nobody", filter: Filter{Participant: events.NewID()}},
		{name: "all at once", filter: Filter{Query: "anna", State: consultation.Ended, From: hour(0), To: hour(9), Consultation: ids[2]}, want: []int{2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page, err := q.List(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			if page.Next != "" {
				t.Errorf("there is said to be more: %q", page.Next)
			}
			var want, got []string
			for _, i := range tt.want {
				want = append(want, ids[i])
			}
			for _, c := range page.Items {
				got = append(got, c.ID)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPages(t *testing.T) {
	b, ids, _ := library(t)
	q := NewQueries(b.pool)
	// Two at the same moment: the id decides, and no page shows one twice or leaves one out.
	b.exec("update readmodel.consultations set scheduled_at = $1 where id in ($2, $3)", morning, ids[1], ids[2])
	whole, err := q.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= 6; limit++ {
		var got []Consultation
		f := Filter{Limit: limit}
		for pages := 0; ; pages++ {
			page, err := q.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Items...)
			if page.Next == "" {
				break
			}
			if len(page.Items) != limit || pages > 5 {
				t.Fatalf("limit %d: page of %d with more to come", limit, len(page.Items))
			}
			f.Cursor = page.Next
		}
		if diff := gocmp.Diff(whole.Items, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("limit %d: all pages (-whole list +pages):\n%s", limit, diff)
		}
	}
}

func TestBadFilters(t *testing.T) {
	b := newBench(t)
	q := NewQueries(b.pool)
	good := cursor{heldAt: morning, id: uuid.MustParse(events.NewID())}.String()
	tests := []struct {
		name   string
		filter Filter
		field  string // "cursor" when empty
	}{
		{name: "a negative limit", filter: Filter{Limit: -1}, field: "limit"},
		{name: "a huge limit", filter: Filter{Limit: MaxLimit + 1}, field: "limit"},
		{name: "an unknown state", filter: Filter{State: "lost"}, field: "state"},
		{name: "an unknown problem", filter: Filter{Problem: "hunger"}, field: "problem"},
		{name: "an unknown answer", filter: Filter{Consent: "perhaps"}, field: "consent"},
		{name: "an unknown state of holds", filter: Filter{Held: "maybe"}, field: "held"},
		{name: "a long name", filter: Filter{Person: strings.Repeat("ä", maxQuery+1)}, field: "person"},
		{name: "a consultation that is no id", filter: Filter{Consultation: "1 or 1=1"}, field: "consultation"},
		{name: "a long search text", filter: Filter{Query: strings.Repeat("ä", maxQuery+1)}, field: "query"},
		{name: "too many words", filter: Filter{Query: strings.Repeat("a ", maxTerms+1)}, field: "query"},
		{name: "a search text that is not UTF-8", filter: Filter{Query: "\xff"}, field: "query"},
		{name: "a cursor that is none", filter: Filter{Cursor: "page2"}},
		{name: "a cursor of another version", filter: Filter{Cursor: "B" + good[1:]}},
		{name: "a cursor that was cut", filter: Filter{Cursor: good[:len(good)-2]}},
		{name: "a cursor of an impossible time", filter: Filter{Cursor: cursor{heldAt: time.UnixMicro(1 << 62)}.String()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := q.List(t.Context(), tt.filter)
			var named *InvalidError
			if !errors.Is(err, ErrInvalid) || !errors.As(err, &named) || named.Field != cmp.Or(tt.field, "cursor") {
				t.Errorf("error = %v", err)
			}
		})
	}
	if _, err := q.List(t.Context(), Filter{Cursor: good, Query: "x", Limit: MaxLimit}); err != nil {
		t.Errorf("a good filter is refused: %v", err)
	}
}

func TestNotFound(t *testing.T) {
	b := newBench(t)
	q := NewQueries(b.pool)
	for _, id := range []string{events.NewID(), "", "nonsense"} {
		if _, err := q.Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q) = %v", id, err)
		}
		if _, err := q.Archives(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Archives(%q) = %v", id, err)
		}
	}
}

// TestReadersDoNotNoticeABrokenConnection cuts every connection between questions.
func TestReadersDoNotNoticeABrokenConnection(t *testing.T) {
	b, ids, _ := library(t)
	q := NewQueries(b.pool)
	cutter, err := pgxpool.New(t.Context(), b.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer cutter.Close()
	for range 10 {
		var wg sync.WaitGroup
		for range 3 { // so that several idle connections die
			wg.Go(func() {
				if page, err := q.List(t.Context(), Filter{Query: "knee"}); err != nil || len(page.Items) != 2 {
					t.Errorf("%d rows, error = %v", len(page.Items), err)
				}
			})
		}
		wg.Wait()
		if _, err := cutter.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		if got, err := q.Get(t.Context(), ids[0]); err != nil || got.ID != ids[0] {
			t.Errorf("error = %v", err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{heldAt: morning, id: uuid.MustParse("0192a000-0000-7000-8000-00000000000a")}.String())
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("error = %v", err)
			}
			return
		}
		if c.String() != text {
			t.Errorf("%q was read and is written %q", text, c.String())
		}
	})
}
