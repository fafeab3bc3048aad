package media

import (
	"errors"
	"fmt"
)

// maxREDBlocks bounds the redundant blocks of a packet. Browsers send one or two.
const maxREDBlocks = 8

// ErrBadRED says that bytes are no RED payload.
var ErrBadRED = errors.New("not a RED payload")

// REDBlock is one block of a RED payload. Data is a part of the payload, not a copy.
type REDBlock struct {
	PayloadType uint8
	Offset      uint32 // by how much its RTP time lies before that of the packet; 0 for the primary block
	Data        []byte
}

// ParseRED takes a payload of redundant audio (RFC 2198) apart: the blocks are appended to into, the oldest first, the
// primary one, which is the packet's own, last. The block n places before the last is what the packet with the n-th
// lower sequence number held.
//
// A block header is a bit that says whether another one follows, seven bits of payload type and, unless it is the last,
// fourteen bits of offset and ten of length. It is an error when blocks do not grow newer one by one.
func ParseRED(into []REDBlock, payload []byte) ([]REDBlock, error) {
	begin := len(into)
	var lengths [maxREDBlocks]int
	headers, redundant := payload, 0
	for {
		if len(headers) == 0 {
			return into[:begin], fmt.Errorf("%w: no header of a primary block", ErrBadRED)
		}
		if headers[0]&0x80 == 0 {
			break
		}
		if len(headers) < 4 || redundant == maxREDBlocks {
			return into[:begin], fmt.Errorf("%w: block header %d of %d bytes", ErrBadRED, redundant, len(headers))
		}
		b := REDBlock{PayloadType: headers[0] & 0x7f, Offset: uint32(headers[1])<<6 | uint32(headers[2])>>2}
		if b.Offset == 0 || redundant > 0 && b.Offset >= into[len(into)-1].Offset {
			return into[:begin], fmt.Errorf("%w: block %d is not newer than the one before", ErrBadRED, redundant)
		}
		lengths[redundant] = int(headers[2]&3)<<8 | int(headers[3])
		into, redundant, headers = append(into, b), redundant+1, headers[4:]
	}
	into = append(into, REDBlock{PayloadType: headers[0]})
	body := headers[1:]
	for i := range redundant {
		if lengths[i] > len(body) {
			return into[:begin], fmt.Errorf("%w: block %d of %d bytes, %d are left", ErrBadRED, i, lengths[i], len(body))
		}
		into[begin+i].Data, body = body[:lengths[i]:lengths[i]], body[lengths[i]:]
	}
	into[begin+redundant].Data = body
	return into, nil
}

// AppendRED appends the RED payload of blocks to b, which must be as ParseRED gives them.
func AppendRED(b []byte, blocks ...REDBlock) []byte {
	last := len(blocks) - 1
	for _, block := range blocks[:last] {
		n := len(block.Data)
		b = append(b, 0x80|block.PayloadType, byte(block.Offset>>6), byte(block.Offset<<2)|byte(n>>8), byte(n))
	}
	b = append(b, blocks[last].PayloadType)
	for _, block := range blocks {
		b = append(b, block.Data...)
	}
	return b
}
