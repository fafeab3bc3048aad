package media

import (
	"testing"

	"github.com/pion/rtp/codecs"
)

func TestOnlyTheFirstPacketOfAPictureStartsIt(t *testing.T) {
	picture := make([]byte, 3000)
	copy(picture, []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00}) // a whole picture of VP8, 320 × 180
	key9 := append([]byte{0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x30}, picture...)
	for _, tt := range []struct {
		name     string
		codec    Codec
		payloads [][]byte
	}{
		{"VP8", VP8, (&codecs.VP8Payloader{EnablePictureID: true}).Payload(1000, picture)},
		{"VP9", VP9, (&codecs.VP9Payloader{}).Payload(1000, key9)},
		{"AV1", AV1, (&codecs.AV1Payloader{}).Payload(1000, append([]byte{0x0a, 0x01, 0x00, 0x32, 0xb8, 0x17}, picture...))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.payloads) < 3 {
				t.Fatalf("the picture became %d packets", len(tt.payloads))
			}
			for i, p := range tt.payloads {
				if got := StartsPicture(tt.codec, p); got != (i == 0) {
					t.Errorf("packet %d of %d starts a picture: %t", i, len(tt.payloads), got)
				}
			}
		})
	}
	for _, tt := range []struct {
		name    string
		codec   Codec
		payload []byte
	}{
		{"padding", VP8, nil},
		{"H.264, of which nobody knows", H264, []byte{0x7c, 0x05}},
	} {
		if !StartsPicture(tt.codec, tt.payload) {
			t.Errorf("%s is not taken for a beginning", tt.name)
		}
	}
}
