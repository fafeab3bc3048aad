package stitch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
)

// Nobody who waits for an archive stands behind one that is made again by itself.
func TestWhoWaitsForAnArchive(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	first := w.end(1000, "fast")
	late := w.request("fast")
	again := events.NewDraft("/live/a", w.at(100_000), events.ArchiveRequested{Version: late + 1, ThroughSeq: 3, Layout: "grid", Profile: "fast"})
	again.Actor = events.NewID()
	if _, err := w.appender.Fact(t.Context(), w.consultation, again); err != nil {
		t.Fatal(err)
	}
	worker := w.worker(ffmpeg.Config{}, nil)
	for name, test := range map[string]struct {
		version int
		want    jobs.Priority
	}{
		"the first one":                     {first, jobs.Awaited},
		"one more, because a file was late": {late, jobs.Nightly},
		"one that a person ordered":         {late + 1, jobs.Awaited},
	} {
		j, err := worker.take(t.Context(), w.consultation, test.version)
		if err != nil {
			t.Fatal(err)
		}
		if j.priority != test.want {
			t.Errorf("%s: priority %d, want %d", name, j.priority, test.want)
		}
	}
}

// Six archives are made again by themselves, and all of them wait for one piece: whoever orders one then does not wait for them.
func TestNobodyWaitsForWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := sharedWorld(t)
	w.join(0, "A")
	w.end(1000, "audio")
	path := w.script(`case "$*" in *ultrafast*) until [ -e "$dir/morning" ]; do sleep 0.1; done ;; esac
exec ffmpeg "$@"`)
	worker := w.stitcher(ffmpeg.Config{Path: path})
	worker.cfg.Parallel, worker.slots = 4, make(chan struct{}, 4)
	w.run(worker)
	var nightly []int
	for range archivesAtOnce + 2 {
		version := w.request("fast")
		w.publish(jobs.ArchiveJob{Consultation: w.consultation, Version: version, Nightly: true})
		nightly = append(nightly, version)
	}
	w.until("two are in hand", func() bool { return w.started(nightly) >= nightlyAtOnce })
	w.awaitFor(w.queued(w.request("standard")), 2*time.Minute)
	if n := w.started(nightly); n != nightlyAtOnce {
		t.Errorf("%d of those that nobody waits for were begun, not %d", n, nightlyAtOnce)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "morning"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, version := range nightly {
		w.await(version)
	}
}

// started counts which of some versions were begun.
func (w *world) started(versions []int) int {
	w.t.Helper()
	all, err := events.ReadAll(w.t.Context(), w.log, w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, ev := range all {
		if e, ok := ev.Event.(events.ArchiveStarted); ok && slices.Contains(versions, e.Version) {
			n++
		}
	}
	return n
}
