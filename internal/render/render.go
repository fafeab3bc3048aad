// Package render decides what an archive shows and sounds like: a timeline becomes scenes between two changes of the
// layout, scenes become chunks of at most half a minute, sound becomes voices with their places, events become chapters.
//
// In come a timeline.Timeline, a Sheet with names, an Order with the words profile and layout and, for the layout that
// depends on it, how loud everybody is; out come a Plan, the ffmpeg.Composition
// of each chunk, and the picture with names and cards that lies over each scene (Draw). The package is pure: it opens no
// file, starts no process and reads no clock; fonts are given to it. The same input gives the same plan. It never writes a
// name into anything that a program interprets: names become pixels, chapters and subtitles.
//
// docs/archive.md has the rules for people.
package render

import (
	"fmt"
	"time"

	"consilium/internal/ffmpeg"
)

// The canvas and the clock of every archive with a picture.
const (
	Width  = 1280
	Height = 720
	Rate   = 30 // frames per second
)

// Background is the colour between the tiles, 0xRRGGBB. It is not black: black is what a covered camera looks like.
const Background = 0x20242b

// Profile is how an archive is encoded.
type Profile struct {
	Name         string
	Video        bool
	Encoder      ffmpeg.Encoder
	AudioBitRate int // bit/s
}

const (
	defaultProfile = "standard"
	defaultLayout  = Grid
	audioBitRate   = 96_000
	gop            = 2 * Rate // a click in the player lands within two seconds
)

// lessSubme lets x264 refine where a block has moved to by one step less than veryfast does: on what a consultation looks
// like, a seventh of the time for a hundredth of the size. docs/archive.md has the figures, and what else was tried.
const lessSubme = "subme=1"

var profiles = map[string]Profile{
	"standard": {Name: "standard", Video: true, Encoder: ffmpeg.Encoder{Preset: "veryfast", CRF: 26, GOP: gop, Params: lessSubme}, AudioBitRate: audioBitRate},
	// One step for all pictures spares x264 the look at each one that it finds a step by, and what stands still, which is most of
	// a consultation, the finer steps that it would find: two fifths of the time, half the bytes, and closer to what was drawn
	// than "standard" is (docs/archive.md).
	"fast":  {Name: "fast", Video: true, Encoder: ffmpeg.Encoder{Preset: "ultrafast", QP: 26, GOP: gop}, AudioBitRate: audioBitRate},
	"audio": {Name: "audio", AudioBitRate: audioBitRate},
}

// ProfileNamed finds a profile; the empty name is "standard".
func ProfileNamed(name string) (Profile, error) {
	if name == "" {
		name = defaultProfile
	}
	p, ok := profiles[name]
	if !ok {
		return Profile{}, fmt.Errorf("no profile %q: standard, fast, audio", name)
	}
	return p, nil
}

// The layouts. In both, a shared screen takes the stage and people stand in a strip beside it.
const (
	Grid    = "grid"    // all tiles are of one size
	Speaker = "speaker" // whoever speaks takes the stage; needs Order.Levels
)

// LayoutNamed checks the name of a layout; the empty name is "grid".
func LayoutNamed(name string) (string, error) {
	switch name {
	case "":
		return defaultLayout, nil
	case Grid, Speaker:
		return name, nil
	}
	return "", fmt.Errorf("no layout %q: grid, speaker", name)
}

// frameAt is the output frame next to a moment of the archive.
func frameAt(ns int64) int64 {
	const frame = int64(time.Second) / Rate
	whole, rest := ns/int64(time.Second), ns%int64(time.Second)
	if rest < 0 {
		whole, rest = whole-1, rest+int64(time.Second)
	}
	return whole*Rate + (rest+frame/2)*Rate/int64(time.Second)
}

// TimeOfFrame is when an output frame is shown, in nanoseconds of archive time, rounded down.
func TimeOfFrame(frame int64) int64 {
	return frame/Rate*int64(time.Second) + frame%Rate*int64(time.Second)/Rate
}
