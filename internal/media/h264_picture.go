package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Types of NAL units that are looked at here (H.264 table 7-1); slices are 1 to 5, of which 5 is of a picture that needs no other.
const (
	nalSlice         = 1
	nalPPS           = 8
	nalDelimiter     = 9
	nalEndOfSequence = 10
	nalEndOfStream   = 11
	nalFiller        = 12
)

// H264Picture is a picture of H.264 taken out of its container. The units are parts of the bytes that it was made of.
type H264Picture struct {
	Sets   [][]byte // parameter sets that come with it
	Slices [][]byte // the picture itself
	Key    bool     // it needs no other picture (IDR)
}

func (p *H264Picture) add(unit []byte) {
	switch kind := unit[0] & 0x1f; {
	case kind == nalSPS, kind == nalPPS:
		p.Sets = append(p.Sets, unit)
	case nalSlice <= kind && kind <= nalIDR:
		p.Slices = append(p.Slices, unit)
		p.Key = p.Key || kind == nalIDR
	}
}

// H264AnnexB takes a picture apart whose units have start codes before them, as transport streams have it (annex B).
func H264AnnexB(b []byte) H264Picture {
	var p H264Picture
	for unit := range annexB(b) {
		p.add(unit)
	}
	return p
}

// annexB gives the units between start codes, without the zeros that may stand behind them.
func annexB(b []byte) iter.Seq[[]byte] {
	startCode := func(from int) int {
		if at := bytes.Index(b[from:], []byte{0, 0, 1}); at >= 0 {
			return from + at
		}
		return len(b)
	}
	return func(yield func([]byte) bool) {
		for at := startCode(0); at < len(b); {
			next := startCode(at + 3)
			if unit := bytes.TrimRight(b[at+3:next], "\x00"); len(unit) > 0 && !yield(unit) {
				return
			}
			at = next
		}
	}
}

// AppendAVC adds a picture of H264AnnexB to bytes as MP4 files have it, each unit with its length before it in four bytes. What
// the index has, parameter sets, and what only streams need, their marks of where pictures begin and end, is left out.
func AppendAVC(to, b []byte) []byte {
	for unit := range annexB(b) {
		switch unit[0] & 0x1f {
		case nalSPS, nalPPS, nalDelimiter, nalEndOfSequence, nalEndOfStream, nalFiller:
			continue
		}
		to = binary.BigEndian.AppendUint32(to, uint32(len(unit)))
		to = append(to, unit...)
	}
	return to
}

// ErrNotAVC says that a sample of an MP4 file is not made of whole units.
var ErrNotAVC = errors.New("not units of H.264 with their lengths")

// H264AVC takes a picture apart whose units have their lengths before them in four bytes, as MP4 files have it (ISO/IEC
// 14496-15).
func H264AVC(b []byte) (H264Picture, error) {
	var p H264Picture
	for len(b) > 0 {
		if len(b) < 4 {
			return p, fmt.Errorf("%w: %d bytes are left", ErrNotAVC, len(b))
		}
		n := binary.BigEndian.Uint32(b)
		if n == 0 || int64(n) > int64(len(b)-4) {
			return p, fmt.Errorf("%w: one of %d bytes, there are %d", ErrNotAVC, n, len(b)-4)
		}
		p.add(b[4 : 4+n])
		b = b[4+n:]
	}
	return p, nil
}

// WriteSlices writes the picture itself in a form that is the same whatever container it came from: units with their
// lengths, and a length of zero behind the last one. Parameter sets and what says nothing of the picture are left out,
// because programs add and drop them when they change the container.
func (p H264Picture) WriteSlices(to io.Writer) error {
	var length [4]byte
	for _, s := range p.Slices {
		binary.BigEndian.PutUint32(length[:], uint32(len(s)))
		if _, err := to.Write(length[:]); err != nil {
			return err
		}
		if _, err := to.Write(s); err != nil {
			return err
		}
	}
	_, err := to.Write([]byte{0, 0, 0, 0})
	return err
}
