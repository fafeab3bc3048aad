package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of the fixed parts of an IVF file in bytes.
const (
	IVFHeaderSize      = 32
	IVFFrameHeaderSize = 12
	ivfFrameCountAt    = 24
)

// maxIVFFrame bounds the length field of a frame: a longer one is damage.
const maxIVFFrame = 64 << 20

// ivfPeek is how much of a frame is looked at for its kind and size. It holds the sequence header of AV1 and the
// parameter sets of H.264 that encoders send.
const ivfPeek = 1024

// ErrNotIVF says that a file does not begin with a whole IVF header.
var ErrNotIVF = errors.New("not an IVF file")

// IVFHeader is the header of an IVF file. The time base is Num/Den seconds: 1/90000 in every file we write.
type IVFHeader struct {
	Codec         Codec
	Width, Height int
	Den, Num      uint32
	Frames        uint32 // as the header says; a file that was not closed says anything
}

var fourCCs = map[Codec]string{VP8: "VP80", VP9: "VP90", AV1: "AV01", H264: "H264"}

// AppendIVFHeader appends the 32 bytes of h to b.
func AppendIVFHeader(b []byte, h IVFHeader) []byte {
	b = append(b, "DKIF\x00\x00\x20\x00"...) // version 0, header of 32 bytes
	b = append(b, fourCCs[h.Codec]...)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.Width))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.Height))
	b = binary.LittleEndian.AppendUint32(b, h.Den)
	b = binary.LittleEndian.AppendUint32(b, h.Num)
	b = binary.LittleEndian.AppendUint32(b, h.Frames)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// AppendIVFFrameHeader appends the 12 bytes before a frame of length bytes to b.
func AppendIVFFrameHeader(b []byte, length int, pts int64) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	return binary.LittleEndian.AppendUint64(b, uint64(pts))
}

// SetIVFFrames writes the frame count into the header of an IVF file.
func SetIVFFrames(w io.WriterAt, frames int64) error {
	if _, err := w.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(frames)), ivfFrameCountAt); err != nil {
		return fmt.Errorf("write IVF frame count: %w", err)
	}
	return nil
}

func parseIVFHeader(b []byte) (IVFHeader, error) {
	if string(b[:4]) != "DKIF" || binary.LittleEndian.Uint16(b[6:]) != IVFHeaderSize {
		return IVFHeader{}, ErrNotIVF
	}
	h := IVFHeader{
		Width:  int(binary.LittleEndian.Uint16(b[12:])),
		Height: int(binary.LittleEndian.Uint16(b[14:])),
		Den:    binary.LittleEndian.Uint32(b[16:]),
		Num:    binary.LittleEndian.Uint32(b[20:]),
		Frames: binary.LittleEndian.Uint32(b[ivfFrameCountAt:]),
	}
	for c, name := range fourCCs {
		if name == string(b[8:12]) {
			h.Codec = c
			return h, nil
		}
	}
	return IVFHeader{}, fmt.Errorf("%w of a known codec: FourCC %q", ErrNotIVF, b[8:12])
}

// IVFFrame is one frame of an IVF file.
type IVFFrame struct {
	Offset        int64 // of the frame's own bytes, behind its 12 byte header
	Length        int   // in bytes, without the header
	PTS           int64 // in the time base of the header
	Key           bool
	Width, Height int // of a keyframe; zero where they cannot be told
}

// End is the offset of the first byte behind the frame.
func (f IVFFrame) End() int64 {
	return f.Offset + int64(f.Length)
}

// IVFScan is what ScanIVF found.
type IVFScan struct {
	Header IVFHeader
	Frames []IVFFrame
	Good   int64 // bytes up to the end of the last whole frame; what follows is to be cut off
}

// ScanIVF reads an IVF file frame by frame, tolerantly: it stops without an error at the first frame that is not whole,
// that is empty or impossibly long, or whose pts does not grow, as a crash may leave it. It returns ErrNotIVF when there
// is no header, and an error of r as it is.
func ScanIVF(r io.Reader) (IVFScan, error) {
	var scan IVFScan
	in := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, IVFHeaderSize)
	if _, err := io.ReadFull(in, head); err != nil {
		if isEnd(err) {
			err = ErrNotIVF
		}
		return scan, fmt.Errorf("scan IVF header: %w", err)
	}
	h, err := parseIVFHeader(head)
	if err != nil {
		return scan, fmt.Errorf("scan IVF header: %w", err)
	}
	scan.Header, scan.Good = h, IVFHeaderSize
	for {
		f, ok, err := scanIVFFrame(in, h.Codec, scan.Good)
		if err != nil {
			return scan, fmt.Errorf("scan IVF frame %d: %w", len(scan.Frames), err)
		}
		if n := len(scan.Frames); !ok || n > 0 && f.PTS <= scan.Frames[n-1].PTS {
			return scan, nil
		}
		scan.Frames, scan.Good = append(scan.Frames, f), f.End()
	}
}

// scanIVFFrame reads the frame whose header begins at offset at; not ok is the end of what is good.
func scanIVFFrame(in *bufio.Reader, c Codec, at int64) (IVFFrame, bool, error) {
	var head [IVFFrameHeaderSize]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return IVFFrame{}, false, unlessEnd(err)
	}
	length := int64(binary.LittleEndian.Uint32(head[:]))
	pts := binary.LittleEndian.Uint64(head[4:])
	if length == 0 || length > maxIVFFrame || pts > 1<<62 {
		return IVFFrame{}, false, nil
	}
	start, err := in.Peek(int(min(length, ivfPeek)))
	if err != nil {
		return IVFFrame{}, false, unlessEnd(err)
	}
	f := IVFFrame{Offset: at + IVFFrameHeaderSize, Length: int(length), PTS: int64(pts)}
	f.Key, f.Width, f.Height = Keyframe(c, start)
	if _, err := in.Discard(f.Length); err != nil {
		return IVFFrame{}, false, unlessEnd(err)
	}
	return f, true, nil
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func unlessEnd(err error) error {
	if isEnd(err) {
		return nil
	}
	return err
}
