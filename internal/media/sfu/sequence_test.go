package sfu

import (
	"testing"
)

func TestSequence(t *testing.T) {
	tests := []struct {
		name     string
		in       []uint16
		want     []bool
		expected uint64
	}{
		{"in order", []uint16{7, 8, 9}, []bool{true, true, true}, 3},
		{"twice", []uint16{7, 7, 8, 8, 7}, []bool{true, false, true, false, false}, 2},
		{"late ones pass once", []uint16{10, 13, 11, 12, 11}, []bool{true, true, true, true, false}, 4},
		{"before the first", []uint16{10, 9, 9}, []bool{true, true, false}, 1},
		{"before the first, over the wrap", []uint16{2, 65535, 65535, 3}, []bool{true, true, false, true}, 2},
		{"over the wrap", []uint16{65534, 65535, 0, 1, 65535, 65533}, []bool{true, true, true, true, false, true}, 4},
		{"a hole as large as the window forgets", []uint16{0, 2000, 1999, 2000, 1000}, []bool{true, true, true, false, true}, 2001},
		{"too old", []uint16{5000, 5000 - seqWindow}, []bool{true, false}, 1},
		{"a jump is believed when two follow each other", []uint16{100, 30_000, 30_001, 30_002, 101}, []bool{true, false, true, true, false}, 3},
		{"one stray packet changes nothing", []uint16{100, 30_000, 101, 102, 30_001}, []bool{true, false, true, true, false}, 3},
		{"back to the beginning", []uint16{40_000, 0, 1, 2, 1}, []bool{true, false, true, true, false}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s sequence
			for i, seq := range tt.in {
				if got := s.accept(seq); got != tt.want[i] {
					t.Errorf("packet %d, number %d: accepted %v, want %v", i, seq, got, tt.want[i])
				}
			}
			if s.expected != tt.expected {
				t.Errorf("expected counts %d, want %d", s.expected, tt.expected)
			}
		})
	}
}

// FuzzSequence compares with a memory that forgets nothing: no number within the window passes twice, and what is ahead
// by a little always passes.
func FuzzSequence(f *testing.F) {
	f.Add([]byte{1, 1, 1, 255, 2, 0, 1})
	f.Add([]byte{200, 200, 100, 128, 127, 3, 253})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var s sequence
		at := int64(1 << 16)
		passed := map[int64]bool{}
		s.accept(uint16(at))
		passed[at], s.bad = true, -1
		for _, step := range steps {
			n := at + int64(int8(step))
			fresh := s.accept(uint16(n))
			if want := !passed[n] && n > at-seqWindow; fresh != want {
				t.Fatalf("number %d after %d: accepted %v, want %v", n, at, fresh, want)
			}
			passed[n] = true
			at = max(at, n)
		}
	})
}
