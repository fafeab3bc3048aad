package sfu

import (
	"testing"

	"github.com/pion/rtp"
)

func TestHistoryHoldsTheNewest(t *testing.T) {
	h := &history{}
	for n := range 3 * historySize {
		h.add(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n + 65_000)}})
	}
	newest := 65_000 + 3*historySize - 1
	for _, tt := range []struct {
		name string
		seq  int
		want bool
	}{
		{"the newest", newest, true},
		{"the oldest that fits", newest - historySize + 1, true},
		{"one that fits no more", newest - historySize, false},
		{"one that has not come", newest + 1, false},
	} {
		p := h.get(uint16(tt.seq))
		if got := p != nil; got != tt.want || got && p.SequenceNumber != uint16(tt.seq) {
			t.Errorf("%s: got %v", tt.name, p)
		}
	}
}
