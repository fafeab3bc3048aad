package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"consilium/internal/config"
	"consilium/internal/events"
	"consilium/internal/stitch"
	"consilium/internal/testenv"
)

// bundle is a folder with a consultation of a second in which nobody showed anything.
func bundle(t *testing.T) (dir, consultation string) {
	t.Helper()
	dir, consultation = t.TempDir(), events.NewID()
	who := events.NewID()
	zero := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var at events.Version
	var lines bytes.Buffer
	say := func(after time.Duration, e events.Event) {
		t.Helper()
		d := events.NewDraft("/live/a", zero.Add(after), e)
		d.Participant = who
		raw, next, err := events.Seal(consultation, at, d)
		if err != nil {
			t.Fatal(err)
		}
		at = next
		lines.Write(append(raw, '\n'))
	}
	say(0, events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "en"})
	say(0, events.ParticipantJoined{Role: "patient"})
	say(time.Second, events.ParticipantLeft{Reason: events.LeftLeft})
	say(time.Second, events.ConsultationEnded{Reason: events.EndedClosed})
	if err := os.WriteFile(filepath.Join(dir, bundleEvents), lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, consultation
}

func sourceOf(path string) source {
	return source{
		Stitcher: config.Stitcher{Log: config.Log{LogLevel: "info", LogFormat: "text"}, Process: config.Process{Node: "b"}},
		Bundle:   path, Profile: "fast",
	}
}

func packed(t *testing.T, dir string, zip bool) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	out := tar.NewWriter(z)
	if !zip {
		out = tar.NewWriter(&b)
	}
	if err := out.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if zip {
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "bundle.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An archive can be made with nothing but a bundle, which stays as it is.
func TestRenderABundle(t *testing.T) {
	testenv.Require(t, "ffmpeg", "ffprobe")
	dir, consultation := bundle(t)
	for name, path := range map[string]string{"folder": dir, "tar": packed(t, dir, false), "tar.gz": packed(t, dir, true)} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			c := renderCmd{source: sourceOf(path), Out: out}
			if err := c.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join(out, stitch.ManifestFile))
			if err != nil {
				t.Fatal(err)
			}
			var m stitch.Manifest
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			if m.Consultation != consultation || m.DurationMS != 1000 || m.Profile != "fast" || m.ThroughSeq != 4 {
				t.Errorf("manifest: %s", raw)
			}
			if info, err := os.Stat(filepath.Join(out, stitch.ArchiveFile)); err != nil || info.Size() < 1000 {
				t.Errorf("archive: %+v, %v", info, err)
			}
		})
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the bundle has %d entries now", len(left))
	}
}

// Finished chunks are taken from the cache the next time, and a plan says so before.
func TestPlanABundle(t *testing.T) {
	testenv.Require(t, "ffmpeg", "ffprobe")
	dir, consultation := bundle(t)
	from := sourceOf(dir)
	from.Cache = t.TempDir()
	plan := func() string {
		t.Helper()
		table, err := from.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer table.close()
		p, err := table.worker.Preview(t.Context(), table.bundle)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := printPlan(&b, p, true); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := plan()
	for _, want := range []string{"scene 0  0s – 1s  frames 0 – 30", "card not_consented", "chunk of scene 0  0s  30 frames", "libx264", consultation + ", 1s, profile fast", "2 pieces, 0 of them finished, 30 frames to make"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in the plan:\n%s", want, first)
		}
	}
	c := renderCmd{source: from, Out: t.TempDir()}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := plan(); !strings.Contains(second, "2 pieces, 2 of them finished, 0 frames to make") {
		t.Errorf("after rendering:\n%s", second)
	}
}

func TestBundlesThatAreNone(t *testing.T) {
	dir, _ := bundle(t)
	raw, err := os.ReadFile(filepath.Join(dir, bundleEvents))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	tests := []struct {
		name, events, want string
	}{
		{"no events", "", "without events"},
		{"an event is missing", string(bytes.Join([][]byte{lines[0], lines[2]}, nil)), "line 2"},
		{"an event was changed", strings.Replace(string(raw), "patient", "nurse00", 1), "line 3"},
		{"no JSON", "hello\n", "line 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, bundleEvents), []byte(test.events), 0o600); err != nil {
				t.Fatal(err)
			}
			c := renderCmd{source: sourceOf(dir), Out: t.TempDir()}
			if err := c.Run(context.WithoutCancel(t.Context())); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A folder is packed with its name or without; what is no bundle is said to be none.
func TestHowABundleIsPacked(t *testing.T) {
	dir, _ := bundle(t)
	named := t.TempDir()
	if err := os.CopyFS(filepath.Join(named, "bundle"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.zip")
	if err := os.WriteFile(none, []byte("PK\x03\x04"+strings.Repeat("x", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, want string }{
		{"a folder", dir, ""},
		{"a tar file of what is in it", packed(t, dir, false), ""},
		{"a gzipped tar file of what is in it", packed(t, dir, true), ""},
		{"a tar file of the folder", packed(t, named, false), ""},
		{"a gzipped tar file of the folder", packed(t, named, true), ""},
		{"a zip file", none, "neither a folder nor a tar file"},
		{"an empty folder", t.TempDir(), "no events.ndjson"},
		{"an empty tar file", packed(t, t.TempDir(), false), "no events.ndjson"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, err := openBundle(test.path, t.TempDir())
			if err == nil {
				_, err = readBundle(folder)
			}
			if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whoever stands by learns at once what they would learn after an hour, or never.
func TestWhatCannotBeDoneByHandIsSaidAtOnce(t *testing.T) {
	dir, _ := bundle(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	noTool := sourceOf(dir)
	noTool.FFmpeg = filepath.Join(dir, "none") // would be missed first, if anything were made
	nobody := sourceOf("")
	nobody.Data, nobody.Consultation = t.TempDir(), events.NewID()
	for name, test := range map[string]struct {
		run  func() error
		want string
	}{
		"a folder that is a file": {(&renderCmd{source: noTool, Out: plain}).run(t), "not a directory"},
		"a folder below a file":   {(&renderCmd{source: noTool, Out: filepath.Join(plain, "x")}).run(t), "not a directory"},
		"no server":               {(&renderCmd{source: nobody, Out: t.TempDir()}).run(t), "is live running"},
		"no server to call off": {func() error {
			return (&cancelCmd{Stitcher: nobody.Stitcher, Consultation: "x", Version: 1}).Run(t.Context())
		}, "is live running"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.run(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func (c *renderCmd) run(t *testing.T) func() error { return func() error { return c.Run(t.Context()) } }

// Ctrl-C in the middle of the work ends it at once, and leaves nothing where the files were to go.
func TestWhoStopsAnArchiveFindsNothingOfIt(t *testing.T) {
	tool := testenv.Require(t, "ffmpeg")["ffmpeg"]
	dir, _ := bundle(t)
	open, err := os.MkdirTemp("/tmp", "stitcher-test") // for the user that ffmpeg runs as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	begun, script := filepath.Join(open, "begun"), filepath.Join(open, "ffmpeg")
	text := "#!/bin/sh\ncase \"$*\" in *libx264*) : >" + begun + "; exec sleep 600 ;; esac\nexec " + tool + ` "$@"` + "\n"
	// No process may begin while the script is open for writing: it would inherit that, and the script could not be run.
	syscall.ForkLock.RLock()
	err = errors.Join(os.WriteFile(script, []byte(text), 0o700), os.Chmod(script, 0o755), os.Chmod(open, 0o777))
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	c := renderCmd{source: sourceOf(dir), Out: t.TempDir()}
	c.FFmpeg = script
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }() // ends with ctx
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(begun); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Error("nothing is drawn")
			break
		}
	}
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(c.Out); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
