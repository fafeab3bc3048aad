package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/powercut"
	"consilium/internal/testenv"
)

var powerCuts = flag.Int("cuts", 6, "at how many moments TestPowerIsCut cuts the power, each in all models")

// mayLoseToACut is how much of a track may be lost to a power cut: open files are synced once a second, and the sync
// takes its time, above all under a tracer.
const mayLoseToACut = 1300 * time.Millisecond

// The power is cut while people talk, pause, leave and end. Whatever was synced then and whatever was not: each event
// that anybody had seen is in the log, each file that an event names is in its place with its bytes, and of the files
// that were open at most a second is gone. live runs under strace; what a disk may hold after a cut is what its
// calls say, in three models, and every such disk is recovered as at a start of live.
func TestPowerIsCut(t *testing.T) {
	seed := seedOf(t)
	strace := testenv.Require(t, "strace")["strace"]
	trace := filepath.Join(t.TempDir(), "trace")
	p := testenv.StartProduct(t, testenv.ProductOptions{
		Under: append([]string{strace}, powercut.Arguments(trace)...), NoStitcher: true,
		Env: []string{"CONSILIUM_SEGMENT_LENGTH=2s", "CONSILIUM_DATABASE_URL=" + testenv.Postgres(t)},
	})
	w := admit(t, p, 3, seed)
	w.assemble()
	w.wait(3500 * time.Millisecond)
	w.must("POST", "/recording/pause?reason=private", events.TypeRecordingPaused)
	w.wait(400 * time.Millisecond)
	w.must("POST", "/recording/resume?reason=private", events.TypeRecordingResumed)
	w.wait(1200 * time.Millisecond)
	leaves(t, w.people[2].peer)
	w.people[2].inside = false
	w.people[2].gone(time.Now())
	w.wait(300 * time.Millisecond)
	all := w.finish()
	endTraced(t, p.Live)

	o := newOutage(w, trace)
	result := o.cut(*powerCuts)
	t.Logf("%s", result)
	t.Logf("a sync took up to %s", o.slowest.Round(time.Millisecond))
	if len(all) < 50 || result.calls < 500 {
		t.Errorf("%d events and %d calls that change something: too little happened", len(all), result.calls)
	}
}

// endTraced kills the program that a tracer runs, so that the tracer writes its trace to the end.
func endTraced(t testing.TB, tracer *testenv.Process) {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", tracer.PID(), tracer.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(word); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended in between
		}
	}
	tracer.Wait(t, 20*time.Second)
}

// outage cuts the power of a product that was traced.
type outage struct {
	w       *ward
	t       testing.TB
	calls   []powercut.Call
	changes []int         // indexes of calls that change the disk or make it durable
	slowest time.Duration // that a sync took: how busy the disk was
	dice    *rand.Rand
	decoded map[string]bool // digests of files that ffmpeg has read
	result  outageResult
}

// outageResult is the figures.
type outageResult struct {
	calls, moments, disks, events, segments, recovered, decoded int
	lost                                                        []time.Duration
}

// String is one line.
func (r outageResult) String() string {
	slices.Sort(r.lost)
	at := func(share float64) time.Duration {
		if len(r.lost) == 0 {
			return 0
		}
		return r.lost[min(int(share*float64(len(r.lost))), len(r.lost)-1)].Round(time.Millisecond)
	}
	return fmt.Sprintf("calls=%d moments=%d disks=%d acknowledged_events_checked=%d named_segments_checked=%d recovered_files=%d decoded=%d lost_p50=%s lost_p95=%s lost_max=%s",
		r.calls, r.moments, r.disks, r.events, r.segments, r.recovered, r.decoded, at(0.5), at(0.95), at(1))
}

// newOutage reads the trace, and proves that it was understood: played to its end, it gives the files that are there.
func newOutage(w *ward, trace string) *outage {
	w.t.Helper()
	o := &outage{w: w, t: w.t, dice: w.dice, decoded: map[string]bool{}}
	f, err := os.Open(trace)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	disk := powercut.NewDisk(w.p.Data)
	syncing := map[int]time.Time{}
	err = powercut.Read(f, func(c powercut.Call) error {
		if strings.HasSuffix(c.Name, "sync") {
			if c.Begins {
				syncing[c.Thread] = c.At
			} else {
				o.slowest = max(o.slowest, c.At.Sub(syncing[c.Thread]))
			}
		}
		before := disk.Changes()
		if err := disk.Do(c); err != nil {
			return err
		}
		if disk.Changes() > before {
			o.changes = append(o.changes, len(o.calls))
		}
		o.calls = append(o.calls, c)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o.result.calls = len(o.changes)
	replayed := w.t.TempDir()
	if err := disk.Write(replayed, powercut.Everything, o.dice); err != nil {
		w.t.Fatal(err)
	}
	if diff := differ(w.t, w.p.Data, replayed); diff != "" {
		w.t.Fatalf("the trace does not give the files that are there: %s", diff)
	}
	return o
}

// differ says where two folders are not the same.
func differ(t testing.TB, a, b string) string {
	t.Helper()
	sums := func(dir string) map[string]string {
		found := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			found[rel] = fmt.Sprintf("%d bytes, %x", len(raw), sha256.Sum256(raw))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	real, got := sums(a), sums(b)
	for path, sum := range real {
		if got[path] != sum {
			return fmt.Sprintf("%s has %s, replayed %q", path, sum, got[path])
		}
	}
	for path := range got {
		if _, ok := real[path]; !ok {
			return path + " is not there"
		}
	}
	return ""
}

// cut cuts the power at so many moments and recovers each disk that could be left.
func (o *outage) cut(moments int) outageResult {
	o.t.Helper()
	at := map[int]bool{}
	first := slices.IndexFunc(o.changes, func(i int) bool { return o.calls[i].At.After(o.w.people[0].began) })
	for range moments {
		at[o.changes[first+o.dice.IntN(len(o.changes)-first)]] = true
	}
	disk := powercut.NewDisk(o.w.p.Data)
	for i, c := range o.calls {
		if at[i] {
			o.result.moments++
			for _, m := range powercut.Models {
				o.recover(disk, m, i)
				if o.t.Failed() {
					return o.result
				}
			}
		}
		if err := disk.Do(c); err != nil {
			o.t.Fatal(err)
		}
	}
	return o.result
}

// recover writes what survives a cut before the call i, starts on it as live does, and looks for everything that was
// promised.
func (o *outage) recover(disk *powercut.Disk, m powercut.Model, i int) {
	o.t.Helper()
	o.result.disks++
	dir, err := os.MkdirTemp(o.t.TempDir(), "disk-")
	if err != nil {
		o.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := disk.Write(dir, m, o.dice); err != nil {
		o.t.Fatal(err)
	}
	moment := o.calls[i].At
	what := fmt.Sprintf("power cut before call %d (%s), model %s, %s after the beginning", i, o.calls[i].Name, m, moment.Sub(o.w.people[0].began).Round(time.Millisecond))
	all, err := readLog(dir, o.w.c.ID)
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
		return
	}
	for _, s := range o.w.witness.sightings() {
		if s.at.After(moment) {
			break
		}
		o.result.events++
		if s.Seq > uint64(len(all)) || !bytes.Equal(all[s.Seq-1].Raw, s.Raw) {
			o.t.Errorf("%s: event %d of %d was seen and is lost (%s)", what, s.Seq, len(all), s.Type)
			return
		}
	}
	recovered, err := recorder.Recover(filepath.Join(dir, "spool"))
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
	}
	o.result.recovered += len(recovered)
	files := o.named(what, dir, all)
	o.lost(what, files, moment)
}

// readLog starts the log on what survived and reads a consultation.
func readLog(dir, id string) ([]events.Stored, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var said bytes.Buffer
	e, err := natslog.Start(ctx, natslog.ServerConfig{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	defer e.Stop()
	l, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return events.ReadAll(ctx, l, id)
}

// named wants every file that an event names to be there with its bytes, and reads all files there are.
func (o *outage) named(what, dir string, all []events.Stored) []kept {
	o.t.Helper()
	files := map[string]kept{}
	for _, pattern := range []string{
		filepath.Join(dir, "spool", o.w.c.ID, "*"+media.SealedExtension),
		filepath.Join(dir, "blobs", "c", o.w.c.ID, "segments", "*.ivf"), filepath.Join(dir, "blobs", "c", o.w.c.ID, "segments", "*.ogg"),
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			o.t.Fatal(err)
		}
		for _, path := range paths {
			o.read(what, path, files)
		}
	}
	for _, e := range all {
		var id, sum string
		switch ev := e.Event.(type) {
		case events.SegmentSealed:
			id, sum = ev.Segment, ev.SHA256
		case events.SegmentRecovered:
			id, sum = ev.Segment, ev.SHA256
		case events.SegmentStored:
			id, sum = ev.Segment, ev.SHA256
			if _, err := readBlob(filepath.Join(dir, "blobs"), ev); err != nil {
				o.t.Errorf("%s: segment %s is said to be stored: %v", what, id, err)
			}
		default:
			continue
		}
		o.result.segments++
		if f, ok := files[id]; !ok || f.SHA256 != sum {
			o.t.Errorf("%s: segment %s is named by %s and is not there (%v, digest %.12s, want %.12s)", what, id, e.Type, ok, f.SHA256, sum)
		}
	}
	return slices.SortedFunc(maps.Values(files), func(a, b kept) int { return cmp.Compare(a.ID, b.ID) })
}

// read reads one file. In the blob store there may be one that was not finished: nobody names it.
func (o *outage) read(what, path string, files map[string]kept) {
	o.t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		o.t.Fatal(err)
	}
	media := strings.TrimSuffix(path, ".sealed")
	spooled := media != path
	f, err := readSegment(strings.TrimSuffix(media, filepath.Ext(media))+".json", raw)
	sum := sha256.Sum256(raw)
	if digest := hex.EncodeToString(sum[:]); err == nil && f.SHA256 != digest {
		err = fmt.Errorf("its digest is %.12s, its sidecar says %.12s", digest, f.SHA256)
	}
	if err != nil {
		if spooled {
			o.t.Errorf("%s: %s: %v", what, path, err)
		}
		return
	}
	files[f.ID] = f
	if o.decoded[f.SHA256] || !spooled {
		return
	}
	o.decoded[f.SHA256] = true
	o.result.decoded++
	decodes(o.t, path)
}

// lost measures what is gone of the tracks that were recorded.
func (o *outage) lost(what string, held []kept, moment time.Time) {
	o.t.Helper()
	for _, s := range o.w.stretches(held) {
		lost, counts := o.w.lost(s, moment)
		if !counts {
			continue
		}
		o.result.lost = append(o.result.lost, lost)
		if lost > mayLoseToACut+o.w.lateness() {
			o.t.Errorf("%s: %s of %s %d are lost", what, lost.Round(time.Millisecond), s.kind(), s.guest.n)
		}
	}
}
