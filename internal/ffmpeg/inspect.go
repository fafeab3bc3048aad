package ffmpeg

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Findings are what a look at a finished archive tells. Everything is decoded once, as a player would.
type Findings struct {
	Frames       int64         // decoded
	DecodeErrors int           // of the archive itself: 0 unless it is broken
	Frozen       time.Duration // nothing in the picture moved for 2 seconds or more; cards do not move
	Black        time.Duration // the whole picture was black for half a second or more
	Loudness     float64       // integrated, EBU R 128, in LUFS; -70 is silence
}

// silenceLUFS is what R 128 gives for silence: the absolute gate.
const silenceLUFS = -70

// Inspect decodes an archive of that length in dir.
func (t *Tool) Inspect(ctx context.Context, dir, name string, hasVideo bool, length time.Duration, frames func(int64)) (Findings, error) {
	args, err := arguments(1, func() *ffgo.Stream {
		in := ffgo.Input(file(name), ffgo.KwArgs{
			"f": "mp4", "format_whitelist": "mp4,mov,mov,mp4,m4a,3gp,3g2,mj2", "protocol_whitelist": "file", "codec_whitelist": "h264,aac,bin_data",
		})
		// framelog=verbose keeps ten lines a second of loudness out of the log.
		options := ffgo.KwArgs{"f": "null", "af": "ebur128=framelog=verbose"}
		streams := []*ffgo.Stream{in.Audio()}
		if hasVideo {
			options["vf"] = "freezedetect=n=-60dB:d=2,blackdetect=d=0.5:pix_th=0.05"
			streams = append([]*ffgo.Stream{in.Video()}, streams...)
		}
		return ffgo.Output(streams, "-", options)
	})
	if err != nil {
		return Findings{}, fmt.Errorf("inspect: %w", err)
	}
	log := findings{length: length.Seconds(), froze: math.NaN()}
	res, err := t.Run(ctx, dir, Command{
		Step: "inspect", Args: append([]string{"-v", "info"}, args...), Limit: time.Minute + slowest*length,
	}, Pipes{Frames: frames, Log: &log})
	if err != nil {
		return Findings{}, err
	}
	log.end()
	f := Findings{Frames: res.Frames, DecodeErrors: res.DecodeErrors, Loudness: silenceLUFS}
	f.Frozen, f.Black = seconds(log.frozen), seconds(log.black)
	if log.loudness < 0 {
		f.Loudness = log.loudness
	}
	return f, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// findings reads the log of an inspection line by line.
type findings struct {
	length   float64 // seconds
	froze    float64 // since when the picture stands still, NaN when it moves
	frozen   float64
	black    float64
	loudness float64
	line     []byte
}

// Write takes the log; exec calls it. It never fails.
func (f *findings) Write(p []byte) (int, error) {
	f.line = append(f.line, p...)
	for {
		line, rest, ok := bytes.Cut(f.line, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		f.read(string(line))
		f.line = append(f.line[:0], rest...)
	}
}

func (f *findings) read(line string) {
	if v, ok := valueAfter(line, "freezedetect.freeze_start: "); ok {
		f.froze = v
	}
	if v, ok := valueAfter(line, "freezedetect.freeze_duration: "); ok {
		f.frozen += v
		f.froze = math.NaN()
	}
	if v, ok := valueAfter(line, "black_duration:"); ok {
		f.black += v
	}
	if v, ok := valueAfter(line, " I: "); ok {
		f.loudness = v // the summary comes last
	}
}

// end closes a standstill that lasted to the end: ffmpeg does not report its length.
func (f *findings) end() {
	if !math.IsNaN(f.froze) {
		f.frozen += max(0, f.length-f.froze)
	}
}

// valueAfter finds the number behind a key.
func valueAfter(line, key string) (float64, bool) {
	_, rest, ok := strings.Cut(line, key)
	if !ok {
		return 0, false
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(words[0], 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}
