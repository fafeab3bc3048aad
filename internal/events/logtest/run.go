// Package logtest holds what every body of events.Log must do, as tests (Run), and a log in memory for the tests of
// other rooms (NewMemory). Only tests import it.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"consilium/internal/events"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// Loser is a log that can lose an event, to try what happens then. Lose takes an event away that is not the newest.
type Loser interface {
	Lose(t testing.TB, stream uint64)
}

// Run is the conformance suite. open is called once for each test; it may give the same log again, with events of other
// tests in it. If the log is a Loser, open must give a new one each time.
func Run(t *testing.T, open func(t *testing.T) events.Log) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, l events.Log)
	}{
		{"events come back as they were appended", testRoundTrip},
		{"an append after an old version is a conflict", testConflict},
		{"an append to a consultation that has events needs their version", testConflictAtStart},
		{"several events are stored one directly after another", testSeveral},
		{"of several events all are stored or none", testAllOrNothing},
		{"nothing to append asks nothing", testNoDrafts},
		{"the same append again is stored once", testAppendAgain},
		{"the same event after a newer version is stored once", testSameIDAgain},
		{"a retry together with a new event is a conflict", testRetryWithMore},
		{"consultations do not disturb each other", testApart},
		{"read begins where it is told", testReadFrom},
		{"read stops when the reader has enough", testReadStops},
		{"ids that are no UUID are refused", testBadIDs},
		{"a call with an ended context fails", testEndedContext},
		{"of many that append after the same version one wins", testRace},
		{"many writers that rebase lose nothing and store nothing twice", testManyWriters},
		{"follow gives the past and then what comes", testFollow},
		{"follow begins after the position", testFollowFrom},
		{"follow of one consultation gives nothing else", testFollowConsultation},
		{"follow of types gives nothing else", testFollowTypes},
		{"follow of types of one consultation gives nothing else", testFollowConsultationTypes},
		{"follow ends without an error when the context ends", testFollowEnds},
		{"follow of an empty position waits", testFollowWaits},
		{"follow behind the end of the log is a gap", testFollowBehindTheEnd},
		{"several followers see the same", testFollowers},
		{"info tells the newest event and the age", testInfo},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
	losing := []struct {
		name string
		run  func(t *testing.T, l events.Log, lose func(testing.TB, uint64))
	}{
		{"a lost event is a gap on reading", testGapRead},
		{"a lost event is a gap on following the whole log", testGapFollow},
		{"a lost event is a gap on following from just before it", testGapFollowFrom},
		{"a lost event is a gap on following its consultation", testGapFollowConsultation},
		{"a lost event does not stop the followers of others", testGapOfOthers},
	}
	for _, tt := range losing {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t)
			if loser, ok := l.(Loser); ok {
				tt.run(t, l, loser.Lose)
			}
		})
	}
}

var base = time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC)

// draft is the n-th fact of a test.
func draft(n int) events.Draft {
	return events.NewDraft("/live/test", base.Add(time.Duration(n)*time.Second), events.TrackStalled{Track: "t", AfterMS: int64(n)})
}

func joined() events.Draft {
	return events.NewDraft("/live/test", base, events.ParticipantJoined{Role: "patient"})
}

// fill appends n events in one consultation, each in its own append, and gives the version after each.
func fill(t *testing.T, l events.Log, consultation string, n int) []events.Version {
	t.Helper()
	var versions []events.Version
	var at events.Version
	for i := range n {
		at = mustAppend(t, l, consultation, at, draft(i))
		versions = append(versions, at)
	}
	return versions
}

func mustAppend(t *testing.T, l events.Log, consultation string, after events.Version, drafts ...events.Draft) events.Version {
	t.Helper()
	v, err := l.Append(t.Context(), consultation, after, drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustRead(t *testing.T, l events.Log, consultation string) []events.Stored {
	t.Helper()
	all, err := events.ReadAll(t.Context(), l, consultation)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(all []events.Stored) []string {
	var ids []string
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

// take follows until n events came, and fails when an error comes first or nothing comes.
func take(t *testing.T, l events.Log, after uint64, filter events.Filter, n int) []events.Stored {
	t.Helper()
	all, err := taken(t.Context(), l, after, filter, n)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// taken is take for goroutines, which must not end the test.
func taken(ctx context.Context, l events.Log, after uint64, filter events.Filter, n int) ([]events.Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all []events.Stored
	for s, err := range l.Follow(ctx, after, filter) {
		if err != nil {
			return all, fmt.Errorf("follow after %d events: %w", len(all), err)
		}
		if all = append(all, s); len(all) == n {
			return all, nil
		}
	}
	return all, fmt.Errorf("%d of %d events came", len(all), n)
}

func position(t *testing.T, l events.Log) uint64 {
	t.Helper()
	info, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Last
}

func testRoundTrip(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	if v, err := l.Last(t.Context(), c); err != nil || v != (events.Version{}) {
		t.Fatalf("last of an empty consultation: %+v, %v", v, err)
	}
	if all := mustRead(t, l, c); len(all) != 0 {
		t.Fatalf("an empty consultation has %d events", len(all))
	}
	d := joined()
	d.Participant, d.Actor, d.CausationID = events.NewID(), events.NewID(), events.NewID()
	v1 := mustAppend(t, l, c, events.Version{}, d)
	v2 := mustAppend(t, l, c, v1, draft(1))

	all := mustRead(t, l, c)
	if len(all) != 2 {
		t.Fatalf("read %d events", len(all))
	}
	raw, sealed, err := events.Seal(c, events.Version{}, d)
	if err != nil {
		t.Fatal(err)
	}
	if string(all[0].Raw) != string(raw) {
		t.Errorf("stored bytes\n%s\nwant\n%s", all[0].Raw, raw)
	}
	if diff := cmp.Diff(d.Event, all[0].Event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	want := []events.Version{
		{Seq: 1, Stream: v1.Stream, Hash: sealed.Hash},
		{Seq: 2, Stream: v2.Stream, Hash: all[1].Hash()},
	}
	if diff := cmp.Diff(want, []events.Version{all[0].Version(), all[1].Version()}); diff != "" {
		t.Errorf("versions read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, []events.Version{v1, v2}); diff != "" {
		t.Errorf("versions appended (-want +got):\n%s", diff)
	}
	if v1.Stream == 0 || v2.Stream <= v1.Stream || all[1].PrevHash != v1.Hash {
		t.Errorf("versions %+v and %+v, prevhash %s", v1, v2, all[1].PrevHash)
	}
	if last, err := l.Last(t.Context(), c); err != nil || last != v2 {
		t.Errorf("last: %+v, %v; want %+v", last, err, v2)
	}
}

func testConflict(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 3)
	for i, after := range v[:2] {
		if _, err := l.Append(t.Context(), c, after, draft(9)); !errors.Is(err, events.ErrConflict) {
			t.Errorf("append after event %d of 3: %v", i+1, err)
		}
	}
	if all := mustRead(t, l, c); len(all) != 3 {
		t.Errorf("%d events after two conflicts", len(all))
	}
	mustAppend(t, l, c, v[2], draft(9))
}

func testConflictAtStart(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	fill(t, l, c, 1)
	if _, err := l.Append(t.Context(), c, events.Version{}, draft(9)); !errors.Is(err, events.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func testSeveral(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 1)
	want := []events.Draft{draft(1), joined(), draft(3), draft(4), draft(5)}
	after := mustAppend(t, l, c, v[0], want...)
	all := mustRead(t, l, c)
	if len(all) != 6 {
		t.Fatalf("read %d events", len(all))
	}
	for i, d := range want {
		if s := all[i+1]; s.ID != d.ID || s.Seq != uint64(i+2) || s.PrevHash != all[i].Hash() {
			t.Errorf("event %d: id %s seq %d", i+2, s.ID, s.Seq)
		}
	}
	if after != all[5].Version() {
		t.Errorf("version %+v, want %+v", after, all[5].Version())
	}
	mustAppend(t, l, c, after, draft(6))
}

func testAllOrNothing(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 2)
	if _, err := l.Append(t.Context(), c, v[0], draft(1), draft(2), draft(3)); !errors.Is(err, events.ErrConflict) {
		t.Errorf("several after an old version: %v", err)
	}
	bad := draft(4)
	bad.Source = ""
	if _, err := l.Append(t.Context(), c, v[1], draft(1), bad, draft(3)); err == nil {
		t.Error("an event without a source was stored")
	}
	if all := mustRead(t, l, c); len(all) != 2 {
		t.Errorf("%d events, want 2", len(all))
	}
}

func testNoDrafts(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 2)
	if got, err := l.Append(t.Context(), c, v[0]); err != nil || got != v[0] {
		t.Errorf("got %+v, %v", got, err)
	}
}

func testAppendAgain(t *testing.T, l events.Log) {
	t.Helper()
	tests := []struct {
		name   string
		drafts []events.Draft
	}{
		{"one event", []events.Draft{draft(1)}},
		{"several events", []events.Draft{draft(1), draft(2), draft(3)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := events.NewID()
			v := fill(t, l, c, 1)
			first := mustAppend(t, l, c, v[0], tt.drafts...)
			again := mustAppend(t, l, c, v[0], tt.drafts...)
			if first != again {
				t.Errorf("first %+v, again %+v", first, again)
			}
			mustAppend(t, l, c, first, joined())
			if late := mustAppend(t, l, c, v[0], tt.drafts...); late != first {
				t.Errorf("first %+v, after others %+v", first, late)
			}
			if all := mustRead(t, l, c); len(all) != len(tt.drafts)+2 {
				t.Errorf("%d events: %v", len(all), ids(all))
			}
		})
	}
}

func testSameIDAgain(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	d := draft(1)
	first := mustAppend(t, l, c, events.Version{}, d)
	newest := mustAppend(t, l, c, first, draft(2))
	if got := mustAppend(t, l, c, newest, d); got != first {
		t.Errorf("got %+v, want %+v", got, first)
	}
	if all := mustRead(t, l, c); len(all) != 2 {
		t.Errorf("%d events", len(all))
	}
}

func testRetryWithMore(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 1)
	d := draft(1)
	mustAppend(t, l, c, v[0], d)
	if _, err := l.Append(t.Context(), c, v[0], d, draft(2)); !errors.Is(err, events.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if all := mustRead(t, l, c); len(all) != 2 {
		t.Errorf("%d events", len(all))
	}
}

func testApart(t *testing.T, l events.Log) {
	t.Helper()
	a, b := events.NewID(), events.NewID()
	var va, vb events.Version
	for i := range 5 {
		va = mustAppend(t, l, a, va, draft(i))
		vb = mustAppend(t, l, b, vb, draft(i), draft(i))
	}
	for c, want := range map[string]int{a: 5, b: 10} {
		all := mustRead(t, l, c)
		if len(all) != want {
			t.Errorf("%d events, want %d", len(all), want)
		}
		for i, s := range all {
			if s.Subject != c || s.Seq != uint64(i+1) {
				t.Errorf("event %d: subject %s seq %d", i, s.Subject, s.Seq)
			}
		}
	}
}

func testReadFrom(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	fill(t, l, c, 5)
	for from, want := range map[uint64]int{0: 5, 1: 5, 2: 4, 5: 1, 6: 0, 99: 0} {
		var got []uint64
		for s, err := range l.Read(t.Context(), c, from) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s.Seq)
		}
		if len(got) != want || want > 0 && got[0] != max(from, 1) {
			t.Errorf("from %d: %v", from, got)
		}
	}
}

func testReadStops(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	fill(t, l, c, 5)
	n := 0
	for _, err := range l.Read(t.Context(), c, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

func testBadIDs(t *testing.T, l events.Log) {
	t.Helper()
	for _, c := range []string{"", "*", ">", "a.b", "019AB000-0000-7000-8000-000000000001"} {
		if _, err := l.Append(t.Context(), c, events.Version{}, draft(1)); err == nil {
			t.Errorf("append to %q is allowed", c)
		}
		if _, err := l.Last(t.Context(), c); err == nil {
			t.Errorf("last of %q is allowed", c)
		}
		if _, err := events.ReadAll(t.Context(), l, c); err == nil {
			t.Errorf("read of %q is allowed", c)
		}
		if c == "" {
			continue // the whole log
		}
		for _, err := range l.Follow(t.Context(), 0, events.Filter{Consultation: c}) {
			if err == nil {
				t.Errorf("follow of %q is allowed", c)
			}
			break
		}
	}
}

func testEndedContext(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, c, v[2], draft(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Last(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("last: %v", err)
	}
	if _, err := events.ReadAll(ctx, l, c); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if n := len(mustRead(t, l, c)); n != 3 {
		t.Errorf("%d events", n)
	}
}

func testRace(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 1)
	const writers = 16
	won := make([]bool, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, err := appendRetrying(t.Context(), l, c, v[0], draft(i))
			won[i] = err == nil
			if err != nil && !errors.Is(err, events.ErrConflict) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(won, func(w bool) bool { return !w })); n != 1 {
		t.Errorf("%d of %d writers won", n, writers)
	}
	if all := mustRead(t, l, c); len(all) != 2 {
		t.Errorf("%d events", len(all))
	}
}

// appendRetrying appends again with the same drafts and version while the log is away, as a writer does.
func appendRetrying(ctx context.Context, l events.Log, c string, after events.Version, drafts ...events.Draft) (events.Version, error) {
	for try := 0; ; try++ {
		v, err := l.Append(ctx, c, after, drafts...)
		if err == nil || errors.Is(err, events.ErrConflict) || try == 20 || ctx.Err() != nil {
			return v, err
		}
	}
}

func testManyWriters(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	const writers, each = 8, 6
	var wg sync.WaitGroup
	want := make([][]string, writers)
	for w := range writers {
		wg.Go(func() {
			var at events.Version
			for i := range each {
				drafts := []events.Draft{draft(i)}
				if i%3 == 2 {
					drafts = append(drafts, joined())
				}
				v, err := rebase(t.Context(), l, c, at, drafts)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				at = v
				for _, d := range drafts {
					want[w] = append(want[w], d.ID)
				}
			}
		})
	}
	wg.Wait()
	all := mustRead(t, l, c) // its chain is checked here
	got := ids(all)
	for w, mine := range want {
		i := 0
		for _, id := range got {
			if i < len(mine) && id == mine[i] {
				i++
			}
		}
		if i != len(mine) {
			t.Errorf("writer %d: only %d of %d events stored in order", w, i, len(mine))
		}
	}
	if n := writers * (each + each/3); len(got) != n {
		t.Errorf("%d events, want %d", len(got), n)
	}
}

// rebase appends behind whatever is newest.
func rebase(ctx context.Context, l events.Log, c string, at events.Version, drafts []events.Draft) (events.Version, error) {
	for {
		v, err := appendRetrying(ctx, l, c, at, drafts...)
		if !errors.Is(err, events.ErrConflict) {
			return v, err
		}
		if at, err = l.Last(ctx, c); err != nil {
			return events.Version{}, err
		}
	}
}

func testFollow(t *testing.T, l events.Log) {
	t.Helper()
	from := position(t, l)
	c := events.NewID()
	v := fill(t, l, c, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at, n := v[2], 0
	for s, err := range l.Follow(ctx, from, events.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if s.Seq != uint64(n) || s.Subject != c || s.Stream != from+uint64(n) {
			t.Fatalf("event %d: seq %d of %s at %d", n, s.Seq, s.Subject, s.Stream)
		}
		switch {
		case n == 12:
			return
		case n >= 3: // the rest is appended while it is followed
			at = mustAppend(t, l, c, at, draft(n))
		}
	}
	t.Fatalf("ended after %d events", n)
}

func testFollowFrom(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 6)
	got := take(t, l, v[1].Stream, events.Filter{}, 4)
	if got[0].Seq != 3 || got[3].Seq != 6 {
		t.Errorf("got %d to %d, want 3 to 6", got[0].Seq, got[3].Seq)
	}
	got = take(t, l, v[3].Stream, events.Filter{Consultation: c}, 2)
	if got[0].Seq != 5 || got[1].Seq != 6 {
		t.Errorf("got %d and %d of the consultation, want 5 and 6", got[0].Seq, got[1].Seq)
	}
}

func testFollowConsultation(t *testing.T, l events.Log) {
	t.Helper()
	a, b := events.NewID(), events.NewID()
	var va, vb events.Version
	for i := range 4 {
		vb = mustAppend(t, l, b, vb, draft(i))
		va = mustAppend(t, l, a, va, draft(i), joined())
	}
	got := take(t, l, 0, events.Filter{Consultation: a}, 8)
	if diff := cmp.Diff(mustRead(t, l, a), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("followed (+) is not what is read (-):\n%s", diff)
	}
	// The position may be one of another consultation.
	if got := take(t, l, vb.Stream, events.Filter{Consultation: a}, 2); got[0].Seq != 7 {
		t.Errorf("after an event of another consultation: seq %d, want 7", got[0].Seq)
	}
}

func testFollowTypes(t *testing.T, l events.Log) {
	t.Helper()
	from := position(t, l)
	c, d := events.NewID(), events.NewID()
	v := mustAppend(t, l, c, events.Version{}, draft(1), joined(), draft(2))
	mustAppend(t, l, d, events.Version{}, draft(1), joined())
	mustAppend(t, l, c, v, events.NewDraft("/live/test", base, events.ParticipantLeft{Reason: events.LeftLeft}))
	got := take(t, l, from, events.Filter{Types: []events.Type{events.TypeParticipantJoined, events.TypeParticipantLeft}}, 3)
	var names []string
	for _, s := range got {
		names = append(names, fmt.Sprintf("%s/%d", s.Type, s.Seq))
	}
	if diff := cmp.Diff([]string{"participant.joined/2", "participant.joined/2", "participant.left/4"}, names); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func testFollowConsultationTypes(t *testing.T, l events.Log) {
	t.Helper()
	c, d := events.NewID(), events.NewID()
	mustAppend(t, l, d, events.Version{}, joined(), draft(1))
	v := mustAppend(t, l, c, events.Version{}, draft(1), joined(), draft(2))
	mustAppend(t, l, c, v, joined())
	filter := events.Filter{Consultation: c, Types: []events.Type{events.TypeParticipantJoined}}
	if got := take(t, l, 0, filter, 2); got[0].Subject != c || got[0].Seq != 2 || got[1].Seq != 4 {
		t.Errorf("got %d and %d of %s", got[0].Seq, got[1].Seq, got[0].Subject)
	}
}

func testFollowEnds(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	fill(t, l, c, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range l.Follow(ctx, 0, events.Filter{Consultation: c}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			// One ends while Follow waits, not while it yields.
			time.AfterFunc(20*time.Millisecond, cancel)
		}
	}
	if n != 3 {
		t.Errorf("%d events", n)
	}
}

func testFollowWaits(t *testing.T, l events.Log) {
	t.Helper()
	c := events.NewID()
	var got []events.Stored
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = taken(t.Context(), l, 0, events.Filter{Consultation: c}, 1)
	}()
	select {
	case <-done:
		t.Fatalf("ended before there was anything: %v, %v", ids(got), err)
	case <-time.After(30 * time.Millisecond):
	}
	d := joined()
	mustAppend(t, l, c, events.Version{}, d)
	<-done
	if diff := cmp.Diff([]string{d.ID}, ids(got)); diff != "" || err != nil {
		t.Errorf("%v, got (-want +got):\n%s", err, diff)
	}
}

func testFollowBehindTheEnd(t *testing.T, l events.Log) {
	t.Helper()
	fill(t, l, events.NewID(), 1)
	end := position(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last error
	for _, err := range l.Follow(ctx, end+100, events.Filter{}) {
		last = err
	}
	want := &events.GapError{Want: end + 101, Got: end}
	var gap *events.GapError
	if !errors.As(last, &gap) || *gap != *want {
		t.Errorf("got %v, want %v", last, want)
	}
}

func testFollowers(t *testing.T, l events.Log) {
	t.Helper()
	from := position(t, l)
	c := events.NewID()
	const followers, n = 5, 20
	got := make([][]string, followers)
	var wg sync.WaitGroup
	for i := range followers {
		wg.Go(func() {
			all, err := taken(t.Context(), l, from, events.Filter{}, n)
			if err != nil {
				t.Errorf("follower %d: %v", i, err)
			}
			got[i] = ids(all)
		})
	}
	fill(t, l, c, n)
	wg.Wait()
	want := ids(mustRead(t, l, c))
	for i := range got {
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("follower %d (-want +got):\n%s", i, diff)
		}
	}
}

func testInfo(t *testing.T, l events.Log) {
	t.Helper()
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := fill(t, l, events.NewID(), 3)
	after, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Last != v[2].Stream || after.Last != before.Last+3 {
		t.Errorf("last %d, then %d; the newest event is %d", before.Last, after.Last, v[2].Stream)
	}
	if after.Created.IsZero() || !after.Created.Equal(before.Created) {
		t.Errorf("created %v, then %v", before.Created, after.Created)
	}
}

// gapOf reads until something goes wrong and gives the gap and how many events came before it.
func gapOf(t *testing.T, seq func(func(events.Stored, error) bool)) (*events.GapError, int) {
	t.Helper()
	n := 0
	for _, err := range seq {
		if err == nil {
			n++
			continue
		}
		var gap *events.GapError
		if !errors.As(err, &gap) {
			t.Fatalf("after %d events: %v, want a gap", n, err)
		}
		return gap, n
	}
	t.Fatalf("%d events came, and no gap", n)
	return nil, 0
}

func wantGap(t *testing.T, got *events.GapError, n int, want events.GapError, before int) {
	t.Helper()
	if *got != want || n != before {
		t.Errorf("%v after %d events, want %v after %d", got, n, &want, before)
	}
}

func testGapRead(t *testing.T, l events.Log, lose func(testing.TB, uint64)) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 5)
	lose(t, v[2].Stream)
	gap, n := gapOf(t, l.Read(t.Context(), c, 1))
	wantGap(t, gap, n, events.GapError{Consultation: c, Want: 3, Got: 4}, 2)
}

func testGapFollow(t *testing.T, l events.Log, lose func(testing.TB, uint64)) {
	t.Helper()
	from := position(t, l)
	v := fill(t, l, events.NewID(), 5)
	lose(t, v[2].Stream)
	gap, n := gapOf(t, l.Follow(t.Context(), from, events.Filter{}))
	wantGap(t, gap, n, events.GapError{Want: v[2].Stream, Got: v[3].Stream}, 2)
}

func testGapFollowFrom(t *testing.T, l events.Log, lose func(testing.TB, uint64)) {
	t.Helper()
	v := fill(t, l, events.NewID(), 5)
	lose(t, v[2].Stream)
	gap, n := gapOf(t, l.Follow(t.Context(), v[1].Stream, events.Filter{}))
	wantGap(t, gap, n, events.GapError{Want: v[2].Stream, Got: v[3].Stream}, 0)
}

func testGapFollowConsultation(t *testing.T, l events.Log, lose func(testing.TB, uint64)) {
	t.Helper()
	c := events.NewID()
	v := fill(t, l, c, 5)
	lose(t, v[2].Stream)
	gap, n := gapOf(t, l.Follow(t.Context(), 0, events.Filter{Consultation: c}))
	wantGap(t, gap, n, events.GapError{Consultation: c, Want: 3, Got: 4}, 2)
}

func testGapOfOthers(t *testing.T, l events.Log, lose func(testing.TB, uint64)) {
	t.Helper()
	a, b := events.NewID(), events.NewID()
	va := fill(t, l, a, 3)
	fill(t, l, b, 3)
	lose(t, va[1].Stream)
	take(t, l, 0, events.Filter{Consultation: b}, 3)
	if n := len(mustRead(t, l, b)); n != 3 {
		t.Errorf("%d events", n)
	}
}
