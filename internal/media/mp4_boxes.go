package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// mp4Builder are bytes to which boxes are added.
type mp4Builder []byte

func (b *mp4Builder) u8(v byte)    { *b = append(*b, v) }
func (b *mp4Builder) u16(v uint16) { *b = binary.BigEndian.AppendUint16(*b, v) }
func (b *mp4Builder) u32(v uint32) { *b = binary.BigEndian.AppendUint32(*b, v) }
func (b *mp4Builder) u64(v uint64) { *b = binary.BigEndian.AppendUint64(*b, v) }

func (b *mp4Builder) text(s string) { *b = append(*b, s...) }
func (b *mp4Builder) zeros(n int)   { *b = append(*b, make([]byte, n)...) }

// box adds a box with what inside adds.
func (b *mp4Builder) box(kind string, inside func()) {
	at := len(*b)
	b.u32(0)
	b.text(kind)
	inside()
	binary.BigEndian.PutUint32((*b)[at:], uint32(len(*b)-at))
}

// full adds a box that begins with a version and flags.
func (b *mp4Builder) full(kind string, version byte, flags uint32, inside func()) {
	b.box(kind, func() {
		b.u32(uint32(version)<<24 | flags)
		inside()
	})
}

// mp4Version is the version of a box for a number: 1 where it needs 64 bits.
func mp4Version(n int64) byte {
	if n > math.MaxUint32 {
		return 1
	}
	return 0
}

// number adds a number whose box has that version.
func (b *mp4Builder) number(version byte, n int64) {
	if version == 1 {
		b.u64(uint64(n))
		return
	}
	b.u32(uint32(n))
}

// matrix shows a picture as it is.
func (b *mp4Builder) matrix() {
	for _, v := range [9]uint32{0: 1 << 16, 4: 1 << 16, 8: 1 << 30} {
		b.u32(v)
	}
}

// undetermined is the language of what is said and shown: ISO 639-2 "und", five bits a letter.
const undetermined = ('u'-0x60)<<10 | ('n'-0x60)<<5 | ('d' - 0x60)

// fileType says how the file is to be read (14496-12, 4.3).
func (l *mp4Layout) fileType() []byte {
	var b mp4Builder
	b.box("ftyp", func() {
		b.text("isom")
		b.u32(512)
		b.text("isomiso2")
		if l.Pictures != nil {
			b.text("avc1")
		}
		b.text("mp41")
	})
	return b
}

// moov is the index.
func (l *mp4Layout) moov() []byte {
	var b mp4Builder
	tracks := l.tracks()
	b.box("moov", func() {
		length := max(l.ends[mp4Picture], l.ends[mp4Audio])
		version := mp4Version(length)
		b.full("mvhd", version, 0, func() {
			b.number(version, 0) // made and changed at no time
			b.number(version, 0)
			b.u32(mp4Rate)
			b.number(version, length)
			b.u32(1 << 16) // as fast as it is
			b.u16(1 << 8)  // as loud as it is
			b.zeros(10)
			b.matrix()
			b.zeros(24)
			b.u32(uint32(len(tracks) + 1))
		})
		for i, t := range tracks {
			t.id, t.chapters = uint32(i+1), 0
			if len(l.Chapters) > 0 && t.number != mp4Words {
				t.chapters = uint32(len(tracks))
			}
			b.box("trak", func() { l.trak(&b, t) })
		}
		l.about(&b)
	})
	return b
}

// mp4OutTrack is a track that is written.
type mp4OutTrack struct {
	number        mp4TrackNumber
	id            uint32
	chapters      uint32 // id of the track with their titles; 0: none
	kind, name    string // of its handler
	rate          int64
	lasts, from   int64 // ticks of its clock: all of it, and where it begins to be shown
	shown         int64 // ticks of the whole
	flags         uint32
	group, volume uint16
	width, height int
}

func (l *mp4Layout) tracks() []mp4OutTrack {
	const enabled = 3
	var all []mp4OutTrack
	if p := l.Pictures; p != nil {
		tick := mp4Rate / p.PerSecond
		all = append(all, mp4OutTrack{
			number: mp4Picture, kind: "vide", name: "VideoHandler", rate: mp4Rate, lasts: int64(len(p.Samples)) * tick,
			from: l.delay * tick, shown: l.ends[mp4Picture], flags: enabled, width: l.avc.width, height: l.avc.height,
		})
	}
	s := l.Sound
	all = append(all, mp4OutTrack{
		number: mp4Audio, kind: "soun", name: "SoundHandler", rate: s.Rate, lasts: int64(len(s.Sizes)) * s.Frame, from: s.Frame,
		shown: l.ends[mp4Audio], flags: enabled, group: 1, volume: 1 << 8,
	})
	if n := len(l.Chapters); n > 0 {
		end := l.Chapters[n-1].End.Milliseconds()
		all = append(all, mp4OutTrack{
			number: mp4Words, kind: "text", name: "SubtitleHandler", rate: 1000, lasts: end,
			shown: ticksUp(end, 1000, mp4Rate), flags: enabled &^ 1,
		})
	}
	return all
}

func (l *mp4Layout) trak(b *mp4Builder, t mp4OutTrack) {
	version := mp4Version(t.shown)
	b.full("tkhd", version, t.flags, func() {
		b.number(version, 0)
		b.number(version, 0)
		b.u32(t.id)
		b.u32(0)
		b.number(version, t.shown)
		b.zeros(8 + 2)
		b.u16(t.group)
		b.u16(t.volume)
		b.u16(0)
		b.matrix()
		b.u32(uint32(t.width) << 16)
		b.u32(uint32(t.height) << 16)
	})
	b.box("edts", func() {
		b.full("elst", version, 0, func() {
			b.u32(1)
			b.number(version, t.shown)
			b.number(version, t.from)
			b.u32(1 << 16)
		})
	})
	if t.chapters > 0 {
		b.box("tref", func() { b.box("chap", func() { b.u32(t.chapters) }) })
	}
	b.box("mdia", func() { l.mdia(b, t) })
}

func (l *mp4Layout) mdia(b *mp4Builder, t mp4OutTrack) {
	version := mp4Version(t.lasts)
	b.full("mdhd", version, 0, func() {
		b.number(version, 0)
		b.number(version, 0)
		b.u32(uint32(t.rate))
		b.number(version, t.lasts)
		b.u16(undetermined)
		b.u16(0)
	})
	b.full("hdlr", 0, 0, func() {
		b.u32(0)
		b.text(t.kind)
		b.zeros(12)
		b.text(t.name + "\x00")
	})
	b.box("minf", func() {
		switch t.number {
		case mp4Picture:
			b.full("vmhd", 0, 1, func() { b.zeros(8) })
		case mp4Audio:
			b.full("smhd", 0, 0, func() { b.zeros(4) })
		case mp4Words:
			b.gmhd()
		}
		b.box("dinf", func() {
			b.full("dref", 0, 0, func() {
				b.u32(1)
				b.full("url ", 0, 1, func() {}) // in this file
			})
		})
		b.box("stbl", func() { l.stbl(b, t) })
	})
}

// gmhd is what a track of text has in the place of vmhd and smhd (QuickTime File Format).
func (b *mp4Builder) gmhd() {
	b.box("gmhd", func() {
		b.full("gmin", 0, 0, func() {
			b.u16(0x40) // copied as it is
			for range 3 {
				b.u16(0x8000)
			}
			b.u32(0)
		})
		b.box("text", func() {
			b.u16(1)
			for _, v := range [8]uint32{3: 1, 7: 0x4000} {
				b.u32(v)
			}
			b.u16(0)
		})
	})
}

// stbl are the tables of a track.
func (l *mp4Layout) stbl(b *mp4Builder, t mp4OutTrack) {
	b.full("stsd", 0, 0, func() {
		b.u32(1)
		switch t.number {
		case mp4Picture:
			l.avc1(b)
		case mp4Audio:
			l.mp4a(b)
		case mp4Words:
			l.textEntry(b)
		}
	})
	l.times(b, t)
	l.places(b, t.number)
	if t.number == mp4Audio {
		// A packet is heard right only behind the one before it (14496-12, 10.1).
		b.full("sgpd", 1, 0, func() {
			b.text("roll")
			b.u32(2)
			b.u32(1)
			b.u16(math.MaxUint16) // -1
		})
		b.full("sbgp", 0, 0, func() {
			b.text("roll")
			b.u32(1)
			b.u32(uint32(len(l.Sound.Sizes)))
			b.u32(1)
		})
	}
}

// table adds a table whose entries are counted while they are added.
func (b *mp4Builder) table(kind string, entries func(count func())) {
	b.full(kind, 0, 0, func() {
		at, n := len(*b), uint32(0)
		b.u32(0)
		entries(func() { n++ })
		binary.BigEndian.PutUint32((*b)[at:], n)
	})
}

// runs adds a table of runs of one value, of a track of n samples.
func (b *mp4Builder) runs(kind string, n int, value func(i int) uint32) {
	b.table(kind, func(count func()) {
		for i := 0; i < n; {
			first := i
			for i < n && value(i) == value(first) {
				i++
			}
			count()
			b.u32(uint32(i - first))
			b.u32(value(first))
		}
	})
}

// times adds when samples are decoded (stts), which of them need no other (stss), and when they are shown (ctts).
func (l *mp4Layout) times(b *mp4Builder, t mp4OutTrack) {
	switch t.number {
	case mp4Audio:
		b.runs("stts", len(l.Sound.Sizes), func(int) uint32 { return uint32(l.Sound.Frame) })
	case mp4Words:
		b.runs("stts", len(l.Chapters), func(i int) uint32 {
			return uint32(l.Chapters[i].End.Milliseconds() - l.Chapters[i].Start.Milliseconds())
		})
	case mp4Picture:
		all, tick := l.Pictures.Samples, mp4Rate/l.Pictures.PerSecond
		b.runs("stts", len(all), func(int) uint32 { return uint32(tick) })
		b.table("stss", func(count func()) {
			for i, s := range all {
				if s.Key {
					count()
					b.u32(uint32(i + 1))
				}
			}
		})
		if l.delay > 0 {
			b.runs("ctts", len(all), func(i int) uint32 { return uint32((int64(all[i].Place) + l.delay - int64(i)) * tick) })
		}
	}
}

// places adds where the samples are: how many stand together (stsc), how long they are (stsz), where they begin (stco, co64).
func (l *mp4Layout) places(b *mp4Builder, track mp4TrackNumber) {
	b.table("stsc", func(count func()) {
		chunk, before := uint32(0), 0
		for r := range l.runsOf(track) {
			if chunk++; r.count == before {
				continue
			}
			before = r.count
			count()
			b.u32(chunk)
			b.u32(uint32(r.count))
			b.u32(1)
		}
	})
	b.full("stsz", 0, 0, func() {
		b.u32(0)
		at, n := len(*b), uint32(0)
		b.u32(0)
		for size := range l.sizes(track) {
			b.u32(size)
			n++
		}
		binary.BigEndian.PutUint32((*b)[at:], n)
	})
	kind := "stco"
	if l.wide {
		kind = "co64"
	}
	b.table(kind, func(count func()) {
		for r := range l.runsOf(track) {
			count()
			if l.wide {
				b.u64(uint64(l.base + r.at))
			} else {
				b.u32(uint32(l.base + r.at))
			}
		}
	})
}

func (l *mp4Layout) runsOf(track mp4TrackNumber) func(yield func(mp4Run) bool) {
	return func(yield func(mp4Run) bool) {
		for _, r := range l.runs {
			if r.track == track && !yield(r) {
				return
			}
		}
	}
}

func (l *mp4Layout) sizes(track mp4TrackNumber) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		switch track {
		case mp4Audio:
			for _, n := range l.Sound.Sizes {
				if !yield(n) {
					return
				}
			}
		case mp4Words:
			for _, c := range l.Chapters {
				if !yield(wordSize(c)) {
					return
				}
			}
		case mp4Picture:
			for i := range l.Pictures.Samples {
				if !yield(l.Pictures.Samples[i].Size) {
					return
				}
			}
		}
	}
}

// btrt says how many bits a second a track has.
func (l *mp4Layout) btrt(b *mp4Builder, track mp4TrackNumber, lasts int64) {
	average, most := l.rates[track].bits(lasts)
	b.box("btrt", func() {
		b.u32(0)
		b.u32(most)
		b.u32(average)
	})
}

// avcConfig is what a decoder of H.264 has to know (ISO/IEC 14496-15, 5.3.3.1).
type avcConfig struct {
	sequence      []byte
	pictures      [][]byte
	width, height int
	chroma        byte // of profiles that name it, with the bits of luma and of chroma beyond 8
	luma8, chrom8 byte
	named         bool
}

// errNoSets says that a decoder would not know how pictures are encoded.
var errNoSets = errors.New("parameter sets of H.264 are missing, or more than one sequence has them")

func newAVCConfig(sets [][]byte) (avcConfig, error) {
	var c avcConfig
	for _, s := range sets {
		switch {
		case len(s) > math.MaxUint16:
			return c, errNoSets
		case len(s) > 3 && s[0]&0x1f == nalSPS && c.sequence == nil:
			c.sequence = s
		case len(s) > 1 && s[0]&0x1f == nalPPS:
			c.pictures = append(c.pictures, s)
		default:
			return c, errNoSets
		}
	}
	if c.sequence == nil || len(c.pictures) == 0 || len(c.pictures) > math.MaxUint8 {
		return c, errNoSets
	}
	var ok bool
	if c.width, c.height, ok = h264Size(c.sequence[1:]); !ok || c.width > math.MaxUint16 || c.height > math.MaxUint16 {
		return c, fmt.Errorf("%w: no size", errNoSets)
	}
	switch c.sequence[1] {
	case 100, 110, 122, 244:
		r := &bitReader{b: bytes.ReplaceAll(c.sequence[4:], []byte{0, 0, 3}, []byte{0, 0})} // without emulation prevention
		r.golomb()                                                                          // seq_parameter_set_id
		c.named, c.chroma = true, byte(r.golomb())
		if c.chroma == 3 {
			r.bits(1)
		}
		c.luma8, c.chrom8 = byte(r.golomb()), byte(r.golomb())
	}
	return c, nil
}

// avc1 describes pictures.
func (l *mp4Layout) avc1(b *mp4Builder) {
	c := &l.avc
	b.box("avc1", func() {
		b.zeros(6)
		b.u16(1) // in this file
		b.zeros(16)
		b.u16(uint16(c.width))
		b.u16(uint16(c.height))
		b.u32(72 << 16) // dots an inch, as everybody writes
		b.u32(72 << 16)
		b.u32(0)
		b.u16(1)    // picture in a sample
		b.zeros(32) // nobody made it
		b.u16(24)   // bits of depth
		b.u16(math.MaxUint16)
		b.box("avcC", func() { c.write(b) })
		if m := l.Pictures.Colour; m != (Colour{}) {
			b.box("colr", func() {
				b.text("nclx")
				b.u16(m.Primaries)
				b.u16(m.Transfer)
				b.u16(m.Matrix)
				b.u8(0) // limited range
			})
		}
		b.box("pasp", func() {
			b.u32(1)
			b.u32(1)
		})
		l.btrt(b, mp4Picture, l.ends[mp4Picture])
	})
}

func (c *avcConfig) write(b *mp4Builder) {
	b.u8(1)
	*b = append(*b, c.sequence[1:4]...) // profile, what it is compatible with, level
	b.u8(0xfc | 3)                      // units have their lengths in four bytes
	b.u8(0xe0 | 1)
	b.u16(uint16(len(c.sequence)))
	*b = append(*b, c.sequence...)
	b.u8(byte(len(c.pictures)))
	for _, s := range c.pictures {
		b.u16(uint16(len(s)))
		*b = append(*b, s...)
	}
	if c.named {
		b.u8(0xfc | c.chroma)
		b.u8(0xf8 | c.luma8)
		b.u8(0xf8 | c.chrom8)
		b.u8(0)
	}
}

// mp4a describes sound (ISO/IEC 14496-14, 5.6.1).
func (l *mp4Layout) mp4a(b *mp4Builder) {
	s := l.Sound
	lasts := ticksUp(int64(len(s.Sizes))*s.Frame, s.Rate, mp4Rate)
	average, most := l.rates[mp4Audio].bits(lasts)
	b.box("mp4a", func() {
		b.zeros(6)
		b.u16(1)
		b.zeros(8)
		b.u16(uint16(s.Channels))
		b.u16(16) // bits, as everybody writes
		b.u32(0)
		b.u32(uint32(s.Rate) << 16)
		b.full("esds", 0, 0, func() {
			b.descriptor(3, func() { // ES_Descriptor
				b.u16(0)
				b.u8(0)
				b.descriptor(4, func() { // DecoderConfigDescriptor
					b.u8(0x40)     // audio of 14496-3
					b.u8(5<<2 | 1) // sound that comes in
					b.zeros(3)
					b.u32(most)
					b.u32(average)
					b.descriptor(5, func() { *b = append(*b, s.Config...) })
				})
				b.descriptor(6, func() { b.u8(2) }) // SLConfigDescriptor: of MP4
			})
		})
		l.btrt(b, mp4Audio, lasts)
	})
}

// descriptor adds a descriptor of ISO/IEC 14496-1, 8.3, of less than 128 bytes.
func (b *mp4Builder) descriptor(tag byte, inside func()) {
	b.u8(tag)
	at := len(*b)
	b.u8(0)
	inside()
	(*b)[at] = byte(len(*b) - at - 1)
}

// textEntry describes the titles of chapters: text that nobody sees (QuickTime File Format).
func (l *mp4Layout) textEntry(b *mp4Builder) {
	b.box("text", func() {
		b.zeros(6)
		b.u16(1)
		b.u32(1)
		b.zeros(26)
		b.box("ftab", func() { // one font, without a name
			b.u16(1)
			b.u16(1)
			b.u8(0)
		})
	})
}

// about are the title and the chapters once more, for players that know no track of titles.
func (l *mp4Layout) about(b *mp4Builder) {
	if l.Title == "" && len(l.Chapters) == 0 {
		return
	}
	b.box("udta", func() {
		if l.Title != "" {
			b.title(cutText(l.Title, math.MaxUint16))
		}
		if len(l.Chapters) > 0 {
			l.chpl(b)
		}
	})
}

// title adds what iTunes made everybody read.
func (b *mp4Builder) title(text string) {
	b.full("meta", 0, 0, func() {
		b.full("hdlr", 0, 0, func() {
			b.u32(0)
			b.text("mdirappl")
			b.zeros(9)
		})
		b.box("ilst", func() {
			b.box("\xa9nam", func() {
				b.box("data", func() {
					b.u32(1) // UTF-8
					b.u32(0)
					b.text(text)
				})
			})
		})
	})
}

// chpl is Nero's list of chapters: 255 of them at most, their beginnings in tenths of a microsecond.
func (l *mp4Layout) chpl(b *mp4Builder) {
	all := l.Chapters[:min(len(l.Chapters), math.MaxUint8)]
	b.full("chpl", 1, 0, func() {
		b.u32(0)
		b.u8(byte(len(all)))
		for _, c := range all {
			title := cutText(c.Title, math.MaxUint8)
			b.u64(uint64(c.Start.Milliseconds()) * 10_000)
			b.u8(byte(len(title)))
			b.text(title)
		}
	})
}
