package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrNotTS says that bytes are no transport stream as we write them.
var ErrNotTS = errors.New("not a transport stream of one H.264 video")

const (
	tsPacketSize = 188
	tsHeaderSize = 4
	tsTableOfPMT = 2
	tsTypeH264   = 0x1b
	// maxTSPicture bounds a picture in bytes: a longer one is damage.
	maxTSPicture = 64 << 20
)

// TSPicture is one picture of a transport stream.
type TSPicture struct {
	PTS, DTS int64  // 90 kHz, 33 bits, as they stand in the file
	Data     []byte // units with start codes (H264AnnexB); good until the next picture is read
}

// TSReader reads the pictures of an MPEG transport stream (ISO/IEC 13818-1) that holds one H.264 video, in the order of
// the file, which is that of decoding. It is for streams that a muxer of our own has just written, and strict: a packet that
// is lost, out of order or marked as damaged is an error, and so is a header that does not fit into its packet.
type TSReader struct {
	in      *bufio.Reader
	packet  [tsPacketSize]byte
	held    bool // packet begins the next picture
	pmt     int  // PID of the program's table; -1: not known yet
	video   int  // PID of the pictures; -1: not known yet
	counter int  // of the last packet of video; -1: none so far
	picture TSPicture
	expect  int  // bytes that the picture must have; 0: as many as there are
	open    bool // picture has begun
}

// NewTSReader prepares a reader of r.
func NewTSReader(r io.Reader) *TSReader {
	return &TSReader{in: bufio.NewReaderSize(r, 64<<10), pmt: -1, video: -1, counter: -1}
}

// Next gives the next picture. The error is io.EOF behind the last one, ErrNotTS, or one of the reader.
func (r *TSReader) Next() (TSPicture, error) {
	r.picture.Data, r.open = r.picture.Data[:0], false
	for {
		if !r.held {
			_, err := io.ReadFull(r.in, r.packet[:])
			if errors.Is(err, io.EOF) {
				return r.end(io.EOF)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: a packet is cut off", ErrNotTS)
			}
			if err != nil {
				return TSPicture{}, fmt.Errorf("read a packet of a transport stream: %w", err)
			}
		}
		whole, err := r.take()
		if err != nil {
			return TSPicture{}, err
		}
		if whole {
			return r.end(nil)
		}
	}
}

// end closes the picture that is open; err is what to say when there is none.
func (r *TSReader) end(err error) (TSPicture, error) {
	if !r.open {
		return TSPicture{}, err
	}
	if r.expect > 0 && len(r.picture.Data) != r.expect {
		return TSPicture{}, fmt.Errorf("%w: a picture of %d bytes has %d", ErrNotTS, r.expect, len(r.picture.Data))
	}
	return r.picture, nil
}

// take reads the packet. whole says that it begins the next picture, and so the open one is whole; then the packet is held.
func (r *TSReader) take() (whole bool, err error) {
	r.held = false
	p := r.packet[:]
	if p[0] != 0x47 || p[1]&0x80 != 0 || p[3]&0xc0 != 0 {
		return false, fmt.Errorf("%w: a packet begins with % x", ErrNotTS, p[:tsHeaderSize])
	}
	start, pid := p[1]&0x40 != 0, int(binary.BigEndian.Uint16(p[1:]))&0x1fff
	body := p[tsHeaderSize:]
	if p[3]&0x20 != 0 { // an adaptation field
		n := int(body[0]) + 1
		if n > len(body) {
			return false, fmt.Errorf("%w: an adaptation field of %d bytes", ErrNotTS, n)
		}
		body = body[n:]
	}
	if p[3]&0x10 == 0 { // nothing else
		return false, nil
	}
	switch {
	case pid == 0 && start:
		return false, r.readPAT(body)
	case pid == r.pmt && start:
		return false, r.readPMT(body)
	case pid == r.video && start && r.open:
		r.held = true
		return true, nil
	case pid == r.video:
		return false, r.readVideo(body, start, int(p[3]&0x0f))
	}
	return false, nil
}

// tsSection gives what a table holds between its head of so many bytes and its checksum.
func tsSection(body []byte, table byte, head int) ([]byte, error) {
	if len(body) == 0 || int(body[0])+1+3 > len(body) {
		return nil, fmt.Errorf("%w: a table outside of its packet", ErrNotTS)
	}
	body = body[int(body[0])+1:]
	n := int(binary.BigEndian.Uint16(body[1:])) & 0xfff
	if body[0] != table || n < head-3+4 || 3+n > len(body) {
		return nil, fmt.Errorf("%w: a table %d of %d bytes", ErrNotTS, body[0], n)
	}
	return body[head : 3+n-4], nil
}

// readPAT finds where the table of the one program is.
func (r *TSReader) readPAT(body []byte) error {
	programs, err := tsSection(body, 0, 8)
	if err != nil {
		return err
	}
	for ; len(programs) >= 4; programs = programs[4:] {
		pid := int(binary.BigEndian.Uint16(programs[2:])) & 0x1fff
		if binary.BigEndian.Uint16(programs) == 0 { // not a program
			continue
		}
		if r.pmt >= 0 && r.pmt != pid {
			return fmt.Errorf("%w: it has two programs", ErrNotTS)
		}
		r.pmt = pid
	}
	return nil
}

// readPMT finds the video.
func (r *TSReader) readPMT(body []byte) error {
	streams, err := tsSection(body, tsTableOfPMT, 12)
	if err != nil {
		return err
	}
	about := int(binary.BigEndian.Uint16(body[int(body[0])+1+10:])) & 0xfff
	if about > len(streams) {
		return fmt.Errorf("%w: a program with %d bytes about it", ErrNotTS, about)
	}
	for streams = streams[about:]; len(streams) >= 5; {
		pid := int(binary.BigEndian.Uint16(streams[1:])) & 0x1fff
		if streams[0] != tsTypeH264 || r.video >= 0 && r.video != pid {
			return fmt.Errorf("%w: a stream of type %d", ErrNotTS, streams[0])
		}
		r.video = pid
		n := 5 + int(binary.BigEndian.Uint16(streams[3:]))&0xfff
		streams = streams[min(n, len(streams)):]
	}
	return nil
}

// readVideo adds what a packet has of a picture.
func (r *TSReader) readVideo(body []byte, start bool, counter int) error {
	if r.counter >= 0 && counter != (r.counter+1)&0x0f {
		return fmt.Errorf("%w: packet %d comes behind packet %d of sixteen", ErrNotTS, counter, r.counter)
	}
	r.counter = counter
	if start {
		var err error
		if body, err = r.begin(body); err != nil {
			return err
		}
	}
	if !r.open {
		return fmt.Errorf("%w: the middle of a picture without its beginning", ErrNotTS)
	}
	if len(r.picture.Data)+len(body) > maxTSPicture {
		return fmt.Errorf("%w: a picture of more than %d bytes", ErrNotTS, maxTSPicture)
	}
	r.picture.Data = append(r.picture.Data, body...)
	return nil
}

// begin reads the head of a picture (a PES header with at least its PTS) and gives what follows it.
func (r *TSReader) begin(b []byte) ([]byte, error) {
	const head = 9
	if len(b) < head+5 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[3]&0xf0 != 0xe0 || b[6]&0xc0 != 0x80 {
		return nil, fmt.Errorf("%w: a picture begins with % x", ErrNotTS, b[:min(len(b), head)])
	}
	flags, n := b[7]>>6, int(b[8])
	if head+n > len(b) || flags < 2 || n < 5 || flags == 3 && n < 10 {
		return nil, fmt.Errorf("%w: a picture without a time", ErrNotTS)
	}
	r.picture.PTS = tsTime(b[head:])
	r.picture.DTS = r.picture.PTS
	if flags == 3 {
		r.picture.DTS = tsTime(b[head+5:])
	}
	r.open, r.expect = true, 0
	if length := int(binary.BigEndian.Uint16(b[4:])); length > 0 {
		r.expect = length - 3 - n
	}
	return b[head+n:], nil
}

// tsTime reads 33 bits that are spread over five bytes.
func tsTime(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
}
