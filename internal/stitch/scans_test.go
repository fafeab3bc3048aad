package stitch

import (
	"bytes"
	"testing"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// A call is planned again and again while it goes on: what is known of it is not brought here each time, however little
// there is room for.
func TestWhatIsKnownOfARecordingIsNotFetchedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "A")
	track := a.track(0, media.VP8, media.Camera, 1)
	face := camera(t, "red", "160x90", 10, 50)
	face.reason = "rotation"
	a.record(0, track, 1, face)
	gone := a.record(5000, track, 1, face)
	version := w.end(10_000, "fast")

	worker := w.worker(ffmpeg.Config{}, nil)
	worker.shelf.limit = 0 // nothing stays
	plan := func() *job {
		j, err := worker.take(t.Context(), w.consultation, version)
		if err == nil {
			err = worker.begin(t.Context(), j)
		}
		if err == nil {
			err = worker.prepare(t.Context(), j)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(j.closeSegments)
		return j
	}
	first := plan()
	if got := worker.shelf.made; got != 2 {
		t.Fatalf("%d segments were fetched for the first plan, want 2", got)
	}
	first.closeSegments()
	if j := plan(); worker.shelf.made != 2 || len(j.missing.list()) != 0 {
		t.Errorf("%d segments were fetched for two plans, missing %v", worker.shelf.made, j.missing.list())
	}

	// What is known of a segment that is gone is not taken for the segment.
	if err := w.blobs.Delete(t.Context(), w.segmentKey(gone, media.VP8)); err != nil {
		t.Fatal(err)
	}
	if got := plan().missing.list(); len(got) != 1 || got[0] != (MissingSegment{gone, timeline.Missing}) {
		t.Errorf("missing: %v", got)
	}
}

// A file that changed behind the back of its scan is looked at once more when somebody reads it.
func TestAScanIsForgottenWhenTheFileIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "A")
	face := camera(t, "red", "160x90", 10, 20)
	id := a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, face)
	version := w.end(2000, "fast")
	worker := w.worker(ffmpeg.Config{}, nil)
	worker.shelf.limit = 0
	orders := w.ordersOf(worker, version)
	ref := orders[0].recipe.Sources[0]
	if _, known := worker.scans.find(ref); !known {
		t.Fatal("the segment is not known after a plan")
	}
	changed := bytes.Clone(face.content)
	changed[len(changed)/2] ^= 1
	if _, err := w.blobs.Put(t.Context(), w.segmentKey(id, media.VP8), bytes.NewReader(changed)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := worker.open(t.Context(), orders[0].recipe.Sources); err == nil {
		t.Fatal("a changed segment was opened")
	}
	if _, known := worker.scans.find(ref); known {
		t.Error("the scan of a changed segment is still believed")
	}
}
