package auth

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSealedBytesOpenForTheirPurposeOnly(t *testing.T) {
	make := func(secret string) *Authority {
		a, err := New([]byte(secret), nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ours, other := make(strings.Repeat("a", 32)), make(strings.Repeat("b", 32))
	plain := []byte("a link with a token")
	sealed, err := ours.Seal("answers", plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("token")) {
		t.Error("the sealed bytes can be read")
	}
	if got, err := ours.Open("answers", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Open = %q, %v", got, err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return ours.Open("else", sealed) },
		"another secret":  func() ([]byte, error) { return other.Open("answers", sealed) },
		"changed bytes":   func() ([]byte, error) { return ours.Open("answers", flipped) },
		"too few bytes":   func() ([]byte, error) { return ours.Open("answers", sealed[:5]) },
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
}
