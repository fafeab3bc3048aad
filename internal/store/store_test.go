package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
	"consilium/internal/testenv"
)

var morning = time.Date(2026, 5, 4, 9, 0, 0, 123456789, time.UTC)

// bench is a database, a log and what the tests do with them.
type bench struct {
	testing.TB
	pool  *pgxpool.Pool
	log   *logtest.Memory
	clock time.Time
}

func newBench(t testing.TB) *bench {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &bench{TB: t, pool: pool, log: logtest.NewMemory(), clock: morning}
}

// say appends events about participant, one second apart, and gives the version after them.
func (b *bench) say(consultation, participant string, all ...events.Event) events.Version {
	b.Helper()
	var drafts []events.Draft
	for _, e := range all {
		b.clock = b.clock.Add(time.Second)
		d := events.NewDraft("/live/test", b.clock, e)
		d.Participant = participant
		drafts = append(drafts, d)
	}
	at, err := b.log.Last(b.Context(), consultation)
	if err != nil {
		b.Fatal(err)
	}
	if at, err = b.log.Append(b.Context(), consultation, at, drafts...); err != nil {
		b.Fatal(err)
	}
	return at
}

// projector makes one with short waits; log may be nil for the bench's own.
func (b *bench) projector(log events.Log, change ...func(*Config)) *Projector {
	b.Helper()
	if log == nil {
		log = b.log
	}
	cfg := Config{RetryMax: 200 * time.Millisecond, WaitLimit: 10 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	p, err := NewProjector(cfg, log, b.pool, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// run starts p and gives a function that stops it and returns what Run returned.
func (b *bench) run(p *Projector) (stop func() error) {
	ctx, cancel := context.WithCancel(b.Context())
	result := make(chan error, 1)
	go func() { result <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-result:
			return err
		case <-time.After(20 * time.Second):
			return fmt.Errorf("Run did not return")
		}
	})
	b.Cleanup(func() { _ = stop() })
	return stop
}

// catchUp projects the log as it is now with a projector of its own.
func (b *bench) catchUp(change ...func(*Config)) {
	b.Helper()
	p := b.projector(nil, change...)
	stop := b.run(p)
	b.wait(p)
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}

// wait waits until p shows the whole log.
func (b *bench) wait(p *Projector) {
	b.Helper()
	info, err := b.log.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := p.WaitFor(b.Context(), info.Last); err != nil {
		b.Fatalf("%v (%v)", err, p.Ready())
	}
}

// rows reads everything that the read model holds about the consultations.
func (b *bench) rows(ids []string) map[string]*folded {
	b.Helper()
	var all map[string]*folded
	err := pgx.BeginFunc(b.Context(), b.pool, func(tx pgx.Tx) (err error) {
		all, err = load(b.Context(), tx, ids)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// position reads the position row.
func (b *bench) position() position {
	b.Helper()
	var at position
	err := b.pool.QueryRow(b.Context(), "select stream_seq, log_created_ns, projection, unknown_events from readmodel.position").
		Scan(&at.seq, &at.createdNS, &at.projection, &at.unknown)
	if err != nil {
		b.Fatal(err)
	}
	return at
}

func (b *bench) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

var sameRows = cmp.Options{
	cmp.AllowUnexported(folded{}, foldedParticipant{}, foldedArchive{}),
	cmpopts.IgnoreFields(foldedParticipant{}, "changed"), cmpopts.IgnoreFields(foldedArchive{}, "changed"),
	cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty(),
}

// foldAll folds the whole log in memory.
func (b *bench) foldAll(ids []string) map[string]*folded {
	b.Helper()
	all := map[string]*folded{}
	for _, id := range ids {
		all[id] = newFolded(id)
		history, err := events.ReadAll(b.Context(), b.log, id)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range history {
			if _, err := all[id].apply(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	return all
}

// wantNoneRunning fails when a goroutine of this package is left.
func wantNoneRunning(t testing.TB) {
	t.Helper()
	for range 100 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(stacks, []byte("store.(*Projector)")) {
			return
		}
		runtime.Gosched()
	}
	t.Error("a goroutine of the projector is still running")
}

// ids of a consultation and its people, in the order of time.
func newIDs(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = events.NewID()
	}
	return all
}

// randomHistory appends n random events, many of which make no sense, to a few consultations and gives their ids.
func (b *bench) randomHistory(rnd *rand.Rand, consultations, n int) []string {
	b.Helper()
	ids := newIDs(consultations)
	people := map[string][]string{}
	for _, id := range ids {
		people[id] = newIDs(3)
		b.say(id, "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "de"})
	}
	for range n {
		id := ids[rnd.IntN(len(ids))]
		person := ""
		e := randomEvent(rnd)
		if strings.HasPrefix(string(events.TypeOf(e)), "participant.") || strings.HasPrefix(string(events.TypeOf(e)), "consent.") {
			person = people[id][rnd.IntN(3)]
		}
		b.say(id, person, e)
	}
	return ids
}

func randomEvent(rnd *rand.Rand) events.Event {
	segment := fmt.Sprintf("segment-%d", rnd.IntN(6))
	version := 1 + rnd.IntN(2)
	consent := events.Consent{TextSHA256: "ab", Language: "de", By: events.BySelf}
	all := []events.Event{
		events.ConsultationOpened{},
		events.ConsultationEnded{Reason: events.EndedClosed},
		events.ConsultationReopened{},
		events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: segment}}},
		events.ConferenceHosted{Epoch: 1, Node: "n"},
		events.ParticipantInvited{Role: "patient", For: []string{"x"}},
		events.ParticipantJoined{Role: "patient"},
		events.ParticipantJoined{Role: "patient"},
		events.ParticipantLeft{Reason: events.LeftLeft},
		events.ParticipantLeft{Reason: events.LeftKicked},
		events.ConsentGiven{Consent: consent},
		events.ConsentRefused{Consent: consent},
		events.ConsentWithdrawn{Consent: consent},
		events.RecordingPaused{Reason: "private"},
		events.RecordingResumed{},
		events.SegmentOpened{Segment: segment},
		events.SegmentOpened{Segment: segment},
		events.SegmentSealed{Segment: segment},
		events.SegmentStored{Segment: segment, Bytes: rnd.Int64N(1 << 40)},
		events.SegmentStored{Segment: segment, Bytes: 5},
		events.TrackStarted{Track: "t"},
		events.AccessOpened{Purpose: "TREAT"},
		events.ArchiveRequested{Version: version, ThroughSeq: rnd.Uint64(), Layout: "grid", Profile: "standard"},
		events.ArchiveStarted{Version: version},
		events.ArchiveFailed{Version: version, Code: "FFMPEG-MISSING"},
		events.ArchiveRendered{Version: version, Key: "k", Bytes: 77, SHA256: "cd", ManifestSHA256: "ef", DurationMS: 1234},
	}
	return all[rnd.IntN(len(all))]
}
