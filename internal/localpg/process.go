package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killTime is how long a server may take to end at once before it is killed.
const killTime = 5 * time.Second

// process is the running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the server has ended and its last line is logged

	mu      sync.Mutex // guards the fields below
	stopped bool       // we asked it to
	last    []string   // lines that it said, newest last
	err     error      // how it ended, set before done is closed
}

// launch starts the server. It gets a process group of its own, so that Ctrl-C at the terminal reaches us and not it,
// and is told to stop when our process dies.
func launch(path string, args []string, who *owner, logger *slog.Logger) (*process, error) {
	out, in := io.Pipe()
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = attributes(who)
	cmd.WaitDelay = 5 * time.Second // for a child of the server that keeps its output open
	p := &process{cmd: cmd, done: make(chan struct{})}

	began := make(chan error, 1)
	var said sync.WaitGroup
	said.Go(func() { p.listen(out, logger) })
	go func() {
		// The kernel sends the death signal when the starting thread ends, not the process: this goroutine keeps its
		// thread for as long as the server lives, and the thread ends with it.
		runtime.LockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			err = cmd.Wait()
		}
		in.Close()
		said.Wait()
		p.ended(err)
	}()
	if err := <-began; err != nil {
		<-p.done
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return p, nil
}

// listen passes on what the server says until its output ends.
func (p *process) listen(out io.Reader, logger *slog.Logger) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		p.mu.Lock()
		p.last = append(p.last[max(0, len(p.last)-9):], line)
		p.mu.Unlock()
		logger.Log(context.Background(), level(line), "private database said", "line", line)
	}
	_, _ = io.Copy(io.Discard, out) // after a line too long to scan; the server must never block on us
}

// level translates the server's own word. Errors of statements come to their callers as well, so they are not louder
// here than a warning. That it is still starting is its answer to our own question whether it is ready, and that the
// administrator ends a connection is what it says when we stop it.
func level(line string) slog.Level {
	word, text, _ := strings.Cut(line, ":")
	switch text = strings.TrimSpace(text); {
	case text == "the database system is starting up", text == "terminating connection due to administrator command":
		return slog.LevelDebug
	case word == "PANIC":
		return slog.LevelError
	case word == "FATAL", word == "ERROR", word == "WARNING":
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

func (p *process) ended(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		err = errors.New("it ended without an error code")
	}
	p.err = fmt.Errorf("%w: %s", err, strings.Join(p.last, " | "))
	close(p.done)
}

// failure says why the server ended, nil when it was asked to. It is meaningful after done.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	return p.err
}

// stop asks for a fast shutdown (connections end, everything is written), for an immediate one when ctx ends, and kills
// at last. It returns when the server is gone.
func (p *process) stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.signal(syscall.SIGINT)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	p.signal(syscall.SIGQUIT)
	hard := time.NewTimer(killTime)
	defer hard.Stop()
	select {
	case <-p.done:
	case <-hard.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	return fmt.Errorf("stop the server: it was stopped at once and will recover at its next start: %w", ctx.Err())
}

// signal reaches the server only: it tells its children itself. One that has ended already is no error.
func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
}

// attributes put a child in its own process group, let it run as the owner, and have the kernel ask it for a fast
// shutdown when the thread that started it dies.
func attributes(who *owner) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT, Credential: who.credential()}
}
