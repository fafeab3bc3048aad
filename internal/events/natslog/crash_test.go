package natslog_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// victimVariable makes the test binary a process that appends to the log in the named folder until it is killed.
const victimVariable = "CONSILIUM_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim prints the consultation and then the number of every event that the log has taken.
func victim(dir string) error {
	ctx := context.Background()
	e, err := natslog.Start(ctx, natslog.ServerConfig{DataDir: dir, Logger: slog.Default()})
	if err != nil {
		return err
	}
	l, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	c := events.NewID()
	fmt.Println(c)
	var at events.Version
	for n := 0; ; n++ {
		drafts := []events.Draft{draft(n)}
		if n%5 == 4 {
			drafts = append(drafts, draft(n), draft(n))
		}
		if at, err = l.Append(ctx, c, at, drafts...); err != nil {
			return err
		}
		fmt.Println(at.Seq)
	}
}

func TestWhatWasTakenSurvivesAKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 2 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), victimVariable+"="+dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		c := strings.TrimSpace(lines.Text())
		var taken uint64
		for taken < uint64(100*(round+1)) && lines.Scan() {
			taken, _ = strconv.ParseUint(lines.Text(), 10, 64)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said while it was being killed
			taken, _ = strconv.ParseUint(lines.Text(), 10, 64)
		}
		_ = cmd.Wait()
		e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// One append more than was confirmed may be there: it was taken, and its answer was not said any more.
		if n := uint64(len(mustRead(t, l, c))); taken < 100 || n < taken || n > taken+3 {
			t.Errorf("%d events are there, %d were taken", n, taken)
		}
		fill(t, l, c, 1)
		l.Close()
		e.Stop()
	}
}
