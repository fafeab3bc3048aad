package stitch

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/blob"
	"consilium/internal/ffmpeg"
)

// stored lists the keys below a prefix.
func (w *world) stored(prefix string) []string {
	w.t.Helper()
	keys := []string{}
	for b, err := range w.blobs.List(w.t.Context(), prefix) {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, b.Key)
	}
	return keys
}

// Old pieces go, and nothing else: no archive, no segment, no sheet, no piece that was used lately, nothing that is not
// ours. What has gone is made again when somebody needs it.
func TestOldChunksGo(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	first := w.makes(w.end(1000, "fast"))
	others := append(w.stored("c/"), w.stored("sheets/")...)
	strange := []string{"chunks/" + strings.Repeat("b", 64) + "/x.ts", "chunks/README", "chunks/" + strings.Repeat("z", 64) + ".ts"}
	left := "chunks/" + strings.Repeat("c", 64) + ".recipe" // of an archive whose worker died
	for _, key := range append(strange, left) {
		if _, err := w.blobs.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Tidy(t.Context(), w.blobs, time.Now().Add(-time.Hour), false); err != nil || got.Removed != 0 || got.Kept != 3 {
		t.Errorf("an hour ago nothing was old: %+v, %v", got, err)
	}
	got, err := Tidy(t.Context(), w.blobs, time.Now().Add(time.Hour), false)
	if err != nil || got.Removed != 3 || got.Kept != 0 || got.Bytes == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if rest := w.stored("chunks/"); !slices.Equal(rest, sorted(strange)) {
		t.Errorf("left: %q", rest)
	}
	if now := append(w.stored("c/"), w.stored("sheets/")...); !slices.Equal(now, others) {
		t.Errorf("there were %q, there are %q", others, now)
	}
	if again := w.makes(w.request("fast")); again.rendered.SHA256 != first.rendered.SHA256 {
		t.Error("what had gone was made otherwise")
	}
}

func sorted(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return all
}

// Whoever takes up a piece makes it young again, so that what is used stays; who only looks does not.
func TestAChunkThatIsUsedStaysYoung(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	w.makes(w.end(1000, "fast"))
	later := func(by time.Duration) *Worker {
		worker := w.worker(ffmpeg.Config{}, nil)
		worker.cfg.Now = func() time.Time { return time.Now().Add(by) }
		return worker
	}
	times := func() map[string]time.Time {
		all := map[string]time.Time{}
		for b := range w.blobs.List(t.Context(), "chunks/") {
			all[b.Key] = b.Stored
		}
		return all
	}
	before := times()
	use := func(worker *Worker) {
		t.Helper()
		if err := worker.Make(t.Context(), w.consultation, w.request("fast")); err != nil {
			t.Fatal(err)
		}
		if n := testutil.ToFloat64(worker.metrics.reused); n != 2 {
			t.Errorf("%v pieces were taken up", n)
		}
	}
	use(later(time.Hour))
	for key, at := range times() {
		if !at.Equal(before[key]) {
			t.Errorf("%s was written anew after an hour", key)
		}
	}
	use(later(13 * time.Hour))
	for key, at := range times() {
		if strings.HasSuffix(key, ".json") == at.Equal(before[key]) {
			t.Errorf("%s after thirteen hours: as of %s, was %s", key, at, before[key])
		}
	}
}

// A broom that sweeps away everything, all the time, costs work and nothing else: whatever it takes away under the hands
// of a job is made once more, and the archive is the same.
func TestChunksThatGoWhileAJobRunsAreMadeAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("makes two archives")
	}
	face, other, voice := camera(t, "red", "320x180", 30, 90), camera(t, "blue", "320x180", 30, 30), microphone(t, 1000, 150)
	alone := newWorld(t)
	alone.comings(3, face, other, voice)
	want := alone.makes(alone.end(3000, "fast"))

	w := newWorld(t)
	w.comings(3, face, other, voice)
	version := w.end(3000, "fast")
	worker := w.worker(ffmpeg.Config{}, nil)
	worker.slots = make(chan struct{}, 1) // what is swept is what is in hand
	swept := &sweptBlobs{Blobs: w.blobs, t: t, seen: map[string]bool{}}
	worker.deps.Blobs = swept
	w.within(t, 2*time.Minute, func() error { return worker.Make(t.Context(), w.consultation, version) })
	got := w.archive(version)
	if want.rendered.SHA256 != got.rendered.SHA256 || len(swept.seen) < 4 {
		t.Errorf("the archive is another one, or it was not swept: %d times", len(swept.seen))
	}
}

// sweptBlobs is a blob store out of which all pieces go when one has been described for the first time.
type sweptBlobs struct {
	Blobs
	t    *testing.T
	seen map[string]bool
}

func (s *sweptBlobs) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	info, err := s.Blobs.Put(ctx, key, r)
	if err == nil && strings.HasPrefix(key, "chunks/") && strings.HasSuffix(key, ".json") && !s.seen[key] {
		s.seen[key] = true
		if got, err := Tidy(ctx, s.Blobs, time.Now().Add(time.Hour), false); err != nil || got.Removed == 0 {
			s.t.Errorf("swept: %+v, %v", got, err)
		}
	}
	return info, err
}
