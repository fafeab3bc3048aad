package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// ErrNotMP4 says that a file has no index as we write it.
var ErrNotMP4 = errors.New("not an MP4 file with a whole index")

// Bounds of what is believed of an MP4 file: a day of picture and sound has an index of less than 70 MB.
const (
	maxMP4Index = 256 << 20
	maxMP4Boxes = 1000    // at the top of the file
	maxMP4Ticks = 1 << 56 // of any clock in it
	// maxMP4Uniform bounds the samples that have one size, of which no table says how many there are: four days of sound.
	maxMP4Uniform = 1 << 24
)

// MP4 is the index of an MP4 file (ISO/IEC 14496-12): what its players go by.
type MP4 struct {
	Length time.Duration // of the whole, as its header says
	Tracks []*MP4Track   // of pictures and of sound, in the order of the file
}

// Video is the first track of pictures, nil without one.
func (m *MP4) Video() *MP4Track { return m.first(Video) }

// Audio is the first track of sound, nil without one.
func (m *MP4) Audio() *MP4Track { return m.first(Audio) }

func (m *MP4) first(kind Kind) *MP4Track {
	for _, t := range m.Tracks {
		if t.Kind == kind {
			return t
		}
	}
	return nil
}

// MP4Track is one track. What it says of its samples was held together when it was read: each lies in the file.
type MP4Track struct {
	Kind          Kind
	Codec         string        // four characters: avc1, mp4a
	Width, Height int           // of pictures
	Sets          [][]byte      // H.264: parameter sets, of sequences and then of pictures
	Rate          uint32        // ticks a second of its clock
	Count         int           // samples
	Length        time.Duration // for which it is shown, by its edit list

	delay, from, until int64 // ticks: shown from delay on, from one moment of its clock until another
	tables             mp4Tables
}

// MP4Sample is a packet of a track: a picture, or a packet of sound.
type MP4Sample struct {
	Offset int64 // in the file
	Size   int64
	At     int64 // when it is shown, in ticks from the beginning of the whole; what is shown before it is negative
	Key    bool
	Hidden bool // the edit list leaves it out
}

// Time is when the sample is shown.
func (t *MP4Track) Time(s MP4Sample) time.Duration { return RTPDuration(s.At, t.Rate) }

// Samples gives all samples in the order of the file, which is that of decoding.
func (t *MP4Track) Samples() iter.Seq[MP4Sample] {
	return func(yield func(MP4Sample) bool) {
		c := t.tables.cursor()
		for n := range t.Count {
			s, at := c.next(n)
			s.At = at - t.from + t.delay
			s.Hidden = at < t.from || at >= t.until
			if !yield(s) {
				return
			}
		}
	}
}

// ReadMP4 reads the index of a file of size bytes. It reads nothing of the samples. The error is ErrNotMP4 or one of r.
func ReadMP4(r io.ReaderAt, size int64) (*MP4, error) {
	moov, err := findMoov(r, size)
	if err != nil {
		return nil, err
	}
	m := &MP4{}
	parts, err := mp4Boxes(moov)
	if err != nil {
		return nil, err
	}
	rate, length, err := mp4Clock(firstBox(parts, "mvhd"))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	m.Length = RTPDuration(length, rate)
	for _, p := range parts {
		if p.kind != "trak" {
			continue
		}
		t, err := readTrack(p.body, rate, size)
		if err != nil {
			return nil, fmt.Errorf("track %d: %w", len(m.Tracks), err)
		}
		if t != nil {
			m.Tracks = append(m.Tracks, t)
		}
	}
	return m, nil
}

// findMoov goes from box to box to the index, and reads it.
func findMoov(r io.ReaderAt, size int64) ([]byte, error) {
	var head [16]byte
	at := int64(0)
	for range maxMP4Boxes {
		if size-at < 8 {
			break
		}
		n, err := r.ReadAt(head[:min(16, size-at)], at)
		if err != nil && (!isEnd(err) || n < 8) {
			return nil, fmt.Errorf("read a box of an MP4 file: %w", err)
		}
		length, begin := int64(binary.BigEndian.Uint32(head[:])), int64(8)
		switch {
		case length == 0:
			length = size - at
		case length == 1 && size-at >= 16:
			length, begin = int64(binary.BigEndian.Uint64(head[8:])), 16
		}
		if length < begin || length > size-at {
			return nil, fmt.Errorf("%w: a box of %d bytes at %d of %d", ErrNotMP4, length, at, size)
		}
		if string(head[4:8]) != "moov" {
			at += length
			continue
		}
		if length > maxMP4Index {
			return nil, fmt.Errorf("%w: an index of %d bytes", ErrNotMP4, length)
		}
		moov := make([]byte, length-begin)
		if n, err := r.ReadAt(moov, at+begin); n < len(moov) {
			return nil, fmt.Errorf("read the index of an MP4 file: %w", err)
		}
		return moov, nil
	}
	return nil, fmt.Errorf("%w: it has none", ErrNotMP4)
}

// mp4Box is a box within the index.
type mp4Box struct {
	kind string
	body []byte
}

// mp4Boxes takes bytes apart that are nothing but boxes.
func mp4Boxes(b []byte) ([]mp4Box, error) {
	var all []mp4Box
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, fmt.Errorf("%w: %d bytes are no box", ErrNotMP4, len(b))
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n < 8 || n > int64(len(b)) {
			return nil, fmt.Errorf("%w: a box %q of %d bytes in %d", ErrNotMP4, b[4:8], n, len(b))
		}
		all = append(all, mp4Box{string(b[4:8]), b[8:n]})
		b = b[n:]
	}
	return all, nil
}

// firstBox is the body of the first box of a kind; empty without one.
func firstBox(all []mp4Box, kind string) []byte {
	for _, b := range all {
		if b.kind == kind {
			return b.body
		}
	}
	return nil
}

// boxesWithin are the boxes within a box within others.
func boxesWithin(b []byte, kinds ...string) ([]mp4Box, error) {
	all, err := mp4Boxes(b)
	if err != nil || len(kinds) == 0 {
		return all, err
	}
	return boxesWithin(firstBox(all, kinds[0]), kinds[1:]...)
}

// mp4Clock reads ticks a second and the length in ticks from the header of the whole or of a track's media.
func mp4Clock(b []byte) (rate uint32, length int64, err error) {
	switch {
	case len(b) >= 32 && b[0] == 1:
		rate, length = binary.BigEndian.Uint32(b[20:]), int64(binary.BigEndian.Uint64(b[24:]))
	case len(b) >= 20 && b[0] == 0:
		rate, length = binary.BigEndian.Uint32(b[12:]), int64(binary.BigEndian.Uint32(b[16:]))
	}
	if rate == 0 || length < 0 || length > maxMP4Ticks {
		return 0, 0, fmt.Errorf("%w: a clock of %d ticks a second that lasts %d", ErrNotMP4, rate, length)
	}
	return rate, length, nil
}

// readTrack reads a track whose whole has so many ticks a second; nil when it is neither pictures nor sound.
func readTrack(b []byte, wholeRate uint32, size int64) (*MP4Track, error) {
	outer, err := mp4Boxes(b)
	if err != nil {
		return nil, err
	}
	mdia, err := mp4Boxes(firstBox(outer, "mdia"))
	if err != nil {
		return nil, err
	}
	t := &MP4Track{}
	switch hdlr := firstBox(mdia, "hdlr"); {
	case len(hdlr) >= 12 && string(hdlr[8:12]) == "vide":
		t.Kind = Video
	case len(hdlr) >= 12 && string(hdlr[8:12]) == "soun":
		t.Kind = Audio
	default:
		return nil, nil
	}
	var length int64
	if t.Rate, length, err = mp4Clock(firstBox(mdia, "mdhd")); err != nil {
		return nil, err
	}
	stbl, err := boxesWithin(firstBox(mdia, "minf"), "stbl")
	if err != nil {
		return nil, err
	}
	if err := t.describe(firstBox(stbl, "stsd")); err != nil {
		return nil, err
	}
	if err := t.tables.read(stbl); err != nil {
		return nil, err
	}
	t.Count = t.tables.samples
	edits, err := mp4Boxes(firstBox(outer, "edts"))
	if err != nil {
		return nil, err
	}
	if err := t.edit(firstBox(edits, "elst"), wholeRate, length); err != nil {
		return nil, err
	}
	for s := range t.Samples() {
		if s.Offset+s.Size > size {
			return nil, fmt.Errorf("%w: a sample behind the end of the file", ErrNotMP4)
		}
	}
	return t, nil
}

// edit reads which part of the track is shown, and when: one part, or all of it, perhaps after a wait.
func (t *MP4Track) edit(elst []byte, wholeRate uint32, length int64) error {
	t.until, t.Length = length, RTPDuration(length, t.Rate)
	if elst == nil {
		return nil
	}
	if len(elst) < 8 || elst[0] > 1 {
		return fmt.Errorf("%w: an edit list of %d bytes", ErrNotMP4, len(elst))
	}
	wide, n := elst[0] == 1, int64(binary.BigEndian.Uint32(elst[4:]))
	entry := int64(12)
	if wide {
		entry = 20
	}
	if elst = elst[8:]; n == 0 || n > 2 || n*entry != int64(len(elst)) {
		return fmt.Errorf("%w: %d edits in %d bytes", ErrNotMP4, n, len(elst))
	}
	for i := range n {
		e := elst[i*entry:]
		lasts, from := int64(binary.BigEndian.Uint32(e)), int64(int32(binary.BigEndian.Uint32(e[4:])))
		if wide {
			lasts, from = int64(binary.BigEndian.Uint64(e)), int64(binary.BigEndian.Uint64(e[8:]))
		}
		if lasts < 0 || lasts > maxMP4Ticks/int64(t.Rate) || from < -1 || from > maxMP4Ticks || (from == -1) != (i < n-1) ||
			binary.BigEndian.Uint32(e[entry-4:]) != 1<<16 {
			return fmt.Errorf("%w: an edit of %d ticks from %d", ErrNotMP4, lasts, from)
		}
		ticks := (lasts*int64(t.Rate) + int64(wholeRate) - 1) / int64(wholeRate)
		if from == -1 { // a wait
			t.delay = ticks
			continue
		}
		t.from, t.until, t.Length = from, from+ticks, RTPDuration(lasts, wholeRate)
	}
	return nil
}

// describe reads what the samples are.
func (t *MP4Track) describe(stsd []byte) error {
	if len(stsd) < 8 || binary.BigEndian.Uint32(stsd[4:]) != 1 {
		return fmt.Errorf("%w: samples of several kinds, or of none", ErrNotMP4)
	}
	kinds, err := mp4Boxes(stsd[8:])
	if err != nil || len(kinds) != 1 {
		return fmt.Errorf("%w: what its samples are is %d bytes", ErrNotMP4, len(stsd))
	}
	const fields = 78 // of pictures, before the boxes
	t.Codec = kinds[0].kind
	body := kinds[0].body
	if t.Codec != "avc1" {
		return nil
	}
	if len(body) < fields {
		return fmt.Errorf("%w: pictures that are described in %d bytes", ErrNotMP4, len(body))
	}
	t.Width, t.Height = int(binary.BigEndian.Uint16(body[24:])), int(binary.BigEndian.Uint16(body[26:]))
	more, err := mp4Boxes(body[fields:])
	if err != nil {
		return err
	}
	t.Sets, err = parameterSets(firstBox(more, "avcC"))
	return err
}

// parameterSets reads a decoder's configuration (ISO/IEC 14496-15, 5.3.3.1) with lengths of four bytes.
func parameterSets(b []byte) ([][]byte, error) {
	bad := fmt.Errorf("%w: a configuration of the decoder of %d bytes", ErrNotMP4, len(b))
	if len(b) < 6 || b[4]&3 != 3 {
		return nil, bad
	}
	var all [][]byte
	b = b[5:]
	for _, mask := range []byte{0x1f, 0xff} { // first those of sequences, then those of pictures
		if len(b) == 0 {
			return nil, bad
		}
		n := int(b[0] & mask)
		b = b[1:]
		for range n {
			if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
				return nil, bad
			}
			end := 2 + int(binary.BigEndian.Uint16(b))
			all, b = append(all, b[2:end:end]), b[end:]
		}
	}
	return all, nil
}
