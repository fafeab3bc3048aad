package ffmpeg

import (
	"bytes"
	"testing"
)

// packet is a packet of ADTS with so many bytes behind its header.
func adtsPacket(n int) []byte {
	length := 7 + n
	b := []byte{0xff, 0xf1, 0x4c, 0x80 | byte(length>>11), byte(length >> 3), byte(length<<5) | 0x1f, 0xfc}
	return append(b, bytes.Repeat([]byte{0xff}, n)...) // what looks like sync words
}

func TestPacketsOfAACAreCutApart(t *testing.T) {
	want := [][]byte{adtsPacket(0), adtsPacket(300), adtsPacket(5)}
	whole := bytes.Join(want, nil)
	got, err := SplitADTS(whole)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d packets, %v", len(got), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d: %x", i, got[i])
		}
	}
	for name, bad := range map[string][]byte{
		"it ends in a packet": whole[:len(whole)-1],
		"it ends in a header": append(bytes.Clone(whole), 0xff, 0xf1),
		"something else":      []byte("RIFF....WAVE"),
		"a length of nothing": {0xff, 0xf1, 0x4c, 0x80, 0, 0x1f, 0xfc},
	} {
		if _, err := SplitADTS(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The header and what is behind it, as MP4 files have them.
func TestAPacketWithoutItsHeader(t *testing.T) {
	for name, test := range map[string]struct{ packet, config, body []byte }{
		"LC, 48 kHz, two channels":                {[]byte{0xff, 0xf1, 0x4c, 0x80, 1, 0x3f, 0xfc, 1, 2}, []byte{0x11, 0x90}, []byte{1, 2}},
		"LC, 44.1 kHz, one channel, a checksum":   {[]byte{0xff, 0xf0, 0x50, 0x40, 1, 0x7f, 0xfc, 9, 9, 1}, []byte{0x12, 0x08}, []byte{1}},
		"main, 8 kHz, seven channels and nothing": {[]byte{0xff, 0xf1, 0x2d, 0xc0, 0, 0xff, 0xfc}, []byte{0x0d, 0xb8}, []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			if config, body := ConfigADTS(test.packet), BodyADTS(test.packet); !bytes.Equal(config, test.config) || !bytes.Equal(body, test.body) {
				t.Errorf("config %x, body %x", config, body)
			}
		})
	}
}

func FuzzSplitADTS(f *testing.F) {
	f.Add(adtsPacket(3))
	f.Add(append(adtsPacket(0), adtsPacket(40)...))
	f.Add([]byte{0xff, 0xf1, 0x4c})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := SplitADTS(b)
		if err == nil && !bytes.Equal(bytes.Join(all, nil), b) {
			t.Error("the packets are not the whole")
		}
	})
}
