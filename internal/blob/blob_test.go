package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

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

// files lists the regular files below a folder.
func files(t testing.TB, dir string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func get(t testing.TB, s *Store, key string, off, n int64) string {
	t.Helper()
	r, err := s.Range(t.Context(), key, off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStoreKeepsWhatItIsGiven(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, "file://"+dir)
	for _, content := range []string{"", "x", strings.Repeat("0123456789", 100_000)} {
		const key = "c/room/segments/s-1.ivf"
		info, err := s.Put(t.Context(), key, iotest.HalfReader(strings.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(content))
		want := Info{Key: key, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
		if diff := cmp.Diff(want, info); diff != "" {
			t.Errorf("Put:\n%s", diff)
		}
		if got := get(t, s, key, 0, -1); got != content {
			t.Errorf("got %d bytes back, want %d", len(got), len(content))
		}
		stat, err := s.Stat(t.Context(), key)
		if err != nil || stat.Bytes != want.Bytes {
			t.Errorf("Stat says %d bytes (%v), want %d", stat.Bytes, err, want.Bytes)
		}
		// Nothing but the blob: no attributes, no temporary file.
		if diff := cmp.Diff([]string{filepath.FromSlash(key)}, files(t, dir)); diff != "" {
			t.Errorf("files in the folder:\n%s", diff)
		}
	}
}

func TestRangeGivesAPart(t *testing.T) {
	s := open(t, "file://"+t.TempDir())
	if _, err := s.Put(t.Context(), "k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		off, n int64
		want   string
	}{
		{name: "from the start", off: 0, n: 3, want: "012"},
		{name: "in the middle", off: 4, n: 2, want: "45"},
		{name: "the rest", off: 7, n: -1, want: "789"},
		{name: "more than there is", off: 8, n: 100, want: "89"},
		{name: "nothing", off: 2, n: 0, want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := get(t, s, "k", tt.off, tt.n); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := s.Range(t.Context(), "k", -1, 1); err == nil {
		t.Error("a negative offset was taken")
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	s := open(t, "file://"+t.TempDir())
	if _, err := s.Put(t.Context(), "a/b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"nothing", "a", "a/b2", "b/c"} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get %s: %v, want ErrNotFound", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, ErrNotFound) {
			t.Errorf("Stat %s: %v, want ErrNotFound", key, err)
		}
	}
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Get(t.Context(), "a/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after Delete: %v, want ErrNotFound", err)
	}
	if _, err := s.PutFile(t.Context(), "k", filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("PutFile of no file: %v, want fs.ErrNotExist", err)
	}
}

func TestAFailedPutLeavesNothing(t *testing.T) {
	broken := errors.New("the disk that is read from is gone")
	tests := []struct {
		name string
		ctx  func(context.Context) (context.Context, io.Reader)
	}{
		{name: "the reader fails in the middle", ctx: func(ctx context.Context) (context.Context, io.Reader) {
			return ctx, io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(broken))
		}},
		{name: "the context ends in the middle", ctx: func(ctx context.Context) (context.Context, io.Reader) {
			ctx, cancel := context.WithCancel(ctx)
			return ctx, io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) {
				cancel()
				return 0, io.EOF
			}))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, "file://"+dir)
			ctx, r := tt.ctx(t.Context())
			if _, err := s.Put(ctx, "a/new", r); err == nil {
				t.Fatal("Put succeeded")
			}
			if diff := cmp.Diff([]string{}, files(t, dir)); diff != "" {
				t.Errorf("left behind:\n%s", diff)
			}
			if _, err := s.Put(t.Context(), "a/old", strings.NewReader("old")); err != nil {
				t.Fatal(err)
			}
			ctx, r = tt.ctx(t.Context())
			if _, err := s.Put(ctx, "a/old", r); err == nil {
				t.Fatal("Put succeeded")
			}
			if got := get(t, s, "a/old", 0, -1); got != "old" {
				t.Errorf("what was there became %q", got)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestManyPutsIntoNewFoldersAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "file://"+dir)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			key := fmt.Sprintf("c/%d/x/%d", i/4, i)
			if _, err := s.Put(t.Context(), key, bytes.NewReader([]byte{byte(i)})); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(files(t, dir)); got != 32 {
		t.Errorf("%d files, want 32", got)
	}
}

func TestKeysStayInsideTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "file://"+filepath.Join(dir, "store"))
	bad := []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../../b", "a/./b", "a b", "a\\b", "a%2e", "ä", "a\x00",
		"a:b", strings.Repeat("a", 201), strings.Repeat("a/", 500) + "a",
	}
	for _, key := range bad {
		_, putErr := s.Put(t.Context(), key, strings.NewReader("x"))
		_, getErr := s.Get(t.Context(), key)
		_, statErr := s.Stat(t.Context(), key)
		for _, err := range []error{putErr, getErr, statErr, s.Delete(t.Context(), key)} {
			if !errors.Is(err, ErrBadKey) {
				t.Errorf("key %q: error %v, want ErrBadKey", key, err)
			}
		}
	}
	if diff := cmp.Diff([]string{}, files(t, dir)); diff != "" {
		t.Errorf("written:\n%s", diff)
	}
	for _, key := range []string{"a", "A-Z_0.9", "c/0199a/segments/x.ivf", "b/..b", strings.Repeat("a", 200)} {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
	}
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
