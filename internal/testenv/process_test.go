package testenv

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	return StartProcess(t, "shell", exec.Command("sh", "-c", script))
}

func TestProcessStopsOnSIGTERM(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 0' TERM; echo ready at 7; while :; do sleep 0.05; done`)
	rest, err := p.waitOutput(t.Context(), "ready at ")
	if err != nil || rest != "7" {
		t.Fatalf("waitOutput = %q, %v; want 7", rest, err)
	}
	p.Stop(t)
	if !strings.HasSuffix(p.Output(), "bye\n") {
		t.Errorf("the output is %q, want it to end with the last word", p.Output())
	}
	if code := p.Wait(t, time.Second); code != 0 {
		t.Errorf("the exit code is %d, want 0", code)
	}
}

func TestProcessThatEndsIsNotWaitedFor(t *testing.T) {
	p := shell(t, `echo cannot open the database; exit 3`)
	_, err := p.waitOutput(t.Context(), "ready")
	if err == nil || !strings.Contains(err.Error(), "cannot open the database") {
		t.Errorf("waitOutput fails with %v, want the last lines of the program", err)
	}
	if code := p.Wait(t, time.Second); code != 3 {
		t.Errorf("the exit code is %d, want 3", code)
	}
}

func TestWaitingForOutputEndsWithTheContext(t *testing.T) {
	p := shell(t, `echo half a line; sleep 60`)
	if _, err := p.waitOutput(t.Context(), "half"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.waitOutput(ctx, "ready"); err == nil || !strings.Contains(err.Error(), "half a line") {
		t.Errorf("waitOutput fails with %v, want the last lines of the program", err)
	}
}

func TestKillEndsChildrenToo(t *testing.T) {
	p := shell(t, `sleep 60 & echo child $!; wait`)
	child, err := p.waitOutput(t.Context(), "child ")
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(10 * time.Second); ; {
		// A child that is gone has no folder there, or is dead and waits for somebody to take notice of it.
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err != nil || strings.Contains(string(status), "State:\tZ") {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("the child is still there:\n%s", status)
		}
	}
}
