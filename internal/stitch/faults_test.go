package stitch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// A segment that is gone, one that was changed and one that was recorded as garbage all leave a card that says so, the
// others are shown, and the manifest tells.
func TestDamagedSegmentsBecomeNamedGaps(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes several archives")
	}
	w := newWorld(t)
	good := camera(t, "green", "160x90", 30, 60)
	garbage := good
	garbage.content = spoil(good.content)
	place := []struct {
		who     string
		content clip
	}{{"whole", good}, {"gone", good}, {"changed", good}, {"garbage", garbage}}
	var ids []string
	for i, p := range place {
		who := w.join(0, p.who)
		track := who.track(0, media.VP8, media.Camera, uint32(i+1))
		ids = append(ids, who.record(100, track, uint32(i+1), p.content))
	}
	mute := w.join(0, "voice")
	mic := mute.track(0, media.Opus, media.Microphone, 9)
	voice := mute.record(0, mic, 9, microphone(t, 1000, 100)[0])

	if err := w.blobs.Delete(t.Context(), w.segmentKey(ids[1], media.VP8)); err != nil {
		t.Fatal(err)
	}
	if err := w.blobs.Delete(t.Context(), w.segmentKey(voice, media.Opus)); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(good.content)
	changed[len(changed)/2] ^= 1
	if _, err := w.blobs.Put(t.Context(), w.segmentKey(ids[2], media.VP8), bytes.NewReader(changed)); err != nil {
		t.Fatal(err)
	}
	archive := w.made(w.end(2100, "fast"))

	want := []MissingSegment{
		{ids[1], timeline.Missing}, {ids[2], timeline.Corrupt}, {ids[3], timeline.Corrupt}, {voice, timeline.Missing},
	}
	if fmt.Sprint(archive.manifest.Missing) != fmt.Sprint(want) {
		t.Errorf("missing: %v, want %v", archive.manifest.Missing, want)
	}
	// Five tiles: three above, two below.
	archive.shows(30, "the whole one", 200, 200, green)
	archive.shows(30, "the card of what is gone", 600, 140, card)
	archive.shows(30, "the card of what was changed", 1000, 140, card)
	archive.shows(30, "the card of the garbage", 300, 380, card)
	causes := map[timeline.Cause]int{}
	for _, p := range archive.manifest.Timeline.Participants {
		for _, tr := range p.Tracks {
			for _, g := range tr.Gaps {
				causes[g.Cause]++
			}
		}
	}
	// Of the garbage, too, what is no picture is named.
	if causes[timeline.Missing] != 2 || causes[timeline.Corrupt] != 2 {
		t.Errorf("gaps of the timeline by cause: %v", causes)
	}
	if len(archive.beeps()) != 0 {
		t.Error("what is missing is heard")
	}
}

// spoil makes every frame behind its header undecodable and keeps the file a whole IVF file.
func spoil(ivf []byte) []byte {
	b := bytes.Clone(ivf)
	for at := 32; at < len(b); {
		n := int(binary.LittleEndian.Uint32(b[at:]))
		frame := b[at+12 : at+12+n]
		for i := min(10, n); i < n; i++ {
			frame[i] = 0xff
		}
		if frame[0]&1 == 0 {
			frame[0], frame[1], frame[2] = 0x10|frame[0]&0x0e, 0xff, 0xff // a first partition longer than the frame
		} else {
			frame[0], frame[1] = 0x31|frame[0]&0x0e, 0xff
		}
		at += 12 + n
	}
	return b
}

func TestNobodyPublished(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	w.join(200, "B")
	archive := w.made(w.end(1500, "fast"))
	if archive.frames != 45 || len(archive.beeps()) != 0 {
		t.Errorf("%d frames, beeps %v", archive.frames, archive.beeps())
	}
	archive.shows(40, "a card", 100, 200, card)
	archive.shows(40, "the other card", 700, 200, card)
}

func TestNobodyJoined(t *testing.T) {
	w := newWorld(t)
	archive := w.made(w.end(0, ""))
	if archive.frames != 30 || archive.rendered.DurationMS != 1000 {
		t.Errorf("%d frames, %d ms", archive.frames, archive.rendered.DurationMS)
	}
	if text := string(w.get(fmt.Sprintf("c/%s/archives/1/%s", w.consultation, ChaptersFile))); !strings.Contains(text, "00:00:00.000 --> 00:00:01.000") {
		t.Errorf("chapters:\n%s", text)
	}
}

func TestSoundOnly(t *testing.T) {
	w := newWorld(t)
	a := w.join(0, "A")
	mic := a.track(0, media.Opus, media.Microphone, 1)
	a.record(500, mic, 1, microphone(t, 1000, 100)[0])
	archive := w.made(w.end(3000, "audio"))
	beeps := archive.beeps()
	if len(beeps) != 2 || archive.manifest.Profile != "audio" || len(archive.manifest.Chunks) != 0 {
		t.Fatalf("beeps %v, %+v", beeps, archive.manifest)
	}
	for i, at := range beeps {
		if d := at - float64(500+pathDelay+1000*i); d < -2 || d > 2 {
			t.Errorf("beep %d comes %.2f ms late", i, d)
		}
	}
}

func TestFFmpegMissingThenInstalled(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	missing := ffmpeg.Config{Path: filepath.Join(t.TempDir(), "ffmpeg")}
	if err := w.worker(missing, nil).Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	failed, ok := w.result(version).(events.ArchiveFailed)
	if !ok || failed.Code != CodeFFmpegMissing || failed.Detail == nil {
		t.Fatalf("got %+v", w.result(version))
	}
	detail := w.get(failed.Detail.Key)
	if !strings.Contains(string(detail), "./task setup") || events.HashOf(detail) != failed.Detail.SHA256 {
		t.Errorf("detail: %s", detail)
	}
	w.makes(w.request("fast"))
}

// A tool that fails is a failure with what it said, and nothing else is tried.
func TestRenderFailed(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	path := w.script(`case "$*" in *-version*) exec ffmpeg "$@" ;; esac
echo 'no encoder today' >&2; exit 1`)
	if err := w.worker(ffmpeg.Config{Path: path}, nil).Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	failed, ok := w.result(version).(events.ArchiveFailed)
	if !ok || failed.Code != CodeRenderFailed {
		t.Fatalf("got %+v", w.result(version))
	}
	if detail := string(w.get(failed.Detail.Key)); !strings.Contains(detail, "no encoder today") {
		t.Errorf("detail: %s", detail)
	}
}

// A tool that does not even start, because a library of it is gone or its file may not be run, is no reason to try for
// ever while the page says that the video is being made.
func TestAnFFmpegThatDoesNotStart(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	path := w.script(`echo 'error while loading shared libraries' >&2; exit 127`)
	if err := w.worker(ffmpeg.Config{Path: path}, nil).Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	failed, ok := w.result(version).(events.ArchiveFailed)
	if !ok || failed.Code != CodeInternal {
		t.Fatalf("got %+v", w.result(version))
	}
	if detail := string(w.get(failed.Detail.Key)); !strings.Contains(detail, "start ffmpeg") {
		t.Errorf("detail: %s", detail)
	}
}

// A job that is stopped in the middle leaves no result and no process; the next run takes up its finished pieces and
// completes it, and one more changes nothing.
func TestStoppedAndDoneAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes several archives")
	}
	w := newWorld(t)
	a := w.join(0, "A")
	video := a.track(0, media.VP8, media.Camera, 1)
	a.record(0, video, 1, camera(t, "red", "640x360", 30, 60))
	w.join(1000, "B")
	version := w.end(3000, "fast")

	// This ffmpeg makes one chunk and then stands still.
	path := w.script(`case "$*" in *libx264*)
	mkdir "$dir/first" 2>/dev/null || { echo $$ >"$dir/pid"; exec sleep 600; } ;;
esac
exec ffmpeg "$@"`)
	stands := filepath.Join(filepath.Dir(path), "pid")
	ctx, stop := context.WithCancel(t.Context())
	var highest int64
	worker := w.worker(ffmpeg.Config{Path: path}, func(p Progress) {
		if p.Done < highest || p.Done > p.Total {
			t.Errorf("progress went from %d to %d of %d", highest, p.Done, p.Total)
		}
		highest = p.Done
		if pid, err := os.ReadFile(stands); err == nil && bytes.HasSuffix(pid, []byte("\n")) {
			stop()
		}
	})
	worker.slots = make(chan struct{}, 1)
	if err := worker.Make(ctx, w.consultation, version); !errors.Is(err, context.Canceled) || w.result(version) != nil {
		t.Fatalf("stopped: %v, %+v", err, w.result(version))
	}
	if highest == 0 {
		t.Error("no progress was told")
	}
	pid, err := os.ReadFile(stands)
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile("/proc/" + string(bytes.TrimSpace(pid)) + "/stat"); err == nil && !bytes.Contains(stat, []byte(") Z ")) {
		t.Errorf("ffmpeg lives on: %s", stat)
	}

	again := w.worker(ffmpeg.Config{}, nil)
	if err := again.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(again.metrics.reused); n != 1 {
		t.Errorf("%v pieces were taken up, want one chunk", n)
	}
	if archive := w.open(version); archive.frames != 90 {
		t.Errorf("%d frames", archive.frames)
	}
	before, _ := w.log.Last(t.Context(), w.consultation)
	if err := again.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	if after, _ := w.log.Last(t.Context(), w.consultation); after != before {
		t.Error("a finished job was done again")
	}
	for _, of := range []*Worker{worker, again} {
		if left, _ := filepath.Glob(filepath.Join(of.folder.dir, "[ac]-*")); len(left) != 0 {
			t.Errorf("left in the work folder: %v", left)
		}
	}
}

func TestTwoResultsAreOne(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	worker := w.worker(ffmpeg.Config{}, nil)
	j, err := worker.take(t.Context(), w.consultation, version)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := worker.conclude(t.Context(), j, events.ArchiveFailed{Version: version, Code: CodeInternal}); err != nil {
			t.Fatal(err)
		}
	}
	if w.result(version) == nil {
		t.Error("no result")
	}
	if err := worker.Make(t.Context(), w.consultation, version+1); !errors.Is(err, ErrNoRequest) {
		t.Errorf("a job that nobody asked for: %v", err)
	}
}

// panickingBlobs is a blob store with a mistake that shows once.
type panickingBlobs struct {
	Blobs
	shown atomic.Bool
}

func (b *panickingBlobs) PutFile(ctx context.Context, key, path string) (blob.Info, error) {
	if strings.HasPrefix(key, piecesFolder) && b.shown.CompareAndSwap(false, true) {
		panic("a mistake of ours")
	}
	return b.Blobs.PutFile(ctx, key, path)
}

// A mistake of ours in one piece costs that piece, and not the process with all that it has in hand.
func TestAPanicCostsOnePiece(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	worker := w.worker(ffmpeg.Config{}, nil)
	broken := &panickingBlobs{Blobs: w.blobs}
	worker.deps.Blobs = broken
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	if m := w.archive(version).manifest; !broken.shown.Load() || len(m.Failures) > 0 {
		t.Errorf("it panicked: %v, failures: %+v", broken.shown.Load(), m.Failures)
	}
}
