package ffmpeg

import (
	"fmt"
	"strconv"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Storyboard is small pictures of keyframes.
type Storyboard struct {
	Count         int64 // keyframes
	Width, Height int   // of a small picture, even
}

// Bytes is how large one small picture is.
func (s Storyboard) Bytes() int { return s.Width * s.Height * 3 / 2 }

// Command decodes keyframes, which it reads from stdin as a stream of H.264 (annex B) that holds nothing else, and writes
// each one small to stdout: the planes of 4:2:0 in full range, BT.601, one picture behind the other, as JPEG has them. It
// leaves the loop filter out, which nobody sees in a small picture, and which finds no damage.
func (s Storyboard) Command() (Command, error) {
	if s.Count <= 0 {
		return Command{}, fmt.Errorf("storyboard: %w", errNothing)
	}
	args, err := arguments(1, func() *ffgo.Stream {
		in := input("h264", "h264")
		in["protocol_whitelist"] = "pipe"
		in["skip_loop_filter"] = "all"
		in["probesize"] = 32 // the first picture tells all: otherwise up to seven are decoded twice
		pictures := ffgo.Input("pipe:0", in).Video().
			Filter("scale", ffgo.Args{itoa(s.Width), itoa(s.Height), "out_range=full", "flags=" + scaleFlags}).
			Filter("format", ffgo.Args{"yuv420p"}).
			// Keyframes alone have no times that mean anything: each of them is one picture.
			Filter("settb", ffgo.Args{"1/25"}).
			Filter("setpts", ffgo.Args{"N"})
		return ffgo.Output([]*ffgo.Stream{pictures}, "pipe:1", bitexact(ffgo.KwArgs{
			"f": "rawvideo", "pix_fmt": "yuv420p", "r": 25, "frames:v": strconv.FormatInt(s.Count, 10), "threads": 1,
		}))
	})
	if err != nil {
		return Command{}, fmt.Errorf("storyboard: %w", err)
	}
	return Command{
		Step: "storyboard", Args: append([]string{"-v", "warning"}, args...), Frames: s.Count,
		Limit: time.Minute + time.Duration(s.Count)*slowest*time.Second/10,
	}, nil
}
