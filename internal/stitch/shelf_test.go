package stitch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"consilium/internal/blob"
	"consilium/internal/events"
)

// counted counts how often a blob is read.
type counted struct {
	Blobs
	reads atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	c.reads.Add(1)
	return c.Blobs.Get(ctx, key)
}

func TestShelf(t *testing.T) {
	store, err := blob.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	put := func(key, content string) segmentRef {
		t.Helper()
		if _, err := store.Put(t.Context(), key, bytes.NewReader([]byte(content))); err != nil {
			t.Fatal(err)
		}
		return segmentRef{Key: key, SHA256: events.HashOf([]byte(content)), Bytes: int64(len(content))}
	}
	a, b := put("a", "0123456789"), put("b", "abcdefghij")
	read := func(h *shelf, s segmentRef) string {
		t.Helper()
		f, release, err := h.take(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		defer f.Close()
		content, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}

	t.Run("many who want a segment at once fetch it once", func(t *testing.T) {
		blobs := &counted{Blobs: store}
		h := newShelf(t.TempDir(), blobs)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if got := read(h, a); got != "0123456789" {
					t.Errorf("got %q", got)
				}
			})
		}
		all.Wait()
		if n := blobs.reads.Load(); n != 1 {
			t.Errorf("it was read %d times", n)
		}
	})
	t.Run("what nobody has used for longest goes when the shelf is full", func(t *testing.T) {
		blobs := &counted{Blobs: store}
		h := newShelf(t.TempDir(), blobs)
		h.limit = 15
		read(h, a)
		read(h, b)
		read(h, b)
		if n := blobs.reads.Load(); n != 2 {
			t.Errorf("two segments were read %d times", n)
		}
		read(h, a)
		if n := blobs.reads.Load(); n != 3 {
			t.Errorf("what had to go was read %d times", n)
		}
		if files, _ := os.ReadDir(h.dir); len(files) != 1 {
			t.Errorf("%d files on the shelf", len(files))
		}
	})
	t.Run("what is not what the log says is damaged, what is not there is missing, and neither stays", func(t *testing.T) {
		h := newShelf(t.TempDir(), store)
		other := a
		other.SHA256 = b.SHA256
		if _, _, err := h.take(t.Context(), other); !errors.Is(err, errDamaged) {
			t.Errorf("got %v", err)
		}
		if _, _, err := h.take(t.Context(), segmentRef{Key: "c", SHA256: a.SHA256, Bytes: 10}); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if files, _ := os.ReadDir(h.dir); len(h.books) != 0 || len(files) != 0 {
			t.Errorf("left: %v, %v", h.books, files)
		}
	})
	t.Run("one that is stopped while it fetches does not stop the others", func(t *testing.T) {
		started, gate := make(chan struct{}), make(chan struct{})
		h := newShelf(t.TempDir(), &gated{Blobs: store, started: started, gate: gate})
		ctx, stop := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, _, err := h.take(ctx, a)
			first <- err
		}()
		<-started
		second := make(chan string, 1)
		go func() { second <- read(h, a) }()
		stop()
		close(gate)
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first one got %v", err)
		}
		if got := <-second; got != "0123456789" {
			t.Errorf("the second one got %q", got)
		}
	})
}

// gated holds the first read back until its context has ended.
type gated struct {
	Blobs
	once          sync.Once
	started, gate chan struct{}
}

func (g *gated) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	var err error
	g.once.Do(func() {
		close(g.started)
		<-g.gate
		err = ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return g.Blobs.Get(ctx, key)
}
