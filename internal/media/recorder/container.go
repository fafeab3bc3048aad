package recorder

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/ivfwriter"

	"consilium/internal/media"
)

// frame is one whole video frame or one audio packet, silence included.
type frame struct {
	rtp     int64     // unwrapped
	arrival time.Time // of its last packet
	// Video:
	packets       []*rtp.Packet // in order, without padding; valid until the next packet is looked at
	data          []byte        // H.264 only: the access unit as Annex B
	key           bool
	width, height int
	// Audio:
	payload []byte
	samples int // at 48 kHz
}

// frameWriter writes the frames of one segment into its container. Close completes the container and leaves the file
// open.
type frameWriter interface {
	WriteFrame(f frame) error
	Close() error
}

// newFrameWriter begins the container for a segment that starts with frame first.
func newFrameWriter(f *os.File, s media.Segment, first frame) (frameWriter, error) {
	switch s.Codec {
	case media.Opus:
		w, err := media.NewOggWriter(f, s.SSRC)
		return oggFrames{w}, err
	case media.H264:
		return newH264Frames(f, first)
	default:
		return newIVFFrames(f, s.Codec, first)
	}
}

// oggFrames writes Opus.
type oggFrames struct{ *media.OggWriter }

func (o oggFrames) WriteFrame(f frame) error {
	return o.WritePacket(f.payload, f.samples)
}

// ivfBuffer gathers the small writes of one frame; larger frames go through in several.
const ivfBuffer = 16 << 10

// ivfFrames writes VP8, VP9 and AV1 with pion's IVF writer. That is right only because it gets whole frames that begin
// with a keyframe, in order and once each (it looks at no sequence number), the true size, and the options that make its
// pts the RTP time since the first frame. It writes a frame's header and its bytes apart: they are gathered here, so that
// a frame is one write.
type ivfFrames struct {
	out *ivfSink
	ivf *ivfwriter.IVFWriter
}

func newIVFFrames(f *os.File, c media.Codec, first frame) (*ivfFrames, error) {
	out := &ivfSink{file: f, Writer: bufio.NewWriterSize(f, ivfBuffer)}
	ivf, err := ivfwriter.NewWith(out,
		ivfwriter.WithCodec("video/"+string(c)),
		ivfwriter.WithFrameRate(1, c.ClockRate()),
		ivfwriter.WithDirectPTS(),
		ivfwriter.WithWidthAndHeight(uint16(first.width), uint16(first.height)))
	if err != nil {
		return nil, fmt.Errorf("begin IVF file: %w", err)
	}
	return &ivfFrames{out: out, ivf: ivf}, nil
}

func (w *ivfFrames) WriteFrame(f frame) error {
	for _, p := range f.packets {
		if err := w.ivf.WriteRTP(p); err != nil {
			return fmt.Errorf("write IVF frame: %w", err)
		}
	}
	return w.out.Flush()
}

// Close writes the true frame count into the header.
func (w *ivfFrames) Close() error {
	if err := w.ivf.Close(); err != nil {
		return fmt.Errorf("complete IVF file: %w", err)
	}
	return w.out.Flush()
}

// ivfSink is what pion's writer writes to. It has no Close, so that the file stays open to be synced.
type ivfSink struct {
	*bufio.Writer
	file *os.File
}

// Seek lets pion's writer go back to the frame count in the header.
func (s *ivfSink) Seek(offset int64, whence int) (int64, error) {
	if err := s.Flush(); err != nil {
		return 0, err
	}
	return s.file.Seek(offset, whence)
}

var _ io.WriteSeeker = (*ivfSink)(nil)

// h264Frames writes H.264, which pion's writer does not know.
type h264Frames struct {
	file   *os.File
	origin int64
	frames int64
	buf    []byte
}

func newH264Frames(f *os.File, first frame) (*h264Frames, error) {
	w := &h264Frames{file: f, origin: first.rtp}
	w.buf = media.AppendIVFHeader(nil, media.IVFHeader{
		Codec: media.H264, Width: first.width, Height: first.height, Den: media.H264.ClockRate(), Num: 1,
	})
	_, err := f.Write(w.buf)
	return w, err
}

func (w *h264Frames) WriteFrame(f frame) error {
	w.buf = media.AppendIVFFrameHeader(w.buf[:0], len(f.data), f.rtp-w.origin)
	w.buf = append(w.buf, f.data...)
	w.frames++
	_, err := w.file.Write(w.buf)
	return err
}

func (w *h264Frames) Close() error {
	return media.SetIVFFrames(w.file, w.frames)
}
