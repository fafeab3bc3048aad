package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsReadAsOne(t *testing.T) {
	for text, want := range map[string][]string{
		"":            nil,
		"An\u0303n":   {"A", "n\u0303", "n"},
		"👩\u200d⚕️!":  {"👩\u200d⚕️", "!"},
		"🏳️\u200d🌈🇺🇦": {"🏳️\u200d🌈", "🇺🇦"},
		"👨🏿\u200d🦱 x": {"👨🏿\u200d🦱", " ", "x"},
		"می\u200dx":   {"م", "ی\u200d", "x"},
	} {
		var got []string
		for _, g := range asRead([]rune(text)) {
			got = append(got, string(g))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
