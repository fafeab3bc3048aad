package stitch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// bundle is what somebody has in hand who makes an archive without a server.
func (w *world) bundle(version int) Bundle {
	w.t.Helper()
	history, err := events.ReadAll(w.t.Context(), w.log, w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := BundleOf(history, version)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// Whoever makes an archive by hand gets all of it into their folder, what the tool said of a chunk that it could not make too,
// and nothing where one of the files finds no place.
func TestAnArchiveByHandHasAllOfItsFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, camera(t, "red", "160x90", 30, 30))
	version := w.end(1000, "fast")
	path := w.script(`case "$*" in *libx264*) [ -e t0.ivf ] && { echo 'I will not draw this' >&2; exit 1; } ;; esac
exec ffmpeg "$@"`)
	worker, out := w.worker(ffmpeg.Config{Path: path}, nil), t.TempDir()
	m, err := worker.Render(t.Context(), w.bundle(version), out)
	if err != nil || len(m.Failures) != 1 {
		t.Fatalf("failures %+v, %v", m.Failures, err)
	}
	names := map[string]int64{}
	for _, e := range entries(t, out) {
		if info, err := e.Info(); err == nil {
			names[e.Name()] = info.Size()
		}
	}
	said := failedPieceFile(m.Failures[0].Key)
	for _, name := range []string{ArchiveFile, ManifestFile, ChaptersFile, EventsFile, PeaksFile, ThumbnailsFile, ThumbnailsVTTFile, said} {
		if names[name] == 0 {
			t.Errorf("there is no %s, or it is empty", name)
		}
	}
	if len(names) != 8 {
		t.Errorf("in the folder: %v", names)
	}
	if text, _ := os.ReadFile(filepath.Join(out, said)); !strings.Contains(string(text), "I will not draw this") {
		t.Errorf("what the tool said: %s", text)
	}

	full := t.TempDir()
	if err := os.Mkdir(filepath.Join(full, ThumbnailsVTTFile), 0o755); err != nil { // where a file is to go, and comes last
		t.Fatal(err)
	}
	if _, err := worker.Render(t.Context(), w.bundle(version), full); err == nil || !strings.Contains(err.Error(), ThumbnailsVTTFile) {
		t.Errorf("got %v", err)
	}
	for _, e := range entries(t, full) {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
