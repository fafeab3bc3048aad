package ffmpeg

import (
	"fmt"
	"image"
	"strings"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Composition is one stretch of picture in which nothing comes, goes or changes its size.
type Composition struct {
	Width, Height int    // of the canvas in pixels, even
	Rate          int    // frames per second
	Background    uint32 // 0xRRGGBB
	Tiles         []Tile
	// Overlay is a PNG file with transparency. It is drawn once on the background, on which the tiles are laid, and once
	// more over the tiles, but there only where Names says that it holds anything: what lies over a moving picture has to
	// be drawn for every frame.
	Overlay  string
	OverlayX int     `json:",omitempty"` // where its upper left corner lies, even
	OverlayY int     `json:",omitempty"`
	Names    []Place `json:",omitempty"` // within the overlay
	Stamp    *Stamp  `json:",omitempty"`
	Frames   int64   // exactly
	Encoder  Encoder
	Out      string // MPEG-TS: the container whose pieces join without moving a frame
}

// Tile is one moving picture on the canvas. Its file begins with a keyframe at pts 0, which is shown from the first
// frame of the composition on, and its last timestamp lies behind the end of it: an input without a frame at the start
// would freeze the whole composition, and one that ends early would lose its last frame.
type Tile struct {
	File   string // IVF
	Codec  string // "vp8", "vp9", "av1", "h264"
	X, Y   int    // even, within the canvas
	Width  int    // even
	Height int    // even
	// Late draws the tile on top instead of stacking it, at about one and a half times the cost: the way for a source
	// whose first frames do not decode, because then the other tiles do not wait for it.
	Late bool
	// Fill is where a blurred and darkened copy of the picture lies below it; nil: nowhere.
	Fill *Place `json:",omitempty"`
	// Window is what is seen of the tile and its copy: the rest is cut off, which costs nothing. nil: all of them.
	Window *Place `json:",omitempty"`
}

// Place is a rectangle on the canvas. All numbers are even.
type Place struct {
	X, Y, Width, Height int
}

// Seen is the part of a place on the canvas that is not cut off: all of it where nothing would be left.
func (t Tile) Seen(p Place) Place {
	if t.Window == nil {
		return p
	}
	seen := p.rect().Intersect(t.Window.rect())
	if seen.Empty() {
		return p
	}
	return Place{X: seen.Min.X, Y: seen.Min.Y, Width: seen.Dx(), Height: seen.Dy()}
}

func (p Place) rect() image.Rectangle { return image.Rect(p.X, p.Y, p.X+p.Width, p.Y+p.Height) }

// Stamp is small pictures that lie over all else, each for a second.
type Stamp struct {
	File  string // PNG files of one size, one behind the other
	X, Y  int
	Begun int64 // frames for which the first picture would have been shown before the composition begins
}

// Encoder is how x264 is to work.
type Encoder struct {
	Preset string // of x264
	CRF    int    // how good it looks; x264 finds the step of each picture by looking at all of it once more
	QP     int    `json:",omitempty"` // instead of CRF: the one step of all pictures but keyframes, which have a finer one
	GOP    int    // frames from keyframe to keyframe: how exactly a player can seek
	Params string `json:",omitempty"` // of x264, beyond the preset: name=value:name=value
}

// codecsOf lists the decoders that may open a codec.
var codecsOf = map[string]string{"vp8": "vp8", "vp9": "vp9", "av1": "libdav1d,av1", "h264": "h264"}

// scaleFlags give the same pixels on every processor.
const scaleFlags = "bilinear+accurate_rnd+full_chroma_int+bitexact"

// slowest is how much longer than its playing time a piece may take to be made: a busy machine with one slow core.
const slowest = 40

// Compose is the command for c. Everything runs on one thread: the caller runs as many of them as there are cores.
func Compose(c Composition) (Command, error) {
	names := []string{c.Overlay}
	if c.Stamp != nil {
		names = append(names, c.Stamp.File)
	}
	for _, t := range c.Tiles {
		names = append(names, t.File)
		if codecsOf[t.Codec] == "" {
			return Command{}, fmt.Errorf("compose: no decoder for codec %q", t.Codec)
		}
	}
	if err := distinct(names...); err != nil {
		return Command{}, fmt.Errorf("compose: %w", err)
	}
	if c.Frames <= 0 || c.Rate <= 0 {
		return Command{}, fmt.Errorf("compose %d frames at %d Hz: %w", c.Frames, c.Rate, errNothing)
	}
	args, err := arguments(1+len(names), func() *ffgo.Stream { return c.output(c.picture()) })
	if err == nil && len(c.Tiles) > 0 {
		err = watchedAside(args)
	}
	if err != nil {
		return Command{}, fmt.Errorf("compose: %w", err)
	}
	return Command{
		Step: "compose", Frames: c.Frames,
		Args:  append([]string{"-v", "info", "-filter_complex_threads", "1", "-max_error_rate", "1"}, args...),
		Limit: time.Minute + slowest*time.Duration(c.Frames)*time.Second/time.Duration(c.Rate),
	}, nil
}

// picture is the graph, which a Watch can look at. Below all lies a still picture, the first input of xstack: it covers the
// canvas and keeps the frame rate when the tiles have ended, and every tile lies on top of it at its own place.
func (c Composition) picture() *ffgo.Stream {
	under, names := c.still()
	stacked, layout := []*ffgo.Stream{under}, []string{"0_0"}
	var late []placed
	for _, t := range c.Tiles {
		for _, p := range c.tile(t) {
			if t.Late {
				late = append(late, p)
				continue
			}
			stacked, layout = append(stacked, p.stream), append(layout, fmt.Sprintf("%d_%d", p.x, p.y))
		}
	}
	out := under
	if len(stacked) > 1 {
		out = ffgo.Filter(stacked, "xstack", ffgo.Args{"inputs=" + itoa(len(stacked)), "layout=" + strings.Join(layout, "|")})
	}
	for _, p := range append(late, names...) {
		out = ffgo.Filter([]*ffgo.Stream{out, p.stream}, "overlay", ffgo.Args{itoa(p.x), itoa(p.y), "format=yuv420"})
	}
	if len(c.Tiles) > 0 {
		// Where the picture is watched, see watchedAside: behind all that is drawn into frames, because what two branches
		// hold would have to be copied first, and before the clock, which never stands still.
		out = out.Filter("split", nil)
	}
	if s := c.Stamp; s != nil {
		out = ffgo.Filter([]*ffgo.Stream{out, c.stamp()}, "overlay", ffgo.Args{itoa(s.X), itoa(s.Y), "format=yuv420"})
	}
	return out.Filter("format", ffgo.Args{"yuv420p"})
}

// still is what lies under the tiles, drawn once and shown again and again, and what lies over them.
func (c Composition) still() (under *ffgo.Stream, names []placed) {
	source := fmt.Sprintf("color=c=0x%06x:s=%dx%d:r=%d:d=0.001", c.Background, c.Width, c.Height, c.Rate) // one frame
	under = ffgo.Input(source, input("lavfi", "rawvideo,wrapped_avframe")).Video().Filter("format", ffgo.Args{"yuv420p"})
	overlay := drawn(c.Overlay, input("png_pipe", "png"))
	if len(c.Names) > 0 {
		parts := overlay.Split()
		overlay = parts.Get("0")
		for i, n := range c.Names {
			part := parts.Get(itoa(i+1)).Filter("crop", ffgo.Args{itoa(n.Width), itoa(n.Height), itoa(n.X - c.OverlayX), itoa(n.Y - c.OverlayY)})
			names = append(names, placed{part, n.X, n.Y})
		}
	}
	under = ffgo.Filter([]*ffgo.Stream{under, overlay}, "overlay", ffgo.Args{itoa(c.OverlayX), itoa(c.OverlayY), "format=yuv420"})
	// It ends soon after the composition: without an end, a tile that never shows a frame would make ffmpeg wait for ever.
	again := c.Frames + 2*int64(c.Rate)
	under = under.Filter("tpad", ffgo.Args{fmt.Sprintf("stop=%d", again), "stop_mode=clone"})
	// Some versions show the first copy at the time of its original: of two at one time fps takes one.
	return under.Filter("fps", ffgo.Args{"fps=" + itoa(c.Rate)}), names
}

// drawn is pictures of ours, in the form in which they are laid over others. The tool would bring them into it by itself, but to
// other pixels on other processors.
func drawn(name string, in ffgo.KwArgs) *ffgo.Stream {
	return ffgo.Input(file(name), in).Video().Filter("scale", ffgo.Args{"flags=" + scaleFlags}).Filter("format", ffgo.Args{"yuva420p"})
}

// stamp shows its pictures for a second each, counted in frames, the first one for so much less as it was begun.
func (c Composition) stamp() *ffgo.Stream {
	in := input("png_pipe", "png")
	in["framerate"] = 1
	return drawn(c.Stamp.File, in).
		Filter("settb", ffgo.Args{"1/" + itoa(c.Rate)}).
		Filter("setpts", ffgo.Args{fmt.Sprintf("N*%d-%d", c.Rate, c.Stamp.Begun)})
}

// placed is a stream with its place on the canvas.
type placed struct {
	stream *ffgo.Stream
	x, y   int
}

// tile brings one source to the frame rate, the size and the pixel format of the canvas, below it what fills its place.
//
// An encoder may change its size or its pixel format on the way, in VP9 and AV1 without a keyframe. The tool would build the
// whole graph anew then and lose what was drawn once for all frames, so it is told not to, and the scaler, which takes every
// frame as it comes, stands before all that counts on one size. Frames that are as they should be pass it untouched.
func (c Composition) tile(t Tile) []placed {
	in := input("ivf", codecsOf[t.Codec])
	in["reinit_filter"] = 0
	s := ffgo.Input(file(t.File), in).Video().Filter("fps", ffgo.Args{"fps=" + itoa(c.Rate)})
	var all []placed
	if f := t.Fill; f != nil {
		both := s.Split()
		s = both.Get("0")
		all = append(all, t.cut(blurred(both.Get("1"), f.Width, f.Height), *f))
	}
	s = s.Filter("scale", ffgo.Args{itoa(t.Width), itoa(t.Height), "flags=" + scaleFlags})
	s = s.Filter("setsar", ffgo.Args{"1"}).Filter("format", ffgo.Args{"yuv420p"})
	return append(all, t.cut(s, Place{X: t.X, Y: t.Y, Width: t.Width, Height: t.Height}))
}

// cut places a picture and cuts off what is not to be seen of it.
func (t Tile) cut(s *ffgo.Stream, at Place) placed {
	seen := t.Seen(at)
	if seen != at {
		s = s.Filter("crop", ffgo.Args{itoa(seen.Width), itoa(seen.Height), itoa(seen.X - at.X), itoa(seen.Y - at.Y)})
	}
	return placed{s, seen.X, seen.Y}
}

// blurred fills a place with the middle of a picture, blurred and darkened. All of that is done to a thumbnail, which
// costs next to nothing.
func blurred(s *ffgo.Stream, w, h int) *ffgo.Stream {
	const width = 64
	height := max(2, (width*h/w+1)&^1)
	return s.
		Filter("scale", ffgo.Args{itoa(width), itoa(height), "force_original_aspect_ratio=increase", "force_divisible_by=2", "flags=" + scaleFlags}).
		Filter("format", ffgo.Args{"yuv420p"}).
		Filter("crop", ffgo.Args{itoa(width), itoa(height)}).
		Filter("boxblur", ffgo.Args{"4", "2"}).
		Filter("lutyuv", ffgo.Args{"y=16+(val-16)*0.55", "u=128+(val-128)*0.55", "v=128+(val-128)*0.55"}).
		Filter("scale", ffgo.Args{itoa(w), itoa(h), "flags=" + scaleFlags}).
		Filter("setsar", ffgo.Args{"1"})
}

func (c Composition) output(picture *ffgo.Stream) *ffgo.Stream {
	params := "cpu-independent=1"
	if c.Encoder.Params != "" {
		params += ":" + c.Encoder.Params
	}
	quality, value := "crf", c.Encoder.CRF
	if c.Encoder.QP > 0 {
		quality, value = "qp", c.Encoder.QP
	}
	return ffgo.Output([]*ffgo.Stream{picture}, file(c.Out), bitexact(ffgo.KwArgs{
		"f": "mpegts", "frames:v": c.Frames, "c:v": "libx264", "preset": c.Encoder.Preset, quality: value,
		"g": c.Encoder.GOP, "sc_threshold": 0, "threads": 1, "x264-params": params,
		// Browsers' cameras and our own drawings are BT.601; players take untagged HD for BT.709.
		"colorspace": "smpte170m", "color_primaries": "smpte170m", "color_trc": "smpte170m", "color_range": "tv",
	}))
}
