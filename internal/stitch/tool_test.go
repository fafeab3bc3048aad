package stitch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// changed is a script of an ffmpeg that says of itself what the machine's says, and takes one of its arguments for another.
func changed(from, to string) string {
	return `for a; do
	shift
	case "$a" in *` + from + `*) a="${a%%` + from + `*}` + to + `${a#*` + from + `}" ;; esac
	set -- "$@" "$a"
done
exec ffmpeg "$@"`
}

// TestWhatAToolIsCalled: machines whose ffmpegs make the same bytes call them the same, whatever their processors are, and others
// do not, even if all that they say of themselves is alike.
func TestWhatAToolIsCalled(t *testing.T) {
	w := newWorld(t)
	name := func(cfg ffmpeg.Config) tool {
		t.Helper()
		got, err := w.worker(cfg, nil).tool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	usual := name(ffmpeg.Config{})
	if !strings.HasPrefix(usual.x264, "core ") || len(usual.probe) != 64 || !strings.Contains(usual.about.Libraries, "libavcodec ") {
		t.Errorf("little is known of the tool: %+v", usual)
	}
	tests := []struct {
		name, script string
		same         bool
	}{
		{"the machine's own", `exec ffmpeg "$@"`, true},
		{"without what this processor can do", strings.Replace(changed("cpu-independent=1", "asm=0:cpu-independent=1"), `exec ffmpeg`, `exec ffmpeg -cpuflags 0`, 1), true},
		{"an encoder that looks closer", changed("subme=1", "subme=2"), false},
		{"a scaler that does it otherwise", changed("scale=200:112:flags=bilinear", "scale=200:112:flags=neighbor"), false},
		{"one that was built otherwise", `[ "$2" = -version ] && { ffmpeg "$@"; echo 'built with love'; exit; }; exec ffmpeg "$@"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := name(ffmpeg.Config{Path: w.bareScript(tt.script)})
			if got.probe == "" || (got.name() == usual.name()) != tt.same || (got.mark() == usual.mark()) != tt.same {
				t.Errorf("%s\n%s", usual.name(), got.name())
			}
		})
	}
}

// An ffmpeg that cannot draw is one too: it may do for what has no picture.
func TestAToolThatDrawsNothingHasAName(t *testing.T) {
	w := newWorld(t)
	got, err := w.worker(ffmpeg.Config{Path: w.bareScript(`case "$*" in *libx264*) echo 'Unknown encoder' >&2; exit 1 ;; esac
exec ffmpeg "$@"`)}, nil).tool(t.Context())
	if err != nil || got.probe != "" || got.mark() == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// The tool is tried once, and nothing is tried for what needs none.
func TestAToolIsTriedOnce(t *testing.T) {
	w := newWorld(t)
	path := w.bareScript(`echo "$*" >>"$dir/runs"; chmod a+rw "$dir/runs"; exec ffmpeg "$@"`)
	worker := w.worker(ffmpeg.Config{Path: path}, nil)
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "runs")); err == nil {
		t.Error("it ran before anybody asked")
	}
	for range 3 {
		if _, err := worker.tool(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := os.ReadFile(filepath.Join(filepath.Dir(path), "runs"))
	if err != nil || strings.Count(string(runs), "\n") != 2 || strings.Count(string(runs), probeFile) != 1 {
		t.Errorf("%v, it ran:\n%s", err, runs)
	}
}

// A piece is never made with another tool under the name that its recipe gave it.
func TestNothingIsMadeWithAnotherTool(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	ours, theirs := w.worker(ffmpeg.Config{}, nil), w.worker(ffmpeg.Config{Path: w.bareScript(changed("subme=1", "subme=2"))}, nil)
	p, err := ours.Preview(t.Context(), w.bundle(version))
	if err != nil {
		t.Fatal(err)
	}
	j := ours.jobOf(w.bundle(version))
	if _, err := ours.preview(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	orders, err := ours.orders(j)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range orders {
		if o.key != p.Pieces[i].Key {
			t.Errorf("piece %d is called %s and %s", i, o.key, p.Pieces[i].Key)
		}
		if _, err := theirs.piece(t.Context(), o.recipe, o.key, nil); !strings.Contains(errText(err), errOtherTool.Error()) || poisoned(err) {
			t.Errorf("piece %d with another tool: %v", i, err)
		}
		if _, err := ours.piece(t.Context(), o.recipe, o.key, nil); err != nil {
			t.Errorf("piece %d: %v", i, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestStitchersWithDifferentToolsMakeTheirOwn: of two stitchers with different encoders each makes what is to be made with its
// own, so that the bytes of a chunk are always those that its key stands for; what one leaves to the other is not given up.
func TestStitchersWithDifferentToolsMakeTheirOwn(t *testing.T) {
	t.Parallel() // it waits for one piece at a time
	face, other, voice := camera(t, "red", "320x180", 30, 90), camera(t, "blue", "320x180", 25, 50), microphone(t, 1000, 150)
	record := func(w *world) int {
		a := w.join(0, "A")
		a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, face)
		a.record(0, a.track(0, media.Opus, media.Microphone, 2), 2, voice[0])
		b := w.join(1000, "B")
		b.record(1000, b.track(1000, media.VP8, media.Camera, 3), 3, other)
		return w.end(3000, "standard")
	}
	w := sharedWorld(t)
	otherTool := w.bareScript(changed("subme=1", "subme=2"))
	want := map[string][]Piece{} // by digest of the tool: what each makes alone
	for _, path := range []string{"", otherTool} {
		alone := newWorld(t)
		version := record(alone)
		worker := alone.worker(ffmpeg.Config{Path: path}, nil)
		if err := worker.Make(t.Context(), alone.consultation, version); err != nil {
			t.Fatal(err)
		}
		m := alone.archive(version).manifest
		want[m.Tools["probe"]] = m.Chunks
	}
	if len(want) != 2 {
		t.Fatalf("%d tools are told apart, not 2", len(want))
	}
	version := record(w)
	w.runs(ffmpeg.Config{})
	w.runs(ffmpeg.Config{Path: otherTool})
	made := map[string]bool{}
	for n := range 6 { // either may take an archive; the next one takes up what there is
		if n > 0 {
			version = w.request("standard")
		}
		w.queued(version)
		w.awaitFor(version, 2*time.Minute)
		got := w.archive(version)
		m := got.manifest
		if diff := cmp.Diff(want[m.Tools["probe"]], m.Chunks); diff != "" || len(m.Failures) > 0 {
			t.Errorf("version %d, failures %+v, chunks (-alone +beside another):\n%s", version, m.Failures, diff)
		}
		made[m.Tools["probe"]] = true
	}
	t.Logf("archives were made with %d tools", len(made))
}

// An archive whose pieces nobody can make any more, because another ffmpeg was installed while it was made, is planned anew.
func TestAnotherToolIsInstalledMeanwhile(t *testing.T) {
	w := sharedWorld(t)
	w.join(0, "A")
	version := w.end(1000, "fast")
	path := w.bareScript(`[ -e "$dir/new" ] && exec ffmpeg "$@"
[ "$2" = -version ] && { ffmpeg "$@"; echo 'built otherwise'; exit; }
case "$*" in *` + probeFile + `*) exec ffmpeg "$@" ;; *libx264*) : >"$dir/drawing"; exec sleep 600 ;; esac
exec ffmpeg "$@"`)
	w.runs(ffmpeg.Config{Path: path})
	w.queued(version)
	dir := filepath.Dir(path)
	w.until("something is drawn", func() bool {
		_, err := os.Stat(filepath.Join(dir, "drawing"))
		return err == nil
	})
	now := time.Now()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "new"), nil, 0o644), os.Chtimes(path, now, now)); err != nil {
		t.Fatal(err)
	}
	w.await(version)
	usual, err := w.worker(ffmpeg.Config{}, nil).tool(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m := w.archive(version).manifest; len(m.Failures) > 0 || m.Tools["ffmpegBuild"] != usual.about.Digest {
		t.Errorf("failures %+v, tools %v", m.Failures, m.Tools)
	}
}

// BenchmarkTool is what a process needs to know what it makes pieces with.
func BenchmarkTool(b *testing.B) {
	for b.Loop() {
		ff, err := ffmpeg.New(ffmpeg.Config{}, discard())
		if err != nil {
			b.Fatal(err)
		}
		w, err := New(Config{Dir: b.TempDir(), Fonts: []string{b.TempDir()}}, Deps{FFmpeg: ff}, discard())
		if err != nil {
			b.Fatal(err)
		}
		if t, err := w.tool(b.Context()); err != nil || t.probe == "" {
			b.Fatalf("%+v, %v", t, err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
