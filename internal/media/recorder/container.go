package recorder

import (
	"os"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// frame is one whole video frame or one audio packet, silence included.
type frame struct {
	rtp     int64     // unwrapped
	arrival time.Time // of its last packet
	// Video:
	packets       []*rtp.Packet // in order, without padding; valid until the next packet is looked at
	parts         [][]byte      // its bytes as they are stored, to be joined; valid as long
	key           bool
	width, height int
	// Audio:
	payload []byte
	samples int // at 48 kHz
}

// frameWriter writes the frames of one segment into its container. Close completes the container; what it gathers for
// that is flushed by the caller.
type frameWriter interface {
	WriteFrame(f frame) error
	Close() error
}

// newFrameWriter begins the container for a segment that starts with frame first.
func newFrameWriter(out *gathered, s media.Segment, first frame) (frameWriter, error) {
	if s.Codec == media.Opus {
		w, err := media.NewOggWriter(out, s.SSRC)
		return oggFrames{w}, err
	}
	return newIVFFrames(out, s.Codec, first), nil
}

// oggFrames writes Opus.
type oggFrames struct{ *media.OggWriter }

func (o oggFrames) WriteFrame(f frame) error {
	return o.WritePacket(f.payload, f.samples)
}

// ivfFrames writes video. The pts of a frame is its RTP time since the first one.
type ivfFrames struct {
	out    *gathered
	origin int64
	frames int64
}

func newIVFFrames(out *gathered, c media.Codec, first frame) *ivfFrames {
	out.buf = media.AppendIVFHeader(out.buf, media.IVFHeader{
		Codec: c, Width: first.width, Height: first.height, Den: c.ClockRate(), Num: 1,
	})
	return &ivfFrames{out: out, origin: first.rtp}
}

func (w *ivfFrames) WriteFrame(f frame) error {
	length := 0
	for _, p := range f.parts {
		length += len(p)
	}
	w.out.buf = media.AppendIVFFrameHeader(w.out.buf, length, f.rtp-w.origin)
	for _, p := range f.parts {
		w.out.buf = append(w.out.buf, p...)
	}
	w.frames++
	return nil
}

// Close writes the true frame count into the header.
func (w *ivfFrames) Close() error {
	return media.SetIVFFrames(w.out.file, w.frames)
}

// gathered is a file to which frames are appended in memory first, so that those of a while are one system call. What
// is in memory is lost when the process is killed, so it is flushed whenever the recorder has done what there was to do.
type gathered struct {
	file   *os.File
	buf    []byte // whole frames or pages
	length int64  // of the file
	err    error  // of the first write that failed: what stands in the file behind length is not known then
}

const (
	// gatherLimit is how many bytes are gathered: more than a track of 2 Mbit/s sends within batchWindow.
	gatherLimit = 64 << 10
	// gatherKept is how large a buffer may be that is kept for what comes.
	gatherKept = 2 * gatherLimit
)

// Write gathers b. It never fails.
func (g *gathered) Write(b []byte) (int, error) {
	g.buf = append(g.buf, b...)
	return len(b), nil
}

// waiting is how many bytes are not in the file yet.
func (g *gathered) waiting() int { return len(g.buf) }

// full says that it is time to flush.
func (g *gathered) full() bool { return len(g.buf) >= gatherLimit }

// flush writes what was gathered to the file. After an error it does nothing but return it again.
func (g *gathered) flush() error {
	if g.err != nil || len(g.buf) == 0 {
		return g.err
	}
	n, err := g.file.Write(g.buf)
	g.length += int64(n)
	g.err = err
	if g.buf = g.buf[:0]; cap(g.buf) > gatherKept {
		g.buf = nil
	}
	return err
}
