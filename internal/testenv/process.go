package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopTimeout is how long a process may take to stop after SIGTERM before the test fails and the process is killed.
const stopTimeout = 30 * time.Second

// Process is a program that the test started, in a process group of its own, with everything that it wrote.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone and its output read
	err  error         // how it ended; read it only after done

	mu      sync.Mutex // guards out and changed
	out     bytes.Buffer
	changed chan struct{} // closed and replaced at every write
}

// StartProcess runs cmd until it ends by itself or the test does; then it is killed with its whole group. name is for
// messages. cmd must have no Stdout, Stderr or SysProcAttr of its own.
func StartProcess(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// start runs cmd. The process dies with the test process, however that ends (on Linux).
func start(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = processAttributes()
	// Children of the program may keep the pipes open after it has gone.
	cmd.WaitDelay = time.Second

	started := make(chan error)
	go func() { // ends with the process
		// The kernel's "die with the parent" means the parent's thread, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Write takes the output of the program; exec calls it.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.out.Write(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return n, err
}

// Output is what the program has written so far, stdout and stderr together.
func (p *Process) Output() string {
	out, _ := p.output()
	return out
}

func (p *Process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String(), p.changed
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the process id, which is the id of its group too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program alone, not to its children.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
}

// Wait returns when the program has ended, with its exit code, or -1 when a signal ended it. It fails the test after
// timeout.
func (p *Process) Wait(t testing.TB, timeout time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(timeout):
		t.Fatalf("%s is still running after %s; its last lines:\n%s", p.name, timeout, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the program to end with SIGTERM, waits for it and fails the test when it does not end by itself or not with
// exit code 0.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended in between
	}
	select {
	case <-p.done:
		if p.err != nil {
			t.Errorf("%s ended with %v; its last lines:\n%s", p.name, p.err, p.tail())
		}
	case <-time.After(stopTimeout):
		t.Errorf("%s did not stop within %s of SIGTERM; its last lines:\n%s", p.name, stopTimeout, p.tail())
		p.Kill()
	}
}

// Kill ends the program and its whole group at once (SIGKILL) and waits.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be gone
	<-p.done
}

// WaitOutput waits for a line with prefix in what the program writes, and returns the rest of the line behind it. It fails
// the test after timeout, or when the program ends before.
func (p *Process) WaitOutput(t testing.TB, prefix string, timeout time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	rest, err := p.waitOutput(ctx, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

// waitOutput returns the rest of the line behind prefix as soon as the program has written that line.
func (p *Process) waitOutput(ctx context.Context, prefix string) (string, error) {
	for {
		out, changed := p.output()
		if _, rest, found := strings.Cut(out, prefix); found {
			if line, _, whole := strings.Cut(rest, "\n"); whole {
				return strings.TrimSpace(line), nil
			}
		}
		select {
		case <-changed:
		case <-p.done:
			return "", fmt.Errorf("%s ended (%w) before it wrote %q; its last lines:\n%s", p.name, orEOF(p.err), prefix, p.tail())
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %q from %s: %w; its last lines:\n%s", prefix, p.name, ctx.Err(), p.tail())
		}
	}
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// tail is the end of the output, for messages.
func (p *Process) tail() string {
	const lines = 40
	all := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}
