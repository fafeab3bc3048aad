package media

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestREDIsTakenApart(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		want    []REDBlock // nil: refused
	}{
		{"one redundant block, as Chromium sends it", []byte{0x80 | 111, 0x0f, 0x00, 2, 111, 'a', 'b', 'c', 'd', 'e'}, []REDBlock{
			{111, 960, []byte("ab")}, {111, 0, []byte("cde")},
		}},
		{"two", []byte{0x80 | 111, 0x1e, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 'a', 'b', 'c', 'd'}, []REDBlock{
			{111, 1920, []byte("a")}, {111, 960, []byte("bc")}, {111, 0, []byte("d")},
		}},
		{"none", []byte{111, 'a'}, []REDBlock{{111, 0, []byte("a")}}},
		{"the largest offset and length", append([]byte{0xff, 0xff, 0xff, 0xff, 1}, make([]byte, 1023)...), []REDBlock{
			{127, 1<<14 - 1, make([]byte, 1023)}, {1, 0, []byte{}},
		}},
		{"empty", nil, nil},
		{"a header is cut off", []byte{0x80 | 111, 0x0f, 0x00}, nil},
		{"no primary block", []byte{0x80 | 111, 0x0f, 0x00, 0}, nil},
		{"a block longer than the packet", []byte{0x80 | 111, 0x0f, 0x00, 9, 111, 'a'}, nil},
		{"a redundant block that is not older", []byte{0x80 | 111, 0, 0, 1, 111, 'a', 'b'}, nil},
		{"blocks in the wrong order", []byte{0x80 | 111, 0x0f, 0, 1, 0x80 | 111, 0x1e, 0, 1, 111, 'a', 'b', 'c'}, nil},
		{"blocks without end", bytes.Repeat([]byte{0x80 | 111, 0x0f, 0x00, 0}, 300), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRED(nil, tt.payload)
			if tt.want == nil {
				if !errors.Is(err, ErrBadRED) || len(got) != 0 {
					t.Fatalf("%v, error %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if again := AppendRED(nil, got...); !bytes.Equal(again, tt.payload) {
				t.Errorf("written again it is % x, was % x", again, tt.payload)
			}
		})
	}
}

// FuzzRED: no bytes make it panic, and what it takes apart is the payload and nothing else.
func FuzzRED(f *testing.F) {
	f.Add([]byte{0x80 | 111, 0x0f, 0x00, 2, 111, 'a', 'b', 'c', 'd', 'e'})
	f.Add([]byte{0x80 | 111, 0x1e, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 'a', 'b', 'c', 'd'})
	f.Add([]byte{111})
	f.Fuzz(func(t *testing.T, payload []byte) {
		blocks, err := ParseRED(nil, payload)
		if err != nil {
			return
		}
		if again := AppendRED(nil, blocks...); !bytes.Equal(again, payload) {
			t.Fatalf("% x\nis taken apart as %v\nwhich is\n% x", payload, blocks, again)
		}
		for i, b := range blocks {
			if (b.Offset == 0) != (i == len(blocks)-1) {
				t.Fatalf("block %d of %d has offset %d", i, len(blocks), b.Offset)
			}
		}
	})
}
