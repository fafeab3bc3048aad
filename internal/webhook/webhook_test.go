package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

func newLogger(b *bench) *slog.Logger { return slog.New(slog.NewTextHandler(b.logged, nil)) }

// TestSignatures uses the example that libraries of the specification test themselves with.
func TestSignatures(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signatures([]secret{key, []byte("other")}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	first, second, _ := strings.Cut(got, " ")
	if first != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || !strings.HasPrefix(second, "v1,") || second == first {
		t.Errorf("signatures = %q", got)
	}
	s := newSecret()
	if text := s.Text(); len(text) != len("whsec_")+44 || strings.Contains(fmt.Sprintf("%v %+v %#v", s, s, []secret{s}), text[10:20]) {
		t.Errorf("secret %q, printed %v", text, s)
	}
}

func TestAddressesOfReceivers(t *testing.T) {
	rules, err := ParseRules("10.20.0.0/16, mis.intern , 127.0.0.1,localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url            string
		strict, listed bool // whether they are allowed by strict rules, and by these
	}{
		{"https://mis.hospital.example/webhooks?from=consilium", true, true},
		{"https://mis.intern:8443/", true, true}, // a name: what it leads to is looked at when it is called
		{"https://8.8.8.8/", true, true},
		{"http://mis.hospital.example/", false, false},
		{"http://mis.intern/", false, false},
		{"http://8.8.8.8/", false, false},
		{"http://10.20.3.4/", false, false},
		{"https://10.20.3.4/", false, true},
		{"https://10.21.3.4/", false, false},
		{"http://127.0.0.1:9000/", false, true},
		{"http://localhost:9000/", false, true},
		{"http://127.0.0.2:9000/", false, false},
		{"https://169.254.169.254/latest/meta-data", false, false},
		{"https://[::1]/", false, false},
		{"https://[::ffff:10.21.0.1]/", false, false},
		{"https://[::ffff:10.20.0.1]/", false, true},
		{"https://user:secret@mis.hospital.example/", false, false},
		{"https://mis.hospital.example/#x", false, false},
		{"ftp://mis.hospital.example/", false, false},
		{"file:///etc/passwd", false, false},
		{"https:///path", false, false},
		{"mis.hospital.example", false, false},
		{"", false, false},
		{"https://mis.hospital.example/" + strings.Repeat("x", maxURL), false, false},
	} {
		strict, listed := Rules{}.Check(tt.url), rules.Check(tt.url)
		if (strict == nil) != tt.strict || (listed == nil) != tt.listed {
			t.Errorf("%.60s: strict %v, listed %v", tt.url, strict, listed)
		}
		var named *InvalidError
		if strict != nil && (!errors.As(strict, &named) || named.Field != "url") {
			t.Errorf("%.60s: %v", tt.url, strict)
		}
	}
	for _, inside := range strings.Fields("0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 198.18.0.1 224.0.0.1 240.0.0.1 " +
		"255.255.255.255 :: ::1 ::ffff:192.168.1.1 ::192.168.1.1 64:ff9b::a00:1 2002:a00:1::1 fc00::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2001:db8::1") {
		if (Rules{}).allows(netip.MustParseAddr(inside)) {
			t.Errorf("%s is allowed", inside)
		}
	}
	for _, outside := range []string{"8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"} {
		if !(Rules{}).allows(netip.MustParseAddr(outside)) {
			t.Errorf("%s is not allowed", outside)
		}
	}
	for _, bad := range []string{"10.0.0.0/99", "http://x", "a b", "*.intern", "-x"} {
		if _, err := ParseRules(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestEndpointsAreKept(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	var named *InvalidError
	for field, n := range map[string]New{
		"url":   {URL: "http://mis.hospital.example/"},
		"types": {URL: "https://mis.hospital.example/", Types: []events.Type{"visit.started"}},
		"from":  {URL: "https://mis.hospital.example/", From: 2},
	} {
		if _, _, err := b.endpoints.Add(ctx, n); !errors.As(err, &named) || named.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	e, secret, err := b.endpoints.Add(ctx, New{URL: "https://mis.hospital.example/", By: "officer", Types: []events.Type{events.TypeArchiveRendered}})
	if err != nil || e.State != Active || e.CreatedBy != "officer" || len(e.Types) != 1 || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("%+v %v", e, err)
	}
	other := "https://other.hospital.example/"
	b.must(b.endpoints.Change(ctx, e.ID, &other, []events.Type{}))
	if got := b.endpoint(e.ID); got.URL != other || len(got.Types) != 0 {
		t.Errorf("%+v", got)
	}
	b.must(b.endpoints.Change(ctx, e.ID, nil, nil))
	if got := b.endpoint(e.ID); got.URL != other {
		t.Errorf("%+v", got)
	}
	inside := "https://10.0.0.1/"
	if err := b.endpoints.Change(ctx, e.ID, &inside, nil); !errors.As(err, &named) {
		t.Errorf("a private address: %v", err)
	}
	for range maxEndpoints - 1 {
		_, _, err = b.endpoints.Add(ctx, New{URL: other})
		b.must(err)
	}
	if _, _, err := b.endpoints.Add(ctx, New{URL: other}); !errors.As(err, &named) {
		t.Errorf("one too many: %v", err)
	}
	for _, id := range []string{events.NewID(), "nonsense", ""} {
		_, getErr := b.endpoints.Get(ctx, id)
		_, lettersErr := b.endpoints.Letters(ctx, id, 0, 10)
		_, rotateErr := b.endpoints.Rotate(ctx, id)
		for i, err := range []error{
			getErr, lettersErr, rotateErr, b.endpoints.Pause(ctx, id), b.endpoints.Resume(ctx, id), b.endpoints.Remove(ctx, id),
			b.endpoints.Change(ctx, id, nil, nil), b.endpoints.Again(ctx, id, nil), b.endpoints.ReplayConsultation(ctx, id, events.NewID(), 1),
		} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%q, %d: %v", id, i, err)
			}
		}
	}
}

// TestMessagesSayNoMoreThanTheyMust sends every type of event with every text field filled with something that must not go
// out.
func TestMessagesSayNoMoreThanTheyMust(t *testing.T) {
	id := events.NewID()
	var at events.Version
	for _, e := range []events.Event{
		events.ConsentGiven{Consent: events.Consent{TextSHA256: "SECRET", Language: "SECRET", By: "SECRET"}},
		events.ConferenceHosted{Epoch: 1, Node: "SECRET", URL: "https://SECRET"},
		events.SegmentStored{Segment: "SECRET", Key: "SECRET", SHA256: "SECRET"},
		events.ArchiveRequested{Version: 1, Sheet: events.Blob{Key: "SECRET", SHA256: "SECRET"}},
		events.ArchiveRendered{Version: 1, Key: "SECRET", SHA256: "SECRET"},
		events.ArchiveFailed{Version: 1, Code: "FFMPEG-MISSING", Detail: &events.Blob{Key: "SECRET"}},
		events.ExportMade{Kind: "SECRET", SHA256: "SECRET"},
		events.HoldPlaced{Hold: "SECRET", Reason: events.HoldAudit, By: "SECRET"},
		events.HoldReleased{Hold: "SECRET", Reason: events.ReleaseMistake, By: "SECRET"},
	} {
		raw, next, err := events.Seal(id, at, events.NewDraft("/live/SECRET", time.Unix(1, 0), e))
		if err != nil {
			t.Fatal(err)
		}
		next.Stream = at.Stream + 1
		stored, err := events.Open(raw, next.Stream)
		if err != nil {
			t.Fatal(err)
		}
		at = next
		text, err := body(stored)
		if err != nil || strings.Contains(string(text), "SECRET") {
			t.Errorf("%v %s", err, text)
		}
	}
	raw, _, err := events.Seal(id, events.Version{}, events.Draft{
		ID: events.NewID(), Source: "/live/n", Time: time.Unix(1, 5).UTC(), Participant: "p", Event: events.ParticipantLeft{Reason: "kicked"},
	})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := events.Open(raw, 7)
	if err != nil {
		t.Fatal(err)
	}
	text, err := body(stored)
	want := `{"type":"participant.left","timestamp":"1970-01-01T00:00:01.000000005Z","data":{"consultation":"` + id + `","seq":1,"position":7,"participant":"p","reason":"kicked"}}`
	if diff := cmp.Diff(want, string(text)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestTheDocumentNamesWhatIsAnnounced keeps docs/webhooks.md true.
func TestTheDocumentNamesWhatIsAnnounced(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "Without a choice of one's own")
	list, _, _ = strings.Cut(list, "Any type of the log")
	var named []events.Type
	for i, word := range strings.Split(list, "`") {
		if i%2 == 1 && word != "--type" {
			named = append(named, events.Type(word))
		}
	}
	if diff := cmp.Diff(Announced, named); diff != "" {
		t.Errorf("(-code +document):\n%s", diff)
	}
}
