package testenv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// setupCommand is what a person types when something is missing.
const setupCommand = "./task setup"

// programs lists the names under which a program may stand in PATH, best first. A program that is not listed has only
// its own name.
var programs = map[string][]string{
	"chromium": {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"},
	"firefox":  {"firefox-esr", "firefox"},
}

// Require finds programs of the machine ("ffmpeg", "ffprobe", "chromium", "firefox", …) and returns their paths by those
// names. It fails the test when one is missing.
func Require(t testing.TB, names ...string) map[string]string {
	t.Helper()
	paths := make(map[string]string, len(names))
	var missing []string
	for _, name := range names {
		path, err := find(name)
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		paths[name] = path
	}
	if missing != nil {
		t.Fatalf("%s; %s installs what the tests need", strings.Join(missing, "; "), setupCommand)
	}
	return paths
}

// find looks a program up in PATH.
func find(name string) (string, error) {
	candidates := programs[name]
	if candidates == nil {
		candidates = []string{name}
	}
	var snap string
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate)
		switch {
		case err != nil:
		case isSnap(path):
			snap = path
		default:
			return path, nil
		}
	}
	if snap != "" {
		// A snap sees neither the profile nor the camera file of a test: its /tmp is another one.
		return "", fmt.Errorf("%s (%s) is a snap, which cannot read a test's files", name, snap)
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

// isSnap tells whether path is a snap or the shell script with which Ubuntu's packages stand in for one.
func isSnap(path string) bool {
	if target, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(target) == "snap" {
		return true
	}
	if strings.HasPrefix(path, "/snap/") {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, _ := f.Read(head) // a program shorter than that, or unreadable, is judged by what there is
	head = head[:n]
	return bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(head, []byte("/snap/bin/"))
}
