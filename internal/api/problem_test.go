package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"consilium/internal/consultation"
)

var codeForm = regexp.MustCompile(`^[a-z_]+$`)

func TestEverySentenceIsOneForPeople(t *testing.T) {
	for _, s := range sentences {
		if !codeForm.MatchString(s.code) || s.status < 400 || s.status > 599 {
			t.Errorf("%v: code %q or status %d is not right", s.err, s.code, s.status)
		}
		if s.text == "" || !strings.HasSuffix(s.text, ".") || strings.ToUpper(s.text[:1]) != s.text[:1] {
			t.Errorf("%s: %q is not a sentence", s.code, s.text)
		}
	}
}

func TestProblems(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		detail string
	}{
		{"a rule of the consultation", fmt.Errorf("end: %w", consultation.ErrEnded), 409, "ended", "The consultation has ended."},
		{
			"a request that makes no sense says why", fmt.Errorf("%w: only a device is there for others", consultation.ErrInvalid), 422, "invalid",
			"The request does not make sense: only a device is there for others.",
		},
		{"a fault of ours tells nothing of itself", errors.New("dial 10.0.0.1: secret"), 500, "internal", "Something went wrong on the server. Please try again."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := problemOf(quiet, tt.err)
			if p.Status != tt.status || p.Code != tt.code || p.Detail != tt.detail || p.Type != "/problems/"+tt.code {
				t.Fatalf("got %+v", p)
			}
		})
	}
}

// TestCodesAreDocumented: a program decides on codes, so each has its row in docs/api.md.
func TestCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	codes := []string{"invalid", "internal", "too_many_requests", "idempotency_mismatch", "idempotency_running"}
	for _, s := range sentences {
		codes = append(codes, s.code)
	}
	for _, code := range codes {
		if !bytes.Contains(doc, []byte("| `"+code+"` | ")) {
			t.Errorf("docs/api.md has no row for %s", code)
		}
	}
}
