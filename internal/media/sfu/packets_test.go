package sfu

import (
	"testing"

	"github.com/pion/rtp"
)

func TestSlabPacketsAreNeverWrittenAgain(t *testing.T) {
	var s slab
	var kept []*rtp.Packet
	for n := range 1000 {
		raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(n)}, Payload: payload(uint64(n))}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if n%5 == 0 { // nothing but padding
			raw = []byte{0xa0, 96, byte(n >> 8), byte(n), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}
		}
		p, err := s.take(copy(s.buffer(), raw))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, p)
	}
	for n, p := range kept {
		want := payload(uint64(n))
		if n%5 == 0 {
			want = []byte{}
		}
		if p.SequenceNumber != uint16(n) || string(p.Payload) != string(want) || p.Padding || p.PaddingSize != 0 {
			t.Fatalf("packet %d is %+v", n, p.Header)
		}
	}
	if _, err := s.take(copy(s.buffer(), []byte{1, 2})); err == nil {
		t.Error("two bytes are a packet")
	}
}
