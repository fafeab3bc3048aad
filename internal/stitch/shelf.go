package stitch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// segmentRef is a segment as the log describes it.
//
// Two of the same bytes are two sources: that the blob store has one of them does not mean that it has the other.
type segmentRef struct {
	Key    string `json:"key"` // in the blob store
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// shelfLimit is how many bytes of segments stay on the shelf when nobody uses them. What is in use is never counted
// against it.
const shelfLimit = 2 << 30

// shelf holds segments on the local disk, checked, each once for everything that a process makes of it. It is safe for
// concurrent use.
type shelf struct {
	dir   string
	blobs Blobs
	limit int64

	mu     sync.Mutex // guards what follows and the fields of books; never held while fetching
	books  map[segmentRef]*book
	unused int64 // bytes
	made   int   // books so far
	clock  int64 // counts releases
}

// book is one file on the shelf, or on its way there.
type book struct {
	path  string
	bytes int64
	users int
	since int64         // clock of the shelf when the last user left
	ready chan struct{} // closed when it is fetched, or could not be
	err   error
}

func newShelf(dir string, blobs Blobs) *shelf {
	return &shelf{dir: dir, blobs: blobs, limit: shelfLimit, books: map[segmentRef]*book{}}
}

// take opens a segment, which is fetched when it is not there. The caller closes the file and calls release; until then
// the segment stays. The error is blob.ErrNotFound, errDamaged where the bytes are not what s says, or what went wrong.
func (h *shelf) take(ctx context.Context, s segmentRef) (file *os.File, release func(), err error) {
	for {
		b, mine := h.reserve(s)
		if mine {
			b.err = h.fetch(ctx, s, b.path)
			close(b.ready)
		}
		select {
		case <-b.ready:
		case <-ctx.Done():
			h.release(s, b)
			return nil, nil, ctx.Err()
		}
		if err := b.err; err != nil {
			h.release(s, b)
			if isEndOf(err) && ctx.Err() == nil {
				continue // whoever fetched it was stopped; we were not
			}
			return nil, nil, err
		}
		f, err := os.Open(b.path)
		if err != nil {
			h.release(s, b)
			return nil, nil, err
		}
		return f, sync.OnceFunc(func() { h.release(s, b) }), nil
	}
}

func isEndOf(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// reserve finds or begins a book; mine says that the caller has to fetch it.
func (h *shelf) reserve(s segmentRef) (b *book, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b = h.books[s]
	if b == nil {
		h.made++
		b = &book{path: filepath.Join(h.dir, fmt.Sprintf("s%06d", h.made)), bytes: s.Bytes, ready: make(chan struct{})}
		h.books[s], mine = b, true
	} else if b.users == 0 {
		h.unused -= b.bytes
	}
	b.users++
	return b, mine
}

// release ends a use. What failed goes at once, what is good stays while there is room.
func (h *shelf) release(s segmentRef, b *book) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.users--
	if b.users > 0 {
		return
	}
	select {
	case <-b.ready:
		if b.err != nil {
			delete(h.books, s)
			_ = os.Remove(b.path) // it may not even be there
			return
		}
	default:
	}
	h.clock++
	b.since = h.clock
	h.unused += b.bytes
	h.tidyLocked()
}

// tidyLocked removes what nobody has used for the longest time until the rest is within the limit.
func (h *shelf) tidyLocked() {
	if h.unused <= h.limit {
		return
	}
	var idle []segmentRef
	for s, b := range h.books {
		if b.users == 0 {
			idle = append(idle, s)
		}
	}
	slices.SortFunc(idle, func(a, b segmentRef) int { return cmp.Compare(h.books[a].since, h.books[b].since) })
	for _, s := range idle {
		if h.unused <= h.limit {
			return
		}
		b := h.books[s]
		h.unused -= b.bytes
		delete(h.books, s)
		_ = os.Remove(b.path) // otherwise it goes with the folder
	}
}

// fetch brings a segment to path and checks it against what the log says of it.
func (h *shelf) fetch(ctx context.Context, s segmentRef, path string) error {
	in, err := h.blobs.Get(ctx, s.Key)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	// One byte more than expected is enough to know that it is too long.
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, s.Bytes+1))
	if err != nil {
		return fmt.Errorf("fetch %s: %w", s.Key, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != s.Bytes || got != s.SHA256 {
		return errDamaged
	}
	return out.Close()
}
