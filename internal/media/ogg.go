package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Flags of an Ogg page (RFC 3533 §6).
const (
	oggContinued = 1
	oggBegin     = 2
	oggEnd       = 4
)

const (
	oggHeaderSize  = 27 // without the segment table
	oggMaxSegments = 255
)

// oggPagePackets is how many packets a page of ours holds: 100 ms at 20 ms each. A crash loses at most one page that
// was still being gathered; a page for each packet would cost five times the system calls and 20 % more bytes.
const oggPagePackets = 5

// OggWriter writes one Opus stream as Ogg pages (RFC 3533, RFC 7845): pre-skip 0, two output channels, and granules
// that count samples at 48 kHz from the first packet on, so that a place in the file is a place in RTP time. Every page
// is handed to the writer below in one call. It is not safe for concurrent use.
type OggWriter struct {
	w       io.Writer
	serial  uint32
	number  uint32 // of the next page
	granule uint64 // at the end of the packets given so far
	packets int    // gathered for the next page
	table   []byte // their segment table
	body    []byte
	page    []byte // the finished page, reused
}

// NewOggWriter writes the two header pages, OpusHead and OpusTags. serial tells apart logical streams in a file.
func NewOggWriter(w io.Writer, serial uint32) (*OggWriter, error) {
	o := &OggWriter{w: w, serial: serial}
	for i, header := range [][]byte{opusHead(), opusTags()} {
		o.add(header)
		flags := byte(0)
		if i == 0 {
			flags = oggBegin
		}
		if err := o.flush(flags); err != nil {
			return nil, fmt.Errorf("write Ogg headers: %w", err)
		}
	}
	return o, nil
}

// opusHead is RFC 7845 §5.1: version 1, two channels, pre-skip 0, 48 kHz, gain 0, mapping family 0.
func opusHead() []byte {
	b := append([]byte("OpusHead"), 1, 2)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, OpusRate)
	return append(b, 0, 0, 0)
}

// opusTags is RFC 7845 §5.2: the vendor and no comments.
func opusTags() []byte {
	const vendor = "consilium"
	b := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	b = append(b, vendor...)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// WritePacket adds one Opus packet of that many samples. It keeps a copy; the page goes out when it is full and one
// more packet comes, so that there always is a last page to mark as the end.
func (o *OggWriter) WritePacket(packet []byte, samples int) error {
	need := len(packet)/255 + 1
	if need > oggMaxSegments {
		return fmt.Errorf("write Opus packet of %d bytes: longer than a page", len(packet))
	}
	if o.packets >= oggPagePackets || len(o.table)+need > oggMaxSegments {
		if err := o.flush(0); err != nil {
			return fmt.Errorf("write Ogg page: %w", err)
		}
	}
	o.add(packet)
	o.granule += uint64(samples)
	return nil
}

// Close writes the last page with the end mark. It does not close the writer below.
func (o *OggWriter) Close() error {
	if err := o.flush(oggEnd); err != nil {
		return fmt.Errorf("write last Ogg page: %w", err)
	}
	return nil
}

// add appends a packet and its lacing values: as many 255 as fit, then the rest (RFC 3533 §5).
func (o *OggWriter) add(packet []byte) {
	for n := len(packet); ; n -= 255 {
		if n < 255 {
			o.table = append(o.table, byte(n))
			break
		}
		o.table = append(o.table, 255)
	}
	o.body = append(o.body, packet...)
	o.packets++
}

func (o *OggWriter) flush(flags byte) error {
	p := append(o.page[:0], "OggS\x00"...)
	p = append(p, flags)
	p = binary.LittleEndian.AppendUint64(p, o.granule)
	p = binary.LittleEndian.AppendUint32(p, o.serial)
	p = binary.LittleEndian.AppendUint32(p, o.number)
	p = append(p, 0, 0, 0, 0, byte(len(o.table)))
	p = append(p, o.table...)
	p = append(p, o.body...)
	setOggCRC(p)
	o.page = p
	o.table, o.body, o.packets = o.table[:0], o.body[:0], 0
	o.number++
	_, err := o.w.Write(p)
	return err
}

// EndOggPage marks a whole page, header included, as the last one of its stream and renews its checksum.
func EndOggPage(page []byte) error {
	if len(page) < oggHeaderSize || string(page[:4]) != "OggS" {
		return errors.New("mark last Ogg page: not a page")
	}
	page[5] |= oggEnd
	setOggCRC(page)
	return nil
}

const oggCRCAt = 22

func setOggCRC(page []byte) {
	binary.LittleEndian.PutUint32(page[oggCRCAt:], oggCRC(page))
}

// oggCRC is the checksum of a page with its checksum field taken as zero: CRC-32, polynomial 0x04c11db7, not
// reflected, start 0 (RFC 3533 §6). hash/crc32 knows reflected polynomials only.
func oggCRC(page []byte) uint32 {
	var crc uint32
	step := func(b []byte) {
		for _, v := range b {
			crc = crc<<8 ^ oggCRCTable[byte(crc>>24)^v]
		}
	}
	step(page[:oggCRCAt])
	step([]byte{0, 0, 0, 0})
	step(page[oggCRCAt+4:])
	return crc
}

var oggCRCTable = func() (table [256]uint32) {
	for i := range table {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		table[i] = r
	}
	return table
}()
