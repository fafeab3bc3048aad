package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leaveTime is how long a server of a process that was killed may take to end by itself.
const leaveTime = 20 * time.Second

// clearLeftovers makes sure that no server uses dir, waits for one that is just ending, and removes the lock file of one
// that ended without doing so. PostgreSQL mostly sees through an old lock file itself, but not when its process number
// now belongs to another program, which is common in a container that was started anew.
func clearLeftovers(ctx context.Context, dir string, logger *slog.Logger) error {
	if err := waitUnused(ctx, dir); err != nil {
		return err
	}
	if err := removeOldSockets(dir); err != nil {
		return err
	}
	lock := filepath.Join(dir, "postmaster.pid")
	err := os.Remove(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the lock file of an ended server: %w", err)
	}
	logger.InfoContext(ctx, "the database was not stopped cleanly the last time and will recover", "dir", dir)
	return nil
}

// noteSockets writes down, beside the cluster, where its socket is, for removeOldSockets after a crash.
func noteSockets(dir, sockets string) error {
	return os.WriteFile(dir+".socket", []byte(sockets+"\n"), 0o600)
}

// removeOldSockets removes the socket's folder of a server that nobody stopped. Only a folder with our name is removed,
// whatever the note says.
func removeOldSockets(dir string) error {
	raw, err := os.ReadFile(dir + ".socket")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the socket of an ended server: %w", err)
	}
	sockets := strings.TrimSpace(string(raw))
	if !filepath.IsAbs(sockets) || !strings.HasPrefix(filepath.Base(sockets), socketPrefix) {
		return nil
	}
	if err := os.RemoveAll(sockets); err != nil {
		return fmt.Errorf("remove the socket of an ended server: %w", err)
	}
	return nil
}

// waitUnused waits until no process works in dir: the server and all its children do.
func waitUnused(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		users := processesIn(dir)
		if len(users) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another PostgreSQL (process %d) uses %s: is another server of this data folder running?", users[0], dir)
		case <-again.C:
		}
	}
}

// processesIn lists the processes whose working folder is dir.
func processesIn(dir string) []int {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is a constant and well-formed
	var pids []int
	for _, link := range links {
		at, err := os.Readlink(link)
		if err != nil || at != dir {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
