package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyTimeout is how long the product may take to become ready: on a loaded machine a fresh database takes a while.
const readyTimeout = 90 * time.Second

// ProductOptions change how the product runs. The zero value is the product as `./task up` starts it, on free ports and
// an empty data folder.
type ProductOptions struct {
	Env  []string // further settings for both processes, "CONSILIUM_…=…"; a later one wins
	Args []string // further arguments of `live serve`
	// Data is a data folder that is there and that somebody else removes. Empty: one of its own.
	Data string
	// Under is a program with its arguments that live is run by, a tracer for example. Live is that program then.
	Under []string
	// NoStitcher leaves the stitcher out; StartStitcher starts it later.
	NoStitcher bool
}

// Product is the product's two processes on a data folder of their own.
type Product struct {
	URL  string // "http://127.0.0.1:PORT"
	Data string // the data folder, CONSILIUM_DATA

	Live     *Process
	Stitcher *Process // nil with ProductOptions.NoStitcher

	t     testing.TB
	bin   string
	env   []string
	args  []string
	under []string
}

// StartProduct builds the product and starts it; when it returns, the product is ready. With the race detector in the
// test the product has it too. At the end of the test both processes must stop by themselves on SIGTERM with exit code 0
// and without a data race; a test that failed shows what they wrote.
func StartProduct(t testing.TB, o ProductOptions) *Product {
	t.Helper()
	data := o.Data
	if data == "" {
		data = dataFolder(t)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	p := &Product{URL: "http://" + listen, Data: data, t: t, bin: Programs(t), args: o.Args, under: o.Under}
	p.env = append(withoutSettings(os.Environ()),
		"CONSILIUM_DATA="+data,
		"CONSILIUM_LISTEN="+listen,
		// All interfaces: Firefox does not connect over loopback candidates alone.
		fmt.Sprintf("CONSILIUM_MEDIA_LISTEN=:%d", FreePort(t)),
	)
	p.env = append(p.env, o.Env...)
	t.Cleanup(p.stop)
	p.StartLive()
	if !o.NoStitcher {
		p.StartStitcher()
	}
	return p
}

// dataFolder makes a folder that goes away with the test.
func dataFolder(t testing.TB) string {
	t.Helper()
	// PostgreSQL runs as another user when the test runs as root: that user must be able to reach the folder.
	data, err := os.MkdirTemp("", "consilium-test-")
	if err == nil {
		err = os.Chmod(data, 0o711)
	}
	if err != nil {
		t.Fatalf("make a data folder: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(data); err != nil {
			t.Errorf("remove the data folder: %v", err)
		}
	})
	return data
}

// StartLive starts live and waits until it is ready. Use it to start live again after it was stopped or killed.
func (p *Product) StartLive() {
	p.t.Helper()
	p.Live = p.run("live", p.under, append([]string{"serve"}, p.args...)...)
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := p.ready(ctx); err != nil {
		p.t.Fatalf("live is not ready: %v; its last lines:\n%s", err, p.Live.tail())
	}
}

// StartStitcher starts the stitcher.
func (p *Product) StartStitcher() {
	p.t.Helper()
	p.Stitcher = p.run("stitcher", nil)
}

// In makes t, a subtest of the test that started the product, the one that fails when the product does not do as it is
// told, until t ends.
func (p *Product) In(t testing.TB) {
	outer := p.t
	p.t = t
	t.Cleanup(func() { p.t = outer })
}

// Command runs `live` with args on the same data folder, waits for its end and returns its standard output without the
// last newline. It fails the test when the command does.
func (p *Product) Command(args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "live"), args...)
	cmd.Env = p.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("live %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (p *Product) run(name string, under []string, args ...string) *Process {
	p.t.Helper()
	line := append(append(slices.Clone(under), filepath.Join(p.bin, name)), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = p.env
	process, err := start(name, cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	return process
}

// ready waits for /readyz.
func (p *Product) ready(ctx context.Context) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		last := get(ctx, p.URL+"/readyz")
		if last == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-p.Live.Done():
			return fmt.Errorf("it ended with exit code %d", p.Live.Wait(p.t, time.Second))
		case <-ctx.Done():
			return last
		}
	}
}

// get is nil when url answers 200.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(text))
	}
	return nil
}

// stop ends both processes, the stitcher first because it needs the log of live.
func (p *Product) stop() {
	for _, process := range []*Process{p.Stitcher, p.Live} {
		if process == nil {
			continue
		}
		if !killed(process) {
			process.Stop(p.t)
		}
		if strings.Contains(process.Output(), "WARNING: DATA RACE") {
			p.t.Errorf("%s has a data race", process.name)
		}
		if p.t.Failed() {
			p.t.Logf("%s wrote:\n%s", process.name, process.Output())
		}
	}
}

// killed tells whether the test itself has ended the process with SIGKILL.
func killed(p *Process) bool {
	select {
	case <-p.done:
		status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	default:
		return false
	}
}

// withoutSettings leaves out what the person at the machine has set for their own Consilium.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return strings.HasPrefix(entry, "CONSILIUM_") })
}

// Programs builds live and stitcher and returns their folder. The folder stays, so that the next run links nothing when
// nothing has changed.
func Programs(t testing.TB) string {
	t.Helper()
	dir, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var buildOnce = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	dir, args := filepath.Join(root, "bin", "test"), []string{"build", "-buildvcs=false"}
	if raceDetector() {
		dir, args = filepath.Join(root, "bin", "test-race"), append(args, "-race")
		// Otherwise a program that has come to its end waits a second for those of its goroutines that it has forgotten;
		// ours wait for all of theirs.
		if _, chosen := os.LookupEnv("GORACE"); !chosen {
			if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
				return "", err
			}
		}
	}
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for the programs: %w", err)
	}
	// Tests of several packages may build at once.
	lock, err := os.Create(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("lock the folder for the programs: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the folder for the programs: %w", err)
	}
	cmd := exec.Command("go", append(args, "-o", dir+"/", "./cmd/live", "./cmd/stitcher")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the product: %w\n%s", err, out)
	}
	return dir, nil
})

// raceDetector tells whether this test was built with -race.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
