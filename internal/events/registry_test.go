package events

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Nothing has changed its meaning yet, so the chain of upcasters is tried with tables of its own.
func TestUpcastersLiftStepByStep(t *testing.T) {
	const name = TypeParticipantLeft
	dec := map[form]decoder{{name, 3}: as[ParticipantLeft]}
	up := map[form]upcaster{
		{name, 1}: func(m map[string]any) map[string]any {
			m["why"] = m["cause"].(string) + "ed"
			return m
		},
		{name, 2}: func(m map[string]any) map[string]any { return map[string]any{"reason": m["why"]} },
		{"a.b", 1}: func(m map[string]any) map[string]any {
			m["seen"] = true
			return m
		},
	}
	tests := []struct {
		desc    string
		name    Type
		version int
		raw     string
		want    Event
	}{
		{"the newest version needs no lift", name, 3, `{"reason":"left"}`, ParticipantLeft{Reason: "left"}},
		{"version 2 is lifted once", name, 2, `{"why":"left"}`, ParticipantLeft{Reason: "left"}},
		{"version 1 is lifted twice", name, 1, `{"cause":"kick"}`, ParticipantLeft{Reason: "kicked"}},
		{"a version from the future stays as it is", name, 4, `{"x":1}`, Unknown{Name: name, Version: 4, Raw: []byte(`{"x":1}`)}},
	}
	for _, tt := range tests {
		t.Run(tt.desc, func(t *testing.T) {
			got, err := decodeWith(dec, up, tt.name, tt.version, json.RawMessage(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a lift of broken data names type and version", func(t *testing.T) {
		_, err := decodeWith(dec, up, name, 1, json.RawMessage(`[]`))
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "participant.left from version 1") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("large integers keep every digit", func(t *testing.T) {
		same := map[form]upcaster{{TypeSegmentDiscontinuity, 0}: func(m map[string]any) map[string]any { return m }}
		raw := json.RawMessage(`{"rtp_before":9007199254740993}`)
		got, err := decodeWith(decoders, same, TypeSegmentDiscontinuity, 0, raw)
		if want := (SegmentDiscontinuity{RTPBefore: 1<<53 + 1}); err != nil || got != Event(want) {
			t.Errorf("got %#v, %v", got, err)
		}
	})
	t.Run("a chain that leads nowhere leaves the event as it was stored", func(t *testing.T) {
		got, err := decodeWith(dec, up, "a.b", 1, json.RawMessage(`{"x":1}`))
		want := Unknown{Name: "a.b", Version: 1, Raw: []byte(`{"x":1}`)}
		if err != nil || cmp.Diff(Event(want), got) != "" {
			t.Errorf("got %#v, %v", got, err)
		}
	})
}

func TestEveryUpcasterEndsAtADecoder(t *testing.T) {
	for f := range upcasters {
		next := form{f.name, f.version + 1}
		if decoders[next] == nil && upcasters[next] == nil {
			t.Errorf("%s version %d is lifted to a version that nobody reads", f.name, f.version)
		}
	}
}
