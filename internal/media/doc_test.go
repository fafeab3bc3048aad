package media

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheDocumentNamesTestsThatExist keeps the claims of docs/segment-format.md and the tests that show them together.
func TestTheDocumentNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/segment-format.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "../*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
	}
	names := regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("the document names %d tests only", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name) {
			t.Errorf("%s is named, but there is no such test", name)
		}
	}
}
