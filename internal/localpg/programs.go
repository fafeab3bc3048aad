package localpg

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// programs are the two programs of one installed version.
type programs struct {
	initdb, postgres string
	version          string // "15.14"
	major            int
}

// places are where distributions put what is not on the PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
	"/usr/pgsql-*/bin",          // the PostgreSQL project's packages for Red Hat and SUSE
	"/usr/lib/postgresql*/bin",  // SUSE, Alpine
	"/usr/libexec/postgresql*",  // Alpine
	"/usr/local/pgsql/bin",      // built from source
	"/usr/bin",
}

// findPrograms gives the newest version installed, or, when dir holds a cluster, the version that made it: no other can
// read it.
func findPrograms(ctx context.Context, dir string) (programs, error) {
	installed := installedVersions(ctx, candidates())
	if len(installed) == 0 {
		return programs{}, ErrNotInstalled
	}
	made, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return installed[0], nil
	}
	if err != nil {
		return programs{}, fmt.Errorf("private PostgreSQL: %w", err)
	}
	want := strings.TrimSpace(string(made))
	var have []string
	for _, p := range installed {
		if strconv.Itoa(p.major) == want {
			return p, nil
		}
		have = append(have, p.version)
	}
	return programs{}, fmt.Errorf("private PostgreSQL: the data in %s was made by version %s, installed is %s: install PostgreSQL %s again, or move the data with pg_upgrade",
		dir, want, strings.Join(have, ", "), want)
}

// candidates are folders that may hold the programs, the PATH first.
func candidates() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range places {
		found, _ := filepath.Glob(pattern) // the patterns are constants and well-formed
		dirs = append(dirs, found...)
	}
	return dirs
}

// installedVersions asks the programs in dirs for their version and gives the newest first. Folders without both
// programs are left out.
func installedVersions(ctx context.Context, dirs []string) []programs {
	var all []programs
	seen := map[string]bool{}
	for _, dir := range dirs {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[dir] || !filepath.IsAbs(dir) {
			continue
		}
		seen[dir] = true
		p := programs{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
		if !executable(p.initdb) || !executable(p.postgres) {
			continue
		}
		out, err := exec.CommandContext(ctx, p.postgres, "--version").Output()
		if err != nil {
			continue
		}
		if p.version, p.major = parseVersion(out); p.major != 0 {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	return all
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) ((\d+)[^\s]*)`)

// parseVersion reads "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)". The major version is 0 when it is not that.
func parseVersion(out []byte) (version string, major int) {
	m := versionPattern.FindSubmatch(bytes.TrimSpace(out))
	if m == nil {
		return "", 0
	}
	major, err := strconv.Atoi(string(m[2]))
	if err != nil {
		return "", 0
	}
	return string(m[1]), major
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
