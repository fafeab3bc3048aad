package recorder

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// crash copies what is on disk now, as a killed process would leave it.
func crash(t testing.TB, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// recovered runs Recover and holds what it returns against the files.
func recovered(t testing.TB, dir string) []Recovered {
	t.Helper()
	found, err := Recover(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found {
		checkSealed(t, dir, r.Segment, r.Path)
		if r.CloseReason != "recovered" {
			t.Errorf("segment %s is closed because of %q", r.ID, r.CloseReason)
		}
	}
	for _, name := range tree(t, dir) {
		if strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s is left", name)
		}
	}
	again, err := Recover(dir)
	if err != nil || len(again) != 0 {
		t.Errorf("a second time it recovers %d segments, error %v", len(again), err)
	}
	return found
}

func TestRecoverFinishesWhatACrashLeft(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.VP9, media.AV1, media.H264, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			var clip []picture
			if c == media.Opus {
				clip = sound(t, 100)
			} else {
				clip = pictures(t, c, "320x180", 50, 25)
			}
			s := newSender(c)
			var left string
			inLab(t, Config{}, videoTrack(c), func(l *lab) {
				l.play(s.send(0, clip...))
				l.until(2*time.Second + 100*time.Millisecond)
				left = crash(t, l.dir)
			})
			found := recovered(t, left)
			if len(found) != 1 || found[0].LostBytes != 0 {
				t.Fatalf("recovered %+v", found)
			}
			got := contentOf(t, found[0].Segment, found[0].Path)
			missing := 0
			if c == media.Opus {
				missing = 5 // the page that was being gathered
			}
			if len(got) < len(clip)-missing {
				t.Fatalf("%d of %d are there", len(got), len(clip))
			}
			if c == media.VP8 || c == media.Opus {
				sameContent(t, want(firstRTP, int64(s.step), clip[:len(got)]...), got)
			}
		})
	}
}

func TestRecoverBearsASidecarThatWasBeingWritten(t *testing.T) {
	s := newSender(media.VP8)
	clip := pictures(t, media.VP8, "160x120", 4, 4)
	var left string
	inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.play(s.send(0, clip...))
		l.until(500 * time.Millisecond)
		left = crash(t, l.dir)
	})
	for _, name := range tree(t, left) {
		if strings.HasSuffix(name, ".json") {
			if err := os.WriteFile(filepath.Join(left, name+".tmp"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found := recovered(t, left); len(found) != 1 {
		t.Errorf("recovered %+v", found)
	}
}

func TestRecoverCutsATornFileAnywhere(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "160x120", 4, 4)
			if c == media.Opus {
				clip = sound(t, 21)
			}
			s := newSender(c)
			var left string
			inLab(t, Config{}, videoTrack(c), func(l *lab) {
				l.play(s.send(0, clip...))
				l.until(500 * time.Millisecond)
				left = crash(t, l.dir)
			})
			part := tree(t, left)[0]
			if !strings.HasSuffix(part, ".part") {
				part = tree(t, left)[1]
			}
			whole, err := os.ReadFile(filepath.Join(left, part))
			if err != nil {
				t.Fatal(err)
			}
			step := max(1, len(whole)/60)
			for n := 0; n <= len(whole); n += step {
				torn := crash(t, left)
				if err := os.Truncate(filepath.Join(torn, part), int64(n)); err != nil {
					t.Fatal(err)
				}
				found := recovered(t, torn)
				if len(found) == 0 {
					if files := tree(t, torn); len(files) != 0 {
						t.Errorf("%d bytes hold no frame, but %v is left", n, files)
					}
					continue
				}
				got := contentOf(t, found[0].Segment, found[0].Path)
				sameContent(t, want(firstRTP, int64(s.step), clip[:len(got)]...), got)
				if found[0].Bytes+found[0].LostBytes != int64(n) {
					t.Errorf("%d bytes: %d kept, %d lost", n, found[0].Bytes, found[0].LostBytes)
				}
			}
		})
	}
}

func TestRecoverLeavesWhatItCannotUnderstand(t *testing.T) {
	dir := t.TempDir()
	room := filepath.Join(dir, "room")
	if err := os.Mkdir(room, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a.ivf.part":   "no sidecar",
		"b.ivf.part":   "a sidecar that is no JSON",
		"b.json":       "{",
		"c.ivf.part":   "a sidecar of another segment",
		"c.json":       `{"segment":"x","codec":"VP8"}`,
		"d.json":       `{"segment":"d"}`, // no file: the process died before it was made
		"e.json.tmp":   "{",
		"f.ivf.sealed": "finished",
		"f.json":       "{}",
	} {
		if err := os.WriteFile(filepath.Join(room, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Recover(dir)
	if err == nil || len(found) != 0 {
		t.Errorf("recovered %v, error %v", found, err)
	}
	wantFiles := []string{"a.ivf.part", "b.ivf.part", "b.json", "c.ivf.part", "c.json", "f.ivf.sealed", "f.json"}
	var got []string
	for _, f := range tree(t, dir) {
		got = append(got, filepath.Base(f))
	}
	if diff := cmp.Diff(wantFiles, got); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
	for _, id := range []string{"segment a", "segment b", "segment c"} {
		if err != nil && !strings.Contains(err.Error(), id) {
			t.Errorf("the error does not name %s: %v", id, err)
		}
	}
}

func TestRecoverOfAFolderThatIsNotThereIsNothing(t *testing.T) {
	if found, err := Recover(filepath.Join(t.TempDir(), "none")); err != nil || found != nil {
		t.Errorf("%v, %v", found, err)
	}
}

// TestRecoverAfterKill kills a recording process at a random place and recovers what it left.
func TestRecoverAfterKill(t *testing.T) {
	if dir := os.Getenv("RECORDER_TEST_DIR"); dir != "" {
		recordForEver(t, dir)
		return
	}
	clip := pictures(t, media.VP8, "320x180", 50, 25)
	source := writeIVF(t, clip)
	whole := repeat(200, clip)
	for round := range 3 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestRecoverAfterKill$")
		cmd.Env = append(os.Environ(), "RECORDER_TEST_DIR="+dir, "RECORDER_TEST_CLIP="+source)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := sync.OnceFunc(func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // it was killed
		})
		t.Cleanup(kill)
		waitForBytes(t, dir, 200_000+round*77_777)
		kill()
		finished := 0
		for _, name := range tree(t, dir) {
			if strings.HasSuffix(name, ".sealed") {
				finished++
			}
		}
		found := recovered(t, dir)
		if len(found)+finished == 0 || len(found) > 1 {
			t.Fatalf("%d finished, %d recovered", finished, len(found))
		}
		for _, r := range found {
			got := contentOf(t, r.Segment, r.Path)
			first := int(r.FirstRTP-firstRTP) / frameStep
			sameContent(t, want(r.FirstRTP, frameStep, whole[first:first+len(got)]...), got)
			if sums := videoSums(t, r.Path); len(sums) != len(got) {
				t.Errorf("ffmpeg decodes %d of %d pictures", len(sums), len(got))
			}
		}
	}
}

// recordForEver is the process that is killed: it records as fast as it can.
func recordForEver(t *testing.T, dir string) {
	t.Helper()
	var clip []picture
	for _, c := range contentOf(t, media.Segment{Codec: media.VP8}, os.Getenv("RECORDER_TEST_CLIP")) {
		clip = append(clip, picture{data: c.data})
	}
	r, err := New(Config{Dir: dir, Queue: 1 << 20}, videoTrack(media.VP8), func() {}, func(Report) {}, discard)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, p := range newSender(media.VP8).send(0, repeat(200, clip)...) {
		r.RTP(p.pkt, start.Add(p.at))
	}
	select {}
}

// waitForBytes returns when the files in dir together have so many bytes.
func waitForBytes(t *testing.T, dir string, n int) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		total := int64(0)
		_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil { // it may be gone by now
					total += info.Size()
				}
			}
			return nil
		})
		if total >= int64(n) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("only %d bytes after 20 s: %v", total, tree(t, dir))
		}
	}
}
