package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

// checkTimeline asserts what holds for every timeline, whatever the events were.
func checkTimeline(t *testing.T, tl *Timeline) {
	t.Helper()
	if tl.DurationNS < 0 || tl.Participants == nil || tl.Markers == nil {
		t.Errorf("duration %d, participants %v, markers %v", tl.DurationNS, tl.Participants, tl.Markers)
	}
	for i, m := range tl.Markers {
		if m.AtNS < 0 || m.AtNS > tl.DurationNS || (i > 0 && m.Seq <= tl.Markers[i-1].Seq) {
			t.Errorf("marker %+v is out of place", m)
		}
	}
	for _, p := range tl.Participants {
		checkOrder(t, "present "+p.ID, 0, tl.DurationNS, p.Present)
		var absent []Interval
		for _, g := range p.Absent {
			absent = append(absent, Interval{g.StartNS, g.EndNS})
			if g.Cause == "" {
				t.Errorf("%s is absent without a cause: %+v", p.ID, g)
			}
		}
		checkOrder(t, "absent "+p.ID, 0, tl.DurationNS, absent)
		for _, tr := range p.Tracks {
			checkTrack(t, tl, tr)
		}
	}
	checkAccounts(t, tl)
}

func checkTrack(t *testing.T, tl *Timeline, tr Track) {
	t.Helper()
	if tr.StartNS < 0 || tr.EndNS > tl.DurationNS || tr.StartNS >= tr.EndNS {
		t.Errorf("track %s spans %d to %d of %d", tr.ID, tr.StartNS, tr.EndNS, tl.DurationNS)
	}
	var clips, both []Interval
	for _, c := range tr.Clips {
		clips = append(clips, Interval{c.StartNS, c.EndNS})
		if c.FileStartNS < 0 || c.ErrorNS < 0 || c.Rate < 1-ppm500 || c.Rate > 1+ppm500 || c.Quality == "" || c.SHA256 == "" {
			t.Errorf("track %s has the clip %+v", tr.ID, c)
		}
		if c.ConcealedNS < 0 || c.ConcealedNS > c.EndNS-c.StartNS {
			t.Errorf("track %s conceals %d in a clip of %d", tr.ID, c.ConcealedNS, c.EndNS-c.StartNS)
		}
	}
	both = append(both, clips...)
	for _, g := range tr.Gaps {
		both = append(both, Interval{g.StartNS, g.EndNS})
		if g.Cause == "" {
			t.Errorf("track %s has a gap without a cause: %+v", tr.ID, g)
		}
	}
	checkOrder(t, "clips of "+tr.ID, tr.StartNS, tr.EndNS, clips)
	total := int64(0)
	for _, iv := range both {
		total += iv.EndNS - iv.StartNS
	}
	if u := union(both); len(u) != 1 || u[0] != (Interval{tr.StartNS, tr.EndNS}) || total != tr.EndNS-tr.StartNS {
		t.Errorf("clips and gaps of track %s do not cover it once: %v", tr.ID, u)
	}
}

func checkOrder(t *testing.T, what string, from, to int64, ivs []Interval) {
	t.Helper()
	for _, iv := range ivs {
		if iv.StartNS < from || iv.EndNS > to || iv.StartNS >= iv.EndNS {
			t.Errorf("%s: %v is out of order or range %d to %d", what, iv, from, to)
		}
		from = iv.EndNS
	}
}

func checkAccounts(t *testing.T, tl *Timeline) {
	t.Helper()
	for _, a := range tl.Accounts() {
		sum := a.RecordedMS
		for cause, ms := range a.GapsMS {
			if ms < 0 || cause == "" {
				t.Errorf("track %s: gap %q of %d ms", a.Track, cause, ms)
			}
			sum += ms
		}
		if sum != a.ExpectedMS || a.RecordedMS < 0 {
			t.Errorf("account does not close: %+v", a)
		}
	}
}

// stripped is evs without the anchors that arrived after the moment.
func stripped(evs []events.Stored, keep func(events.Anchor) bool) []events.Stored {
	out := make([]events.Stored, len(evs))
	copy(out, evs)
	for i, ev := range out {
		if e, ok := ev.Event.(events.SegmentAnchored); ok {
			var as []events.Anchor
			for _, a := range e.Anchors {
				if keep(a) {
					as = append(as, a)
				}
			}
			e.Anchors = as
			out[i].Event = e
		}
	}
	return out
}

// checkFiles asserts that every clip lies inside its file, up to the frame that holds.
func checkFiles(t *testing.T, s *State, tl *Timeline) {
	t.Helper()
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			shown := map[string][]Interval{}
			for _, c := range tr.Clips {
				content := s.segments[c.Segment].contentNS()
				from := c.FileStartNS
				to := from + round(float64(c.EndNS-c.StartNS)*c.Rate)
				if from >= content || to > content+seamLimit+tailLimit {
					t.Errorf("clip %+v shows %d to %d of %d", c, from, to, content)
				}
				shown[c.Segment] = append(shown[c.Segment], Interval{from, to})
			}
			for id, ivs := range shown {
				checkOrder(t, "file "+id, 0, never, ivs)
			}
		}
	}
}

// eventful is a consultation with everything that makes placing hard: jitter, drift, late reports, drops, pauses, mutes.
func eventful(tb testing.TB, seed uint64) *script {
	s := newScript(tb)
	s.noise = rand.New(rand.NewPCG(seed, seed))
	random := func(n time.Duration) time.Duration { return time.Duration(s.noise.Int64N(int64(n))) }
	s.begin(events.PolicyRequired)
	for i := range 2 {
		who := s.invite("patient")
		s.consent(-1, who)
		conn := s.join(float64(i)*7, who, "patient")
		wall := random(10*time.Second) - 5*time.Second
		for _, src := range []*source{s.audio(who, conn, 9), s.video(who, conn, 9.2)} {
			src.ppm, src.wall = s.noise.Float64()*600-300, wall
			src.delay, src.srDelay = random(200*time.Millisecond), random(100*time.Millisecond)
			src.jitter, src.firstSR = time.Millisecond+random(40*time.Millisecond), random(20*time.Second)
			src.everySR, src.badFirst = sec(1)+random(6*time.Second), random(15*time.Millisecond)
			src.rtt = 2 * src.srDelay
			begin := src.born.Seconds()
			mid := begin + 40 + s.noise.Float64()*60
			src.start(begin)
			src.play(begin, mid, "started")
			src.play(mid+s.noise.Float64()*4, 240, "loss")
		}
	}
	s.add(150, "", events.RecordingPaused{Reason: "private"})
	s.add(160, "", events.RecordingResumed{Reason: "private"})
	s.end(241)
	return s
}

// TestPlacesDependOnThirtySeconds is the promise that lets an archive be rendered while the call goes on: what arrives
// more than 30 s after a moment changes nothing that is shown at that moment.
func TestPlacesDependOnThirtySeconds(t *testing.T) {
	const window = 30 * time.Second
	for seed := range uint64(6) {
		s := eventful(t, seed)
		evs := s.stored()
		whole, err := Build(evs, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := 20 * time.Second; at < 240*time.Second; at += 11 * time.Second {
			limit := scriptZero.Add(at + window)
			early, err := Build(stripped(evs, func(a events.Anchor) bool { return !a.Arrival.After(limit) }), 0)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(clipsUntil(whole, at), clipsUntil(early, at)); d != "" {
				t.Fatalf("seed %d: anchors after %v change what is shown before %v:\n%s", seed, at+window, at, d)
			}
		}
	}
}

// TestLaterAnchorsDoMatter keeps the test above honest: the same anchors do change what comes after.
func TestLaterAnchorsDoMatter(t *testing.T) {
	evs := eventful(t, 3).stored()
	limit := scriptZero.Add(60 * time.Second)
	early, err := Build(stripped(evs, func(a events.Anchor) bool { return !a.Arrival.After(limit) }), 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := Build(evs, 0)
	if cmp.Equal(clipsUntil(whole, time.Hour), clipsUntil(early, time.Hour)) {
		t.Error("without the anchors after the first minute nothing changes; they are not used at all")
	}
}

// begun is what of a clip is known when it begins.
type begun struct {
	Segment     string
	StartNS     int64
	FileStartNS int64
	EndNS       int64
	Rate        float64
	ErrorNS     int64
	Quality     Quality
}

// clipsUntil is the shown parts of all clips up to the moment.
func clipsUntil(tl *Timeline, at time.Duration) []begun {
	var all []begun
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			for _, c := range tr.Clips {
				if c.StartNS < int64(at) {
					all = append(all, begun{c.Segment, c.StartNS, c.FileStartNS, min(c.EndNS, int64(at)), c.Rate, c.ErrorNS, c.Quality})
				}
			}
		}
	}
	return all
}

// TestPlacingDuringTheCall applies events one by one and places in between: what was placed long enough ago is placed
// alike at the end, and placing changes nothing.
func TestPlacingDuringTheCall(t *testing.T) {
	const settled = 30*time.Second + 16*time.Second // the window, and the time until its anchors are in the log
	for seed := range uint64(4) {
		evs := eventful(t, seed).stored()
		whole, err := Build(evs, 0)
		if err != nil {
			t.Fatal(err)
		}
		final := map[string]begun{}
		for _, c := range clipsUntil(whole, time.Hour) {
			final[fmt.Sprint(c.Segment, c.FileStartNS)] = c
		}
		var s State
		compared := 0
		for i, ev := range evs {
			if err := s.Apply(ev); err != nil {
				t.Fatal(err)
			}
			if i%5 != 0 {
				continue
			}
			for _, c := range clipsUntil(s.Place(), time.Hour) {
				if c.EndNS > int64(ev.Time.Sub(scriptZero)-settled) {
					continue
				}
				compared++
				if want := final[fmt.Sprint(c.Segment, c.FileStartNS)]; c != want {
					t.Fatalf("seed %d, after event %d: placed %+v, at the end %+v", seed, i, c, want)
				}
			}
		}
		if compared < 100 {
			t.Errorf("only %d clips were compared", compared)
		}
		if d := cmp.Diff(whole, s.Place()); d != "" {
			t.Errorf("placing in between changed the result:\n%s", d)
		}
	}
}

// TestSameEventsSameBytes also covers that applying an event twice changes nothing.
func TestSameEventsSameBytes(t *testing.T) {
	for seed := range uint64(4) {
		evs := eventful(t, seed).stored()
		first := encode(t, evs)
		if !bytes.Equal(first, encode(t, evs)) {
			t.Fatalf("seed %d: two builds differ", seed)
		}
		var twice []events.Stored
		for i := range evs {
			twice = append(twice, evs[i], evs[max(0, i-3)])
		}
		if !bytes.Equal(first, encode(t, twice)) {
			t.Errorf("seed %d: seeing events twice changes the timeline", seed)
		}
	}
}

func encode(t *testing.T, evs []events.Stored) []byte {
	t.Helper()
	tl, err := Build(evs, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(tl)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestArchivesDoNotChangeTheNextArchive: through which event a timeline is built matters, what was done with archives
// does not, nor does a hold.
func TestArchivesDoNotChangeTheNextArchive(t *testing.T) {
	s := scenario(t, "plain")
	before := encode(t, s.stored())
	s.add(100, "", events.ArchiveRequested{Version: 1})
	s.add(110, "", events.ArchiveRendered{Version: 1, DurationMS: 1})
	s.add(120, "", events.AccessOpened{Purpose: "review"})
	s.add(130, "", events.ExportMade{Kind: "copy"})
	for _, e := range []events.Event{
		events.HoldPlaced{Hold: "h"}, events.HoldReleaseRequested{Hold: "h"}, events.HoldReleaseDeclined{Hold: "h"}, events.HoldReleased{Hold: "h"},
	} {
		s.add(140, "", e)
	}
	if !bytes.Equal(before, encode(t, s.stored())) {
		t.Error("archive, access and hold events changed the timeline")
	}
}

func TestBuildThrough(t *testing.T) {
	evs := scenario(t, "plain").stored()
	n := uint64(len(evs))
	for _, tt := range []struct {
		name    string
		evs     []events.Stored
		through uint64
		wantErr bool
	}{
		{"all events", evs, 0, false},
		{"some events", evs, n / 2, false},
		{"no events at all", nil, 0, true},
		{"more events than there are", evs, n + 1, true},
		{"an event is missing in between", append(evs[:3:3], evs[4:]...), 0, true},
		{"an event without a number", []events.Stored{{}}, 0, true},
		{"an event of another consultation", append(evs[:3:3], foreign(evs[3])), 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tl, err := Build(tt.evs, tt.through)
			if (err != nil) != tt.wantErr {
				t.Fatalf("error is %v", err)
			}
			if err == nil && tt.through != 0 && tl.Markers[len(tl.Markers)-1].Seq > tt.through {
				t.Error("a later event is in the timeline")
			}
		})
	}
}

func foreign(ev events.Stored) events.Stored {
	ev.Subject = "01900000-0000-7000-8000-00000000dead"
	return ev
}
