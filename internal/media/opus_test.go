package media

import (
	"errors"
	"fmt"
	"testing"
)

func TestOpusDurationReadsEveryConfiguration(t *testing.T) {
	// RFC 6716 table 2, frame sizes in tenths of a millisecond by configuration.
	sizes := [32]int{
		100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600,
		100, 200, 100, 200,
		25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200,
	}
	for config, tenths := range sizes {
		one := tenths * 48 / 10
		for _, tt := range []struct {
			packet []byte
			frames int
		}{
			{[]byte{byte(config << 3)}, 1},
			{[]byte{byte(config<<3) | 4, 1, 2, 3}, 1}, // stereo
			{[]byte{byte(config<<3) | 1, 1, 2}, 2},
			{[]byte{byte(config<<3) | 2, 1, 2, 3}, 2},
			{[]byte{byte(config<<3) | 3, 0xc2, 1, 2, 3}, 2}, // VBR and padding bits are not part of the count
		} {
			t.Run(fmt.Sprintf("configuration %d, code %d", config, tt.packet[0]&3), func(t *testing.T) {
				got, err := OpusDuration(tt.packet)
				if err != nil || got != one*tt.frames {
					t.Errorf("%x lasts %d (%v), want %d", tt.packet, got, err, one*tt.frames)
				}
			})
		}
	}
}

func TestOpusDurationRefusesWhatIsNoPacket(t *testing.T) {
	tests := map[string][]byte{
		"nothing at all":           {},
		"a frame count is missing": {3},
		"no frames":                {3, 0},
		"three frames of 60 ms":    {3<<3 | 3, 3},
		"forty-nine frames of 2.5": {16<<3 | 3, 49},
		"sixty-three frames of 20": {31<<3 | 3, 63},
	}
	for name, packet := range tests {
		t.Run(name, func(t *testing.T) {
			if n, err := OpusDuration(packet); !errors.Is(err, ErrBadOpus) {
				t.Errorf("%x lasts %d, error %v; want ErrBadOpus", packet, n, err)
			}
		})
	}
}

func TestOpusSilenceFillsDownToItsShortestPacket(t *testing.T) {
	left, packets := int64(3*960+480+240+120+119), 0
	for {
		packet, n := OpusSilence(left)
		if packet == nil {
			break
		}
		if d, err := OpusDuration(packet); err != nil || d != n {
			t.Fatalf("silence %x lasts %d (%v), said to be %d", packet, d, err, n)
		}
		left -= int64(n)
		packets++
	}
	if left != 119 || packets != 6 {
		t.Errorf("filled with %d packets, %d samples left; want 6 and 119", packets, left)
	}
}

func FuzzOpusDuration(f *testing.F) {
	f.Add([]byte{0xf8, 0xff, 0xfe})
	f.Add([]byte{0xff, 0x3f})
	f.Fuzz(func(t *testing.T, packet []byte) {
		n, err := OpusDuration(packet)
		switch {
		case err == nil && (n < 120 || n > 5760 || n%120 != 0):
			t.Errorf("%x lasts %d samples", packet, n)
		case err != nil && n != 0:
			t.Errorf("%x: error and %d samples", packet, n)
		}
	})
}
