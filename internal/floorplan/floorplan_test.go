package floorplan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "consilium"

// The floors, lowest first. A package may import packages of lower floors; of its own floor only what neighbours names.
const (
	basement  = iota // imports nothing of ours
	pure             // no files, sockets or clock
	edge             // one outside world each
	parts            // built of several edges
	useCases         // what the product does
	settings         // gathers each package's own Config
	roof             // processes: flags, signals, wiring
	testsOnly        // imported by tests alone
)

var floorNames = []string{"basement", "0", "1", "2", "3", "4", "roof", "tests only"}

// plan puts every package of the module on its floor.
var plan = map[string]int{
	"migrations":         basement,
	"web":                basement,
	"internal/blob":      basement,
	"internal/events":    basement,
	"internal/failures":  basement,
	"internal/ffmpeg":    basement,
	"internal/media":     basement,
	"internal/sheet":     basement,
	"internal/telemetry": basement,

	"internal/auth":         pure,
	"internal/consultation": pure,
	"internal/timeline":     pure,

	"internal/directory":       edge,
	"internal/disk":            edge,
	"internal/events/appender": edge,
	"internal/events/natslog":  edge,
	"internal/jobs":            edge,
	"internal/localca":         edge,
	"internal/localpg":         edge,
	"internal/media/recorder":  edge,
	"internal/media/sfu":       edge,
	"internal/portmux":         edge,
	"internal/store":           edge,

	"internal/media/turnserver": parts,
	"internal/render":           parts,
	"internal/spool":            parts,
	"internal/webhook":          parts,

	"internal/api":        useCases,
	"internal/backup":     useCases,
	"internal/conference": useCases,
	"internal/reindex":    useCases,
	"internal/signaling":  useCases,
	"internal/stitch":     useCases,

	"internal/config": settings,

	"cmd/live":     roof,
	"cmd/stitcher": roof,

	"internal/e2e":            testsOnly,
	"internal/events/logtest": testsOnly,
	"internal/floorplan":      testsOnly,
	"internal/netlab":         testsOnly,
	"internal/powercut":       testsOnly,
	"internal/simpeer":        testsOnly,
	"internal/testenv":        testsOnly,
}

// neighbours are the only imports within a floor.
var neighbours = map[string][]string{
	"internal/api":       {"internal/signaling", "internal/conference"},
	"internal/signaling": {"internal/conference"},
	"internal/e2e":       {"internal/powercut", "internal/simpeer", "internal/testenv"},
	"internal/netlab":    {"internal/simpeer", "internal/testenv"},
	"internal/simpeer":   {"internal/testenv"},
}

// pkg is what this test needs of one package.
type pkg struct {
	Path    string // below the module, "cmd/live"
	Doc     string
	Imports []string // of the package itself, not of its tests
}

// TestHouse holds the real packages against the plan.
func TestHouse(t *testing.T) {
	pkgs := list(t)
	for _, v := range violations(pkgs, plan, neighbours) {
		t.Error(v)
	}
	for _, path := range slices.Sorted(maps.Keys(plan)) {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.Path == path }) {
			t.Errorf("%s is on the plan but there is no such package", path)
		}
	}
}

// TestPlanIsWhatPeopleRead compares the plan with the table of docs/architecture.md.
func TestPlanIsWhatPeopleRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for path, floor := range plan {
		want[floorNames[floor]] = append(want[floorNames[floor]], path)
	}
	got := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !slices.Contains(floorNames, floorOf(cells[1])) {
			continue
		}
		for i, word := range strings.Split(cells[3], "`") {
			if i%2 == 1 { // between backquotes
				got[floorOf(cells[1])] = append(got[floorOf(cells[1])], word)
			}
		}
	}
	for _, m := range []map[string][]string{want, got} {
		for _, paths := range m {
			slices.Sort(paths)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/architecture.md shows another house (-plan +document):\n%s", diff)
	}
}

func floorOf(cell string) string { return strings.Trim(cell, " *") }

func TestViolations(t *testing.T) {
	plan := map[string]int{"low": basement, "a": pure, "b": pure, "peer": edge, "friend": edge, "main": roof, "kit": testsOnly}
	allowed := map[string][]string{"peer": {"friend"}}
	tests := []struct {
		name string
		pkg  pkg
		want []string
	}{
		{name: "an import of a lower floor is right", pkg: pkg{Path: "a", Doc: "x", Imports: []string{"consilium/low", "fmt"}}},
		{
			name: "an import of a higher floor is named", pkg: pkg{Path: "low", Doc: "x", Imports: []string{"consilium/a"}},
			want: []string{"low (floor basement) must not import a (floor 0)"},
		},
		{
			name: "an import within the floor is named", pkg: pkg{Path: "a", Doc: "x", Imports: []string{"consilium/b"}},
			want: []string{"a (floor 0) must not import b (floor 0)"},
		},
		{name: "an import within the floor that the plan allows is right", pkg: pkg{Path: "peer", Doc: "x", Imports: []string{"consilium/friend"}}},
		{
			name: "the same import the other way is named", pkg: pkg{Path: "friend", Doc: "x", Imports: []string{"consilium/peer"}},
			want: []string{"friend (floor 1) must not import peer (floor 1)"},
		},
		{
			name: "a process does not import what is for tests only", pkg: pkg{Path: "main", Doc: "x", Imports: []string{"consilium/kit"}},
			want: []string{"main (floor roof) must not import kit (floor tests only)"},
		},
		{name: "a package for tests only may import every floor of the product", pkg: pkg{Path: "kit", Doc: "x", Imports: []string{"consilium/peer"}}},
		{
			name: "a package that is not on the plan is named", pkg: pkg{Path: "attic", Doc: "x"},
			want: []string{"attic is not on the plan"},
		},
		{name: "an import of a package that is not on the plan is left to that package", pkg: pkg{Path: "a", Doc: "x", Imports: []string{"consilium/attic"}}},
		{
			name: "a package without a comment is named", pkg: pkg{Path: "a"},
			want: []string{"a has no package comment"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, violations([]pkg{tt.pkg}, plan, allowed)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// violations says in sentences what is wrong with pkgs.
func violations(pkgs []pkg, plan map[string]int, neighbours map[string][]string) []string {
	var bad []string
	for _, p := range pkgs {
		floor, ok := plan[p.Path]
		if !ok {
			bad = append(bad, p.Path+" is not on the plan")
			continue
		}
		if p.Doc == "" {
			bad = append(bad, p.Path+" has no package comment")
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			otherFloor, ok := plan[other]
			if !ok || otherFloor < floor || slices.Contains(neighbours[p.Path], other) {
				continue
			}
			bad = append(bad, fmt.Sprintf("%s (floor %s) must not import %s (floor %s)",
				p.Path, floorNames[floor], other, floorNames[otherFloor]))
		}
	}
	return bad
}

// list reads every package of the module from the go command. A package whose files are all tests has no Doc of its own
// in that answer, so such a package needs a doc.go.
func list(t *testing.T) []pkg {
	t.Helper()
	touch(t, root(t))
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Doc string
			Imports         []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("decode what go list said: %v", err)
		}
		pkgs = append(pkgs, pkg{Path: strings.TrimPrefix(p.ImportPath, module+"/"), Doc: p.Doc, Imports: p.Imports})
	}
}

// touch reads every folder of the source. The go command remembers what a test itself has opened, not what its children
// have: without this a cached "ok" would outlive the imports that it was true for.
func touch(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "bin", "dist", "node_modules", "testdata", "var"}, d.Name()) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatalf("read the source folders: %v", err)
	}
}

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("go env GOMOD: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
