package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// needPrograms fails the test on a machine without PostgreSQL.
func needPrograms(t *testing.T) {
	t.Helper()
	if len(installedVersions(t.Context(), candidates())) == 0 {
		t.Fatal(ErrNotInstalled)
	}
}

func start(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	needPrograms(t)
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// dataFolder is a folder that other users can pass through; t.TempDir is not.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func query[T any](t *testing.T, dsn, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func exec1(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestCluster(t *testing.T) {
	data := dataFolder(t)
	c := start(t, Config{DataDir: data})

	t.Run("listens on no network", func(t *testing.T) {
		if got := query[string](t, c.DSN(), "show listen_addresses"); got != "" {
			t.Errorf("listen_addresses = %q", got)
		}
	})
	t.Run("keeps what it confirms", func(t *testing.T) {
		for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit", "data_checksums"} {
			if got := query[string](t, c.DSN(), "show "+name); got != "on" {
				t.Errorf("%s = %q", name, got)
			}
		}
	})
	t.Run("lets nobody else reach its socket", func(t *testing.T) {
		info, err := os.Stat(c.sockets)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("mode of the socket's folder is %o", info.Mode().Perm())
		}
		if path := filepath.Join(c.sockets, ".s.PGSQL."+port); len(path) > 107 {
			t.Errorf("path of the socket has %d bytes", len(path))
		}
	})
	t.Run("knows letters of other scripts", func(t *testing.T) {
		if got := query[string](t, c.DSN(), "select lower('ÄЖ')"); got != "äж" {
			t.Errorf("lower = %q", got)
		}
	})
	t.Run("is in a process group of its own", func(t *testing.T) {
		group, err := syscall.Getpgid(c.server.cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if group == syscall.Getpgrp() {
			t.Error("Ctrl-C at the terminal would reach the server before us")
		}
	})
	t.Run("refuses a second server on the same data", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := Start(ctx, Config{DataDir: data})
		if err == nil || !strings.Contains(err.Error(), "another PostgreSQL") {
			t.Errorf("error = %v", err)
		}
		if got := query[int](t, c.DSN(), "select 1"); got != 1 {
			t.Error("the first server was disturbed")
		}
	})
	t.Run("keeps its data over a stop and a start", func(t *testing.T) {
		exec1(t, c.DSN(), "create table kept as select 42 as n")
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(c.sockets); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket's folder is still there: %v", err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("a stop that was asked for is reported as a failure: %v", err)
		}
		again := start(t, Config{DataDir: data})
		if got := query[int](t, again.DSN(), "select n from kept"); got != 42 {
			t.Errorf("n = %d", got)
		}
	})
}

func TestServerDeathIsReported(t *testing.T) {
	c := start(t, Config{DataDir: dataFolder(t)})
	if err := c.Err(); err != nil {
		t.Fatalf("Err = %v while it runs", err)
	}
	if err := c.server.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("Done was not closed")
	}
	if c.Err() == nil {
		t.Error("Err = nil after the server went by itself")
	}
}

// TestParentKilled starts a cluster in another process, kills that process, and expects the server to go and the next
// start to find the data.
func TestParentKilled(t *testing.T) {
	needPrograms(t)
	data := dataFolder(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "LOCALPG_TEST_DATA="+data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	server, sockets := 0, ""
	for lines := bufio.NewScanner(out); server == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "server="); ok {
			number, at, _ := strings.Cut(text, " ")
			if server, err = strconv.Atoi(number); err != nil {
				t.Fatal(err)
			}
			sockets = at
		}
	}
	if server == 0 {
		t.Fatal("the child did not start a server")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	c := start(t, Config{DataDir: data})
	// Nobody may have collected it yet, so it may still have its number, but no working folder.
	if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", server)); err == nil {
		t.Errorf("the server outlived its parent: it works in %s", at)
	}
	if _, err := os.Stat(sockets); sockets == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old socket's folder %q is still there: %v", sockets, err)
	}
	if got := query[int](t, c.DSN(), "select n from kept"); got != 7 {
		t.Errorf("n = %d", got)
	}
}

// TestChildProcess is the other process of TestParentKilled.
func TestChildProcess(t *testing.T) {
	data := os.Getenv("LOCALPG_TEST_DATA")
	if data == "" {
		return // not the other process
	}
	c, err := Start(t.Context(), Config{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, c.DSN(), "create table kept as select 7 as n")
	fmt.Printf("\nserver=%d %s\n", c.server.cmd.Process.Pid, c.sockets)
	select {} // until it is killed
}

func TestLockFileOfAnotherProgram(t *testing.T) {
	needPrograms(t)
	data := dataFolder(t)
	c := start(t, Config{DataDir: data})
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A living process that is not PostgreSQL has the number now: this test's parent.
	lock := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  1234   5678\nready\n", os.Getppid(), c.Dir(), c.sockets)
	if err := os.WriteFile(filepath.Join(c.Dir(), "postmaster.pid"), []byte(lock), 0o600); err != nil {
		t.Fatal(err)
	}
	again := start(t, Config{DataDir: data})
	if got := query[int](t, again.DSN(), "select 1"); got != 1 {
		t.Error("no answer")
	}
}

func TestHalfMadeCluster(t *testing.T) {
	needPrograms(t)
	data := dataFolder(t)
	if err := os.MkdirAll(filepath.Join(data, "postgres.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := start(t, Config{DataDir: data})
	if _, err := os.Stat(filepath.Join(data, "postgres.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-made cluster is still there: %v", err)
	}
	if got := query[int](t, c.DSN(), "select 1"); got != 1 {
		t.Error("no answer")
	}
}

func TestForeignFolderIsLeftAlone(t *testing.T) {
	needPrograms(t)
	data := dataFolder(t)
	file := filepath.Join(data, "postgres", "letter.txt")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{DataDir: data}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestUnreachableDataFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root runs the server as another user; nothing to show")
		return
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	fallback := filepath.Join(dataFolder(t), "fallback")
	c := start(t, Config{DataDir: filepath.Join(home, "data"), Fallback: fallback, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.HasPrefix(c.Dir(), fallback) {
		t.Errorf("the cluster is in %s", c.Dir())
	}
	if !strings.Contains(log.String(), "cannot reach the data folder") || !strings.Contains(log.String(), c.Dir()) {
		t.Errorf("the log does not say so:\n%s", log.String())
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := start(t, Config{DataDir: filepath.Join(home, "other"), Fallback: fallback})
	if other.Dir() == c.Dir() {
		t.Error("two data folders share one cluster")
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	old := places
	places = []string{filepath.Join(t.TempDir(), "*", "bin")}
	defer func() { places = old }()
	_, err := Start(t.Context(), Config{DataDir: dataFolder(t)})
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "./task setup") {
		t.Errorf("error = %v", err)
	}
}

func TestInstalledVersions(t *testing.T) {
	root := t.TempDir()
	install := func(dir, version string, names ...string) string {
		t.Helper()
		bin := filepath.Join(root, dir, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho '"+version+"'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return bin
	}
	dirs := []string{
		install("9.6", "postgres (PostgreSQL) 9.6.24", "initdb", "postgres"),
		install("15", "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "initdb", "postgres"),
		install("17", "postgres (PostgreSQL) 17beta1", "initdb", "postgres"),
		install("client", "postgres (PostgreSQL) 18.0", "psql"),
		install("odd", "something else", "initdb", "postgres"),
		filepath.Join(root, "missing"),
	}
	var got []string
	for _, p := range installedVersions(t.Context(), dirs) {
		got = append(got, p.version)
	}
	if want := "[17beta1 15.14 9.6.24]"; fmt.Sprint(got) != want {
		t.Errorf("versions, newest first = %v, want %s", got, want)
	}
}

func TestDataOfAnotherVersion(t *testing.T) {
	needPrograms(t)
	data := dataFolder(t)
	dir := filepath.Join(data, "postgres")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{DataDir: data}); err == nil || !strings.Contains(err.Error(), "made by version 8") {
		t.Errorf("error = %v", err)
	}
}
