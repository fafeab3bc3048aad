package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"
	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/blob"
	"consilium/internal/media"
)

const room = "01890a5d-ac96-774b-bcce-b302099a8057"

// yard is a spool folder beside a blob store.
type yard struct {
	t     *testing.T
	dir   string
	store *blob.Store
	blobs string

	mu     sync.Mutex // guards stored and refuse
	stored []string
	refuse int // announcements that fail before one succeeds

	reject func(id string) bool  // announcements that always fail; nil: none
	reg    prometheus.Registerer // nil: metrics are not registered

	workers int // 0: as usual
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{t: t, dir: t.TempDir(), blobs: t.TempDir()}
	store, err := blob.Open(t.Context(), "file://"+y.blobs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	y.store = store
	return y
}

// seal puts a sealed segment on the disk as a recorder does.
func (y *yard) seal(id, content string) media.Segment {
	y.t.Helper()
	sum := sha256.Sum256([]byte(content))
	seg := media.Segment{ID: id, Room: room, Codec: media.Opus, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	sidecar, err := json.Marshal(seg)
	if err != nil {
		y.t.Fatal(err)
	}
	y.write(seg.ID+".json", string(sidecar))
	y.write(seg.FileName()+Sealed, content)
	return seg
}

func (y *yard) write(name, content string) {
	y.t.Helper()
	if err := os.MkdirAll(filepath.Join(y.dir, room), 0o700); err != nil {
		y.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(y.dir, room, name), []byte(content), 0o600); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) left() []string {
	y.t.Helper()
	files, err := filepath.Glob(filepath.Join(y.dir, room, "*"))
	if err != nil {
		y.t.Fatal(err)
	}
	return files
}

func (y *yard) announce(_ context.Context, s media.Segment, key string) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if key != Key(s) {
		return errors.New("another key was announced")
	}
	if y.reject != nil && y.reject(s.ID) {
		return errors.New("the log does not take it")
	}
	if y.refuse > 0 {
		y.refuse--
		return errors.New("the log is away")
	}
	y.stored = append(y.stored, s.ID)
	return nil
}

// run works until done says so.
func (y *yard) run(prepare func(*Spool), done func(*Spool) bool) {
	y.t.Helper()
	s := New(Config{Dir: y.dir, Retry: time.Millisecond, RetryMax: 5 * time.Millisecond, Workers: y.workers, Registerer: y.reg}, y.store, y.announce, slog.New(slog.DiscardHandler))
	if prepare != nil {
		prepare(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	limit := time.After(30 * time.Second)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !done(s) {
		select {
		case <-poll.C:
		case <-limit:
			y.t.Errorf("not done in time; announced %v, left %v", y.stored, y.left())
			cancel()
			<-ended
			return
		}
	}
	cancel()
	if err := <-ended; err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) blob(key string) string {
	y.t.Helper()
	r, err := y.store.Get(y.t.Context(), key)
	if err != nil {
		y.t.Fatalf("blob %s: %v", key, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		y.t.Fatal(err)
	}
	return string(raw)
}

func nothingPending(s *Spool) bool { return len(s.Pending(room)) == 0 }

func TestASegmentReachesTheStoreBeforeItsLocalFileGoes(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	seg := y.seal("a", "some sound")
	y.run(func(s *Spool) { s.Add(seg); s.Add(seg) }, nothingPending)
	if got := y.blob(Key(seg)); got != "some sound" {
		t.Fatalf("stored %q", got)
	}
	var sidecar media.Segment
	if err := json.NewDecoder(bytes.NewBufferString(y.blob("c/" + room + "/segments/a.json"))).Decode(&sidecar); err != nil || sidecar.ID != "a" {
		t.Fatalf("sidecar %+v, %v", sidecar, err)
	}
	if len(y.stored) != 1 || len(y.left()) != 0 {
		t.Fatalf("announced %v, left %v", y.stored, y.left())
	}
}

func TestWhatAnEarlierProcessLeftIsStored(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	y.seal("a", "one")
	y.seal("b", "two")
	y.write("c.ogg.part", "still being written")
	y.run(nil, func(s *Spool) bool { return len(y.left()) == 1 && nothingPending(s) })
	if len(y.stored) != 2 {
		t.Fatalf("announced %v", y.stored)
	}
}

func TestAnAnnouncementIsRepeatedUntilItSucceeds(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	y.refuse = 5
	y.seal("a", "one")
	y.run(nil, func(s *Spool) bool { return len(y.left()) == 0 && nothingPending(s) })
	if len(y.stored) != 1 {
		t.Fatalf("announced %v", y.stored)
	}
}

func TestABlobStoreThatIsAwayCostsNothingButTime(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	if err := os.WriteFile(filepath.Join(y.blobs, "c"), nil, 0o600); err != nil { // no folder can be made under this name
		t.Fatal(err)
	}
	seg := y.seal("a", "one")
	tries := 0
	y.run(nil, func(s *Spool) bool {
		if tries++; tries == 50 {
			if err := os.Remove(filepath.Join(y.blobs, "c")); err != nil {
				t.Fatal(err)
			}
		}
		if tries < 50 && len(y.left()) != 2 {
			t.Fatalf("the local files went before they were stored: %v", y.left())
		}
		return tries > 50 && nothingPending(s)
	})
	if got := y.blob(Key(seg)); got != "one" {
		t.Fatalf("stored %q", got)
	}
}

func TestADamagedFileIsKeptAndNamedAndHoldsNobodyUp(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	bad := y.seal("bad", "as it was sealed")
	y.write(bad.FileName()+Sealed, "as it is now")
	y.seal("good", "fine")
	y.run(nil, func(s *Spool) bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return len(y.stored) == 1 && len(s.Pending(room)) == 1
	})
	if y.stored[0] != "good" || len(y.left()) != 2 {
		t.Fatalf("announced %v, left %v", y.stored, y.left())
	}
	if _, err := y.store.Stat(t.Context(), Key(bad)); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("the damaged file is in the store: %v", err)
	}
}
