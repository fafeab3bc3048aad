package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFailureBesideOthersIsTriedAlone runs scripts/gotest on a module of one package.
func TestAFailureBesideOthersIsTriedAlone(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(root, "scripts", "gotest")
	const once = `if _, err := os.Stat("failed"); err != nil { os.WriteFile("failed", nil, 0o600); t.Fatal("late") }`
	tests := []struct {
		name   string
		bodies []string // of the tests TestA, TestB, …
		says   string
		passes bool
	}{
		{"nothing fails", []string{``, ``}, "ok", true},
		{"a test fails once", []string{``, once}, "unsteady: TestB of unsteady", true},
		{"a test fails always", []string{`t.Error("wrong")`, ``}, "--- FAIL: TestA", false},
		{"of two that fail one fails alone too", []string{once, `t.Error("wrong")`}, "--- FAIL: TestB", false},
		{"a panic is none of the machine's doings", []string{strings.Replace(once, "t.Fatal", "panic", 1)}, "FAIL\tunsteady", false},
		{"more than three fail", []string{once, once, once, once}, "--- FAIL: TestA", false},
		{"what does not compile fails", []string{`nonsense`}, "FAIL\tunsteady [build failed]", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			source := "package unsteady\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Stat\n"
			for i, body := range tt.bodies {
				name := string(rune('A' + i))
				source += "\nfunc Test" + name + "(t *testing.T) { " + strings.ReplaceAll(body, `"failed"`, `"failed`+name+`"`) + " }\n"
			}
			for name, text := range map[string]string{"go.mod": "module unsteady\n\ngo 1.26\n", "unsteady_test.go": source} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := exec.Command(script, "-timeout", "5m", "--", ".")
			run.Dir = dir
			out, err := run.CombinedOutput()
			if (err == nil) != tt.passes || !strings.Contains(string(out), tt.says) {
				t.Errorf("it ended with %v and said\n%s", err, out)
			}
			if tt.passes && strings.Contains(string(out), "FAIL") {
				t.Errorf("what passed said\n%s", out)
			}
		})
	}
}
