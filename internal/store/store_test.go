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
		d := b.draft(e)
		d.Participant = participant
		drafts = append(drafts, d)
	}
	return b.add(consultation, drafts...)
}

// draft is an event a second after the one before.
func (b *bench) draft(e events.Event) events.Draft {
	b.clock = b.clock.Add(time.Second)
	return events.NewDraft("/live/test", b.clock, e)
}

func (b *bench) add(consultation string, drafts ...events.Draft) events.Version {
	b.Helper()
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
		if all, err = load(b.Context(), tx, ids, &mentions{}); err != nil {
			return err
		}
		return loadWhole(b.Context(), tx, ids, all)
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// loadWhole reads all parts of the consultations, which the projector never does.
func loadWhole(ctx context.Context, tx pgx.Tx, ids []string, all map[string]*folded) error {
	whole := func(sql string) string { return sql[:strings.Index(sql, " where ")] + " where consultation = any($1)" }
	for sql, scan := range map[string]func(pgx.Rows) error{
		whole(loadConnections): func(rows pgx.Rows) error {
			of, c, err := scanConnection(rows)
			all[of].Connections[c.ID] = c
			return err
		},
		whole(loadTracks): func(rows pgx.Rows) error {
			of, t, err := scanTrack(rows)
			all[of].Tracks[t.ID] = t
			return err
		},
		whole(loadSegments): func(rows pgx.Rows) error {
			of, s, err := scanSegment(rows)
			all[of].Segments[s.ID] = s
			return err
		},
		whole(loadAccesses): func(rows pgx.Rows) error {
			of, a, err := scanAccess(rows)
			all[of].Accesses[a.ID] = a
			return err
		},
		whole(loadOpenSpans): func(rows pgx.Rows) error {
			of, s, err := scanSpan(rows)
			all[of].Spans[s.Seq] = s
			return err
		},
		"select consultation::text, seq, at, type, participant, actor, code from readmodel.markers where consultation = any($1) order by seq": func(rows pgx.Rows) error {
			var of string
			var m foldedMarker
			err := rows.Scan(&of, &m.Seq, &m.At, &m.Type, &m.Participant, &m.Actor, &m.Code)
			all[of].Markers = append(all[of].Markers, m)
			return err
		},
		"select consultation::text, seq, actor, kind, sha256, at from readmodel.exports where consultation = any($1) order by seq": func(rows pgx.Rows) error {
			var of string
			var x foldedExport
			err := rows.Scan(&of, &x.Seq, &x.Actor, &x.Kind, &x.SHA256, &x.At)
			all[of].Exports = append(all[of].Exports, x)
			return err
		},
	} {
		rows, err := tx.Query(ctx, sql, ids)
		if err != nil {
			return err
		}
		if err := eachRow(rows, func() error { return scan(rows) }); err != nil {
			return err
		}
	}
	return nil
}

// dump is every row of every table as text.
func (b *bench) dump() map[string][]string {
	b.Helper()
	all := map[string][]string{}
	for _, table := range tables {
		rows, err := b.pool.Query(b.Context(), "select t::text from readmodel."+table+" t order by 1")
		if err != nil {
			b.Fatal(err)
		}
		if all[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			b.Fatal(err)
		}
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
	cmp.AllowUnexported(folded{}), cmpopts.IgnoreFields(parts{}, "open"),
	cmpopts.IgnoreUnexported(foldedParticipant{}, foldedArchive{}, foldedHold{}, foldedConnection{}, foldedTrack{}, foldedSegment{}, foldedAccess{}, foldedSpan{}),
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
	people, receipts := map[string][]string{}, map[string][]string{}
	for _, id := range ids {
		people[id] = newIDs(3)
		b.say(id, "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "de"})
	}
	for range n {
		id := ids[rnd.IntN(len(ids))]
		person := ""
		e := randomEvent(rnd)
		if !strings.HasPrefix(string(events.TypeOf(e)), "consultation.") && rnd.IntN(10) > 0 {
			person = people[id][rnd.IntN(3)]
		}
		d := b.draft(e)
		d.Participant, d.Actor = person, people[id][rnd.IntN(3)]
		if of := receipts[id]; len(of) > 0 {
			d.CausationID = of[rnd.IntN(len(of))]
		}
		if events.TypeOf(e) == events.TypeAccessOpened {
			receipts[id] = append(receipts[id], d.ID)
		}
		if rnd.IntN(50) == 0 { // the clock of another process
			d.Time = d.Time.Add(-time.Hour)
		}
		b.add(id, d)
	}
	return ids
}

func randomEvent(rnd *rand.Rand) events.Event {
	if rnd.IntN(8) == 0 { // any type at all, with nothing in it
		types := events.Types()
		e, err := events.Envelope{Type: types[rnd.IntN(len(types))], TypeVersion: 1, Data: []byte("{}")}.Decode()
		if err != nil {
			panic(err) // every type can be read from an empty object
		}
		return e
	}
	segment := fmt.Sprintf("segment-%d", rnd.IntN(4))
	version := 1 + rnd.IntN(2)
	consent := events.Consent{TextSHA256: "ab", Language: "de", By: events.BySelf}
	connection, track := fmt.Sprintf("connection-%d", rnd.IntN(2)), fmt.Sprintf("track-%d", rnd.IntN(2))
	from := morning.Add(time.Duration(rnd.IntN(1000)) * time.Second)
	hold := fmt.Sprintf("hold-%d", rnd.IntN(3))
	moment := func() int64 { return rnd.Int64N(20_000) - 100 }
	parts := []events.Event{
		events.ConnectionOpened{Connection: connection, Via: "websocket", Browser: &events.Browser{Family: "Firefox", Major: 153}},
		events.ConnectionICEChanged{Connection: connection, State: []string{"checking", "connected", "disconnected", "failed"}[rnd.IntN(4)]},
		events.ConnectionICEChanged{Connection: connection, State: "connected"},
		events.ConnectionPairSelected{Connection: connection, Local: events.Candidate{Kind: "host"}, Remote: events.Candidate{Kind: "relay", Transport: "tcp"}},
		events.ConnectionRestarted{Connection: connection},
		events.ConnectionTimedOut{Connection: connection, Phase: events.PhaseICE, AfterMS: 1000, Code: "ICE-TIMEOUT"},
		events.ConnectionClosed{Connection: connection, Reason: "closed"},
		events.TrackStarted{Track: track, Connection: connection, Kind: "audio", Source: "microphone", Codec: "opus"},
		events.TrackMuted{Track: track},
		events.TrackUnmuted{Track: track},
		events.TrackStalled{Track: track, AfterMS: 5},
		events.TrackResumed{Track: track, AfterMS: 7},
		events.TrackEnded{Track: track, Reason: "closed"},
		events.SegmentGap{Track: track, From: from, To: from.Add(time.Duration(rnd.IntN(9)-2) * time.Second), Cause: []string{"dtx", "loss"}[rnd.IntN(2)]},
		events.SegmentAnchored{Track: track},
		events.SegmentRecovered{Segment: segment, Frames: 3, Bytes: 4, SHA256: "ee"},
		events.AccessOpened{Purpose: "quality", Version: version},
		events.AccessWatched{Purpose: "quality", Ranges: []events.Range{{FromMS: moment(), ToMS: moment()}, {FromMS: moment(), ToMS: moment()}}},
		events.AccessClosed{Purpose: "quality"},
		events.ExportMade{Kind: "events.csv", SHA256: "ff"},
		events.HoldPlaced{Hold: hold, Reason: []string{events.HoldAudit, events.HoldOther}[rnd.IntN(2)], By: "compliance"},
		events.HoldReleaseRequested{Hold: hold, Reason: events.ReleaseMistake, By: "compliance"},
		events.HoldReleaseDeclined{Hold: hold, By: "compliance"},
		events.HoldReleased{Hold: hold, Reason: events.ReleaseMistake, By: "compliance"},
		events.ConsultationCompleted{Tracks: []events.TrackAccount{{Track: track, ExpectedMS: moment(), RecordedMS: moment()}}},
	}
	if rnd.IntN(2) == 0 {
		return parts[rnd.IntN(len(parts))]
	}
	all := []events.Event{
		events.ConsultationOpened{},
		events.ConsultationEnded{Reason: events.EndedClosed},
		events.ConsultationEnded{Reason: events.EndedAbandoned},
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
		events.ArchiveRequested{Version: version, ThroughSeq: rnd.Uint64(), Layout: "grid", Profile: "standard", Stamp: rnd.IntN(2) == 0, Voices: rnd.IntN(2) == 0},
		events.ArchiveStarted{Version: version},
		events.ArchiveFailed{Version: version, Code: "FFMPEG-MISSING"},
		events.ArchiveRendered{Version: version, Key: "k", Bytes: 77, SHA256: "cd", ManifestSHA256: "ef", DurationMS: 1234, Unverified: []string{"keyframes", "sound"}[:rnd.IntN(3)]},
	}
	return all[rnd.IntN(len(all))]
}
