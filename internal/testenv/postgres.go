package testenv

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/localpg"
	"consilium/migrations"
)

const templateDatabase = "consilium_template"

// Postgres gives the test a database of its own with all migrations applied, and takes it away at the end. All tests of
// one process share one private PostgreSQL, which goes away with the process.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	return freshDatabase(t, templateDatabase)
}

// EmptyPostgres is Postgres without migrations.
func EmptyPostgres(t testing.TB) (dsn string) {
	t.Helper()
	return freshDatabase(t, "template1")
}

var databases struct {
	sync.Mutex // guards the fields, and held while a template is copied: PostgreSQL refuses two copies at a time
	cluster    *localpg.Cluster
	err        error
	made       int
	hold       io.Closer // keeps the folder's keeper waiting until this process ends
}

func freshDatabase(t testing.TB, template string) string {
	t.Helper()
	name, dsn, err := makeDatabase(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := admin(ctx, "drop database "+name+" with (force)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return dsn
}

func makeDatabase(ctx context.Context, template string) (name, dsn string, err error) {
	databases.Lock()
	defer databases.Unlock()
	if databases.cluster == nil && databases.err == nil {
		databases.cluster, databases.err = startCluster(ctx)
	}
	if databases.err != nil {
		return "", "", fmt.Errorf("PostgreSQL for tests: %w", databases.err)
	}
	databases.made++
	name = "test_" + strconv.Itoa(databases.made)
	if err := adminLocked(ctx, "create database "+name+" template "+template); err != nil {
		return "", "", fmt.Errorf("make the test's database: %w", err)
	}
	return name, named(databases.cluster.DSN(), name), nil
}

// startCluster starts the process's PostgreSQL with a migrated template. Nothing in it must survive a crash, so it does
// not sync.
func startCluster(ctx context.Context) (*localpg.Cluster, error) {
	dir, err := os.MkdirTemp("", "consilium-test-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // as root, PostgreSQL runs as another user
		return nil, err
	}
	hold, err := keepFolder(dir)
	if err != nil {
		return nil, err
	}
	databases.hold = hold
	c, err := localpg.Start(ctx, localpg.Config{DataDir: dir, Settings: map[string]string{
		"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
	}})
	if err != nil {
		return nil, err
	}
	databases.cluster = c
	if err := adminLocked(ctx, "create database "+templateDatabase); err != nil {
		return nil, err
	}
	if _, err := migrations.Up(ctx, named(c.DSN(), templateDatabase), slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	return c, nil
}

// keepFolder starts a shell that removes dir when this process has ended, however it does: then the shell's input ends.
// The server notices our end as well and stops by itself. A Cleanup could not do this: it belongs to one test.
func keepFolder(dir string) (io.Closer, error) {
	const script = `read -r nothing; n=0
while [ -e "$0/postgres/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
if [ -r "$0/postgres.socket" ]; then rm -rf "$(cat "$0/postgres.socket")"; fi
rm -rf "$0"`
	cmd := exec.Command("/bin/sh", "-c", script, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the keeper of the test folder: %w", err)
	}
	return in, nil
}

func admin(ctx context.Context, sql string) error {
	databases.Lock()
	defer databases.Unlock()
	return adminLocked(ctx, sql)
}

func adminLocked(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, databases.cluster.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// named is the address dsn with another database.
func named(dsn, database string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // localpg made it
	}
	u.Path = "/" + database
	return u.String()
}
