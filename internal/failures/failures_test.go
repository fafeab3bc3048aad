package failures

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/failures.md and web/src/text/failures.ts")

func TestWhatPeopleReadIsMadeFromTheTable(t *testing.T) {
	for _, made := range []struct{ file, text string }{
		{filepath.Join("..", "..", "docs", "failures.md"), Document()},
		{filepath.Join("..", "..", "web", "src", "text", "failures.ts"), TypeScript()},
	} {
		if *update {
			if err := os.WriteFile(made.file, []byte(made.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(made.file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.text, string(got)); diff != "" {
			t.Errorf("%s is not current; go test ./internal/failures -update writes it (-table +file):\n%s", made.file, diff)
		}
	}
}

func TestEveryRowIsWhole(t *testing.T) {
	seen := map[Code]bool{}
	for _, f := range Table {
		if seen[f.Code] {
			t.Errorf("%s stands twice in the table", f.Code)
		}
		seen[f.Code] = true
		if !regexp.MustCompile(`^[A-Z0-9]+(-[A-Z0-9]+)+$`).MatchString(string(f.Code)) {
			t.Errorf("%s is not spelled like a code", f.Code)
		}
		if f.By != ByServer && f.By != ByPage {
			t.Errorf("%s is noticed by nobody", f.Code)
		}
		if _, told := Told(f.Code); told != (f.By == ByPage) {
			t.Errorf("%s: whether a page may tell of it is %v", f.Code, told)
		}
		if f.Phase == "" || f.When == "" || !strings.HasSuffix(f.Operator, ".") {
			t.Errorf("%s lacks a phase, when, or a sentence for the operator", f.Code)
		}
		if len(f.Patient) != len(Languages) {
			t.Errorf("%s has sentences in %d languages, want %d", f.Code, len(f.Patient), len(Languages))
		}
		for _, language := range Languages {
			sentence := f.Patient[language]
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("%s has no sentence for the patient in %s", f.Code, language)
			}
			for _, word := range []string{"ICE", "UDP", "TCP", "DTLS", "TURN", "WebSocket", "WebRTC", "server", "Server"} {
				if strings.Contains(sentence, word) {
					t.Errorf("%s tells the patient (%s) of %s", f.Code, language, word)
				}
			}
		}
		if got, ok := Of(f.Code); !ok || got.Code != f.Code {
			t.Errorf("%s is not found by its code", f.Code)
		}
	}
	if _, ok := Of("NO-SUCH-CODE"); ok {
		t.Error("a code that does not exist is found")
	}
}
