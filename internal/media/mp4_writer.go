package media

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// MP4Content is what an MP4 file is to hold (ISO/IEC 14496-12): one track of sound, perhaps one of H.264 pictures, chapters.
// The sizes of all samples are known before the first of them is written, so the index stands in front and the file is written in
// one pass. Nothing in it depends on when or where it is written.
type MP4Content struct {
	Title    string
	Chapters []Chapter    // none, or they cover all from 0 on without a gap
	Pictures *MP4Pictures // nil: none
	Sound    MP4Sound
}

// Chapter is a stretch of a film with a title. Files count it in milliseconds.
type Chapter struct {
	Start, End time.Duration
	Title      string
}

// MP4Pictures are H.264 pictures at an even rate.
type MP4Pictures struct {
	PerSecond int64
	Sets      [][]byte // parameter sets, of one sequence and of pictures, without start codes
	Colour    Colour
	Samples   []MP4Picture // in the order of decoding
}

// MP4Picture is a picture as it is stored (AppendAVC).
type MP4Picture struct {
	Size  uint32 // bytes
	Place int32  // in the order of showing, from 0
	Key   bool   // it needs no other one
}

// Colour are the code points of ISO/IEC 23091-2 for the colours of pictures, whose values leave room below and above
// (limited range). Zero: the file says nothing of them.
type Colour struct{ Primaries, Transfer, Matrix uint16 }

// BT601 are the colours of browsers' cameras (SMPTE 170M).
var BT601 = Colour{6, 6, 6}

// MP4Sound are packets of AAC, each of so many samples. The first packet only opens the second one and is heard by nobody: it
// stands before the beginning, and the file says so.
type MP4Sound struct {
	Config   []byte // AudioSpecificConfig (ISO/IEC 14496-3)
	Rate     int64  // samples a second
	Channels int
	Frame    int64    // samples in a packet
	Sizes    []uint32 // of the packets, in bytes
}

// mp4Rate is the clock of the whole, of the pictures and so of the edit lists. At 30 pictures a second and at 1024 samples of
// 48,000 every sample begins at a whole tick of it.
const mp4Rate = 90000

// mp4PiecesASecond is how often a file goes from pictures to sound and back in a second: a player that loads a file while it
// plays has to hold no more than that of one while it waits for the other.
const mp4PiecesASecond = 2

// WriteMP4 writes the file and gives its length. pictures and sound give the samples of each track, one right behind the other
// and nothing else; pictures is not read when there are none. An error of any of the three ends it.
func WriteMP4(to io.Writer, c MP4Content, pictures, sound io.Reader) (int64, error) {
	l, err := layOutMP4(c)
	if err != nil {
		return 0, err
	}
	head := l.head()
	if _, err := to.Write(head); err != nil {
		return 0, err
	}
	length := int64(len(head))
	for _, r := range l.runs {
		from := [...]io.Reader{mp4Picture: pictures, mp4Audio: sound, mp4Words: strings.NewReader(l.words)}[r.track]
		n, err := io.CopyN(to, from, r.bytes)
		if length += n; errors.Is(err, io.EOF) {
			return length, fmt.Errorf("%w: %d bytes of samples from the %dth on, there are %d", ErrMP4Content, r.bytes, r.first, n)
		}
		if err != nil {
			return length, err
		}
	}
	return length, errors.Join(mustEnd(sound), l.noMorePictures(pictures))
}

// ErrMP4Content says that a film cannot be written as it was described.
var ErrMP4Content = errors.New("not what an MP4 file of ours can hold")

func mustEnd(r io.Reader) error {
	n, err := io.ReadFull(r, make([]byte, 1))
	switch {
	case n > 0:
		return fmt.Errorf("%w: there are more", ErrMP4Content)
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

func (l *mp4Layout) noMorePictures(r io.Reader) error {
	if l.Pictures == nil {
		return nil
	}
	return mustEnd(r)
}

// mp4TrackNumber is the number of a track while a file is laid out.
type mp4TrackNumber int

const (
	mp4Picture mp4TrackNumber = iota
	mp4Audio
	mp4Words // titles of chapters
)

// mp4Run are samples of one track that stand one behind the other: what the standard calls a chunk.
type mp4Run struct {
	track        mp4TrackNumber
	first, count int
	at           int64 // from the first byte behind the index
	bytes        int64
}

// mp4Layout says where everything is.
type mp4Layout struct {
	MP4Content
	runs  []mp4Run
	bytes int64  // of all samples
	words string // samples of the track of titles
	delay int64  // pictures by which decoding must be ahead, so that none is shown before it is decoded
	base  int64  // where the samples begin in the file
	wide  bool   // places in the file need more than 32 bits
	avc   avcConfig
	rates [3]mp4BitRate
	ends  [3]int64 // when each track ends, in ticks of the whole
}

// layOutMP4 finds the place of every sample. The error says what the content lacks.
func layOutMP4(c MP4Content) (*mp4Layout, error) {
	l := &mp4Layout{MP4Content: c}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMP4Content, err)
	}
	if len(c.Chapters) > 0 {
		l.addWords()
	}
	l.interleave()
	s := c.Sound
	l.ends[mp4Audio] = ticksUp(int64(len(s.Sizes)-1)*s.Frame, s.Rate, mp4Rate)
	if p := c.Pictures; p != nil {
		l.ends[mp4Picture] = int64(len(p.Samples)) * mp4Rate / p.PerSecond
		for n, s := range p.Samples {
			l.delay = max(l.delay, int64(n)-int64(s.Place))
		}
	}
	return l, nil
}

// ticksUp turns ticks of one clock into those of another one, rounded up.
func ticksUp(n, from, to int64) int64 { return (n*to + from - 1) / from }

func (l *mp4Layout) check() error {
	switch s, p := l.Sound, l.Pictures; {
	case len(s.Sizes) < 2 || len(s.Config) == 0 || s.Rate <= 0 || s.Frame <= 0:
		return fmt.Errorf("%d packets of sound at %d Hz", len(s.Sizes), s.Rate)
	case p == nil:
	case len(p.Samples) == 0 || p.PerSecond <= 0 || mp4Rate%p.PerSecond != 0:
		return fmt.Errorf("%d pictures, %d a second", len(p.Samples), p.PerSecond)
	default:
		var err error
		if l.avc, err = newAVCConfig(p.Sets); err != nil {
			return err
		}
		shown := make([]bool, len(p.Samples))
		for n, s := range p.Samples {
			if s.Place < 0 || int(s.Place) >= len(shown) || shown[s.Place] {
				return fmt.Errorf("picture %d is to be shown as the %dth", n, s.Place)
			}
			shown[s.Place] = true
		}
	}
	before := time.Duration(0)
	for i, c := range l.Chapters {
		if c.Start.Milliseconds() != before.Milliseconds() || c.End < c.Start {
			return fmt.Errorf("chapter %d goes from %s to %s", i, c.Start, c.End)
		}
		before = c.End
	}
	return nil
}

// add puts the next samples of a track behind all others.
func (l *mp4Layout) add(track mp4TrackNumber, first, end int, size func(n int) uint32) {
	if first == end {
		return
	}
	r := mp4Run{track: track, first: first, count: end - first, at: l.bytes}
	for n := first; n < end; n++ {
		r.bytes += int64(size(n))
	}
	l.rates[track].add(r.bytes)
	l.bytes += r.bytes
	l.runs = append(l.runs, r)
}

// addWords makes the samples of the track of titles (QuickTime File Format: text): the length of the text in two bytes, the
// text, and a box that calls it UTF-8. Players that know nothing of it pass over it: it is not enabled.
func (l *mp4Layout) addWords() {
	var b mp4Builder
	for _, c := range l.Chapters {
		title := cutText(c.Title, math.MaxUint16)
		b.u16(uint16(len(title)))
		b.text(title)
		b.box("encd", func() { b.u32(256) })
	}
	l.words = string(b)
	l.add(mp4Words, 0, len(l.Chapters), func(n int) uint32 { return wordSize(l.Chapters[n]) })
}

// wordSize is the size of a sample of the track of titles.
func wordSize(c Chapter) uint32 { return uint32(2 + len(cutText(c.Title, math.MaxUint16)) + 12) }

// cutText is the beginning of a text in so many bytes, in whole letters and without zeros, which would end it.
func cutText(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// interleave puts sound behind the pictures that it belongs to.
func (l *mp4Layout) interleave() {
	s, pictures, packets := l.Sound, 0, 0
	for n := int64(1); ; n++ {
		if p := l.Pictures; p != nil {
			end := int(min(n*p.PerSecond/mp4PiecesASecond, int64(len(p.Samples))))
			l.add(mp4Picture, pictures, end, func(n int) uint32 { return p.Samples[n].Size })
			pictures = end
		}
		end := packets
		for end < len(s.Sizes) && (int64(end)-1)*s.Frame*mp4PiecesASecond < n*s.Rate {
			end++
		}
		l.add(mp4Audio, packets, end, func(n int) uint32 { return s.Sizes[n] })
		if packets = end; packets == len(s.Sizes) && (l.Pictures == nil || pictures == len(l.Pictures.Samples)) {
			return
		}
	}
}

// mp4BitRate sums up what a track has in each piece of a file.
type mp4BitRate struct {
	sum, last, most int64 // bytes: of all, of the last piece, of the two in a row that have most
}

func (r *mp4BitRate) add(bytes int64) {
	r.sum += bytes
	r.most = max(r.most, r.last+bytes)
	r.last = bytes
}

// bits are the bits of a second, on average over a length in ticks and at most.
func (r *mp4BitRate) bits(length int64) (average, most uint32) {
	clamp := func(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }
	average = clamp(r.sum * 8 * mp4Rate / max(1, length))
	return average, max(average, clamp(r.most*8*mp4PiecesASecond/2))
}

// head is everything before the first sample.
func (l *mp4Layout) head() []byte {
	const short, long = 8, 16 // heads of a box
	file := l.fileType()
	index := l.moov()
	l.base = int64(len(file)+len(index)) + short
	if l.base+l.bytes > math.MaxUint32 {
		l.wide = true
		index = l.moov()
		l.base = int64(len(file)+len(index)) + long
	}
	b := append(mp4Builder(file), l.moov()...) // once more, with the places
	if l.wide {
		b.u32(1)
		b.text("mdat")
		b.u64(uint64(l.bytes + long))
		return b
	}
	b.u32(uint32(l.bytes + short))
	b.text("mdat")
	return b
}
