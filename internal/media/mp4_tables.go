package media

import (
	"encoding/binary"
	"fmt"
)

// mp4Tables are the tables of a track (ISO/IEC 14496-12, 8.6 and 8.7) as they stand in the file, their entries without the
// heads. They were held against each other: each names as many samples as the others.
type mp4Tables struct {
	samples  int
	uniform  int64  // size of every sample; 0: as in sizes
	sizes    []byte // stsz: 4 bytes a sample
	times    []byte // stts: count, ticks
	shifts   []byte // ctts: count, ticks; empty: none
	chunks   []byte // stsc: first chunk, samples, description
	offsets  []byte // stco or co64: one for each chunk
	wide     bool   // offsets have 8 bytes
	keys     []byte // stss: numbers of samples, from 1
	allKeys  bool
	unsigned bool // shifts
}

// read takes the tables out of the boxes of a track.
func (t *mp4Tables) read(stbl []mp4Box) (err error) {
	if err := t.readSizes(firstBox(stbl, "stsz")); err != nil {
		return err
	}
	shifts, keys, offsets := firstBox(stbl, "ctts"), firstBox(stbl, "stss"), firstBox(stbl, "stco")
	if offsets == nil {
		offsets, t.wide = firstBox(stbl, "co64"), true
	}
	if t.times, err = mp4Entries(firstBox(stbl, "stts"), 8); err != nil {
		return fmt.Errorf("stts: %w", err)
	}
	if shifts != nil {
		if t.shifts, err = mp4Entries(shifts, 8); err != nil {
			return fmt.Errorf("ctts: %w", err)
		}
		t.unsigned = shifts[0] == 0
	}
	if t.chunks, err = mp4Entries(firstBox(stbl, "stsc"), 12); err != nil {
		return fmt.Errorf("stsc: %w", err)
	}
	if t.offsets, err = mp4Entries(offsets, t.offsetSize()); err != nil {
		return fmt.Errorf("stco: %w", err)
	}
	if t.allKeys = keys == nil; !t.allKeys {
		if t.keys, err = mp4Entries(keys, 4); err != nil {
			return fmt.Errorf("stss: %w", err)
		}
	}
	return t.check()
}

func (t *mp4Tables) offsetSize() int64 {
	if t.wide {
		return 8
	}
	return 4
}

// mp4Entries gives the entries of a table, each of so many bytes.
func mp4Entries(b []byte, size int64) ([]byte, error) {
	if len(b) < 8 || int64(binary.BigEndian.Uint32(b[4:]))*size != int64(len(b)-8) {
		return nil, fmt.Errorf("%w: a table of %d bytes", ErrNotMP4, len(b))
	}
	return b[8:], nil
}

func (t *mp4Tables) readSizes(b []byte) error {
	if len(b) < 12 {
		return fmt.Errorf("%w: a table of sizes of %d bytes", ErrNotMP4, len(b))
	}
	n := int64(binary.BigEndian.Uint32(b[8:]))
	t.uniform, t.sizes = int64(binary.BigEndian.Uint32(b[4:])), b[12:]
	if t.uniform == 0 && n*4 != int64(len(t.sizes)) || t.uniform > 0 && n > maxMP4Uniform {
		return fmt.Errorf("%w: %d sizes in %d bytes", ErrNotMP4, n, len(t.sizes))
	}
	t.samples = int(n)
	return nil
}

// check holds the tables against each other, so that a cursor cannot run off any of them.
func (t *mp4Tables) check() error {
	want := int64(t.samples)
	if n := mp4Total(t.times); n != want {
		return fmt.Errorf("%w: times of %d samples, there are %d", ErrNotMP4, n, want)
	}
	if n := mp4Total(t.shifts); len(t.shifts) > 0 && n != want {
		return fmt.Errorf("%w: shifts of %d samples, there are %d", ErrNotMP4, n, want)
	}
	if err := mp4Ascending(t.keys, 4, int64(t.samples)); err != nil {
		return fmt.Errorf("keyframes: %w", err)
	}
	chunks := int64(len(t.offsets)) / t.offsetSize()
	if err := mp4Ascending(t.chunks, 12, chunks); err != nil {
		return fmt.Errorf("chunks: %w", err)
	}
	sum := int64(0)
	for at := 0; at < len(t.chunks); at += 12 {
		from, until := int64(binary.BigEndian.Uint32(t.chunks[at:])), chunks+1
		if at+12 < len(t.chunks) {
			until = int64(binary.BigEndian.Uint32(t.chunks[at+12:]))
		}
		each := int64(binary.BigEndian.Uint32(t.chunks[at+4:]))
		if at == 0 && from != 1 || each == 0 || each > want || binary.BigEndian.Uint32(t.chunks[at+8:]) != 1 {
			return fmt.Errorf("%w: chunk %d of %d samples", ErrNotMP4, from, each)
		}
		if sum += each * (until - from); sum > want {
			break
		}
	}
	if sum != want {
		return fmt.Errorf("%w: chunks of %d samples, there are %d", ErrNotMP4, sum, want)
	}
	for at := 0; t.wide && at < len(t.offsets); at += 8 {
		if binary.BigEndian.Uint64(t.offsets[at:]) > maxMP4Ticks {
			return fmt.Errorf("%w: a chunk behind the end of the file", ErrNotMP4)
		}
	}
	return nil
}

// mp4Total is how many samples the runs of a table name.
func mp4Total(runs []byte) int64 {
	sum := int64(0)
	for ; len(runs) > 0; runs = runs[8:] {
		sum += int64(binary.BigEndian.Uint32(runs))
	}
	return sum
}

// mp4Ascending refuses a table whose entries do not begin with growing numbers from 1 to most.
func mp4Ascending(b []byte, size int, most int64) error {
	last := int64(0)
	for ; len(b) > 0; b = b[size:] {
		n := int64(binary.BigEndian.Uint32(b))
		if n <= last || n > most {
			return fmt.Errorf("%w: %d behind %d of %d", ErrNotMP4, n, last, most)
		}
		last = n
	}
	return nil
}

// mp4Cursor goes through tables that were checked.
type mp4Cursor struct {
	*mp4Tables
	times, shifts mp4Runs
	decoded       int64 // ticks
	chunk         int64 // number of it, from 1
	left          int64 // samples of the chunk
	offset        int64
	row           int // of chunks: the next one
	each          int64
	key           int // of keys: the next one
}

func (t *mp4Tables) cursor() *mp4Cursor {
	return &mp4Cursor{mp4Tables: t, times: mp4Runs{rest: t.times}, shifts: mp4Runs{rest: t.shifts}}
}

// next gives the n-th sample, and when it is to be shown on the clock of the track.
func (c *mp4Cursor) next(n int) (s MP4Sample, at int64) {
	if c.left == 0 {
		c.nextChunk()
	}
	s = MP4Sample{Offset: c.offset, Size: c.uniform, Key: c.allKeys}
	if s.Size == 0 {
		s.Size = int64(binary.BigEndian.Uint32(c.sizes[4*n:]))
	}
	c.left--
	c.offset += s.Size
	if c.key < len(c.keys) && int64(binary.BigEndian.Uint32(c.keys[c.key:])) == int64(n)+1 {
		s.Key = true
		c.key += 4
	}
	at = c.decoded
	if len(c.mp4Tables.shifts) > 0 {
		shift := c.shifts.next()
		if !c.unsigned {
			shift = int64(int32(uint32(shift)))
		}
		at += shift
	}
	c.decoded += c.times.next()
	return s, at
}

func (c *mp4Cursor) nextChunk() {
	c.chunk++
	if c.row < len(c.chunks) && int64(binary.BigEndian.Uint32(c.chunks[c.row:])) == c.chunk {
		c.each = int64(binary.BigEndian.Uint32(c.chunks[c.row+4:]))
		c.row += 12
	}
	c.left = c.each
	if c.wide {
		c.offset = int64(binary.BigEndian.Uint64(c.offsets[8*(c.chunk-1):]))
	} else {
		c.offset = int64(binary.BigEndian.Uint32(c.offsets[4*(c.chunk-1):]))
	}
}

// mp4Runs goes through runs of one value.
type mp4Runs struct {
	rest  []byte
	left  int64
	value int64
}

func (r *mp4Runs) next() int64 {
	for r.left == 0 {
		r.left, r.value = int64(binary.BigEndian.Uint32(r.rest)), int64(binary.BigEndian.Uint32(r.rest[4:]))
		r.rest = r.rest[8:]
	}
	r.left--
	return r.value
}
