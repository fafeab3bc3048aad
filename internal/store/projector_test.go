package store

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/logtest"
)

// TestRowsAreTheFold projects random histories in batches of every size and expects what a fold in memory gives; then
// the same of a rebuild; and that phase, presence, consent and segments are those of the rules that decide.
func TestRowsAreTheFold(t *testing.T) {
	for seed := range uint64(4) {
		b := newBench(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		ids := b.randomHistory(rnd, 3, 300)
		b.catchUp(func(c *Config) { c.BatchSize = 1 + rnd.IntN(20) })
		ids = append(ids, b.randomHistory(rnd, 2, 150)...)
		b.catchUp(func(c *Config) { c.BatchSize = 1 + rnd.IntN(20) })

		want := b.foldAll(ids)
		if diff := cmp.Diff(want, b.rows(ids), sameRows); diff != "" {
			t.Fatalf("seed %d: rows (-fold in memory +database):\n%s", seed, diff)
		}
		incremental := b.dump()
		b.exec("update readmodel.consultations set seq = 1, bytes = 99, state = 'open'")
		b.exec("delete from readmodel.participants")
		b.exec("delete from readmodel.markers")
		b.exec("update readmodel.holds set released_at = null, reason = 'x'")
		b.exec("update readmodel.spans set ended_at = null")
		if err := b.projector(nil, func(c *Config) { c.BatchSize = 7 }).Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.rows(ids), sameRows); diff != "" {
			t.Fatalf("seed %d: rebuilt rows (-fold in memory +database):\n%s", seed, diff)
		}
		if diff := cmp.Diff(incremental, b.dump()); diff != "" {
			t.Fatalf("seed %d: rows as text (-as the events came +rebuilt):\n%s", seed, diff)
		}
		for _, id := range ids {
			sameAsRules(t, b, want[id])
		}
	}
}

// sameAsRules compares a fold with consultation.State.
func sameAsRules(t *testing.T, b *bench, got *folded) {
	t.Helper()
	history, err := events.ReadAll(t.Context(), b.log, got.ID)
	if err != nil {
		t.Fatal(err)
	}
	state := consultation.Fold(history)
	if got.State != state.Phase || got.present() != state.Present() || got.Paused != state.Paused || len(got.Participants) != len(state.Participants()) {
		t.Errorf("phase %s, present %d, paused %t, %d participants; the rules say %s, %d, %t, %d", got.State, got.present(), got.Paused,
			len(got.Participants), state.Phase, state.Present(), state.Paused, len(state.Participants()))
	}
	for _, p := range state.Participants() {
		if g := got.Participants[p.ID]; g == nil || g.Consent != p.Consent || g.Present != p.Present || g.Role != p.Role {
			t.Errorf("participant %+v; the rules say %+v", g, p)
		}
	}
	if n, _ := got.held(); len(got.Holds) != len(state.Holds()) || (n > 0) != state.Held() {
		t.Errorf("%d holds, %d in force; the rules say %d, held: %t", len(got.Holds), n, len(state.Holds()), state.Held())
	}
	for _, h := range state.Holds() {
		if g := got.Holds[h.ID]; g == nil || g.Reason != h.Reason || g.PlacedBy != h.PlacedBy || g.ReleasedAt != nil != h.Released ||
			!h.Released && (g.AskedAt != nil) != (h.Request != nil) {
			t.Errorf("hold %+v; the rules say %+v", g, h)
		}
	}
}

func TestRunFollows(t *testing.T) {
	b := newBench(t)
	reg := prometheus.NewRegistry()
	p := b.projector(nil, func(c *Config) { c.Registerer = reg })
	if p.Ready() == nil {
		t.Error("ready before it was started")
	}
	stop := b.run(p)
	id := events.NewID()
	at := b.say(id, "", events.ConsultationScheduled{Policy: events.PolicyOptional})
	if err := p.WaitFor(t.Context(), at.Stream); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(); err != nil {
		t.Errorf("Ready = %v", err)
	}
	got, err := NewQueries(b.pool).Get(t.Context(), id)
	if err != nil || got.State != consultation.Scheduled || got.Policy != events.PolicyOptional {
		t.Errorf("row = %+v, error = %v", got, err)
	}
	at = b.say(id, "", events.ConsultationOpened{})
	if err := p.WaitFor(t.Context(), at.Stream); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	wantNoneRunning(t)
	want := `
# HELP consilium_projector_events_total Events that this process has projected into the read model.
# TYPE consilium_projector_events_total counter
consilium_projector_events_total 2
# HELP consilium_projector_position_events Stream sequence of the newest event that the read model shows.
# TYPE consilium_projector_position_events gauge
consilium_projector_position_events 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "consilium_projector_events_total", "consilium_projector_position_events"); err != nil {
		t.Error(err)
	}
}

func TestWaitFor(t *testing.T) {
	b := newBench(t)
	p := b.projector(nil, func(c *Config) { c.WaitLimit = 10 * time.Millisecond })
	if err := p.WaitFor(t.Context(), 0); err != nil {
		t.Errorf("nothing to wait for: %v", err)
	}
	if err := p.WaitFor(t.Context(), 1); !errors.Is(err, ErrBehind) {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.projector(nil).WaitFor(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

// TestTwoProjectors runs two on one database, as two processes do.
func TestTwoProjectors(t *testing.T) {
	b := newBench(t)
	one, two := b.projector(nil, func(c *Config) { c.BatchSize = 3 }), b.projector(nil, func(c *Config) { c.BatchSize = 5 })
	stopOne, stopTwo := b.run(one), b.run(two)
	ids := b.randomHistory(rand.New(rand.NewPCG(7, 7)), 4, 300)
	b.wait(one)
	b.wait(two)
	for _, err := range []error{stopOne(), stopTwo(), one.Ready(), two.Ready()} {
		if err != nil {
			t.Error(err)
		}
	}
	if n := testutil.ToFloat64(one.metrics.failures) + testutil.ToFloat64(two.metrics.failures); n != 0 {
		t.Errorf("they failed %v times on the way", n)
	}
	if diff := cmp.Diff(b.foldAll(ids), b.rows(ids), sameRows); diff != "" {
		t.Errorf("rows (-fold in memory +database):\n%s", diff)
	}
}

// TestDroppedConnections cuts every connection of the projector again and again while it works.
func TestDroppedConnections(t *testing.T) {
	b := newBench(t)
	cutter, err := pgxpool.New(t.Context(), b.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer cutter.Close()
	p := b.projector(nil, func(c *Config) { c.BatchSize = 10; c.RetryMax = time.Millisecond })
	stop := b.run(p)
	var ids []string
	failures := func() float64 { return testutil.ToFloat64(p.metrics.failures) }
	for seed := uint64(0); failures() < 3; seed++ {
		if seed == 100 {
			t.Fatalf("nothing was disturbed: %v failures", failures())
		}
		ids = append(ids, b.randomHistory(rand.New(rand.NewPCG(seed, 3)), 1, 30)...)
		_, err := cutter.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
		b.wait(p)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.foldAll(ids), b.rows(ids), sameRows); diff != "" {
		t.Errorf("rows (-fold in memory +database):\n%s", diff)
	}
}

func TestReplacedLog(t *testing.T) {
	b := newBench(t)
	old := b.randomHistory(rand.New(rand.NewPCG(1, 1)), 2, 100)
	b.catchUp()
	before := b.rows(old)

	b.log = logtest.NewMemory()
	fresh := b.randomHistory(rand.New(rand.NewPCG(2, 2)), 1, 40)
	p := b.projector(nil)
	if err := p.Run(t.Context()); !errors.Is(err, ErrOtherLog) {
		t.Fatalf("Run = %v", err)
	}
	if !errors.Is(p.Ready(), ErrOtherLog) {
		t.Errorf("Ready = %v", p.Ready())
	}
	if diff := cmp.Diff(before, b.rows(old), sameRows); diff != "" {
		t.Errorf("rows were changed:\n%s", diff)
	}
	if err := p.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"consultations where id", "participants where consultation", "archives where consultation"} {
		var n int
		if err := b.pool.QueryRow(t.Context(), "select count(*) from readmodel."+table+" = any($1)", old).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows of the old log are still there, error = %v", table, n, err)
		}
	}
	b.say(fresh[0], "", events.ConsultationOpened{})
	b.catchUp()
	if diff := cmp.Diff(b.foldAll(fresh), b.rows(fresh), sameRows); diff != "" {
		t.Errorf("rows (-fold in memory +database):\n%s", diff)
	}
}

// shorter is a log that lost its newest events.
type shorter struct{ events.Log }

func (s shorter) Info(ctx context.Context) (events.Info, error) {
	info, err := s.Log.Info(ctx)
	info.Last -= 5
	return info, err
}

func TestShorterLog(t *testing.T) {
	b := newBench(t)
	b.randomHistory(rand.New(rand.NewPCG(1, 1)), 1, 20)
	b.catchUp()
	p := b.projector(shorter{b.log})
	if err := p.Run(t.Context()); !errors.Is(err, ErrOtherLog) {
		t.Errorf("Run = %v", err)
	}
	if testutil.ToFloat64(p.metrics.stopped) != 1 {
		t.Error("the alarm is not given")
	}
}

func TestGapStopsTheProjector(t *testing.T) {
	b := newBench(t)
	b.randomHistory(rand.New(rand.NewPCG(1, 1)), 1, 20)
	b.log.Lose(t, 11)
	p := b.projector(nil)
	gap := (*events.GapError)(nil)
	if err := p.Run(t.Context()); !errors.As(err, &gap) {
		t.Fatalf("Run = %v", err)
	}
	if at := b.position().seq; at != 10 {
		t.Errorf("the rows go up to %d; they are right up to 10", at)
	}
	wantNoneRunning(t)
}

func TestRulesOfAnotherVersion(t *testing.T) {
	b := newBench(t)
	ids := b.randomHistory(rand.New(rand.NewPCG(4, 4)), 2, 50)
	b.catchUp()
	want := b.foldAll(ids)

	t.Run("rows of older rules are rebuilt", func(t *testing.T) {
		b.exec("update readmodel.position set projection = $1", projection-1)
		b.exec("update readmodel.consultations set bytes = -1")
		b.say(ids[0], "", events.ConsultationOpened{})
		b.catchUp()
		want = b.foldAll(ids)
		if diff := cmp.Diff(want, b.rows(ids), sameRows); diff != "" {
			t.Errorf("rows (-fold in memory +database):\n%s", diff)
		}
		if at := b.position(); at.projection != projection {
			t.Errorf("position = %+v", at)
		}
	})
	t.Run("rows of newer rules are left alone", func(t *testing.T) {
		b.exec("update readmodel.position set projection = $1", projection+1)
		if err := b.projector(nil).Run(t.Context()); !errors.Is(err, ErrNewerProjection) {
			t.Errorf("Run = %v", err)
		}
		if diff := cmp.Diff(want, b.rows(ids), sameRows); diff != "" {
			t.Errorf("rows were changed:\n%s", diff)
		}
	})
}

// edited is a log that changes what Follow yields.
type edited struct {
	events.Log
	edit func(events.Stored) events.Stored
}

func (l edited) Follow(ctx context.Context, after uint64, f events.Filter) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		for e, err := range l.Log.Follow(ctx, after, f) {
			if !yield(l.edit(e), err) {
				return
			}
		}
	}
}

func TestUnknownTypesAreCounted(t *testing.T) {
	b := newBench(t)
	id := events.NewID()
	b.say(id, "", events.ConsultationScheduled{}, events.AccessOpened{}, events.TrackMuted{}, events.AccessOpened{}, events.ConsultationOpened{})
	future := edited{b.log, func(e events.Stored) events.Stored {
		if e.Type == events.TypeAccessOpened {
			e.Type, e.Event = "access.dreamt", events.Unknown{Name: "access.dreamt", Version: 1}
		}
		return e
	}}
	p := b.projector(future)
	stop := b.run(p)
	b.wait(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if at := b.position(); at.unknown != 2 || at.seq != 5 || testutil.ToFloat64(p.metrics.unknown) != 2 {
		t.Errorf("position = %+v", at)
	}
	if got := b.rows([]string{id})[id]; got.State != consultation.Open || got.Seq != 5 {
		t.Errorf("row = %+v", got)
	}
}

// TestNothingThatAnEventSaysStopsIt stores values that a text column or a number column would refuse.
func TestNothingThatAnEventSaysStopsIt(t *testing.T) {
	b := newBench(t)
	id, odd := events.NewID(), "nul\x00 'quoted' \u202e"+strings.Repeat("ü", 5000) // longer than an index takes
	b.say(id, "", events.ConsultationScheduled{Policy: events.Policy(odd), Layout: odd, Language: strings.Repeat("x", 10000)})
	b.say(id, odd, events.ParticipantInvited{Role: odd, For: []string{odd, ""}}, events.ParticipantJoined{Role: odd}, events.ParticipantLeft{Reason: odd})
	b.say(id, "", events.ParticipantInvited{Role: "no id"}, events.ConsultationEnded{Reason: odd},
		events.SegmentOpened{Segment: odd}, events.SegmentStored{Segment: odd, Bytes: -5},
		events.SegmentOpened{}, events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: odd}, {}}},
		events.ArchiveRequested{Version: -1 << 62, ThroughSeq: 1<<64 - 1, Layout: odd, Profile: odd},
		events.ArchiveRendered{Version: -1 << 62, Bytes: -1, DurationMS: -1, Key: odd, SHA256: odd, ManifestSHA256: odd})
	b.say(id, odd, events.ConnectionOpened{Connection: odd, Via: odd, Browser: &events.Browser{Family: odd, Major: -1 << 62}},
		events.ConnectionICEChanged{Connection: odd, State: odd}, events.ConnectionTimedOut{Connection: odd, Phase: odd, Code: odd},
		events.TrackStarted{Track: odd, Connection: odd, Kind: odd, Source: odd}, events.TrackMuted{Track: odd}, events.TrackStalled{Track: odd, AfterMS: -1 << 62},
		events.SegmentOpened{Segment: odd, Track: odd, Width: 1 << 62, Height: -1 << 62}, events.SegmentSealed{Segment: odd, Frames: -1, Bytes: 1<<63 - 1},
		events.SegmentGap{Track: odd, Cause: odd}, events.SegmentGap{Track: odd, From: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
		events.AccessOpened{Purpose: odd, Version: -1 << 62}, events.ExportMade{Kind: odd, SHA256: odd},
		events.HoldPlaced{Hold: odd, Reason: odd, By: odd}, events.HoldReleaseRequested{Hold: odd, Reason: odd, By: odd}, events.HoldReleased{Hold: odd, By: odd},
		events.HoldPlaced{}, events.HoldReleased{},
		events.ConsultationCompleted{Tracks: []events.TrackAccount{{Track: odd, ExpectedMS: 1<<63 - 1, RecordedMS: -1 << 62}, {Track: odd, ExpectedMS: 1<<63 - 1}}})
	b.clock = time.Date(9999, 12, 31, 23, 59, 58, 0, time.UTC)
	b.say(id, "", events.RecordingPaused{Reason: odd})
	b.catchUp()
	if diff := cmp.Diff(b.foldAll([]string{id}), b.rows([]string{id}), sameRows); diff != "" {
		t.Errorf("rows (-fold in memory +database):\n%s", diff)
	}
	if _, err := NewQueries(b.pool).Get(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// slow is a log whose Follow stops at an event until it is let go, or fails there.
type slow struct {
	events.Log
	at      uint64
	reached chan struct{}
	goOn    chan error
}

func (l slow) Follow(ctx context.Context, after uint64, f events.Filter) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		for e, err := range l.Log.Follow(ctx, after, f) {
			if e.Stream == l.at {
				close(l.reached)
				if failure := <-l.goOn; failure != nil {
					yield(events.Stored{}, failure)
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestRebuild(t *testing.T) {
	b := newBench(t)
	ids := b.randomHistory(rand.New(rand.NewPCG(5, 5)), 3, 60)
	b.catchUp()
	want := b.foldAll(ids)
	half := func() (slow, chan error) {
		l := slow{Log: b.log, at: 30, reached: make(chan struct{}), goOn: make(chan error)}
		result := make(chan error, 1)
		go func() { result <- b.projector(l, func(c *Config) { c.BatchSize = 10 }).Rebuild(t.Context()) }()
		<-l.reached
		return l, result
	}

	t.Run("readers see the old rows meanwhile and do not wait", func(t *testing.T) {
		l, result := half()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		page, err := NewQueries(b.pool).List(ctx, Filter{})
		if err != nil || len(page.Items) != 3 {
			t.Errorf("%d rows, error = %v", len(page.Items), err)
		}
		l.goOn <- nil
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("one that fails leaves the old rows", func(t *testing.T) {
		l, result := half()
		l.goOn <- errors.New("the disk is gone")
		if err := <-result; err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("error = %v", err)
		}
		if diff := cmp.Diff(want, b.rows(ids), sameRows); diff != "" {
			t.Errorf("rows (-before +now):\n%s", diff)
		}
	})
	t.Run("a projector that runs meanwhile goes on without a hole", func(t *testing.T) {
		p := b.projector(nil)
		stop := b.run(p)
		b.wait(p)
		l, result := half()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				b.say(ids[0], "", events.RecordingPaused{}, events.RecordingResumed{})
			}
		})
		wg.Wait()
		l.goOn <- nil
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		at := b.say(ids[1], "", events.RecordingPaused{})
		if err := p.WaitFor(t.Context(), at.Stream); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.foldAll(ids), b.rows(ids), sameRows); diff != "" {
			t.Errorf("rows (-fold in memory +database):\n%s", diff)
		}
	})
	t.Run("an empty log gives no rows", func(t *testing.T) {
		b.log = logtest.NewMemory()
		if err := b.projector(nil).Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		if page, err := NewQueries(b.pool).List(t.Context(), Filter{}); err != nil || len(page.Items) != 0 {
			t.Errorf("%d rows, error = %v", len(page.Items), err)
		}
	})
}

// TestRebuildWentBack puts the position back behind a running projector's back.
func TestRebuildWentBack(t *testing.T) {
	b := newBench(t)
	p := b.projector(nil)
	stop := b.run(p)
	ids := b.randomHistory(rand.New(rand.NewPCG(6, 6)), 1, 10)
	b.wait(p)
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		if err := wipe(t.Context(), tx); err != nil {
			return err
		}
		at := b.position()
		at.seq = 0
		return at.move(t.Context(), tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	at := b.say(ids[0], "", events.RecordingPaused{})
	if err := p.WaitFor(t.Context(), at.Stream); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.foldAll(ids), b.rows(ids), sameRows); diff != "" {
		t.Errorf("rows (-fold in memory +database):\n%s", diff)
	}
}

func TestFold(t *testing.T) {
	id, anna, cam := events.NewID(), events.NewID(), events.NewID()
	type step struct {
		who string
		e   events.Event
	}
	invited, joined := step{anna, events.ParticipantInvited{Role: "patient"}}, step{anna, events.ParticipantJoined{Role: "patient"}}
	opened := step{"", events.SegmentOpened{Segment: "s"}}
	stored := step{"", events.SegmentStored{Segment: "s", Bytes: 10}}
	requested := step{"", events.ArchiveRequested{Version: 1}}
	rendered := step{"", events.ArchiveRendered{Version: 1, Key: "first", DurationMS: 5}}
	tests := []struct {
		name  string
		steps []step
		want  func(*folded) bool
	}{
		{name: "archive time 0 is the first join", steps: []step{invited, joined, {anna, events.ParticipantLeft{}}, joined}, want: func(f *folded) bool {
			return f.StartedAt.Equal(second(2)) && f.Participants[anna].JoinedAt.Equal(second(2)) && f.Participants[anna].LeftAt == nil && f.present() == 1
		}},
		{name: "who was never invited is not shown", steps: []step{joined}, want: func(f *folded) bool {
			return len(f.Participants) == 0 && f.StartedAt != nil
		}},
		{name: "the end lets everybody leave", steps: []step{invited, joined, {"", events.ConsultationEnded{Reason: "closed"}}}, want: func(f *folded) bool {
			p := f.Participants[anna]
			return f.State == consultation.Ended && f.present() == 0 && p.LeftReason == events.LeftEnded && p.LeftAt.Equal(second(3)) && f.EndedAt.Equal(second(3))
		}},
		{name: "reopening takes the end back", steps: []step{{"", events.ConsultationEnded{Reason: "closed"}}, {"", events.ConsultationReopened{}}}, want: func(f *folded) bool {
			return f.State == consultation.Open && f.EndedAt == nil && f.EndReason == ""
		}},
		{name: "a device shows whom it records", steps: []step{{cam, events.ParticipantInvited{Role: "device", For: []string{anna}}}}, want: func(f *folded) bool {
			return slices.Equal(f.Participants[cam].Records, []string{anna})
		}},
		{name: "a segment is awaited until it is stored", steps: []step{opened}, want: func(f *folded) bool {
			return slices.Equal(f.Pending, []string{"s"}) && f.SegmentsStored == 0
		}},
		{name: "a segment that is stored twice counts once", steps: []step{opened, stored, stored}, want: func(f *folded) bool {
			return len(f.Pending) == 0 && f.SegmentsStored == 1 && f.Bytes == 10
		}},
		{name: "a segment that nobody opened does not count", steps: []step{stored}, want: func(f *folded) bool {
			return f.SegmentsStored == 0 && f.Bytes == 0
		}},
		{name: "a missing segment is awaited no more", steps: []step{opened, {"", events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: "s"}}}}}, want: func(f *folded) bool {
			return len(f.Pending) == 0 && slices.Equal(f.Missing, []string{"s"}) && f.State == consultation.Completed
		}},
		{name: "a missing segment that turns up is missing no more", steps: []step{opened, {"", events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: "s"}}}}, stored}, want: func(f *folded) bool {
			return len(f.Missing) == 0 && f.SegmentsStored == 1
		}},
		{name: "an archive is queued, rendered, ready", steps: []step{{"", events.ConsultationCompleted{}}, requested, {"", events.ArchiveStarted{Version: 1}}, rendered}, want: func(f *folded) bool {
			a := f.Archives[1]
			return f.State == consultation.Archived && a.State == ArchiveReady && a.StartedAt.Equal(second(3)) && a.FinishedAt.Equal(second(4)) && a.DurationMS == 5
		}},
		{name: "one that is ready does not close a reopened consultation", steps: []step{{"", events.ConsultationCompleted{}}, requested, {"", events.ConsultationReopened{}}, rendered}, want: func(f *folded) bool {
			return f.State == consultation.Open
		}},
		{name: "an archive that is ready stays as it is", steps: []step{requested, rendered, {"", events.ArchiveRendered{Version: 1, Key: "second"}}, {"", events.ArchiveFailed{Version: 1, Code: "X"}}, {"", events.ArchiveStarted{Version: 1}}}, want: func(f *folded) bool {
			return f.Archives[1].State == ArchiveReady && f.Archives[1].Key == "first"
		}},
		{name: "a failed archive says why", steps: []step{requested, {"", events.ArchiveFailed{Version: 1, Code: "FFMPEG-MISSING"}}}, want: func(f *folded) bool {
			return f.Archives[1].State == ArchiveFailed && f.Archives[1].Code == "FFMPEG-MISSING" && f.State != consultation.Archived
		}},
		{name: "one that is tried again forgets why it failed", steps: []step{requested, {"", events.ArchiveFailed{Version: 1, Code: "X"}}, {"", events.ArchiveStarted{Version: 1}}}, want: func(f *folded) bool {
			return f.Archives[1].State == ArchiveRendering && f.Archives[1].Code == "" && f.Archives[1].FinishedAt == nil
		}},
		{name: "an archive that nobody requested is not shown", steps: []step{rendered}, want: func(f *folded) bool {
			return len(f.Archives) == 0 && f.State == consultation.Scheduled
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolded(id)
			for i, s := range tt.steps {
				e := events.Stored{Event: s.e, Envelope: events.Envelope{
					Subject: id, Seq: uint64(i + 1), Type: events.TypeOf(s.e), Time: second(i + 1), Participant: s.who,
				}}
				if known, err := f.apply(e); err != nil || !known {
					t.Fatalf("known = %t, error = %v", known, err)
				}
			}
			if !tt.want(f) {
				t.Errorf("fold = %+v", f)
			}
		})
	}
	t.Run("a hole in the consultation is an error", func(t *testing.T) {
		gap := (*events.GapError)(nil)
		f := newFolded(id)
		_, err := f.apply(events.Stored{Event: events.ConsultationOpened{}, Envelope: events.Envelope{Subject: id, Seq: 2}})
		if !errors.As(err, &gap) || gap.Consultation != id || f.Seq != 0 {
			t.Errorf("error = %v", err)
		}
	})
}

func second(n int) time.Time {
	return morning.Truncate(time.Microsecond).Add(time.Duration(n) * time.Second)
}
