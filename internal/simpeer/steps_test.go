package simpeer

import (
	"testing"

	"github.com/pion/rtp"
)

func TestWholePicture(t *testing.T) {
	const ts = 9000
	first := []byte{0x10, 0x10, 2, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0} // of a key frame, its first packet
	inter := []byte{0x10, 0x31, 2, 0, 1, 2, 3, 4, 5, 6, 7}
	rest := []byte{0x00, 1, 2, 3}
	packet := func(seq uint16, at uint32, payload []byte, last bool) *rtp.Packet {
		return &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: at, Marker: last}, Payload: payload}
	}
	for _, tt := range []struct {
		name    string
		packets []*rtp.Packet
		want    int // the packet that completes it; -1 none
	}{
		{"one packet", []*rtp.Packet{packet(1, ts, first, true)}, 0},
		{"three packets, around the end of the numbers", []*rtp.Packet{
			packet(65535, ts, first, false), packet(0, ts, rest, false), packet(1, ts, rest, true),
		}, 2},
		{"after a picture that leans on others", []*rtp.Packet{packet(1, ts, inter, true), packet(2, ts+1, first, true)}, 1},
		{"not with a packet that is missing", []*rtp.Packet{packet(1, ts, first, false), packet(3, ts, rest, true)}, -1},
		{"the next one then", []*rtp.Packet{
			packet(1, ts, first, false), packet(3, ts, rest, true), packet(4, ts+1, inter, true), packet(5, ts+2, first, true),
		}, 3},
		{"once only", []*rtp.Packet{packet(1, ts, first, true), packet(2, ts+1, first, true)}, 0},
		{"nothing whole", []*rtp.Packet{packet(1, ts, inter, true), packet(2, ts, rest, true)}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w wholePicture
			got := -1
			for i, p := range tt.packets {
				switch done := w.add(p); {
				case done && got >= 0:
					t.Errorf("packet %d completes it again", i)
				case done:
					got = i
				}
			}
			if got != tt.want {
				t.Errorf("packet %d completed it, want %d", got, tt.want)
			}
		})
	}
}
