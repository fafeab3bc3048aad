package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrNotOgg says that a file does not begin with the two whole header pages of an Opus stream.
var ErrNotOgg = errors.New("not an Ogg file with Opus")

// OggPage is one page of an Ogg file with Opus packets in it.
type OggPage struct {
	Offset  int64
	Length  int   // with its header
	Granule int64 // samples at the end of its last packet
	Packets int   // that end on it
	Samples int64 // that those packets last
	Last    int   // samples of the last of them
}

// OggScan is what ScanOgg found.
type OggScan struct {
	Channels int
	PreSkip  int // samples at 48 kHz; 0 in the files we write
	Serial   uint32
	Pages    []OggPage // without the two header pages
	Packets  int64
	Samples  int64 // that all packets together last
	Ended    bool  // the last page has the end mark
	Good     int64 // bytes up to the end of the last whole page; what follows is to be cut off
}

// ScanOgg reads an Ogg file with one Opus stream page by page, tolerantly: it stops without an error at the first page
// that is not whole, whose checksum or number is wrong, whose packets are no Opus, or whose granule does not grow by what its
// packets last, as a crash may leave it. It returns ErrNotOgg when the header pages are not there, and an error of r as
// it is.
func ScanOgg(r io.Reader) (OggScan, error) {
	s := &oggScanner{in: bufio.NewReaderSize(r, 64<<10)}
	if err := s.headers(); err != nil {
		return s.scan, fmt.Errorf("scan Ogg headers: %w", err)
	}
	for !s.scan.Ended {
		ok, err := s.media()
		if err != nil {
			return s.scan, fmt.Errorf("scan Ogg page %d: %w", s.number, err)
		}
		if !ok {
			break
		}
	}
	return s.scan, nil
}

type oggScanner struct {
	in      *bufio.Reader
	scan    OggScan
	number  uint32   // of the next page
	page    []byte   // the page read last
	packets [][]byte // that it holds
}

// headers reads OpusHead and OpusTags, each alone on its page.
func (s *oggScanner) headers() error {
	for i, magic := range []string{"OpusHead", "OpusTags"} {
		ok, err := s.next()
		if err != nil {
			return err
		}
		if !ok || len(s.packets) != 1 || !bytes.HasPrefix(s.packets[0], []byte(magic)) {
			return ErrNotOgg
		}
		if i == 0 {
			head := s.packets[0]
			if len(head) < 19 || s.page[5]&oggBegin == 0 {
				return ErrNotOgg
			}
			s.scan.Channels = int(head[9])
			s.scan.PreSkip = int(binary.LittleEndian.Uint16(head[10:]))
		}
		s.scan.Good += int64(len(s.page))
	}
	return nil
}

// media reads one page of Opus packets; not ok is the end of what is good.
func (s *oggScanner) media() (bool, error) {
	if ok, err := s.next(); !ok || err != nil {
		return false, err
	}
	p := OggPage{Offset: s.scan.Good, Length: len(s.page), Packets: len(s.packets)}
	for _, packet := range s.packets {
		samples, err := OpusDuration(packet)
		if err != nil {
			return false, nil //nolint:nilerr // no Opus is damage: the end of what is good, not a failure
		}
		p.Samples += int64(samples)
		p.Last = samples
	}
	p.Granule = s.scan.Samples + p.Samples
	if binary.LittleEndian.Uint64(s.page[6:]) != uint64(p.Granule) {
		return false, nil
	}
	s.scan.Pages = append(s.scan.Pages, p)
	s.scan.Packets += int64(p.Packets)
	s.scan.Samples = p.Granule
	s.scan.Ended = s.page[5]&oggEnd != 0
	s.scan.Good += int64(p.Length)
	return true, nil
}

// next reads and checks one page and splits it into its packets; not ok where there is no such whole page. Packets that
// go on over the end of a page are not ours and count as damage.
func (s *oggScanner) next() (bool, error) {
	s.page = append(s.page[:0], make([]byte, oggHeaderSize)...)
	if _, err := io.ReadFull(s.in, s.page); err != nil {
		return false, unlessEnd(err)
	}
	if string(s.page[:5]) != "OggS\x00" || s.page[5]&oggContinued != 0 {
		return false, nil
	}
	segments := int(s.page[26])
	if ok, err := s.more(segments); !ok {
		return false, err
	}
	body := 0
	for _, n := range s.page[oggHeaderSize:] {
		body += int(n)
	}
	if ok, err := s.more(body); !ok {
		return false, err
	}
	serial := binary.LittleEndian.Uint32(s.page[14:])
	if s.number == 0 {
		s.scan.Serial = serial
	}
	if serial != s.scan.Serial || binary.LittleEndian.Uint32(s.page[18:]) != s.number ||
		binary.LittleEndian.Uint32(s.page[oggCRCAt:]) != oggCRC(s.page) {
		return false, nil
	}
	s.number++
	return s.split(segments), nil
}

// more reads n bytes behind what is there of the page.
func (s *oggScanner) more(n int) (bool, error) {
	at := len(s.page)
	s.page = append(s.page, make([]byte, n)...)
	if _, err := io.ReadFull(s.in, s.page[at:]); err != nil && n > 0 {
		return false, unlessEnd(err)
	}
	return true, nil
}

// split finds the packets by the segment table; false where the page ends within one.
func (s *oggScanner) split(segments int) bool {
	s.packets = s.packets[:0]
	body := s.page[oggHeaderSize+segments:]
	length := 0
	for _, n := range s.page[oggHeaderSize : oggHeaderSize+segments] {
		length += int(n)
		if n < 255 {
			s.packets = append(s.packets, body[:length])
			body, length = body[length:], 0
		}
	}
	return length == 0
}
