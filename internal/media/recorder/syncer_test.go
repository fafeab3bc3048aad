package recorder

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// startSyncer starts a Syncer with a disk of its own.
func startSyncer(datasync func(*os.File) error) *Syncer {
	s := newSyncer(0, datasync)
	go s.run() // ends with Close
	return s
}

func TestFilesAreSyncedTogetherOnceASecondWhileTheyGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var synced []string
		s := startSyncer(func(f *os.File) error {
			synced = append(synced, fmt.Sprintf("%s at %v", f.Name()[len(f.Name())-1:], time.Since(began)))
			return nil
		})
		var files []*growing
		for _, name := range []string{"a", "b"} {
			f, err := os.Create(t.TempDir() + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files = append(files, &growing{file: f, synced: func(int64, time.Duration, error) {}})
		}
		time.Sleep(300 * time.Millisecond)
		for range 150 { // both grow for 1.5 s, then one for one second more
			s.grew(files[0])
			s.grew(files[1])
			time.Sleep(10 * time.Millisecond)
		}
		for range 100 {
			s.grew(files[1])
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		s.grew(files[0])
		time.Sleep(2 * time.Second)
		s.Close()
		want := []string{"a at 1.025s", "b at 1.025s", "a at 2.025s", "b at 2.025s", "b at 3.025s", "a at 1m3.025s"}
		slices.Sort(synced[2:4])
		if diff := cmp.Diff(want, synced); diff != "" {
			t.Error(diff)
		}
	})
}

func TestADiskThatTakesLongToSyncHoldsNoRecorderUp(t *testing.T) {
	// Every sync takes 5 s. The queue holds two seconds of packets: whoever waited for a sync would drop some.
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	var syncs atomic.Int32
	perSecond := len(newSender(media.VP8).send(0, clip...)) / 10
	l := inLab(t, Config{Queue: 2 * perSecond}, videoTrack(media.VP8), func(l *lab) {
		l.rec.syncer.datasync = func(*os.File) error { // nothing has been written yet
			syncs.Add(1)
			time.Sleep(5 * time.Second)
			return nil
		}
		l.play(newSender(media.VP8).send(0, clip...))
		if l.rec.Bytes() == 0 {
			l.t.Error("nothing is durable after 10 s and one whole sync")
		}
	})
	sameContent(t, want(firstRTP, frameStep, clip...), slices.Concat(l.contents()...))
	if diff := cmp.Diff([]string{}, l.gaps()); diff != "" {
		t.Error(diff)
	}
	if n := syncs.Load(); n < 1 || n > 3 {
		t.Errorf("%d syncs of 5 s in 10 s", n)
	}
}

func TestAFailingSyncEndsTheSegmentAndRecordingGoesOn(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	var failed atomic.Bool
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.rec.syncer.datasync = func(*os.File) error { // nothing has been written yet
			if failed.Swap(true) {
				return nil
			}
			return errors.New("the disk says no")
		}
		l.play(newSender(media.VP8).send(0, clip...))
	})
	if diff := cmp.Diff([]string{"started-disk", "disk-ended"}, l.reasons()); diff != "" {
		t.Error(diff)
	}
}
