package ffmpeg

import (
	"fmt"
	"strconv"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Storyboard is a sheet of small pictures of a finished file, row by row, one every Every from its start.
type Storyboard struct {
	File          string // MP4
	Length        time.Duration
	Every         time.Duration
	Width, Height int // of one picture, even
	Columns       int
	Out           string // JPEG
}

// Count is how many pictures are on it.
func (s Storyboard) Count() int {
	return max(1, int((s.Length+s.Every-1)/s.Every))
}

// Command decodes the keyframes, all of them and nothing else, so that a file that does not decode is found out too.
func (s Storyboard) Command() (Command, error) {
	if s.Every <= 0 || s.Columns <= 0 {
		return Command{}, fmt.Errorf("storyboard: %w", errNothing)
	}
	rows := (s.Count() + s.Columns - 1) / s.Columns
	args, err := arguments(1, func() *ffgo.Stream {
		in := ffgo.Input(file(s.File), ffgo.KwArgs{
			"f": "mp4", "format_whitelist": "mp4,mov,mov,mp4,m4a,3gp,3g2,mj2", "protocol_whitelist": "file",
			"codec_whitelist": "h264", "skip_frame": "nokey", "threads": 1,
		}).Video().
			Filter("scale", ffgo.Args{itoa(s.Width), itoa(s.Height), "flags=" + scaleFlags}).
			// The last picture goes on until the sheet is full: a single one would be dropped, because nothing says how long it lasts.
			Filter("tpad", ffgo.Args{"stop=-1", "stop_mode=clone"}).
			Filter("fps", ffgo.Args{"fps=" + strconv.FormatFloat(1/s.Every.Seconds(), 'f', -1, 64), "start_time=0"}).
			Filter("tile", ffgo.Args{itoa(s.Columns) + "x" + itoa(rows)})
		return ffgo.Output([]*ffgo.Stream{in}, file(s.Out), bitexact(ffgo.KwArgs{"f": "image2", "update": 1, "frames:v": 1, "c:v": "mjpeg", "q:v": 5, "threads": 1}))
	})
	if err != nil {
		return Command{}, fmt.Errorf("storyboard: %w", err)
	}
	return Command{Step: "storyboard", Args: append([]string{"-v", "warning"}, args...), Limit: time.Minute + s.Length}, nil
}
