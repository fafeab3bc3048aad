package blob

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// files lists the regular files below a folder, by their paths from base.
func files(t testing.TB, dir, base string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(base, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"", "file://", "file://elsewhere/x", "file://" + file, "nothing://x", "file://" + t.TempDir() + "?no_such=1", "://"} {
		if s, err := Open(t.Context(), url); err == nil {
			t.Errorf("opened %q", url)
			s.Close()
		}
	}
}

func TestOtherUsersCannotReadBlobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, "file://"+dir)
	if _, err := s.Put(t.Context(), "c/room/k", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&0o007 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenTakesARelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s := open(t, "file://./var/blob")
	if _, err := s.Put(t.Context(), "k", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("var/blob/k"); err != nil {
		t.Error(err)
	}
}

func TestOpenKnowsS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "none")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "none")
	s := open(t, "s3://bucket?region=eu-central-1&endpoint=http://127.0.0.1:1&use_path_style=true")
	if s.folder != "" {
		t.Errorf("an S3 store has the folder %q", s.folder)
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, "file://"+b.TempDir())
	content := bytes.Repeat([]byte{1}, 2<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := s.Put(b.Context(), "c/room/segments/x.ivf", bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

// The folder holds the blobs and nothing else: no attributes, no temporary file, not even of a put that failed.
func TestAFolderHoldsBlobsOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, "file://"+dir)
	const key = "c/room/segments/s-1.ivf"
	for _, content := range []string{"", strings.Repeat("x", 100_000)} {
		if _, err := s.Put(t.Context(), key, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	broken := io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("the disk is gone")))
	if _, err := s.Put(t.Context(), "c/room/segments/s-2.ivf", broken); err == nil {
		t.Fatal("Put succeeded")
	}
	for _, bad := range []string{"../a", "a/../../b"} {
		if _, err := s.Put(t.Context(), bad, strings.NewReader("x")); err == nil {
			t.Fatalf("Put %s succeeded", bad)
		}
	}
	if diff := cmp.Diff([]string{filepath.FromSlash(key)}, files(t, filepath.Dir(dir), dir)); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
}

// A file that is given away becomes the blob itself, so that it costs the same however long it is. Where it cannot, it is copied,
// and then its digest must be the right one.
func TestAGivenFileIsNotCopied(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	s := open(t, "file://"+dir)
	path, link := filepath.Join(other, "file"), filepath.Join(other, "link")
	if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	about := func(path string) os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	const right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of x
	if _, err := s.Give(t.Context(), "c/a", path, right); err != nil {
		t.Fatal(err)
	}
	if blob := about(filepath.Join(dir, "c/a")); !os.SameFile(blob, about(path)) || blob.Mode().Perm() != 0o640 {
		t.Errorf("the blob is another file, or has mode %v", blob.Mode())
	}
	if _, err := s.Give(t.Context(), "c/b", link, right); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(about(filepath.Join(dir, "c/b")), about(path)) {
		t.Error("what a link leads to was taken in")
	}
	if _, err := s.Give(t.Context(), "c/b", link, strings.Repeat("0", 64)); err == nil {
		t.Error("a file with other bytes was stored")
	}
	if diff := cmp.Diff([]string{filepath.FromSlash("c/a")}, files(t, dir, dir)); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
}

// What a killed process has left of a put is no blob.
func TestAListLeavesOutWhatWasNeverFinished(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "file://"+dir)
	if _, err := s.Put(t.Context(), "c/whole", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"c/half.18a3.tmp", "c/no key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range s.List(t.Context(), "") {
		if err != nil || info.Key != "c/whole" {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
}

// What was changed behind the store's back is seen by reading it back, not by what was counted on the way there.
func TestDigestTellsWhatTheDiskHolds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "file://"+dir)
	sent, err := s.Put(t.Context(), "k", strings.NewReader("what was sent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "k"), []byte("what was senT"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Digest(t.Context(), "k"); err != nil || got.SHA256 == sent.SHA256 || got.Bytes != sent.Bytes {
		t.Errorf("digest %+v (%v) of a blob that was stored as %+v", got, err, sent)
	}
}

// What a killed process has left of a put goes when it is old, what another one is writing stays, and so does every blob.
func TestUnfinishedPutsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "file://"+dir)
	if n, err := s.RemoveUnfinished(t.Context(), "chunks", time.Now()); n != 0 || err != nil {
		t.Errorf("of a folder that is not there: %d bytes, %v", n, err)
	}
	for _, key := range []string{"chunks/whole.ts", "c/x"} {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	old, now := time.Now().Add(-48*time.Hour), time.Now()
	for name, at := range map[string]time.Time{"chunks/old.ts.18a3.tmp": old, "chunks/new.ts.18a4.tmp": now, "c/old.ts.18a3.tmp": old, "chunks/whole.ts": old} {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".tmp") {
			if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.RemoveUnfinished(t.Context(), "chunks", now.Add(-24*time.Hour)); n != 5 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	want := []string{"c/old.ts.18a3.tmp", "c/x", "chunks/new.ts.18a4.tmp", "chunks/whole.ts"}
	if diff := cmp.Diff(want, files(t, dir, dir)); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
}
