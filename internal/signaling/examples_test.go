package signaling

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// messages names every message of the protocol and the Go type that carries it.
var messages = map[string]func() any{
	"hello": func() any { return &Hello{} }, "join": func() any { return &Join{} }, "offer": func() any { return &Offer{} },
	"candidate": func() any { return &Candidate{} }, "mute": func() any { return &Mute{} }, "leave": func() any { return &Leave{} },
	"hindered": func() any { return &Hindered{} }, "checked": func() any { return &Checked{} },
	"end": func() any { return &End{} }, "ping": func() any { return &Ping{} },
	"welcome": func() any { return &Welcome{} }, "state": func() any { return &State{} }, "answer": func() any { return &Answer{} },
	"please_offer": func() any { return &PleaseOffer{} }, "ended": func() any { return &Ended{} },
	"moved": func() any { return &Moved{} }, "pong": func() any { return &Pong{} }, "error": func() any { return &Error{} },
}

// The examples are read by the front end's tests too: both sides speak one language.
func TestEveryExampleIsAMessageAndEveryMessageHasAnExample(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var example map[string]any
		if err := json.Unmarshal(raw, &example); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		kind, _ := example["type"].(string)
		seen[kind] = true
		fresh, ok := messages[kind]
		if !ok {
			t.Errorf("%s: type %q is no message", file, kind)
			continue
		}
		for _, common := range []string{"type", "id", "re"} {
			delete(example, common)
		}
		body, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		message := fresh()
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(message); err != nil {
			t.Errorf("%s does not decode: %v", file, err)
			continue
		}
		again, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(example, back); d != "" {
			t.Errorf("%s changes on its way through Go:\n%s", file, d)
		}
	}
	for kind := range messages {
		if !seen[kind] {
			t.Errorf("message %q has no example", kind)
		}
	}
}

func TestEncodePutsTypeAndReInFront(t *testing.T) {
	re := int64(7)
	for _, tt := range []struct {
		name    string
		kind    string
		re      *int64
		message any
		want    string
	}{
		{"an empty message", "pong", nil, Pong{}, `{"type":"pong"}`},
		{"an empty answer", "pong", &re, Pong{}, `{"type":"pong","re":7}`},
		{"a message with fields", "ended", nil, Ended{Reason: "left"}, `{"type":"ended","reason":"left"}`},
		{"an answer with fields", "error", &re, Error{Code: "ended", Message: "Over."}, `{"type":"error","re":7,"code":"ended","message":"Over."}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := encode(tt.kind, tt.re, tt.message)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Fatal(d)
			}
		})
	}
}

// FuzzDecode proves that no message of a client can make a handler's decoding panic.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var req request
		if json.Unmarshal(raw, &req) != nil {
			return
		}
		fresh, ok := messages[strings.ToLower(req.Type)]
		if !ok {
			return
		}
		message := fresh()
		if json.Unmarshal(raw, message) != nil {
			return
		}
		if _, err := encode(req.Type, req.ID, message); err != nil {
			t.Fatalf("a decoded %s cannot be encoded: %v", req.Type, err)
		}
	})
}
