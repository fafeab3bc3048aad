package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// AACFrame is how many samples a packet of AAC holds. Each one is heard together with the one before it: the first packet
// that an encoder writes only opens the second one, so what is encoded comes out AACFrame samples late.
const AACFrame = 1024

// EncodeADTS is the command that reads samples of so many channels from stdin and writes them as a stream of AAC packets
// (ADTS), which may be cut and joined between any two of them.
func EncodeADTS(out string, bitRate, channels int) (Command, error) {
	return encodeAAC("adts", out, bitRate, channels)
}

// ListenADTS decodes a stream of AAC packets of that length in dir, as a player would. It does not measure loudness.
func (t *Tool) ListenADTS(ctx context.Context, dir, name string, length time.Duration) (Hearing, error) {
	args, err := arguments(1, func() *ffgo.Stream {
		in := ffgo.Input(file(name), input("aac", "aac"))
		return ffgo.Output([]*ffgo.Stream{in.Audio()}, "-", ffgo.KwArgs{"f": "null", "af": "volumedetect"})
	})
	if err != nil {
		return Hearing{}, fmt.Errorf("listen: %w", err)
	}
	return t.hear(ctx, dir, args, length)
}

// errADTS says that bytes are no stream of AAC packets.
var errADTS = errors.New("not a stream of AAC packets")

// SplitADTS cuts a stream of AAC packets into its packets, each with its header (ISO 13818-7, 6.2: twelve bits of sync, and
// the length of the packet in thirteen bits from the 31st on). The packets are parts of b.
func SplitADTS(b []byte) ([][]byte, error) {
	const header = 7
	var all [][]byte
	for len(b) > 0 {
		if len(b) < header || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
			return nil, fmt.Errorf("%w: packet %d has no header", errADTS, len(all))
		}
		length := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		if length < header || length > len(b) || b[6]&3 != 0 {
			return nil, fmt.Errorf("%w: packet %d has %d bytes of %d", errADTS, len(all), length, len(b))
		}
		all = append(all, b[:length:length])
		b = b[length:]
	}
	return all, nil
}

// BodyADTS is a packet of SplitADTS without its header, as MP4 files have it.
func BodyADTS(packet []byte) []byte {
	const header, checksum = 7, 2
	if packet[1]&1 == 0 {
		return packet[min(len(packet), header+checksum):]
	}
	return packet[header:]
}

// ConfigADTS is what the header of a packet of SplitADTS says of how it is encoded, as MP4 files have it: the kind of AAC, the
// rate and the channels (AudioSpecificConfig, ISO/IEC 14496-3, 1.6.2.1; the header counts kinds from 0).
func ConfigADTS(packet []byte) []byte {
	kind, rate, channels := packet[2]>>6+1, packet[2]>>2&0x0f, packet[2]&1<<2|packet[3]>>6
	return []byte{kind<<3 | rate>>1, rate<<7 | channels<<3}
}
