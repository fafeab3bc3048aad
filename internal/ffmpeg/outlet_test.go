package ffmpeg

import (
	"context"
	"testing"
	"time"
)

// patient takes nothing before it is told to.
type patient struct {
	begun, take chan struct{}
	got         int
}

func (p *patient) Write(b []byte) (int, error) {
	if p.got == 0 {
		close(p.begun)
		<-p.take
	}
	p.got += len(b)
	return len(b), nil
}

func TestWhoTakesTheOutputLateGetsAllOfIt(t *testing.T) {
	before := killDelay
	killDelay = 50 * time.Millisecond
	t.Cleanup(func() { killDelay = before })
	tool, dir := newTool(t, Config{Path: script(t, `head -c 60000 /dev/zero`)})
	out := &patient{begun: make(chan struct{}), take: make(chan struct{})}
	go func() {
		<-out.begun
		time.Sleep(20 * killDelay) // the process is long gone when somebody takes what it wrote
		close(out.take)
	}()
	if _, err := tool.Run(t.Context(), dir, Command{Step: "test"}, Pipes{Stdout: out}); err != nil {
		t.Errorf("run: %v", err)
	}
	if out.got != 60000 {
		t.Errorf("%d bytes came", out.got)
	}
}

func TestWhoTakesNothingDoesNotHoldTheEndUp(t *testing.T) {
	tool, dir := newTool(t, Config{Path: script(t, `head -c 60000 /dev/zero`)})
	out := &patient{begun: make(chan struct{}), take: make(chan struct{})}
	t.Cleanup(func() { close(out.take) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-out.begun
		cancel()
	}()
	if _, err := tool.Run(ctx, dir, Command{Step: "test"}, Pipes{Stdout: out}); err == nil {
		t.Error("a run whose context ended succeeded")
	}
}
