package stitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/blob"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// A finished file that is not what its pieces are is found out, whatever went wrong when it was joined.
func TestAFileThatIsNotItsPiecesIsNotBelieved(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes the pieces of two archives")
	}
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, detailed(t, 45))
	a.record(0, a.track(0, media.Opus, media.Microphone, 2), 2, microphone(t, 1000, 75)[0])
	w.join(750, "B")
	maker, pictures := w.rendered(w.end(1500, "standard"))
	defer pictures.closeSegments()
	_, sound := w.rendered(w.request("audio"))
	defer sound.closeSegments()

	type step func(t *testing.T, j *job)
	none := func(*testing.T, *job) {}
	turned := func(t *testing.T, j *job) {
		rewrite(t, filepath.Join(j.dir, ArchiveFile), func(b []byte) []byte { b[len(b)*3/5] ^= 1; return b })
	}
	joinedAgain := func(before string, args ...string) step { // by a tool
		return func(t *testing.T, j *job) {
			path := filepath.Join(j.dir, ArchiveFile)
			if err := os.Rename(path, path+".x"); err != nil {
				t.Fatal(err)
			}
			in := append(strings.Fields(before), "-i", path+".x", "-i", path+".x")
			run_(t, append(append(in, args...), "-c", "copy", "-f", "mp4", path)...)
		}
	}
	var kept []byte
	for _, test := range []struct {
		name          string
		job           *job
		before, after step   // the joining
		want          string // empty: the file is believed
	}{
		{"nothing happened to it", pictures, none, none, ""},
		{"nothing happened to it, there are no pictures", sound, none, none, ""},
		{"a bit of a picture is turned over", pictures, none, turned, "are others in the finished file"},
		{"a bit of the sound is turned over", sound, none, turned, "is another one in the finished file"},
		{"two chunks have changed places", pictures, swapChunks, swapChunks, "chunk 0: "},
		{"two pictures have changed places", pictures, func(_ *testing.T, j *job) {
			last := &j.result.strips[len(j.result.strips)-1]
			s := slices.Clone(last.samples)
			s[1].Place, s[2].Place = s[2].Place, s[1].Place
			last.samples = s
		}, none, "in another order"},
		{"a keyframe is not called one", pictures, func(_ *testing.T, j *job) {
			first := &j.result.strips[0]
			s := slices.Clone(first.samples)
			s[0].Key = false
			first.samples = s
		}, none, "not called one"},
		{"a packet of the sound is left out", sound, func(t *testing.T, j *job) {
			rewrite(t, filepath.Join(j.dir, soundFileOf(0)), func(b []byte) []byte {
				kept = bytes.Clone(b)
				packets, err := ffmpeg.SplitADTS(b)
				if err != nil {
					t.Fatal(err)
				}
				return bytes.Join(slices.Delete(packets, 9, 10), nil)
			})
		}, func(t *testing.T, j *job) {
			rewrite(t, filepath.Join(j.dir, soundFileOf(0)), func([]byte) []byte { return kept })
		}, "is another one in the finished file"},
		{"the picture comes half a frame late", pictures, none, joinedAgain("-itsoffset 0.0166", "-map", "0:v", "-map", "1:a"), "is shown at"},
		{"the sound comes a packet late", sound, none, joinedAgain("-itsoffset 0.02134", "-map", "0:a"), "is heard at"},
		{"the end is left out", pictures, none, joinedAgain("", "-map", "0:v", "-map", "0:a", "-t", "1"), "instead of 1.5s"},
		{"it is empty", pictures, none, func(t *testing.T, j *job) {
			rewrite(t, filepath.Join(j.dir, ArchiveFile), func([]byte) []byte { return nil })
		}, "read the index of the file"},
		{"it is gone", pictures, none, func(t *testing.T, j *job) {
			if err := os.Remove(filepath.Join(j.dir, ArchiveFile)); err != nil {
				t.Fatal(err)
			}
		}, "nothing was joined"},
	} {
		t.Run(test.name, func(t *testing.T) {
			strips := slices.Clone(test.job.result.strips)
			defer func() { test.job.result.strips = strips }()
			test.before(t, test.job)
			if err := maker.mux(t.Context(), test.job); err != nil {
				t.Fatal(err)
			}
			test.after(t, test.job)
			err := maker.inspect(t.Context(), test.job)
			if test.want == "" && err == nil {
				playersTake(t, test.job)
				return
			}
			var f *failure
			if !errors.As(err, &f) || f.code != CodeRenderFailed || test.want == "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// playersTake lets ffmpeg decode the finished file without a word of complaint, and ffprobe name its chapters.
func playersTake(t *testing.T, j *job) {
	t.Helper()
	path := filepath.Join(j.dir, ArchiveFile)
	if out, err := exec.Command("ffmpeg", "-v", "warning", "-xerror", "-nostdin", "-i", path, "-f", "null", "-").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, out)
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "chapter=start_time,end_time:chapter_tags=title", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, c := range j.plan.Chapters {
		fmt.Fprintf(&want, "%.6f,%.6f,%s\n", c.Start.Seconds(), c.End.Seconds(), c.Title)
	}
	if diff := cmp.Diff(want.String(), strings.ReplaceAll(string(out), `"`, "")); diff != "" || len(j.plan.Chapters) < 2 {
		t.Errorf("chapters (-plan +ffprobe):\n%s", diff)
	}
}

// rewrite changes a file.
func rewrite(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// swapChunks lets the first two chunks change their places, as far as joining goes.
func swapChunks(t *testing.T, j *job) {
	t.Helper()
	s, one, two := j.result.strips, filepath.Join(j.dir, stripFile(0)), filepath.Join(j.dir, stripFile(1))
	if len(s) < 2 {
		t.Fatalf("there are %d chunks", len(s))
	}
	s[0], s[1] = s[1], s[0]
	if err := errors.Join(os.Rename(one, one+".x"), os.Rename(two, one), os.Rename(one+".x", two)); err != nil {
		t.Fatal(err)
	}
}

// Of a file that is not believed nothing is stored or announced but why.
func TestAFileThatIsNotBelievedIsNotStored(t *testing.T) {
	w := newWorld(t)
	version := w.end(1000, "audio")
	worker := w.worker(ffmpeg.Config{}, nil)
	worker.logger = slog.New(atTheEndOf{worker.logger.Handler(), StageMux, func() {
		found, err := filepath.Glob(filepath.Join(worker.folder.dir, "a-*", ArchiveFile))
		if err != nil || len(found) != 1 {
			t.Errorf("finished files: %v, %v", found, err)
			return
		}
		rewrite(t, found[0], func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	}})
	if text := w.fails(t, worker, version, CodeRenderFailed); !strings.Contains(text, "is another one in the finished file") {
		t.Errorf("the text of the failure: %s", text)
	}
	prefix := fmt.Sprintf("c/%s/archives/%d/", w.consultation, version)
	for _, file := range []string{ArchiveFile, ManifestFile, ChaptersFile} {
		if _, err := w.blobs.Stat(t.Context(), prefix+file); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v", file, err)
		}
	}
	w.made(w.request("audio")) // on a better day
}

// atTheEndOf does something when the log says that a stage has ended.
type atTheEndOf struct {
	slog.Handler
	stage string
	do    func()
}

func (h atTheEndOf) Enabled(context.Context, slog.Level) bool { return true }

func (h atTheEndOf) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "stage ended" && a.Key == "stage" && a.Value.String() == h.stage {
			h.do()
		}
		return true
	})
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h atTheEndOf) WithAttrs(all []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(all)
	return h
}
