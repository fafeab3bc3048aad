package stitch

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/media"
)

// earlyWorker runs a stitcher on a machine that has all the time in the world, until the test ends.
func (w *world) earlyWorker() *Worker {
	w.t.Helper()
	log, err := natslog.Connect(w.t.Context(), natslog.Config{DataDir: w.data, Name: "stitcher", Logger: discard()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(log.Close)
	worker := w.worker(ffmpeg.Config{}, nil)
	if worker.deps.Queue, err = jobs.New(w.t.Context(), log.Conn(), discard()); err != nil {
		w.t.Fatal(err)
	}
	worker.cfg.Early, worker.earlyEvery = true, 200*time.Millisecond
	worker.takeSpare = func() (func(bool), bool) { return func(bool) {}, true }
	worker.calm = func() bool { return true }
	w.run(worker)
	return worker
}

// ask asks for early chunks of the profile of most tests, with the names of now.
func (w *world) ask() { w.askFor("fast") }

func (w *world) askFor(profile string) {
	w.t.Helper()
	raw, key := w.sheetNow()
	if _, err := w.blobs.Put(w.t.Context(), key, bytes.NewReader(raw)); err != nil {
		w.t.Fatal(err)
	}
	err := w.queue.AskEarly(w.t.Context(), jobs.Early{
		Consultation: w.consultation, Layout: "grid", Profile: profile, Sheet: events.Blob{Key: key, SHA256: events.HashOf(raw)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sheetNow() (raw []byte, key string) {
	w.t.Helper()
	raw, err := w.sheet.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw, "sheets/" + w.consultation + "/" + events.HashOf(raw) + ".json"
}

// noted are the keys of the pieces that were queued early and not settled yet.
func (w *world) noted() []string {
	w.t.Helper()
	var all []string
	for info, err := range w.blobs.List(w.t.Context(), earlyFolder(w.consultation)) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, path.Base(info.Key))
	}
	return all
}

// isThere says whether a piece is finished.
func (w *world) isThere(key string) bool {
	w.t.Helper()
	_, err := w.blobs.Stat(w.t.Context(), pieceKey(key, ".json"))
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		w.t.Fatal(err)
	}
	return err == nil
}

// until waits for a condition, asking again and again for early chunks as a server does.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(4 * time.Minute)
	for !is() {
		select {
		case <-tick.C:
			w.ask()
		case <-deadline:
			w.t.Fatalf("after four minutes: not yet %s", what)
		}
	}
}

// While two people talk their archive is made; when they hang up, all that was made early is in it, what nobody needs any
// more is gone, and nothing that was recorded after a consent was withdrawn was ever drawn.
func TestACallIsRenderedWhileItGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes a minute and a half")
	}
	t.Parallel() // most of the time one processor is enough
	face := camera(t, "red", "160x90", 10, 300)
	face.reason = "rotation"
	w := sharedWorld(t)
	a := w.join(0, "A")
	track := a.track(0, media.VP8, media.Camera, 1)
	b := w.join(20_000, "Misspelled")
	other := b.track(20_000, media.VP8, media.Camera, 2)
	record := func(ms int64) {
		a.record(ms, track, 1, face.numbered(ms))
		b.record(ms+20_000, other, 2, face.numbered(ms+1))
	}
	worker := w.earlyWorker()
	for ms := int64(0); ms < 90_000; ms += 30_000 {
		record(ms)
	}
	w.until("anything was made", func() bool {
		n := w.noted()
		return len(n) > 0 && !slices.ContainsFunc(n, func(k string) bool { return !w.isThere(k) })
	})
	misspelled := w.noted()

	w.sheet.Participants[1].Name = "B" // somebody corrects the name: what shows it is made anew
	w.until("the right name is known", func() bool { return len(w.noted()) > len(misspelled) })
	w.say(105_000, b.id, events.ConsentWithdrawn{Consent: events.Consent{TextSHA256: "0", Language: "en", By: events.BySelf}})
	w.say(160_000, a.id, events.ConnectionICEChanged{Connection: a.connection, State: "connected"}) // time goes on
	w.until("the rest was made", func() bool {
		n := w.noted()
		return len(n) >= len(misspelled)+3 && !slices.ContainsFunc(n, func(k string) bool { return !w.isThere(k) })
	})
	early := w.noted()

	version := w.queued(w.end(161_000, "fast"))
	w.await(version)
	w.until("what was early is settled", func() bool { return len(w.noted()) == 0 })
	var chunks []string
	manifest := w.archive(version).manifest
	for _, c := range slices.Concat(manifest.Chunks, manifest.Sounds) {
		chunks = append(chunks, c.Key)
	}
	used, gone := 0, 0
	for _, key := range early {
		switch {
		case slices.Contains(chunks, key):
			used++
		case w.isThere(key):
			t.Errorf("%s was made early, is in no archive and still there", key)
		default:
			gone++
			if !slices.Contains(misspelled, key) {
				t.Errorf("%s was made early with the right names, and for nothing", key)
			}
		}
	}
	t.Logf("of %d pieces %d were made early, %d more for nothing", len(chunks), used, gone)
	if used < 4 || gone == 0 {
		t.Errorf("%d of the early chunks are used, %d removed", used, gone)
	}
	for what, want := range map[string]int{earlyUsed: used, earlyUnused: gone} {
		if got := int(testutil.ToFloat64(worker.metrics.early.WithLabelValues(what))); got != want {
			t.Errorf("%s: the metric says %d, want %d", what, got, want)
		}
	}
}

// What is not sure yet is not made: behind a file that is still being written nothing is settled, and places depend on reports
// that are half a minute younger.
func TestWhatIsSettled(t *testing.T) {
	type at = int64 // seconds
	for _, tt := range []struct {
		name string
		say  func(w *world, a person, track string)
		want at
	}{
		{"nobody sends anything", func(w *world, a person, track string) {}, 298},
		{"all is stored and reported", func(w *world, a person, track string) {
			w.say(270_000, a.id, events.SegmentOpened{Segment: "s", Track: track, Arrival: w.at(270_000)})
			w.say(300_000, a.id, events.SegmentStored{Segment: "s"})
			w.say(300_000, a.id, events.SegmentAnchored{Track: track, Anchors: []events.Anchor{{Arrival: w.at(300_000)}}})
		}, 268},
		{"reports are on their way", func(w *world, a person, track string) {
			w.say(270_000, a.id, events.SegmentOpened{Segment: "s", Track: track, Arrival: w.at(270_000)})
			w.say(300_000, a.id, events.SegmentStored{Segment: "s"})
		}, 252},
		{"a file is being written", func(w *world, a person, track string) {
			w.say(240_000, a.id, events.SegmentOpened{Segment: "s", Track: track, Arrival: w.at(239_000)})
			w.say(299_000, a.id, events.SegmentAnchored{Track: track, Anchors: []events.Anchor{{Arrival: w.at(299_000)}}})
		}, 237},
		{"a file will hardly come any more", func(w *world, a person, track string) {
			w.say(100_000, a.id, events.SegmentOpened{Segment: "s", Track: track, Arrival: w.at(100_000)})
		}, 298},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.join(0, "A")
			tt.say(w, a, events.NewID())
			w.say(300_000, a.id, events.ConnectionICEChanged{Connection: a.connection, State: "connected"})
			history, err := events.ReadAll(t.Context(), w.log, w.consultation)
			if err != nil {
				t.Fatal(err)
			}
			if got := settledFrames(history); got != tt.want*30 {
				t.Errorf("settled until %.1f s, want %d s", float64(got)/30, tt.want)
			}
		})
	}
}
