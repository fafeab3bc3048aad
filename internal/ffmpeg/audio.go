package ffmpeg

import (
	"fmt"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// The form of sound between processes: little endian, interleaved. What is to be encoded is 32 bit floats. What was decoded
// has 16 bits: the noise of that is 100 dB below full scale, far below that of any codec of voices.
const (
	SampleRate = 48000
	Channels   = 2
	FullScale  = 1 << 15 // of a sample that was decoded
)

// maxVoice bounds how long decoding one file may take. A voice is decoded as fast as it is mixed, so the limit is that of
// the whole archive and not of the file.
const maxVoice = 24 * time.Hour

// DecodeVoice is the command that decodes one Ogg file with Opus and writes its samples to stdout. Damaged packets become
// silence of the same length, so that what follows them stays in its place.
func DecodeVoice(name string) (Command, error) {
	args, err := arguments(1, func() *ffgo.Stream {
		in := input("ogg", "libopus")
		in["c:a"] = "libopus" // the same samples on every processor, unlike ffmpeg's own decoder
		voice := ffgo.Input(file(name), in).Audio().Filter("aresample", ffgo.Args{
			itoa(SampleRate), "async=1", "min_hard_comp=0.01", "first_pts=0",
		})
		return ffgo.Output([]*ffgo.Stream{voice}, "pipe:1", ffgo.KwArgs{"f": "s16le", "ar": SampleRate, "ac": Channels})
	})
	if err != nil {
		return Command{}, fmt.Errorf("decode voice: %w", err)
	}
	return Command{Step: "decode", Args: append([]string{"-v", "warning", "-max_error_rate", "1"}, args...), Limit: maxVoice}, nil
}

// EncodeAudio is the command that reads samples of so many channels from stdin and writes them as AAC into an MP4 file.
func EncodeAudio(out string, bitRate, channels int) (Command, error) {
	return encodeAAC("mp4", out, bitRate, channels)
}

// coder is the search for the steps that samples are rounded to. At our bit rates the simpler of the tool's two gives the same
// number of bytes in half the time, with a quarter of the other one's error.
const coder = "fast"

func encodeAAC(format, out string, bitRate, channels int) (Command, error) {
	args, err := arguments(1, func() *ffgo.Stream {
		in := input("f32le", "pcm_f32le")
		in["protocol_whitelist"] = "pipe"
		in["ar"], in["ac"] = SampleRate, channels
		sound := ffgo.Input("pipe:0", in).Audio()
		return ffgo.Output([]*ffgo.Stream{sound}, file(out), bitexact(ffgo.KwArgs{
			"f": format, "c:a": "aac", "aac_coder": coder, "b:a": bitRate, "threads": 1,
		}))
	})
	if err != nil {
		return Command{}, fmt.Errorf("encode audio: %w", err)
	}
	return Command{Step: "encode", Args: append([]string{"-v", "warning"}, args...), Limit: maxVoice}, nil
}
