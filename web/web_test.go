package web

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	reference = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	inline    = regexp.MustCompile(`<script(?:\s[^>]*)?>[^<]|\son[a-z]+="`)
)

func TestPagesReferToFilesThatAreEmbedded(t *testing.T) {
	if !Built() {
		t.Skip("the front end is not built: npm --prefix web ci && npm --prefix web run build")
	}
	for _, page := range []string{"join.html", "consultations.html", "consultation.html"} {
		t.Run(page, func(t *testing.T) {
			html, err := fs.ReadFile(Files(), page)
			if err != nil {
				t.Fatal(err)
			}
			if inline.Match(html) {
				t.Error("the page has a script that the content security policy forbids")
			}
			found := reference.FindAllStringSubmatch(string(html), -1)
			if len(found) < 3 {
				t.Errorf("the page refers to %d files, want its script, its style sheet and its icon", len(found))
			}
			for _, match := range found {
				name := strings.TrimPrefix(match[1], "/")
				if path.Dir(name) != "assets" {
					t.Errorf("%s is not under /assets/", match[1])
				}
				if info, err := fs.Stat(Files(), name); err != nil || info.Size() == 0 {
					t.Errorf("%s is not embedded: %v", match[1], err)
				}
			}
		})
	}
}
