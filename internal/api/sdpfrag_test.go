package api

import (
	"strings"
	"testing"

	"consilium/internal/media/sfu"

	"github.com/google/go-cmp/cmp"
)

func TestFragments(t *testing.T) {
	zero := "0"
	first := uint16(0)
	for _, tt := range []struct {
		name string
		body string
		want fragment
		bad  bool
	}{
		{
			name: "a candidate of a named m-line",
			body: "a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n",
			want: fragment{ufrag: "abcd", pwd: "secret", candidates: []sfu.Candidate{
				{Candidate: "candidate:1 1 udp 1 192.0.2.1 5000 typ host", SDPMid: &zero},
			}},
		},
		{
			name: "a candidate without an m-line",
			body: "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\na=end-of-candidates\n",
			want: fragment{candidates: []sfu.Candidate{
				{Candidate: "candidate:1 1 udp 1 192.0.2.1 5000 typ host", SDPMLineIndex: &first},
			}},
		},
		{name: "an empty body", body: "", bad: true},
		{name: "half of the credentials", body: "a=ice-ufrag:abcd\r\n", bad: true},
		{name: "something else", body: `{"candidate":"x"}`, bad: true},
		{name: "far too much", body: strings.Repeat("a=candidate:1\n", maxFragmentLines+1), bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseFragment(tt.body)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v, want one: %v", err, tt.bad)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(fragment{})); !tt.bad && d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestARestartExchangesTheCredentialsAndTheCandidates(t *testing.T) {
	old := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:oldpwd\r\n" +
		"a=candidate:9 1 udp 1 192.0.2.9 9 typ host\r\nm=video 9 X 96\r\na=mid:1\r\na=ice-ufrag:old\r\na=ice-pwd:oldpwd\r\n"
	f := fragment{ufrag: "new", pwd: "newpwd", candidates: []sfu.Candidate{{Candidate: "candidate:1 1 udp 1 192.0.2.1 5 typ host"}}}
	want := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:new\r\na=ice-pwd:newpwd\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\nm=video 9 X 96\r\na=mid:1\r\na=ice-ufrag:new\r\na=ice-pwd:newpwd\r\n"
	if d := cmp.Diff(want, f.applyTo(old)); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff(want, f.applyTo(strings.ReplaceAll(old, "\r\n", "\n"))); d != "" {
		t.Fatalf("of an offer whose lines end without CR: %s", d)
	}
}

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n")
	f.Add("m=\nm=\na=mid\n")
	f.Fuzz(func(t *testing.T, body string) {
		frag, err := parseFragment(body)
		if err != nil {
			return
		}
		for _, c := range frag.candidates {
			if strings.ContainsAny(c.Candidate, "\r\n") {
				t.Fatalf("a candidate spans lines: %q", c.Candidate)
			}
		}
		frag.applyTo("v=0\r\nm=audio 9 X 0\r\n" + body)
	})
}
