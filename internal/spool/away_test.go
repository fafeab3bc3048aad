package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/testenv"
)

// onS3 moves the yard's store to a bucket.
func (y *yard) onS3(url string) {
	y.t.Helper()
	store, err := blob.Open(y.t.Context(), url)
	if err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { store.Close() })
	y.store = store
}

// The server takes every byte, says that all is well, and its disk holds something else a moment later.
func TestALocalFileStaysUntilTheStoreGivesTheVeryBytesBack(t *testing.T) {
	server := testenv.StartS3(t)
	for _, tt := range []struct {
		name   string
		damage func(path string) error
		more   string // parameters of the bucket
	}{
		{"half of it is lost", func(path string) error { return os.Truncate(path, 20_000) }, unchecked},
		{"one bit is another", func(path string) error { return flip(path, 12_345) }, unchecked},
		{"one bit is another and the store's own checksum tells", func(path string) error { return flip(path, 12_345) }, ""},
		{"all of it is lost", os.Remove, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bucket := "rot-" + events.NewID()
			server.Bucket(t, bucket)
			y := newYard(t)
			reg := prometheus.NewRegistry()
			y.reg = reg
			seg := y.seal("a", strings.Repeat("0123456789", 4000))
			bad := atomic.Int32{}
			bad.Store(3)
			proxy := forward(t, server.URL, func(r *http.Request) {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".ogg") && bad.Add(-1) >= 0 {
					if len(y.left()) != 2 {
						t.Errorf("the local files are gone: %v", y.left())
					}
					if err := tt.damage(filepath.Join(server.Dir, bucket, filepath.FromSlash(Key(seg)))); err != nil {
						t.Error(err)
					}
				}
			})
			y.onS3(testenv.BucketURL(bucket, proxy) + tt.more)
			y.run(func(s *Spool) { s.Add(seg) }, nothingPending)
			if got := y.blob(Key(seg)); len(got) != 40_000 || len(y.left()) != 0 || len(y.stored) != 1 {
				t.Errorf("the store has %d bytes; announced %v, left %v", len(got), y.stored, y.left())
			}
			if failures, unconfirmed := count(reg, "consilium_spool_failures_total"), count(reg, "consilium_spool_unconfirmed_total"); failures != 3 || unconfirmed != 3 {
				t.Errorf("%v failures and %v unconfirmed, want 3 of each", failures, unconfirmed)
			}
		})
	}
}

// unchecked is for stores that keep no checksum of their own: what is read is only held against what was sealed.
const unchecked = "&response_checksum_validation=when_required"

func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, at)
	}
	return errors.Join(err, f.Close())
}

// forward is a proxy that calls after when a request was answered with success, before its sender hears of it.
func forward(t *testing.T, to string, after func(*http.Request)) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	// The host is signed and stays; only the connection goes elsewhere.
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode < 300 {
				after(answer.Request)
			}
			return nil
		},
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	port := testenv.FreePort(t)
	server.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return "http://" + server.Addr
}

// The whole server is away and comes back: every segment is stored, the oldest first, and until then nothing was lost.
func TestAnObjectStoreThatIsAwayCostsNothingButDisk(t *testing.T) {
	port, dir := testenv.FreePort(t), t.TempDir()
	server := testenv.StartS3At(t, port, dir)
	y := newYard(t)
	reg := prometheus.NewRegistry()
	y.reg, y.workers = reg, 1
	y.onS3(server.Bucket(t, "away"))
	server.Process.Kill()
	const many = 20
	for i := range many {
		y.seal(fmt.Sprintf("%02d", i), fmt.Sprintf("sound %d", i))
	}
	back := false
	y.run(nil, func(s *Spool) bool {
		if !back && count(reg, "consilium_spool_failures_total") >= 2 {
			if len(y.left()) != 2*many || len(s.Pending(room)) != many {
				t.Errorf("while the store is away %d files are left and %d segments pending", len(y.left()), len(s.Pending(room)))
			}
			testenv.StartS3At(t, port, dir)
			back = true
		}
		return back && nothingPending(s)
	})
	// The one whose turn it was when the store came back may be any; after it they come in order.
	if len(y.stored) != many || !slices.IsSorted(y.stored[1:]) || len(y.left()) != 0 {
		t.Errorf("announced %v, left %v", y.stored, y.left())
	}
}

// An hour on a clock of its own: pauses stay below half a minute, and the first success ends them all.
func TestWhenTheStoreIsBackNobodyWaitsForThePauseToEnd(t *testing.T) {
	y := newYard(t)
	const many = 50
	for i := range many {
		y.seal(fmt.Sprintf("%02d", i), "sound")
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex // guards tries and done
		tries := map[string][]time.Duration{}
		done := map[string]time.Duration{}
		announce := func(_ context.Context, seg media.Segment, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			now := time.Since(began)
			tries[seg.ID] = append(tries[seg.ID], now)
			if now < time.Hour {
				return errors.New("it is away")
			}
			done[seg.ID] = now
			return nil
		}
		s := New(Config{Dir: y.dir}, y.store, announce, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Hour + 31*time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if len(done) != many {
			t.Fatalf("%d of %d are stored half a minute after the store was back", len(done), many)
		}
		var first, last time.Duration = 2 * time.Hour, 0
		for id, at := range done {
			first, last = min(first, at), max(last, at)
			for i := 1; i < len(tries[id]); i++ {
				if pause := tries[id][i] - tries[id][i-1]; pause > 31*time.Second {
					t.Errorf("segment %s was not tried for %v", id, pause)
				}
			}
		}
		if last-first > time.Second {
			t.Errorf("the last one came %v after the first", last-first)
		}
	})
}
