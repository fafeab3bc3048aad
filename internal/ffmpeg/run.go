package ffmpeg

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Command is one call of ffmpeg. All file names in it are relative to the folder it runs in.
type Command struct {
	Step   string        // what it does, for errors and metrics: compose, decode, encode, mux, inspect
	Args   []string      // after the program's name
	Frames int64         // video frames that it must write, exactly; 0 = not checked
	Limit  time.Duration // how long it may take; 0 = no limit
}

// Pipes connects a run with its surroundings. All fields may be nil.
type Pipes struct {
	Stdin  io.Reader
	Stdout io.Writer
	// Frames is called, from one goroutine, with the number of video frames written so far, about twice a second.
	Frames func(frames int64)
	Log    io.Writer // gets all of stderr, of which a Result and a RunError keep only the end
}

// Result is what a run that succeeded told.
type Result struct {
	Frames       int64  // video frames written
	DecodeErrors int    // frames or packets of the inputs that could not be decoded
	Log          string // the end of what it wrote to stderr
}

// RunError says that a run failed, with the end of what the tool wrote.
type RunError struct {
	Step string
	Log  string
	Err  error
}

func (e *RunError) Error() string {
	return fmt.Sprintf("ffmpeg %s: %v", e.Step, e.Err)
}

func (e *RunError) Unwrap() error { return e.Err }

// environment is all that the tool gets to know of ours.
var environment = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent", "AV_LOG_FORCE_NOCOLOR=1"}

// progressArgs send progress to file descriptor 3, so that stdout stays free for media.
var progressArgs = []string{"-nostats", "-progress", "pipe:3", "-stats_period", "0.5"}

// killDelay is how long the pipes of a process that has ended may stay open, its output apart. Tests shorten it.
var killDelay = 5 * time.Second

// Run runs c in dir until it ends or ctx does; then its whole process group is killed. An exit code of 0 is not success
// for ffmpeg, so the frames are counted as well. The error is ErrMissing, an error of ctx, or a *RunError.
func (t *Tool) Run(ctx context.Context, dir string, c Command, pipes Pipes) (Result, error) {
	cage, err := t.enter(ctx)
	if err != nil {
		return Result{}, err
	}
	args := append([]string{"-hide_banner", "-nostdin", "-y"}, progressArgs...)
	return t.run(ctx, dir, cage.program.path, Command{Step: c.Step, Args: append(args, c.Args...), Frames: c.Frames, Limit: c.Limit}, cage, pipes)
}

func (t *Tool) run(ctx context.Context, dir, path string, c Command, cage *cage, pipes Pipes) (Result, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if c.Limit > 0 {
		limited, cancel = context.WithTimeoutCause(ctx, c.Limit, ErrTimeLimit)
	}
	defer cancel()

	begun := time.Now()
	res, err := t.start(limited, dir, path, c, cage, pipes)
	result := "ok"
	if err != nil {
		result = "failed"
	}
	t.runs.WithLabelValues(c.Step, result).Observe(time.Since(begun).Seconds())
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return res, fmt.Errorf("ffmpeg %s: %w", c.Step, ctx.Err())
	case limited.Err() != nil:
		err = fmt.Errorf("%w: %s", ErrTimeLimit, c.Limit)
	case strings.Contains(res.Log, "No space left on device"):
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return res, &RunError{Step: c.Step, Log: res.Log, Err: err}
}

// start runs the process to its end.
func (t *Tool) start(ctx context.Context, dir, path string, c Command, cage *cage, pipes Pipes) (Result, error) {
	// The kernel's "die with the parent" means the thread that made the child, so it has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var log tail
	shell, args := bounded(path, c.Args)
	cmd := exec.CommandContext(ctx, shell, args...)
	cmd.Env, cmd.SysProcAttr = environment, cage.attributes(t.owner)
	cmd.Stdin, cmd.Stderr = pipes.Stdin, &log
	if pipes.Log != nil {
		cmd.Stderr = io.MultiWriter(&log, pipes.Log)
	}
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = killDelay

	inside, err := insideOf(cmd, dir)
	if err != nil {
		return Result{}, err
	}
	defer inside.Close()
	progress, write, err := os.Pipe()
	if err != nil {
		return Result{}, err
	}
	defer progress.Close()
	cmd.ExtraFiles = []*os.File{write}
	out, err := newOutlet(cmd, pipes.Stdout)
	if err != nil {
		_ = write.Close()
		return Result{}, err
	}
	err = cmd.Start()
	_ = write.Close() // the child has its own
	out.started()
	if err != nil {
		_ = out.wait(ctx)
		return Result{}, err
	}
	t.lowerPriority(cmd.Process)

	frames := make(chan int64, 1)
	go func() { frames <- readProgress(progress, pipes.Frames) }() // ends when the process has closed its end
	err = cmp.Or(cmd.Wait(), out.wait(ctx))
	if s := cmd.ProcessState; s != nil {
		t.cpu.WithLabelValues(c.Step).Add((s.UserTime() + s.SystemTime()).Seconds())
	}
	if ctx.Err() != nil {
		// A stray child may hold the pipe open; nobody waits for its progress.
		_ = progress.Close()
	}
	res := Result{Frames: <-frames, Log: log.String(), DecodeErrors: log.decodeErrors}
	if err == nil && c.Frames > 0 && res.Frames != c.Frames {
		err = fmt.Errorf("it wrote %d frames instead of %d", res.Frames, c.Frames)
	}
	return res, err
}

// readProgress reads the key=value lines of -progress and returns the last frame count. Only frame= is to be trusted:
// out_time_ms is in microseconds and out_time may be absent.
func readProgress(r io.Reader, report func(int64)) int64 {
	var frames int64
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "frame=")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			continue
		}
		frames = n
		if report != nil {
			report(n)
		}
	}
	return frames
}

// IsLog says whether err carries what the tool wrote, and gives it.
func IsLog(err error) (string, bool) {
	var e *RunError
	if errors.As(err, &e) {
		return e.Log, true
	}
	return "", false
}
