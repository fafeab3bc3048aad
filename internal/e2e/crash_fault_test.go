package e2e

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/testenv"
)

// everyFault runs the faults too that take longer than a run of CI may, and all of them for as long as they say.
var everyFault = flag.Bool("every-fault", false, "run every fault of TestFaults, and for its full time")

// fault is something that happens in the middle of a call, after which the call goes on.
type fault struct {
	name string
	// whole: nothing at all is lost, what is said while it lasts included.
	whole bool
	// quick: part of every run, with the shorter time.
	quick        bool
	lasts, short time.Duration
	options      func(t *testing.T) testenv.ProductOptions
	// begin makes it happen and gives what ends it.
	begin func(t *testing.T, w *ward) (end func())
}

// The machine below live misbehaves in mid-call, and gets well again. People stay or come back, the recording goes on, and
// what is missing has a name.
func TestFaults(t *testing.T) {
	for _, f := range []fault{
		{
			name: "the log is killed and comes back", whole: true, quick: true, lasts: 15 * time.Second, short: 3 * time.Second,
			options: outsideLog, begin: killLog,
		},
		{
			name: "the blob store is away for a while", whole: true, lasts: 15 * time.Second,
			begin: hideBlobs,
		},
		{
			name: "live is stopped for twenty seconds and goes on", lasts: 20 * time.Second,
			begin: func(t *testing.T, w *ward) func() {
				w.p.Live.Signal(t, syscall.SIGSTOP)
				return func() { w.p.Live.Signal(t, syscall.SIGCONT) }
			},
		},
		{
			name: "the disk of the recordings is full", lasts: 6 * time.Second,
			options: func(t *testing.T) testenv.ProductOptions {
				return testenv.ProductOptions{Data: smallDisk(t, "spool", 8<<20)}
			},
			begin: func(t *testing.T, w *ward) func() { return fill(t, filepath.Join(w.p.Data, "spool")) },
		},
		{
			name: "the disk of everything is full", lasts: 6 * time.Second,
			options: func(t *testing.T) testenv.ProductOptions {
				return testenv.ProductOptions{Data: smallDisk(t, "", 64<<20), Env: []string{"CONSILIUM_DATABASE_URL=" + testenv.Postgres(t)}}
			},
			begin: fillAndAsk,
		},
		{
			name: "the folder of the recordings is read-only", lasts: 6 * time.Second,
			begin: func(t *testing.T, w *ward) func() { return freeze(t, filepath.Join(w.p.Data, "spool", w.c.ID)) },
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			if !f.quick && !*everyFault {
				t.Skip("it takes longer than a run of CI may; ./task test:crash runs it")
			}
			f.happens(t)
		})
	}
}

func (f fault) happens(t *testing.T) {
	o := testenv.ProductOptions{}
	if f.options != nil {
		o = f.options(t)
	}
	o.NoStitcher, o.Env = true, append(o.Env, "CONSILIUM_SEGMENT_LENGTH=2s")
	p := testenv.StartProduct(t, o)
	w := admit(t, p, 4, seedOf(t))
	w.assemble()
	w.wait(1500 * time.Millisecond)

	lasts := f.short
	if *everyFault {
		lasts = f.lasts
	}
	began := time.Now()
	end := f.begin(t, w)
	w.wait(lasts)
	end()
	w.cuts = append(w.cuts, cut{at: began, back: time.Now(), what: f.name, killed: true})
	w.recover(20 * time.Second)
	w.wait(2500 * time.Millisecond)
	result, files := w.examineFiles(w.finish())
	if f.whole {
		w.checkWhole(files)
	}
	// What could not be removed from a disk that was not well goes at the next start.
	p.Live.Stop(t)
	p.StartLive()
	w.checkSpool()
	t.Logf("%s", result)
}

// recover waits until everybody is recorded again. Whoever is not after a time comes in anew, as pages do.
func (w *ward) recover(limit time.Duration) {
	w.t.Helper()
	since := time.Now()
	missing := func() (who []*guest) {
		opened := map[string]int{}
		for _, e := range w.witness.all() {
			if o, ok := e.Event.(events.SegmentOpened); ok && o.Arrival.After(since) {
				opened[e.Participant]++
			}
		}
		for _, g := range w.people {
			if opened[g.who.ID] < 2 {
				who = append(who, g)
			}
		}
		return who
	}
	deadline := time.Now().Add(limit / 2)
	for len(missing()) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	for _, g := range missing() {
		w.t.Logf("guest %d comes in anew", g.n)
		g.drop()
	}
	w.assemble()
	await(w.t, limit/2, func() string { return fmt.Sprintf("everybody is recorded again: %d are not", len(missing())) }, func() bool { return len(missing()) == 0 })
}

// checkWhole wants nothing to be missing between the first frame of a track on the disk and its end.
func (w *ward) checkWhole(files []kept) {
	w.t.Helper()
	for _, s := range w.stretches(files) {
		begun, missing := false, 0
		for i, f := range s.sent {
			begun = begun || s.held[f.RTP]
			if begun && s.hole(i, w.edge()) && !w.endAsked(f.At.Add(w.edge())) {
				missing++
			}
		}
		if missing > 0 {
			w.t.Errorf("%s of guest %d: %d frames are missing, want none", s.kind(), s.guest.n, missing)
		}
	}
}

// natsVictim makes the test binary a NATS server on a port and a folder: "4222 /folder".
const natsVictim = "CONSILIUM_TEST_NATS"

// serveNATS runs until it is killed.
func serveNATS(arguments string) error {
	port, dir, _ := strings.Cut(arguments, " ")
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: n, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true})
	if err != nil {
		return err
	}
	s.Start()
	s.WaitForShutdown()
	return nil
}

// outsideNATS is a log outside of live.
type outsideNATS struct {
	port    int
	dir     string
	process *testenv.Process
}

func (n *outsideNATS) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

func (n *outsideNATS) start(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", natsVictim, n.port, n.dir))
	n.process = testenv.StartProcess(t, "nats", cmd)
	await(t, 20*time.Second, n.process.Output, func() bool {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", n.port), time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// logs are the logs outside of live, by the test that has them.
var logs = map[testing.TB]*outsideNATS{}

func outsideLog(t *testing.T) testenv.ProductOptions {
	n := &outsideNATS{port: testenv.FreePort(t), dir: t.TempDir()}
	n.start(t)
	logs[t] = n
	t.Cleanup(func() { delete(logs, t) })
	return testenv.ProductOptions{Env: []string{"CONSILIUM_NATS_URL=" + n.url()}}
}

func killLog(t *testing.T, _ *ward) func() {
	n := logs[t]
	n.process.Kill()
	return func() { n.start(t) }
}

// whereLog says how the witness of a test reaches the log.
func whereLog(t testing.TB, p *testenv.Product) natslog.Config {
	if n := logs[t]; n != nil {
		return natslog.Config{URL: n.url(), Name: "witness"}
	}
	return natslog.Config{DataDir: p.Data, Name: "witness"}
}

// hideBlobs takes the folder of the blob store away; a file stands in its place, so that not even root makes a new one.
func hideBlobs(t *testing.T, w *ward) func() {
	blobs := filepath.Join(w.p.Data, "blobs")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(blobs, blobs+".away"))
	must(os.WriteFile(blobs, nil, 0o600))
	return func() {
		must(os.Remove(blobs))
		must(os.Rename(blobs+".away", blobs))
	}
}

// smallDisk makes a data folder with a small file system in it, in the folder below, or as the data folder itself.
func smallDisk(t testing.TB, below string, bytes int64) (data string) {
	t.Helper()
	data, err := os.MkdirTemp("", "consilium-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if err := os.Chmod(data, 0o711); err != nil { // PostgreSQL runs as another user
		t.Fatal(err)
	}
	at := filepath.Join(data, below)
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0711", bytes), "consilium-test", at).CombinedOutput(); err != nil {
		t.Fatalf("a small disk cannot be made, so nothing is known about full ones: run this as root on Linux (mount: %v: %s)", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return data
}

// fill writes until the disk is full, and goes on to do so until it is ended.
func fill(t testing.TB, dir string) func() {
	t.Helper()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		piece := make([]byte, 64<<10)
		for ctx.Err() == nil {
			if _, err := ballast.Write(piece); err != nil { // full
				if piece = piece[:max(len(piece)/2, 512)]; len(piece) == 512 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
		_ = ballast.Close() // what it could not write is nobody's loss
		if err := os.Remove(ballast.Name()); err != nil {
			t.Error(err)
		}
	}
}

// fillAndAsk fills the disk of the log too, and gives a command meanwhile: it waits for the log, or is refused.
func fillAndAsk(t *testing.T, w *ward) func() {
	end := fill(t, w.p.Data)
	done := make(chan struct{})
	go func() { // ends within the time of one request
		defer close(done)
		status, err := w.ask("POST", "/recording/pause?reason=private", events.TypeRecordingPaused)
		t.Logf("a command on a full disk: %d, %v", status, err)
	}()
	return func() {
		end()
		<-done
		w.must("POST", "/recording/resume?reason=private", events.TypeRecordingResumed)
	}
}

// freeze keeps anything from being made, renamed or removed in a folder, by root too.
func freeze(t testing.TB, dir string) func() {
	t.Helper()
	chattr := testenv.Require(t, "chattr")["chattr"]
	run := func(flag string) {
		t.Helper()
		if out, err := exec.Command(chattr, flag, dir).CombinedOutput(); err != nil {
			t.Fatalf("a folder cannot be made read-only for live: run this as root on ext4, xfs or btrfs (chattr: %v: %s)", err, out)
		}
	}
	run("+i")
	t.Cleanup(func() { _ = exec.Command(chattr, "-i", dir).Run() }) // or nobody can remove it
	return func() { run("-i") }
}
