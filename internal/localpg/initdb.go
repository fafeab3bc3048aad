package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// initialise makes the cluster in dir unless there is one. It works in a folder beside dir and renames it at the end, so
// that a crash in between leaves no half cluster under the name.
func initialise(ctx context.Context, bin programs, dir string, who *owner, logger *slog.Logger) error {
	_, err := os.Stat(filepath.Join(dir, "PG_VERSION"))
	if err == nil {
		return who.ownsAll(dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return fmt.Errorf("%s is not empty and holds no PostgreSQL data", dir)
	}
	began := time.Now()
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := who.own(fresh); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := initdb(ctx, bin, fresh, who); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	_ = os.Remove(dir) // an empty folder, if there is one: rename says what is wrong with anything else
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("name the new cluster: %w", err)
	}
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("name the new cluster: %w", err)
	}
	logger.InfoContext(ctx, "private database made", "dir", dir, "version", bin.version, "duration", time.Since(began))
	return nil
}

// initdb trusts everybody who reaches the socket: its folder lets in nobody but the owner and root. Text sorts by code
// point, which no update of the system's locales can change under an index; letters of all scripts have case.
func initdb(ctx context.Context, bin programs, dir string, who *owner) error {
	args := []string{"-D", dir, "-U", role, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--data-checksums"}
	out, err := runAs(ctx, who, bin.initdb, append(args, "--lc-collate=C", "--lc-ctype=C.UTF-8")...)
	if err != nil && strings.Contains(out, "locale") {
		out, err = runAs(ctx, who, bin.initdb, append(args, "--lc-collate=C", "--lc-ctype=C")...)
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out, 5))
	}
	return nil
}

func runAs(ctx context.Context, who *owner, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.SysProcAttr = attributes(who)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// environment is all that the programs get: no PG… variable of ours may change what they do.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
}

// ownsAll says what is wrong when the cluster belongs to somebody else: it was made by root and is now started by
// another user, or the other way round.
func (o *owner) ownsAll(dir string) error {
	uid := uint32(os.Geteuid())
	if o != nil {
		uid = o.uid
	}
	if has, err := uidOf(dir); err != nil {
		return err
	} else if has != uid {
		return fmt.Errorf("%s belongs to user %d, but the server would run as user %d: start as the user that made it, or give it over with chown -R", dir, has, uid)
	}
	return nil
}

// socketFolder makes a new folder for the socket. The path of a socket may have 107 bytes only, so it is not below the
// data folder.
func socketFolder(who *owner) (string, error) {
	var errs []error
	for _, parent := range []string{"/tmp", os.TempDir(), "/run"} {
		if len(parent) > 60 {
			continue
		}
		if at := who.blockedAt(parent); at != "" {
			errs = append(errs, fmt.Errorf("user %s cannot pass %s", who.name, at))
			continue
		}
		dir, err := os.MkdirTemp(parent, socketPrefix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := who.own(dir); err != nil {
			return "", errors.Join(err, os.Remove(dir))
		}
		return dir, nil
	}
	return "", fmt.Errorf("make a folder for the socket: %w", errors.Join(errs...))
}

const socketPrefix = "consilium-pg-"

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
