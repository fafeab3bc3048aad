package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/transport/v5/test"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/media"
)

// TestARestartInAnyStateEndsAlike begins with what is on the disk and in the store when a process dies between two steps.
func TestARestartInAnyStateEndsAlike(t *testing.T) {
	states := []struct {
		name string
		then func(*yard, media.Segment)
	}{
		{name: "nothing was stored", then: func(*yard, media.Segment) {}},
		{name: "the media was being sent", then: func(y *yard, seg media.Segment) {
			y.inStore("c/"+room+"/segments/"+seg.FileName()+".18ea.tmp", "some so")
		}},
		{name: "the media was stored", then: func(y *yard, seg media.Segment) {
			y.inStore(Key(seg), "some sound")
		}},
		{name: "media and sidecar were stored, and perhaps announced", then: func(y *yard, seg media.Segment) {
			y.inStore(Key(seg), "some sound")
			y.inStore("c/"+room+"/segments/"+seg.ID+".json", "{}")
		}},
	}
	for _, tt := range states {
		t.Run(tt.name, func(t *testing.T) {
			y := newYard(t)
			seg := y.seal("a", "some sound")
			tt.then(y, seg)
			y.run(nil, func(s *Spool) bool { return len(y.left()) == 0 && nothingPending(s) })
			if got := y.blob(Key(seg)); got != "some sound" {
				t.Errorf("stored %q", got)
			}
			if !strings.Contains(y.blob("c/"+room+"/segments/a.json"), seg.SHA256) {
				t.Error("the sidecar is not in the store")
			}
			if diff := cmp.Diff([]string{"a"}, y.stored); diff != "" {
				t.Errorf("announced:\n%s", diff)
			}
			if _, err := os.Stat(filepath.Join(y.dir, room)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the empty folder of the room is left: %v", err)
			}
		})
	}
}

// inStore writes a blob behind the store's back.
func (y *yard) inStore(key, content string) {
	y.t.Helper()
	path := filepath.Join(y.blobs, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		y.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		y.t.Fatal(err)
	}
}

func TestAProcessThatStopsInTheMiddleLeavesTheRestToTheNext(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	for i := range 20 {
		y.seal(fmt.Sprintf("s%02d", i), "sound")
	}
	y.run(nil, func(*Spool) bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return len(y.stored) >= 5
	})
	y.mu.Lock()
	first := len(y.stored)
	y.mu.Unlock()
	y.run(nil, func(s *Spool) bool { return len(y.left()) == 0 && nothingPending(s) })
	if len(y.stored) < 20 || first >= 20 {
		t.Errorf("announced %d by the first process, %d together", first, len(y.stored))
	}
}

func TestASegmentThatWasCarriedBeforeItWasHandedOverIsDone(t *testing.T) {
	y := newYard(t)
	seg := y.seal("a", "some sound")
	y.run(nil, func(s *Spool) bool { return len(y.left()) == 0 && nothingPending(s) })
	y.run(func(s *Spool) { s.Add(seg) }, nothingPending)
	if len(y.stored) != 1 {
		t.Errorf("announced %v", y.stored)
	}
}

func TestWhatIsGoneOrHasNoSidecarIsNeverDone(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(*yard, media.Segment)
	}{
		{name: "the file is gone", lose: func(y *yard, seg media.Segment) { y.unlink(seg.FileName() + Sealed) }},
		{name: "both are gone", lose: func(y *yard, seg media.Segment) { y.unlink(seg.FileName() + Sealed); y.unlink(seg.ID + ".json") }},
		{name: "the sidecar is gone", lose: func(y *yard, seg media.Segment) { y.unlink(seg.ID + ".json") }},
		{name: "the sidecar is torn", lose: func(y *yard, seg media.Segment) { y.write(seg.ID+".json", "{") }},
		{name: "the sidecar has another digest", lose: func(y *yard, seg media.Segment) {
			seg.SHA256 = strings.Repeat("0", 64)
			y.write(seg.ID+".json", fmt.Sprintf(`{"segment":"a","room":%q,"codec":"opus","bytes":10,"sha256":%q}`, room, seg.SHA256))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			y := newYard(t)
			seg := y.seal("a", "some sound")
			tt.lose(y, seg)
			reg := prometheus.NewRegistry()
			y.reg = reg
			y.run(func(s *Spool) { s.Add(seg) }, func(s *Spool) bool {
				return count(reg, "consilium_spool_damaged_files_total") > 0 && len(s.Pending(room)) == 1
			})
			if len(y.stored) != 0 {
				t.Errorf("announced %v", y.stored)
			}
		})
	}
}

func (y *yard) unlink(name string) {
	y.t.Helper()
	if err := os.Remove(filepath.Join(y.dir, room, name)); err != nil {
		y.t.Fatal(err)
	}
}

// count reads one metric.
func count(reg *prometheus.Registry, name string) float64 {
	families, err := reg.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

// TestPausesDoubleUpToTheirLimitAndTheBacklogIsShown runs on a clock of its own.
func TestPausesDoubleUpToTheirLimitAndTheBacklogIsShown(t *testing.T) {
	y := newYard(t)
	first, second := y.seal("a", "some sound"), y.seal("b", "more sound")
	reg := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards tries
		var tries []time.Duration
		began := time.Now()
		var back atomic.Bool
		announce := func(_ context.Context, seg media.Segment, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if seg.ID == "a" {
				tries = append(tries, time.Since(began))
			}
			if !back.Load() {
				return errors.New("the log is away")
			}
			return nil
		}
		s := New(Config{Dir: y.dir, Retry: time.Second, RetryMax: 8 * time.Second, Workers: 1, Registerer: reg}, y.store, announce, slog.New(slog.DiscardHandler))
		s.Add(first)
		s.Add(second)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(30 * time.Second)
		expected := `
# HELP consilium_spool_oldest_seconds How long the oldest of them that is not damaged has been waiting.
# TYPE consilium_spool_oldest_seconds gauge
consilium_spool_oldest_seconds 30
# HELP consilium_spool_waiting_bytes Bytes of sealed segments that the blob store does not hold yet.
# TYPE consilium_spool_waiting_bytes gauge
consilium_spool_waiting_bytes 20
# HELP consilium_spool_waiting_files Sealed segments that the blob store does not hold yet.
# TYPE consilium_spool_waiting_files gauge
consilium_spool_waiting_files 2
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(expected), "consilium_spool_oldest_seconds",
			"consilium_spool_waiting_bytes", "consilium_spool_waiting_files"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		back.Store(true)
		time.Sleep(10 * time.Second)
		if got := s.Pending(room); len(got) != 0 {
			t.Errorf("pending %v after the log came back", got)
		}
		var at []int
		mu.Lock()
		defer mu.Unlock()
		for _, d := range tries {
			at = append(at, int(d.Seconds()))
		}
		if diff := cmp.Diff([]int{0, 1, 3, 7, 15, 23, 31}, at); diff != "" {
			t.Errorf("tries at:\n%s", diff)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatTheStoreHoldsIsNotSentAgainForEachAnnouncement(t *testing.T) {
	y := newYard(t)
	seg := y.seal("a", "some sound")
	var files []os.FileInfo
	y.reject = func(string) bool {
		info, err := os.Stat(filepath.Join(y.blobs, Key(seg)))
		if err != nil {
			t.Error(err)
		}
		files = append(files, info)
		return len(files) < 4
	}
	y.run(func(s *Spool) { s.Add(seg) }, nothingPending)
	for _, f := range files[1:] {
		if !os.SameFile(f, files[0]) {
			t.Error("the blob was written again")
		}
	}
}

func TestADamagedSegmentIsLookedAtOnce(t *testing.T) {
	y := newYard(t)
	bad := y.seal("a", "as it was sealed")
	y.write(bad.FileName()+Sealed, "as it is now")
	reg := prometheus.NewRegistry()
	y.reg = reg
	y.refuse = 20
	y.seal("b", "fine")
	y.run(nil, func(s *Spool) bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return len(y.stored) == 1 && len(s.Pending(room)) == 1
	})
	if n := count(reg, "consilium_spool_damaged_files_total"); n != 1 {
		t.Errorf("counted %v times", n)
	}
}

func TestOneSegmentThatFailsHoldsNobodyUp(t *testing.T) {
	defer test.CheckRoutines(t)()
	y := newYard(t)
	for i := range 8 {
		y.seal(fmt.Sprintf("bad%d", i), "x")
		y.seal(fmt.Sprintf("good%d", i), "x")
	}
	y.reject = func(id string) bool { return strings.HasPrefix(id, "bad") }
	y.run(nil, func(s *Spool) bool { return len(s.Pending(room)) == 8 && len(y.left()) == 16 })
	for _, id := range y.stored {
		if !strings.HasPrefix(id, "good") {
			t.Errorf("announced %s", id)
		}
	}
}
