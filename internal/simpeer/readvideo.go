package simpeer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shot is what one frame of a video shows of one participant.
type Shot struct {
	At      time.Duration // presentation time in the video
	Picture int           // index of the rectangle
	Reading
}

// Pictures lists for a participant (Who) all rectangles, in pixels of the video, that its picture may fill. Where tiles
// move as people come and go, that is those of every layout: the bar says which one holds whom at a time.
type Pictures map[int][]image.Rectangle

// ReadVideo decodes the first video stream of a file and reads every frame. What cannot be read is left out. It needs
// ffmpeg and ffprobe in PATH.
func ReadVideo(ctx context.Context, path string, where Pictures) (map[int][]Shot, error) {
	shots := map[int][]Shot{}
	err := eachFrame(ctx, path, func(at time.Duration, img *image.Gray) {
		for who, rectangles := range where {
			for i, r := range rectangles {
				if reading, ok := ReadFrame(img, r); ok && reading.Who == who {
					shots[who] = append(shots[who], Shot{At: at, Picture: i, Reading: reading})
					break
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return shots, nil
}

// eachFrame calls f with every frame; img is used again for the next.
func eachFrame(ctx context.Context, path string, f func(at time.Duration, img *image.Gray)) error {
	width, height, times, err := probeVideo(ctx, path)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:v:0",
		"-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg (./task setup installs it): %w", err)
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	in := bufio.NewReaderSize(stdout, len(img.Pix))
	n := 0
	for ; ; n++ {
		if _, err = io.ReadFull(in, img.Pix); err != nil {
			break
		}
		if n < len(times) {
			f(times[n], img)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("decode: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if n != len(times) {
		return fmt.Errorf("%d frames were decoded of %d", n, len(times))
	}
	return nil
}

// probeVideo gives the size of a video and the presentation times of its frames, in order.
func probeVideo(ctx context.Context, path string) (width, height int, times []time.Duration, err error) {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json",
		"-show_entries", "stream=width,height:packet=pts_time,flags", path).Output()
	if err != nil {
		return 0, 0, nil, fmt.Errorf("ffprobe: %w", err)
	}
	var probed struct {
		Streams []struct{ Width, Height int }
		Packets []struct {
			PTS   string `json:"pts_time"`
			Flags string
		}
	}
	if err := json.Unmarshal(out, &probed); err != nil {
		return 0, 0, nil, fmt.Errorf("ffprobe: %w", err)
	}
	if len(probed.Streams) == 0 {
		return 0, 0, nil, errors.New("there is no video")
	}
	for _, p := range probed.Packets {
		if strings.Contains(p.Flags, "D") {
			continue // to be decoded and not shown
		}
		seconds, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil {
			return 0, 0, nil, fmt.Errorf("ffprobe: a packet without a time: %w", err)
		}
		times = append(times, time.Duration(seconds*float64(time.Second)))
	}
	slices.Sort(times)
	return probed.Streams[0].Width, probed.Streams[0].Height, times, nil
}
