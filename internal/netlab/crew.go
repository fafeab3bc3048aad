package netlab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// crewed is an agent as the test sees it.
type crewed struct {
	cmd   *exec.Cmd // nil of an agent in this process
	in    io.WriteCloser
	log   bytes.Buffer
	done  chan struct{} // closed when the process is gone
	mu    sync.Mutex    // guards what follows
	state state
	moved chan struct{} // closed and replaced at every report
}

// hire starts an agent in a namespace.
func hire(n *namespace, t task, env ...string) (*crewed, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var args []string
	if t.With == Firefox {
		args = []string{"-test.run=^TestBeingFirefox$"}
	}
	c := &crewed{cmd: n.command(self, args...), done: make(chan struct{}), moved: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), agentSetting+"="+string(raw)), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.cmd.Stderr = &c.log
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() { // ends with the process
		runtime.LockOSThread() // the process dies with this thread
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.listen(out)
		_ = c.cmd.Wait() // how it ended stands in its last report
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start an agent: %w", err)
	}
	return c, nil
}

func (c *crewed) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var s state
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue
		}
		c.mu.Lock()
		c.state = s
		close(c.moved)
		c.moved = make(chan struct{})
		c.mu.Unlock()
	}
}

func (c *crewed) now() (state, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.moved
}

// until waits for a report that holds.
func (c *crewed) until(what string, within time.Duration, holds func(state) bool) (state, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		s, moved := c.now()
		if holds(s) {
			return s, nil
		}
		if s.Gone && s.Error != "" {
			return s, errors.New(s.Error)
		}
		select {
		case <-moved:
		case <-c.done:
			s, _ := c.now()
			if holds(s) {
				return s, nil
			}
			return s, fmt.Errorf("%s: the participant is gone: %s %s", what, s.Error, bytes.TrimSpace(c.log.Bytes()))
		case <-timer.C:
			return s, fmt.Errorf("%s: not within %s (%s; %s)", what, within, s.Way, s.Error)
		}
	}
}

func (c *crewed) tell(do string) error {
	raw, err := json.Marshal(order{Do: do})
	if err != nil {
		return err
	}
	_, err = c.in.Write(append(raw, '\n'))
	return err
}

// dismiss ends the agent and waits until it is gone.
func (c *crewed) dismiss(within time.Duration) {
	_ = c.tell("leave")
	c.in.Close()
	select {
	case <-c.done:
	case <-time.After(within):
		if c.cmd == nil {
			return // it is a goroutine, which cannot be ended
		}
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		<-c.done
	}
}
