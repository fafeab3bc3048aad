package events

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// history seals n events one after another.
func history(t *testing.T, n int) []Stored {
	t.Helper()
	var all []Stored
	var at Version
	for i := range n {
		d := draftOf(TrackStalled{Track: "019ab000-0000-7000-8000-000000000031", AfterMS: int64(i)})
		d.ID = NewID()
		raw, next, err := Seal(consultation, at, d)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(raw, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		all, at = append(all, s), next
	}
	return all
}

func TestChain(t *testing.T) {
	other := history(t, 5)
	tests := []struct {
		name   string
		change func([]Stored) []Stored
		gap    *GapError
		want   error
	}{
		{name: "an untouched consultation passes", change: func(h []Stored) []Stored { return h }},
		{
			name:   "an event is missing at the start",
			change: func(h []Stored) []Stored { return h[1:] },
			gap:    &GapError{Consultation: consultation, Want: 1, Got: 2},
		},
		{
			name:   "an event is missing in the middle",
			change: func(h []Stored) []Stored { return append(h[:2], h[3:]...) },
			gap:    &GapError{Consultation: consultation, Want: 3, Got: 4},
		},
		{
			name:   "an event comes twice",
			change: func(h []Stored) []Stored { return []Stored{h[0], h[0]} },
			gap:    &GapError{Consultation: consultation, Want: 2, Got: 1},
		},
		{
			name:   "an event was replaced by another one with the same number",
			change: func(h []Stored) []Stored { h[2] = other[2]; return h },
			want:   ErrCorrupt,
		},
		{
			name:   "the first event pretends that there was one before it",
			change: func(h []Stored) []Stored { h[0].PrevHash = HashOf(nil); return h },
			want:   ErrCorrupt,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Chain
			var err error
			var last Version
			for _, s := range tt.change(history(t, 5)) {
				if err = c.Next(s); err != nil {
					break
				}
				last = s.Version()
			}
			if diff := cmp.Diff(last, c.At()); diff != "" {
				t.Errorf("the chain stands elsewhere (-want +got):\n%s", diff)
			}
			var gap *GapError
			if errors.As(err, &gap); cmp.Diff(tt.gap, gap) != "" {
				t.Errorf("gap (-want +got):\n%s", cmp.Diff(tt.gap, gap))
			}
			if tt.gap == nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
