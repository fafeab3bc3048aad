package media

import (
	"encoding/binary"

	"github.com/pion/rtp/codecs/vp9"
)

// Keyframe says whether the frame that begins with these bytes can be decoded without any frame before it, and which
// size it has (zero where that cannot be told). It may be given the first kilobyte only.
//
// H.264 must be Annex B with the parameter sets in front, AV1 a temporal unit in the low overhead format: both as IVF
// files hold them. For AV1 the answer is best effort: a temporal unit with a sequence header counts as key.
func Keyframe(c Codec, frame []byte) (key bool, width, height int) {
	switch c {
	case VP8:
		return vp8Keyframe(frame)
	case VP9:
		return vp9Keyframe(frame)
	case AV1:
		return av1Keyframe(frame)
	case H264:
		return h264Keyframe(frame)
	default:
		return false, 0, 0
	}
}

// vp8Keyframe reads the frame header of RFC 6386 §9.1: three bytes of tag, a start code, then 14 bits of width and
// height with two bits of scale above each.
func vp8Keyframe(b []byte) (bool, int, int) {
	if len(b) < 10 || b[0]&1 != 0 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return false, 0, 0
	}
	return true, int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
}

// vp9Keyframe reads the uncompressed header (VP9 bitstream specification §6.2).
func vp9Keyframe(b []byte) (bool, int, int) {
	var h vp9.Header
	if err := h.Unmarshal(b); err != nil || h.ShowExistingFrame || h.NonKeyFrame || h.FrameSize == nil {
		return false, 0, 0
	}
	return true, int(h.FrameSize.FrameWidthMinus1) + 1, int(h.FrameSize.FrameHeightMinus1) + 1
}

// bitReader reads big-endian bit fields. Past the end it reads zeros and sets short.
type bitReader struct {
	b     []byte
	at    int // in bits
	short bool
}

func (r *bitReader) bits(n int) uint64 {
	var v uint64
	for range n {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.short = true
		} else {
			v |= uint64(r.b[r.at>>3]>>(7-r.at&7)) & 1
		}
		r.at++
	}
	return v
}

func (r *bitReader) flag() bool {
	return r.bits(1) == 1
}

// golomb reads an unsigned Exp-Golomb number (H.264 §9.1); of more than 32 bits it reads 0 and sets short.
func (r *bitReader) golomb() uint64 {
	zeros := 0
	for !r.flag() {
		if zeros++; zeros > 32 || r.short {
			r.short = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// signedGolomb reads a signed Exp-Golomb number (H.264 §9.1.1).
func (r *bitReader) signedGolomb() int64 {
	k := r.golomb()
	if k&1 == 1 {
		return int64(k/2) + 1
	}
	return -int64(k / 2)
}
