package stitch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// pairOf is a world of two who talk for three seconds; the second one comes after one. The recordings are the same ones
// in every world that gets them.
func pairOf(t *testing.T, face, other clip, voice []clip) *world {
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, face)
	a.record(0, a.track(0, media.Opus, media.Microphone, 2), 2, voice[0])
	b := w.join(1000, "B")
	b.record(1000, b.track(1000, media.VP8, media.Camera, 3), 3, other)
	return w
}

func pair(t *testing.T) *world {
	return pairOf(t, camera(t, "red", "320x180", 30, 90), camera(t, "blue", "90x160", 25, 50), microphone(t, 1000, 150))
}

// adorned ends a consultation and asks for all that an archive can have.
func (w *world) adorned(ms int64) int {
	w.t.Helper()
	w.say(ms, "", events.ConsultationEnded{Reason: events.EndedClosed})
	return w.order(events.ArchiveRequested{Layout: "speaker", Profile: "fast", Stamp: true, Voices: true})
}

// Two consultations of the same recordings have chunks of the same names and the same bytes, although nothing else about
// them is the same.
func TestTheSameRecordingsMakeTheSameBytes(t *testing.T) {
	face, other, voice := camera(t, "red", "320x180", 30, 90), camera(t, "blue", "90x160", 25, 50), microphone(t, 1000, 150)
	var all []archiveOf
	for range 2 {
		w := pairOf(t, face, other, voice)
		all = append(all, w.makes(w.adorned(3000)))
	}
	if diff := cmp.Diff(all[0].manifest.Chunks, all[1].manifest.Chunks); diff != "" || len(all[0].manifest.Chunks) != 3 {
		t.Errorf("chunks:\n%s\n%v", diff, all[0].manifest.Chunks)
	}
	if !bytes.Equal(videoOf(t, all[0].content), videoOf(t, all[1].content)) || all[0].manifest.Sound != all[1].manifest.Sound {
		t.Error("the archives are different")
	}
}

// The next version takes what the one before has made, and makes again what the blob store has lost or what has other
// bytes than it says.
func TestTheNextVersionTakesUpFinishedChunks(t *testing.T) {
	w := pair(t)
	first := w.makes(w.end(3000, "fast"))

	again := w.worker(ffmpeg.Config{}, nil)
	version := w.request("fast")
	if err := again.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	second := w.archive(version)
	if n := testutil.ToFloat64(again.metrics.reused); n != 4 {
		t.Errorf("%v pieces were taken up, want the sound and three chunks", n)
	}
	if first.rendered.SHA256 != second.rendered.SHA256 {
		t.Error("the versions are different")
	}

	lost, changed := first.manifest.Chunks[0].Key, first.manifest.Chunks[1].Key
	if err := w.blobs.Delete(t.Context(), "chunks/"+lost+".ts"); err != nil {
		t.Fatal(err)
	}
	content := w.get("chunks/" + changed + ".ts")
	for at := 100; at < len(content); at += 188 { // in every packet of the transport stream: some are padding
		content[at] ^= 0xff
	}
	if _, err := w.blobs.Put(t.Context(), "chunks/"+changed+".ts", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if third := w.makes(w.request("fast")); third.rendered.SHA256 != first.rendered.SHA256 {
		t.Error("what was lost was made otherwise")
	}
}

// A chunk that the tool cannot make does not cost the archive: cards stand in its place, and what the tool said is kept.
func TestAPoisonedChunkIsIsolated(t *testing.T) {
	w := pair(t)
	version := w.end(3000, "fast")
	path := w.script(`case "$*" in *libx264*) [ -e t1.ivf ] && { echo 'I will not draw this' >&2; exit 1; } ;; esac
exec ffmpeg "$@"`)
	worker := w.worker(ffmpeg.Config{Path: path}, nil)
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	archive := w.open(version)
	archive.shows(20, "the first one alone", 640, 200, red)
	archive.shows(60, "the card of the first one", 100, 220, card)
	archive.shows(60, "the card of the second one", 1200, 220, card)
	if archive.frames != 90 || len(archive.beeps()) != 3 {
		t.Errorf("%d frames, beeps %v", archive.frames, archive.beeps())
	}
	if len(archive.manifest.Failures) != 1 || len(archive.manifest.Missing) != 2 {
		t.Fatalf("failures %+v, missing %+v", archive.manifest.Failures, archive.manifest.Missing)
	}
	f := archive.manifest.Failures[0]
	if f.StartMS != 1033 || f.EndMS != 3000 || f.Code != CodeRenderFailed || archive.manifest.Missing[0].Cause != timeline.Corrupt {
		t.Errorf("%+v", f)
	}
	if text := w.get(f.Detail.Key); !strings.Contains(string(text), "I will not draw this") || events.HashOf(text) != f.Detail.SHA256 {
		t.Errorf("detail: %s", text)
	}
}

// A recipe says all: a worker that gets it from elsewhere makes the same piece, and one that was tampered with is refused.
func TestARecipeTravels(t *testing.T) {
	w := pair(t)
	version := w.adorned(3000)
	worker := w.worker(ffmpeg.Config{}, nil)
	orders := w.ordersOf(worker, version)
	for _, o := range orders {
		packed, err := o.recipe.encode()
		if err != nil {
			t.Fatal(err)
		}
		r, err := decodeRecipe(bytes.NewReader(packed), o.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRecipe(bytes.NewReader(packed), strings.Repeat("0", 64)); err == nil {
			t.Error("a recipe went by another name")
		}
		if _, err := worker.piece(t.Context(), r, o.key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(worker.metrics.reused); n != float64(len(orders)) {
		t.Errorf("%v of %d pieces were taken up", n, len(orders))
	}
}

// ordersOf is what a version needs.
func (w *world) ordersOf(worker *Worker, version int) []*order {
	w.t.Helper()
	j, err := worker.take(w.t.Context(), w.consultation, version)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := worker.begin(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	if err := worker.prepare(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	defer j.closeSegments()
	orders, err := worker.orders(j)
	if err != nil {
		w.t.Fatal(err)
	}
	return orders
}

// What changes the picture changes the name of the chunk, what does not leaves it.
func TestWhatAChunkIsCalled(t *testing.T) {
	w := pair(t)
	worker := w.worker(ffmpeg.Config{}, nil)
	w.adorned(3000)
	made := w.ordersOf(worker, 1)[1] // behind a voice
	packed, err := made.recipe.encode()
	if err != nil {
		t.Fatal(err)
	}
	chunk := func() *recipe {
		r, err := decodeRecipe(bytes.NewReader(packed), made.key)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	name := func(r *recipe) string {
		key, err := r.digest()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	want := name(chunk())
	tests := []struct {
		name   string
		change func(r *recipe)
		same   bool
	}{
		{"nothing", func(*recipe) {}, true},
		{"how a drawing is packed", func(r *recipe) { r.Picture.Overlay.PNG = nil }, true},
		{"another ffmpeg", func(r *recipe) { r.Tool += "1" }, false},
		{"where a recording lies", func(r *recipe) { r.Sources[0].Key = "elsewhere" }, true},
		{"another recording", func(r *recipe) { r.Sources[0].SHA256 = "0" }, false},
		{"a frame one place later", func(r *recipe) { r.Picture.Tiles[0].Packets[3][3]++ }, false},
		{"another name on the tile", func(r *recipe) { r.Picture.Overlay.Pixels = "0" }, false},
		{"how a picture of the clock is packed", func(r *recipe) { r.Picture.Stamp[0].PNG = nil }, true},
		{"another time", func(r *recipe) { r.Picture.Stamp[0].Pixels = "0" }, false},
		{"a second that begins a frame sooner", func(r *recipe) { r.Picture.Composition.Stamp.Begun++ }, false},
		{"nothing beside the phone", func(r *recipe) { r.Picture.Composition.Tiles[1].Fill = nil }, false},
		{"another quality", func(r *recipe) { r.Picture.Composition.Encoder.CRF++ }, false},
		{"a tile elsewhere", func(r *recipe) { r.Picture.Composition.Tiles[0].X += 2 }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := chunk()
			test.change(r)
			if got := name(r); (got == want) != test.same {
				t.Errorf("%s, was %s", got, want)
			}
		})
	}
}

// A process that died leaves its folder to the next one to remove; one that lives keeps its own.
func TestWorkFoldersOfTheDeadAreRemoved(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "01a-1", "pieces"), 0o700); err != nil { // of an older program
		t.Fatal(err)
	}
	dead, err := openWorkFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.lock.Close(); err != nil { // as when its process ends
		t.Fatal(err)
	}
	alive, err := openWorkFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openWorkFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(root, "*", ""))
	want := map[string]bool{alive.dir: true, second.dir: true, filepath.Join(root, lockFile): true}
	if len(left) != len(want) {
		t.Errorf("left: %v", left)
	}
	for _, path := range left {
		if !want[path] {
			t.Errorf("left: %s", path)
		}
	}
	for _, f := range []*folder{alive, second} {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
}
