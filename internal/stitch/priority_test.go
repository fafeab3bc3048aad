package stitch

import (
	"testing"

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
