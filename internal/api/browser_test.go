package api

import (
	"testing"

	"consilium/internal/events"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyFamilyAndMajorVersionAreKept(t *testing.T) {
	for _, tt := range []struct {
		name  string
		agent string
		want  *events.Browser
	}{
		{"nothing", "", nil},
		{"a tool", "curl/8.5.0", &events.Browser{Family: "other"}},
		{"Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", &events.Browser{Family: "Firefox", Major: 140}},
		{
			"Chrome", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
			&events.Browser{Family: "Chromium", Major: 131},
		},
		{
			"Edge, which calls itself Chrome too",
			"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.51",
			&events.Browser{Family: "Edge", Major: 131},
		},
		{
			"Safari on a phone",
			"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
			&events.Browser{Family: "Safari", Major: 18},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, browserOf(tt.agent)); d != "" {
				t.Fatal(d)
			}
		})
	}
}
