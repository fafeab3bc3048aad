package media

import (
	"errors"
	"fmt"
)

// OpusRate is the number of samples a second that durations and granules of Opus count, whatever was captured.
const OpusRate = 48000

// maxOpusPacket is the longest packet that RFC 6716 §3.2.5 allows, in samples: 120 ms.
const maxOpusPacket = 120 * OpusRate / 1000

// ErrBadOpus says that bytes are no Opus packet.
var ErrBadOpus = errors.New("not an Opus packet")

// OpusDuration gives the length of a packet in samples at 48 kHz. It reads the TOC byte and the frame count
// (RFC 6716 §3.1, §3.2), not the frames.
func OpusDuration(packet []byte) (int, error) {
	if len(packet) == 0 {
		return 0, fmt.Errorf("%w: no TOC byte", ErrBadOpus)
	}
	frames := 1
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, fmt.Errorf("%w: no frame count", ErrBadOpus)
		}
		frames = int(packet[1] & 0x3f)
	}
	samples := frames * opusFrame(packet[0]>>3)
	if samples == 0 || samples > maxOpusPacket {
		return 0, fmt.Errorf("%w: %d frames of %d samples", ErrBadOpus, frames, opusFrame(packet[0]>>3))
	}
	return samples, nil
}

// opusFrame is the frame size of a configuration number (RFC 6716 table 2) in samples at 48 kHz.
func opusFrame(config byte) int {
	const ms = OpusRate / 1000
	switch {
	case config < 12: // SILK
		return [4]int{10 * ms, 20 * ms, 40 * ms, 60 * ms}[config&3]
	case config < 16: // hybrid
		return [2]int{10 * ms, 20 * ms}[config&1]
	default: // CELT
		return [4]int{5 * ms / 2, 5 * ms, 10 * ms, 20 * ms}[config&3]
	}
}

// Lengths of the silent packets that OpusSilence gives, in samples at 48 kHz.
const (
	OpusSilenceLongest  = 20 * OpusRate / 1000
	OpusSilenceShortest = 5 * OpusRate / 2000
)

// OpusSilence gives the longest silent packet of at most samples (20, 10, 5 or 2.5 ms) and its length; nil and 0 below
// 2.5 ms. The packets are shared and must not be changed.
func OpusSilence(samples int64) ([]byte, int) {
	for i, packet := range opusSilences {
		if n := OpusSilenceLongest >> i; samples >= int64(n) {
			return packet, n
		}
	}
	return nil, 0
}

// opusSilences are CELT full band mono frames of 20, 10, 5 and 2.5 ms that decode to silence.
var opusSilences = [4][]byte{{0xf8, 0xff, 0xfe}, {0xf0, 0xff, 0xfe}, {0xe8, 0xff, 0xfe}, {0xe0, 0xff, 0xfe}}
