package stitch

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/media"
)

// sung is a voice in files of half a minute.
func sung(t *testing.T, graph string, files int) []clip {
	t.Helper()
	raw := run_(t, "-f", "lavfi", "-i", graph, "-t", fmt.Sprintf("%.1f", float64(files)*30+0.1),
		"-ac", "1", "-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
	packets := oggPackets(raw)[2:]
	var all []clip
	for i := range files {
		c := oggClip(t, packets[1500*i:1500*(i+1)])
		c.reason = "rotation"
		all = append(all, c)
	}
	return all
}

// duet is a call of two who are heard from the beginning to the end: a tone that never changes, and a voice that begins a
// word every 0.4 s.
func duet(t *testing.T, w *world, files int) {
	t.Helper()
	for i, graph := range []string{
		"sine=frequency=440:sample_rate=48000,volume=3",
		"aevalsrc='0.4*sin(2*PI*700*t)*exp(-14*mod(t,0.4))':s=48000",
	} {
		p := w.join(0, fmt.Sprint("P", i))
		mic := p.track(0, media.Opus, media.Microphone, uint32(i+1))
		for n, c := range sung(t, graph, files) {
			p.recordFrom(int64(n)*1_440_000, mic, uint32(i+1), c)
		}
	}
}

// Nothing is heard of where a piece of the sound ends and the next one begins: the length is right to the packet, a tone goes
// on without a step, and everywhere, at the joins too, the sound is that of one process that made all of it.
func TestPiecesOfTheSoundAreOne(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes more than a minute of sound")
	}
	t.Parallel() // most of the time one processor is enough
	w := newWorld(t)
	duet(t, w, 3)
	version := w.end(72_000, "audio")
	archive := w.made(version)
	if n := len(archive.manifest.Sounds); n != 2 {
		t.Fatalf("%d pieces, want 2", n)
	}
	if n := len(archive.sound); n < 72*48000 || n > 72*48000+2*ffmpeg.AACFrame {
		t.Errorf("%d samples, want %d", n, 72*48000)
	}
	mixed, whole := wholeSound(t, w, version)
	worst := func(sound []float64, from, to float64) (off float64) { // over 10 ms each
		const step = 480
		for at := int(from * 48000); at+step <= int(to*48000); at += step {
			sum := 0.0
			for i := at; i < at+step; i++ {
				d := sound[i] - mixed[i]
				sum += d * d
			}
			off = max(off, math.Sqrt(sum/step))
		}
		return off
	}
	codec := worst(whole, 1, 71)
	if level := rms(mixed[48000 : 71*48000]); level < 0.05 || codec > level/10 {
		t.Fatalf("the sound has a mean of %f, and one process makes it with an error of %f", level, codec)
	}
	all, join := worst(archive.sound, 1, 71), worst(archive.sound, 63.9, 64.1)
	t.Logf("off by %.5f, at the join by %.5f; made by one process by %.5f", all, join, codec)
	if all > 1.5*codec || join > 1.25*codec {
		t.Errorf("the sound is off by %f, at the join by %f; made by one process by %f", all, join, codec)
	}
	if l := archive.manifest.Checks.Loudness; math.Abs(l-listened(t, w, version)) > 0.3 {
		t.Errorf("loudness %.1f LUFS, a player measures %.1f", l, listened(t, w, version))
	}
}

// wholeSound is the sound of a version as it is mixed, and as one process makes it from the beginning to the end.
func wholeSound(t *testing.T, w *world, version int) (mixed, whole []float64) {
	t.Helper()
	worker := w.worker(ffmpeg.Config{}, nil)
	j := w.prepared(worker, version)
	defer j.closeSegments()
	o := j.soundOf(j.voices, 0, float64(j.plan.Samples()))
	work := o.recipe.Sound
	work.Samples, work.BitRate, work.Part = j.plan.Samples(), j.plan.Profile.AudioBitRate, &soundPart{Last: true}
	files, done, err := worker.open(t.Context(), o.recipe.Sources)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	dir, err := worker.makeFolder("t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.makeSound(t.Context(), dir, work, files); err != nil {
		t.Fatal(err)
	}
	raw := run_(t, "-f", "aac", "-i", filepath.Join(dir, partFile), "-f", "f32le", "-ac", "1", "-ar", "48000", "pipe:1")
	runs, err := work.runs(files)
	if err != nil {
		t.Fatal(err)
	}
	mix := mixer{tool: worker.deps.FFmpeg, dir: dir, runs: runs, mono: true}
	for _, r := range work.Runs {
		mix.gains = append(mix.gains, factor(work.Gains[r.Voice]))
	}
	var out bytes.Buffer
	if err := mix.write(t.Context(), &out, work.Samples); err != nil {
		t.Fatal(err)
	}
	mixed = mono(out.Bytes())
	for i := range mixed {
		mixed[i] *= math.Sqrt2 // that is how the tool makes one channel of two
	}
	return mixed, mono(raw)[ffmpeg.AACFrame:] // without what only opens the first packet
}

// prepared is the job of a version, planned.
func (w *world) prepared(worker *Worker, version int) *job {
	w.t.Helper()
	history, err := events.ReadAll(w.t.Context(), w.log, w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := BundleOf(history, version)
	if err != nil {
		w.t.Fatal(err)
	}
	j := worker.jobOf(b)
	if err := worker.begin(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	if err := worker.prepare(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	return j
}

// mono reads floats.
func mono(raw []byte) []float64 {
	var all []float64
	for b := raw; len(b) >= 4; b = b[4:] {
		all = append(all, float64(math.Float32frombits(uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)))
	}
	return all
}

// listened is what the tool measures of the finished file.
func listened(t *testing.T, w *world, version int) float64 {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("c/%s/archives/%d/%s", w.consultation, version, ArchiveFile)
	if err := writeFile(filepath.Join(dir, ArchiveFile), w.get(key)); err != nil {
		t.Fatal(err)
	}
	tool, err := ffmpeg.New(ffmpeg.Config{Nice: 1}, discard())
	if err != nil {
		t.Fatal(err)
	}
	h, err := tool.Listen(t.Context(), dir, ArchiveFile, 0)
	if err != nil {
		t.Fatal(err)
	}
	return h.Loudness
}

// A piece of the sound that is planned during the call, as soon as it is known how loud everybody speaks, is the one that is
// planned when the call is over; and so is what the voices were measured by.
func TestAPieceOfTheSoundPlannedDuringTheCallIsTheOneAfterwards(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes minutes of sound")
	}
	t.Parallel() // most of the time one processor is enough
	w := newWorld(t)
	duet(t, w, 5)
	worker := w.worker(ffmpeg.Config{}, nil)
	raw, key := w.sheetNow()
	if _, err := w.blobs.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	j, err := worker.earlyJob(t.Context(), jobs.Early{
		Consultation: w.consultation, Layout: "grid", Profile: "audio", Sheet: events.Blob{Key: key, SHA256: events.HashOf(raw)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.begin(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	settled := settledFrames(j.history)
	j.settled = settledSamples(settled)
	if err := worker.prepare(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	early, err := worker.ordersUntil(j, 0, settled)
	j.closeSegments()
	if err != nil {
		t.Fatal(err)
	}
	if len(early) != 1 {
		t.Fatalf("%d pieces are planned after 150 s, want that of the first 64 s", len(early))
	}
	var keys []string
	for _, o := range w.ordersOf(worker, w.end(155_000, "audio")) {
		keys = append(keys, o.key)
	}
	for _, o := range early {
		if !slices.Contains(keys, o.key) {
			t.Errorf("piece %d was planned as another one", o.part)
		}
	}
}

// What a piece is made of does not depend on what comes long before or after it.
func TestAPartOfARun(t *testing.T) {
	file := func(samples int64) recording { return recording{scan: media.OggScan{Samples: samples}} }
	const second = ffmpeg.SampleRate
	long := run{
		files: []recording{file(30 * second), file(30 * second), file(30 * second), file(30 * second)},
		knots: []knot{{second, 0}, {31 * second, 30 * second}, {61.5 * second, 60 * second}, {91.5 * second, 90 * second}, {121.5 * second, 120 * second}},
	}
	for _, tt := range []struct {
		name     string
		from, to float64 // seconds
		files    int
		knots    []knot
	}{
		{"all of it", 0, 200, 4, long.knots},
		{"the first file", 0, 20, 1, []knot{{second, 0}, {31 * second, 30 * second}}},
		{"from the middle of the second file on", 40, 70, 2, []knot{{-9 * second, 0}, {21.5 * second, 30 * second}, {51.5 * second, 60 * second}}},
		{"the file before warms up", 61.6, 70, 2, []knot{{-0.1 * second, 30 * second}, {29.9 * second, 60 * second}}},
		{"the end", 110, 200, 1, []knot{{-18.5 * second, 0}, {11.5 * second, 30 * second}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			part, sounds := long.between(tt.from*second, tt.to*second)
			if !sounds || len(part.files) != tt.files {
				t.Fatalf("%v, %d files, want %d", sounds, len(part.files), tt.files)
			}
			near := cmp.Comparer(func(a, b knot) bool { return math.Abs(a.at-b.at) < 1e-3 && math.Abs(a.file-b.file) < 1e-3 })
			if diff := cmp.Diff(tt.knots, part.knots, near); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, sounds := long.between(122*second, 130*second); sounds {
		t.Error("it sounds behind its end")
	}
}
