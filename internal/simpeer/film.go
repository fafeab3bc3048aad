package simpeer

import (
	"context"
	"fmt"
	"path/filepath"
)

// Film is what a participant sends that is to cost the product what a real one costs. Nothing in it can be read back: it
// has no bar, no flashes and no beeps, so Sent tells nothing of use and its Spec is of no one.
type Film struct {
	Width, Height int    // even
	Seconds       int    // the length after which everything repeats
	Kbps          int    // of the picture, without whole pictures that are asked for
	Picture       string // a graph of ffmpeg without inputs that draws FPS frames a second for ever
	Sound         string // a source of ffmpeg's that sounds for ever, 48 kHz
}

// wholeKbps is the rate at which whole pictures of a film are encoded: about 50 kB each, as browsers send them.
const wholeKbps = 12_000

// MakeFilm gives the media of a film as Make gives those of a spec: whole pictures are sent when one is asked for, at any
// frame, and the frames that follow lean on them.
func MakeFilm(ctx context.Context, dir string, f Film) (*Media, error) {
	spec := Spec{Width: f.Width, Height: f.Height, Seconds: f.Seconds}
	if f.Width%2 != 0 || f.Height%2 != 0 || f.Seconds < 1 || f.Kbps < 1 || f.Picture == "" || f.Sound == "" {
		return nil, fmt.Errorf("film: %+v is not possible", f)
	}
	return kept(ctx, dir, fmt.Sprintf("film %d %+v", mediaVersion, f), spec, func(ctx context.Context, folder string) error {
		return f.encode(ctx, folder)
	})
}

func (f Film) encode(ctx context.Context, folder string) error {
	nothing := func(func([]byte) bool) {}
	flags := fmt.Sprintf("metadata=mode=add:key=vp8-flags:value=%d", vp8Flags)
	length := fmt.Sprint(f.Seconds)
	vp8 := func(from, name string, rate int, rest ...string) []string {
		return append(append([]string{
			"-map", from, "-t", length, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-threads", "1",
			"-auto-alt-ref", "0", "-lag-in-frames", "0", "-b:v", fmt.Sprintf("%dk", rate),
		}, rest...), filepath.Join(folder, name))
	}
	args := []string{"-filter_complex", f.Picture + "," + flags + ",split[delta][whole]"}
	args = append(args, vp8("[delta]", "delta.ivf", f.Kbps, "-g", "100000", "-keyint_min", "100000")...)
	args = append(args, vp8("[whole]", "whole.ivf", wholeKbps, "-force_key_frames", "expr:1")...)
	if err := ffmpeg(ctx, nothing, args...); err != nil {
		return fmt.Errorf("encode frames: %w", err)
	}
	if err := encodeBlack(ctx, folder, f.Width, f.Height); err != nil {
		return err
	}
	err := ffmpeg(ctx, nothing,
		"-f", "lavfi", "-i", f.Sound, "-t", fmt.Sprint(2*f.Seconds+1), "-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20",
		"-page_duration", "20000", filepath.Join(folder, "sound.ogg"))
	if err != nil {
		return fmt.Errorf("encode sound: %w", err)
	}
	return nil
}
