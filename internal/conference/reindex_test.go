package conference_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/logtest"
	"consilium/internal/reindex"
	"consilium/internal/timeline"
)

// recorded is a consultation of two that was recorded for a while, with a pause, and is over. Its files are short, so that
// there are many.
func recorded(t *testing.T) *meeting {
	t.Helper()
	m := open(t, func(c *conference.Config) {
		c.Recorder.Rotate = 700 * time.Millisecond
		c.Recorder.AnchorEvery = 500 * time.Millisecond
	}).schedule(events.PolicyRequired, 2)
	m.answer(m.people[0], consultation.Given)
	m.answer(m.people[1], consultation.Given)
	doctor, patient := m.attend(0), m.attend(1)
	doctor.publish()
	patient.publish()
	doctor.sees(m.people[0], "yes", limit)
	doctor.sees(m.people[1], "yes", limit)
	m.records(4)
	m.wish(consultation.Pause{Reason: "private"})
	sealed := 0
	await(m, "the files before the pause", func(_ events.Stored, e events.SegmentSealed) bool {
		if e.Reason == "paused" {
			sealed++
		}
		return sealed == 4
	})
	<-time.After(time.Second) // of pause
	m.wish(consultation.Resume{Reason: "private"})
	rotated := map[string]int{}
	await(m, "files after the pause", func(_ events.Stored, e events.SegmentOpened) bool {
		if e.Reason == "rotation" || e.Reason == "resumed" {
			rotated[e.Track]++
		}
		return len(rotated) == 4 && !slices.ContainsFunc(slices.Collect(maps.Values(rotated)), func(n int) bool { return n < 3 })
	})
	m.finish()
	return m
}

// rebuild reindexes the files of m into log.
func (m *meeting) rebuild(log events.Log, spool string, dry bool) ([]reindex.Result, error) {
	m.t.Helper()
	logger := slog.New(slog.DiscardHandler)
	blobs, err := blob.Open(m.t.Context(), "file://"+m.blobs)
	if err != nil {
		m.t.Fatal(err)
	}
	defer blobs.Close()
	var all []reindex.Result
	err = reindex.Run(m.t.Context(), reindex.Config{Node: "n", SpoolDir: spool, DryRun: dry}, reindex.Deps{
		Log: log, Appender: appender.New(log, logger, nil), Blobs: blobs, Sheets: names{}, Now: time.Now, Logger: logger,
	}, func(r reindex.Result) { all = append(all, r) })
	return all, err
}

// in reads the consultation from a log, which checks the chain of its events.
func (m *meeting) in(log events.Log) []events.Stored {
	m.t.Helper()
	all, err := events.ReadAll(context.Background(), log, m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

func build(t *testing.T, history []events.Stored) *timeline.Timeline {
	t.Helper()
	tl, err := timeline.Build(history, 0)
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

// clips are all clips of a timeline by participant, track and segment.
func clips(tl *timeline.Timeline) map[[3]string]timeline.Clip {
	all := map[[3]string]timeline.Clip{}
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			for _, c := range tr.Clips {
				all[[3]string{p.ID, tr.ID, c.Segment}] = c
			}
		}
	}
	return all
}

// TestALostLogIsRebuiltFromTheFiles records with real peers, throws the log away, and compares the timelines.
func TestALostLogIsRebuiltFromTheFiles(t *testing.T) {
	slow(t)
	m := recorded(t)
	before := m.history()
	log := logtest.NewMemory()
	results, err := m.rebuild(log, m.spool, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Damaged > 0 || len(results[0].Problems) > 0 || results[0].Tracks != 4 {
		t.Fatalf("results are %+v", results)
	}
	after := m.in(log)
	checkRebuilt(t, after)

	// A file of some milliseconds at the edge of a pause may be a clip in one of them only.
	want, got := clips(build(t, before)), clips(build(t, after))
	var shifts []time.Duration
	for key, c := range want {
		g, ok := got[key]
		switch {
		case !ok:
			if time.Duration(c.EndNS-c.StartNS) > 100*time.Millisecond {
				t.Errorf("clip %v is not there any more", c)
			}
		case g.Codec != c.Codec || g.SHA256 != c.SHA256 || g.Key != c.Key || g.Frames != c.Frames:
			t.Errorf("clip %v is %+v, was %+v", key, g, c)
		case g.Quality == c.Quality: // the fit has the same to go by
			shifts = append(shifts, time.Duration(g.StartNS-g.FileStartNS-c.StartNS+c.FileStartNS))
		}
	}
	if len(shifts) < 8 {
		t.Fatalf("%d clips are placed alike of %d", len(shifts), len(want))
	}
	slices.Sort(shifts)
	spread := shifts[len(shifts)-1] - shifts[0]
	t.Logf("%d clips lie at the same places, relative to each other, but for %v", len(shifts), spread.Round(10*time.Microsecond))
	if spread > 50*time.Millisecond {
		t.Errorf("the clips are %v further apart than they were", spread)
	}
	was, is := pausedAt(build(t, before)), pausedAt(build(t, after))
	if len(was) != 2 || len(is) != 2 || (is[1]-is[0]-was[1]+was[0]).Abs() > 500*time.Millisecond {
		t.Errorf("the recording was paused at %v, and is at %v", was, is)
	}
	for _, p := range build(t, after).Participants {
		for _, tr := range p.Tracks {
			if !slices.ContainsFunc(tr.Gaps, func(g timeline.Gap) bool { return g.Cause == timeline.Paused }) {
				t.Errorf("the pause is not to be seen in %s: %+v", tr.Kind, tr.Gaps)
			}
			if tr.Source != "camera" && tr.Source != "microphone" {
				t.Errorf("the source of a track is %q", tr.Source)
			}
		}
	}
	// Once more there is nothing to do.
	if results, err = m.rebuild(log, m.spool, false); err != nil || len(results) != 1 || !results[0].Known {
		t.Errorf("a second run says %+v, %v", results, err)
	}
	if now := m.in(log); len(now) != len(after) {
		t.Errorf("a second run appended %d events", len(now)-len(after))
	}
}

// pausedAt is when the recording was paused and resumed.
func pausedAt(tl *timeline.Timeline) []time.Duration {
	var all []time.Duration
	for _, m := range tl.Markers {
		if m.Type == string(events.TypeRecordingPaused) || m.Type == string(events.TypeRecordingResumed) {
			all = append(all, time.Duration(m.AtNS))
		}
	}
	return all
}

// checkRebuilt asserts what holds for every rebuilt history.
func checkRebuilt(t *testing.T, all []events.Stored) {
	t.Helper()
	state := consultation.Fold(all)
	if state.Phase != consultation.Completed || len(state.Archives()) != 1 {
		t.Errorf("the consultation is %s with %d archives", state.Phase, len(state.Archives()))
	}
	if r, ok := all[0].Event.(events.ConsultationReindexed); !ok || r.Segments != state.Segments() || r.Reason != "log_lost" {
		t.Errorf("the first event is %s %+v", all[0].Type, all[0].Event)
	}
	for i, e := range all {
		switch e.Event.(type) {
		case events.ConsentGiven, events.ConsentRefused, events.ConsentWithdrawn:
			t.Errorf("event %d makes up an answer of a person", e.Seq)
		}
		if i > 0 && e.CausationID != all[0].ID {
			t.Errorf("event %d does not say that it was rebuilt", e.Seq)
		}
	}
	last := all[len(all)-1]
	if r, ok := last.Event.(events.ArchiveRequested); !ok || r.ThroughSeq != last.Seq-1 || r.Sheet.Key == "" {
		t.Errorf("the last event is %s %+v", last.Type, last.Event)
	}
	checkAccounts(t, all[len(all)-2].Event.(events.ConsultationCompleted), nil)
}

// TestALostLogIsRebuiltUnderTroubles runs on the files of one recording with one thing changed each time.
func TestALostLogIsRebuiltUnderTroubles(t *testing.T) {
	slow(t)
	m := recorded(t)
	segments := filepath.Join(m.blobs, "c", m.id, "segments")
	count, err := filepath.Glob(filepath.Join(segments, "*.json"))
	if err != nil || len(count) < 12 {
		t.Fatalf("%d sidecars, %v", len(count), err)
	}

	t.Run("a dry run changes nothing", func(t *testing.T) {
		before := tree(t, m.blobs)
		log := logtest.NewMemory()
		results, err := m.rebuild(log, "", true)
		if err != nil || len(results) != 1 || results[0].Segments != len(count) || results[0].Events == 0 {
			t.Fatalf("results are %+v, %v", results, err)
		}
		if info, _ := log.Info(t.Context()); info.Last != 0 {
			t.Error("events were appended")
		}
		if after := tree(t, m.blobs); !maps.Equal(before, after) {
			t.Error("the blob store has changed")
		}
	})
	t.Run("a run that was cut off goes on", func(t *testing.T) {
		whole := logtest.NewMemory()
		if _, err := m.rebuild(whole, "", false); err != nil {
			t.Fatal(err)
		}
		log, at := logtest.NewMemory(), events.Version{}
		for _, e := range m.in(whole)[:30] {
			d := events.Draft{ID: e.ID, Source: e.Source, Time: e.Time, Participant: e.Participant, CausationID: e.CausationID, Event: e.Event}
			if at, err = log.Append(t.Context(), m.id, at, d); err != nil {
				t.Fatal(err)
			}
		}
		if results, err := m.rebuild(log, "", false); err != nil || results[0].Known {
			t.Fatalf("the second run says %+v, %v", results, err)
		}
		checkRebuilt(t, m.in(log))
		if n, want := len(m.in(log)), len(m.in(whole)); n != want {
			t.Errorf("%d events were made in two runs, %d in one", n, want)
		}
	})
	t.Run("what the log knows in part is left alone", func(t *testing.T) {
		log, at := logtest.NewMemory(), events.Version{}
		d := events.NewDraft("/live/n", time.Now(), events.ConsultationScheduled{Policy: events.PolicyRequired})
		if _, err := log.Append(t.Context(), m.id, at, d); err != nil {
			t.Fatal(err)
		}
		if results, err := m.rebuild(log, "", false); err != nil || !results[0].Known || len(m.in(log)) != 1 {
			t.Fatalf("results are %+v, %v", results, err)
		}
	})
	t.Run("older archives are not written over", func(t *testing.T) {
		old := filepath.Join(m.blobs, "c", m.id, "archives", "3")
		if err := errors.Join(os.MkdirAll(old, 0o750), os.WriteFile(filepath.Join(old, "archive.mp4"), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(filepath.Dir(old))
		log := logtest.NewMemory()
		results, err := m.rebuild(log, "", false)
		if err != nil || results[0].Version != 4 {
			t.Fatalf("results are %+v, %v", results, err)
		}
		if got := consultation.Fold(m.in(log)).Archives()[0].Version; got != 4 {
			t.Errorf("version %d was ordered", got)
		}
	})
	t.Run("a file that waits in the spool is stored", func(t *testing.T) {
		id, _, _ := strings.Cut(filepath.Base(count[0]), ".")
		room := filepath.Join(t.TempDir(), m.id)
		media, _ := filepath.Glob(filepath.Join(segments, id+".[io]*"))
		local := filepath.Join(room, filepath.Base(media[0])+".sealed")
		err := errors.Join(os.MkdirAll(room, 0o750), os.Rename(media[0], local), os.Rename(count[0], filepath.Join(room, id+".json")))
		if err != nil {
			t.Fatal(err)
		}
		log := logtest.NewMemory()
		results, err := m.rebuild(log, filepath.Dir(room), false)
		if err != nil || results[0].Segments != len(count) || results[0].Damaged > 0 {
			t.Fatalf("results are %+v, %v", results, err)
		}
		for _, path := range []string{media[0], count[0], local} {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what is damaged is named", func(t *testing.T) {
		flipped, _ := filepath.Glob(filepath.Join(segments, "*.ivf"))
		raw, err := os.ReadFile(flipped[0])
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1
		gone, _ := filepath.Glob(filepath.Join(segments, "*.ogg"))
		err = errors.Join(os.WriteFile(flipped[0], raw, 0o600), os.Remove(gone[0]), os.WriteFile(count[len(count)-1], []byte("{"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		log := logtest.NewMemory()
		results, err := m.rebuild(log, "", false)
		if err != nil || len(results[0].Problems) < 2 {
			t.Fatalf("results are %+v, %v", results, err)
		}
		causes := map[string]string{}
		for _, e := range m.in(log) {
			if c, ok := e.Event.(events.ConsultationCompleted); ok {
				for _, s := range c.Missing {
					causes[s.Segment] = s.Cause
				}
			}
		}
		id := func(path string) string { s, _, _ := strings.Cut(filepath.Base(path), "."); return s }
		want := map[string]string{id(flipped[0]): "corrupt", id(gone[0]): "missing"}
		delete(want, id(count[len(count)-1]))
		if !maps.Equal(causes, want) {
			t.Errorf("missing are %v, want %v", causes, want)
		}
		t.Log(strings.Join(results[0].Problems, "; "))
	})
}

// tree is all files below a folder with their lengths.
func tree(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		all[path] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
