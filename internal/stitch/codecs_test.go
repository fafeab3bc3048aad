package stitch

import (
	"bytes"
	"encoding/binary"
	"testing"

	"consilium/internal/media"
)

// ivfOf puts whole frames into a segment file at 30 Hz.
func ivfOf(codec media.Codec, frames [][]byte) clip {
	out := media.AppendIVFHeader(nil, media.IVFHeader{Codec: codec, Width: 160, Height: 90, Den: 90000, Num: 1, Frames: uint32(len(frames))})
	for i, f := range frames {
		out = media.AppendIVFFrameHeader(out, len(f), int64(i)*3000)
		out = append(out, f...)
	}
	return clip{codec: codec, content: out, frames: int64(len(frames)), ticks: int64(len(frames)-1) * 3000}
}

// ivfFrames takes an IVF file apart.
func ivfFrames(raw []byte) [][]byte {
	var all [][]byte
	for at := 32; at < len(raw); {
		n := int(binary.LittleEndian.Uint32(raw[at:]))
		all = append(all, raw[at+12:at+12+n])
		at += 12 + n
	}
	return all
}

// Devices and browsers send other codecs than VP8: all of them, and sizes that are odd, side by side.
func TestEveryCodecIsShown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("encodes with slow encoders")
	}
	w := newWorld(t)
	source := []string{"-f", "lavfi", "-i", "color=c=green:s=160x90:r=30", "-frames:v", "30", "-pix_fmt", "yuv420p"}
	encode := func(args ...string) []byte { return run_(t, append(source[:len(source):len(source)], args...)...) }
	h264 := encode("-c:v", "libx264", "-profile:v", "baseline", "-x264-params", "aud=1:repeat-headers=1:keyint=300", "-f", "h264", "pipe:1")
	var units [][]byte
	delimiter := []byte{0, 0, 0, 1, 9}
	for _, unit := range bytes.Split(h264, delimiter)[1:] {
		units = append(units, append(bytes.Clone(delimiter), unit...))
	}
	clips := []clip{
		ivfOf(media.H264, units),
		ivfOf(media.VP9, ivfFrames(encode("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf", "pipe:1"))),
		ivfOf(media.AV1, ivfFrames(encode("-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf", "pipe:1"))),
		camera(t, "green", "161x91", 30, 30),
	}
	for i, c := range clips {
		p := w.join(0, string(c.codec))
		track := p.track(0, c.codec, media.Device, uint32(i+1))
		p.record(0, track, uint32(i+1), c)
	}
	archive := w.made(w.end(1050, "fast"))
	if len(archive.manifest.Missing) != 0 || archive.manifest.Checks.DecodeErrors != 0 {
		t.Errorf("missing %v, %d decode errors", archive.manifest.Missing, archive.manifest.Checks.DecodeErrors)
	}
	for i, at := range [][2]int{{320, 100}, {960, 100}, {320, 460}, {960, 460}} {
		for _, frame := range []int{5, 29} {
			archive.shows(frame, string(clips[i].codec), at[0], at[1], green)
		}
	}
}
