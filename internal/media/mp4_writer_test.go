package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// small is a film of four seconds of which nothing can be seen or heard, with pictures that lean on later ones.
func small() (c MP4Content, pictures, sound []byte) {
	c = MP4Content{
		Title:    "Größe",
		Chapters: []Chapter{{0, 1500 * time.Millisecond, "Анна вошла"}, {1500 * time.Millisecond, 4 * time.Second, "The end"}},
		Pictures: &MP4Pictures{PerSecond: 30, Sets: testSets, Colour: BT601},
		Sound:    MP4Sound{Config: []byte{0x11, 0x90}, Rate: 48000, Channels: 2, Frame: 1024},
	}
	for n := range int32(120) {
		size := uint32(20 + n%7)
		place := n + [4]int32{0, 1, -1, 0}[n%4] // 0 2 1 3, 4 6 5 7
		c.Pictures.Samples = append(c.Pictures.Samples, MP4Picture{Size: size, Place: place, Key: n%60 == 0})
		pictures = append(pictures, bytes.Repeat([]byte{byte(n)}, int(size))...)
	}
	for n := range 189 {
		size := uint32(5 + n%3)
		c.Sound.Sizes = append(c.Sound.Sizes, size)
		sound = append(sound, bytes.Repeat([]byte{0x80 | byte(n)}, int(size))...)
	}
	return c, pictures, sound
}

// testSets are those of a picture of 1280x720 as x264 writes them.
var testSets = [][]byte{unhex("6764001facd9405005bb016a0c0c0c80000003008000001e078c18cb"), unhex("68efbcb0")}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func writeMP4(t testing.TB, c MP4Content, pictures, sound []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := WriteMP4(&out, c, bytes.NewReader(pictures), bytes.NewReader(sound))
	if err != nil || n != int64(out.Len()) {
		t.Fatalf("%d bytes of %d, %v", n, out.Len(), err)
	}
	return out.Bytes()
}

// The index of a small film, box by box.
func TestTheBoxesOfAnMP4(t *testing.T) {
	c, pictures, sound := small()
	golden(t, "mp4_boxes.txt", []byte(listBoxes(writeMP4(t, c, pictures, sound), "")))
	c.Pictures, c.Title = nil, ""
	golden(t, "mp4_boxes_sound.txt", []byte(listBoxes(writeMP4(t, c, nil, sound), "")))
}

// listBoxes writes the boxes one a line, with what is in them where that is short.
func listBoxes(b []byte, indent string) string {
	heads := map[string]int{
		"moov": 0, "trak": 0, "edts": 0, "tref": 0, "mdia": 0, "minf": 0, "gmhd": 0, "dinf": 0, "stbl": 0, "udta": 0, "ilst": 0,
		"\xa9nam": 0, "meta": 4, "dref": 8, "stsd": 8, "avc1": 78, "mp4a": 28,
	}
	var out strings.Builder
	for len(b) >= 8 {
		n, kind := int(binary.BigEndian.Uint32(b)), string(b[4:8])
		body := b[8:n]
		head, nested := heads[kind]
		if !nested {
			head = len(body)
		}
		shown := hex.EncodeToString(body[:head])
		if len(shown) > 200 {
			sum := sha256.Sum256(body)
			shown = fmt.Sprintf("%s... sha256 %x", shown[:64], sum[:8])
		}
		fmt.Fprintf(&out, "%s%q %d %s\n", indent, kind, n, shown)
		if nested {
			out.WriteString(listBoxes(body[head:], indent+"  "))
		}
		b = b[n:]
	}
	if len(b) > 0 {
		fmt.Fprintf(&out, "%sand %d bytes\n", indent, len(b))
	}
	return out.String()
}

// Whatever a film is made of, its reader finds every sample with its bytes, at its time, and nothing else.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		c, pictures, sound := randomContent(random)
		raw := writeMP4(t, c, pictures, sound)
		if again := writeMP4(t, c, pictures, sound); !bytes.Equal(raw, again) {
			t.Fatal("the same film has other bytes")
		}
		m, err := readMP4(raw)
		if err != nil {
			t.Fatalf("film %d: %v", seed, err)
		}
		var gotPictures, gotSound []byte
		n := 0
		if c.Pictures != nil {
			p, v := c.Pictures, m.Video()
			if diff := cmp.Diff(p.Sets, v.Sets); diff != "" || v.Width != 1280 || v.Height != 720 || v.Length != RTPDuration(int64(v.Count)*3000, 90000) {
				t.Fatalf("film %d: %dx%d, %s, sets:\n%s", seed, v.Width, v.Height, v.Length, diff)
			}
			for s := range v.Samples() {
				want := p.Samples[n]
				if s.At != int64(want.Place)*3000 || s.Key != want.Key || s.Size != int64(want.Size) || s.Hidden {
					t.Fatalf("film %d: picture %d is %+v, written was %+v", seed, n, s, want)
				}
				gotPictures = append(gotPictures, raw[s.Offset:s.Offset+s.Size]...)
				n++
			}
		}
		if m.Video() == nil != (c.Pictures == nil) || !bytes.Equal(gotPictures, pictures) {
			t.Fatalf("film %d: the pictures are others", seed)
		}
		n = 0
		for s := range m.Audio().Samples() {
			if s.At != int64(n-1)*1024 || s.Size != int64(c.Sound.Sizes[n]) || s.Hidden != (n == 0) {
				t.Fatalf("film %d: packet %d is %+v", seed, n, s)
			}
			gotSound = append(gotSound, raw[s.Offset:s.Offset+s.Size]...)
			n++
		}
		if !bytes.Equal(gotSound, sound) {
			t.Fatalf("film %d: the sound is another one", seed)
		}
	}
}

func randomContent(random *rand.Rand) (c MP4Content, pictures, sound []byte) {
	fill := func(to []byte, n uint32) []byte {
		for range n {
			to = append(to, byte(random.Uint32()))
		}
		return to
	}
	c = MP4Content{Title: strings.Repeat("é", random.IntN(300)), Sound: MP4Sound{Config: []byte{0x11, 0x90}, Rate: 48000, Channels: 2, Frame: 1024}}
	at := time.Duration(0)
	for range random.IntN(300) {
		end := at + time.Duration(random.IntN(3000))*time.Millisecond
		c.Chapters = append(c.Chapters, Chapter{at, end, strings.Repeat("☂", random.IntN(200))})
		at = end
	}
	frames := 1 + random.IntN(200)
	for range 2 + frames*48/30 + random.IntN(40) {
		size := uint32(random.IntN(20) + 1)
		c.Sound.Sizes, sound = append(c.Sound.Sizes, size), fill(sound, size)
	}
	if random.IntN(4) == 0 {
		return c, nil, sound
	}
	c.Pictures = &MP4Pictures{PerSecond: 30, Sets: testSets}
	order := make([]int32, frames)
	for i := range order {
		order[i] = int32(i)
	}
	for i := range order { // each changes its place with one nearby
		o := min(len(order)-1, i+random.IntN(4))
		order[i], order[o] = order[o], order[i]
	}
	for _, place := range order {
		size := uint32(random.IntN(40) + 1)
		c.Pictures.Samples = append(c.Pictures.Samples, MP4Picture{size, place, random.IntN(5) == 0})
		pictures = fill(pictures, size)
	}
	return c, pictures, sound
}

// nothing gives as many zeros as one reads.
type nothing struct{}

func (nothing) Read(b []byte) (int, error) { return len(b), nil }

// headOf keeps the beginning of what is written and the end of none of it.
type headOf struct {
	kept   []byte
	length int64
}

func (h *headOf) Write(b []byte) (int, error) {
	h.kept = append(h.kept, b[:min(len(b), 1<<20-len(h.kept))]...)
	h.length += int64(len(b))
	return len(b), nil
}

func (h *headOf) ReadFrom(r io.Reader) (int64, error) { // without going through all the zeros
	part, _ := r.(*io.LimitedReader)
	all, ok := part.R.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{h}, r)
	}
	n := part.N
	h.length += n
	all.N -= n
	part.N = 0
	return n, nil
}

// A film of more than four gigabytes has places of 64 bits, and one that is just smaller has not.
func TestAnMP4OfManyGigabytes(t *testing.T) {
	for name, size := range map[string]struct {
		bytes int64
		table string
	}{
		"just within 32 bits": {math.MaxUint32 - 1<<16, "stco"},
		"just beyond":         {math.MaxUint32, "co64"},
		"ten hours":           {20 << 30, "co64"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, sound := small()
			frames := len(c.Pictures.Samples)
			all := int64(0)
			for i := range c.Pictures.Samples {
				c.Pictures.Samples[i].Size = uint32(size.bytes / int64(frames))
				all += int64(c.Pictures.Samples[i].Size)
			}
			out := &headOf{}
			n, err := WriteMP4(out, c, &io.LimitedReader{R: nothing{}, N: all}, bytes.NewReader(sound))
			if err != nil || n != out.length {
				t.Fatalf("%d bytes of %d, %v", n, out.length, err)
			}
			m, err := ReadMP4(bytes.NewReader(append(out.kept, make([]byte, 64)...)), n)
			if err != nil {
				t.Fatal(err)
			}
			last, end := int64(0), int64(0)
			for s := range m.Video().Samples() {
				if s.Offset <= last {
					t.Fatalf("a picture at %d behind one at %d", s.Offset, last)
				}
				last, end = s.Offset, max(end, s.Offset+s.Size)
			}
			for s := range m.Audio().Samples() {
				end = max(end, s.Offset+s.Size)
			}
			if end != n || !bytes.Contains(out.kept, []byte(size.table)) {
				t.Errorf("the last sample ends at %d of %d, %s is there: %v", end, n, size.table, bytes.Contains(out.kept, []byte(size.table)))
			}
		})
	}
}

// A film of a whole day has lengths of 64 bits.
func TestAnMP4OfManyHours(t *testing.T) {
	c, _, _ := small()
	c.Chapters = nil
	c.Sound.Sizes = make([]uint32, 26*3600*48000/1024)
	c.Pictures.Samples = make([]MP4Picture, 26*3600*30)
	for i := range c.Sound.Sizes {
		c.Sound.Sizes[i] = 1
	}
	for i := range c.Pictures.Samples {
		c.Pictures.Samples[i] = MP4Picture{1, int32(i), i%60 == 0}
	}
	raw := writeMP4(t, c, make([]byte, len(c.Pictures.Samples)), make([]byte, len(c.Sound.Sizes)))
	m, err := readMP4(raw)
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Video().Length; d != 26*time.Hour || (m.Audio().Length-d).Abs() > 50*time.Millisecond || m.Length != d {
		t.Errorf("pictures %s, sound %s, all %s", d, m.Audio().Length, m.Length)
	}
}

func TestAnMP4ThatCannotBeIsNotWritten(t *testing.T) {
	broken := errors.New("the disk is full")
	tests := []struct {
		name   string
		change func(c *MP4Content, pictures, sound *io.Reader)
		want   string
	}{
		{"no sound", func(c *MP4Content, _, _ *io.Reader) { c.Sound.Sizes = nil }, "0 packets of sound"},
		{"two pictures at one place", func(c *MP4Content, _, _ *io.Reader) { c.Pictures.Samples[3].Place = 0 }, "picture 3"},
		{"a picture behind the last place", func(c *MP4Content, _, _ *io.Reader) { c.Pictures.Samples[119].Place = 120 }, "picture 119"},
		{"pictures that no decoder knows", func(c *MP4Content, _, _ *io.Reader) { c.Pictures.Sets = testSets[:1] }, "parameter sets"},
		{"a gap between chapters", func(c *MP4Content, _, _ *io.Reader) { c.Chapters[1].Start += time.Second }, "chapter 1"},
		{"a chapter that begins late", func(c *MP4Content, _, _ *io.Reader) { c.Chapters = c.Chapters[1:] }, "chapter 0"},
		{"too few pictures", func(_ *MP4Content, p, _ *io.Reader) { *p = io.LimitReader(*p, 100) }, "bytes of samples from"},
		{"too much sound", func(_ *MP4Content, _, s *io.Reader) { *s = io.MultiReader(*s, strings.NewReader("x")) }, "there are more"},
		{"too many pictures", func(_ *MP4Content, p, _ *io.Reader) { *p = io.MultiReader(*p, strings.NewReader("x")) }, "there are more"},
		{"sound that cannot be read", func(_ *MP4Content, _, s *io.Reader) { *s = iotest.ErrReader(broken) }, broken.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, p, s := small()
			c.Pictures.Samples = append([]MP4Picture{}, c.Pictures.Samples...)
			var pictures, sound io.Reader = bytes.NewReader(p), bytes.NewReader(s)
			test.change(&c, &pictures, &sound)
			if _, err := WriteMP4(io.Discard, c, pictures, sound); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What ffmpeg encoded is joined as archives are, and ffmpeg reads it without a word of complaint: the same pictures, the same
// sound, chapters and title.
func TestPlayersReadWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	ts, adts, path := encodeTS(t), filepath.Join(dir, "in.aac"), filepath.Join(dir, "out.mp4")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=r=48000:d=6", "-ac", "2", "-c:a", "aac", "-f", "adts", adts)
	raw, err := os.ReadFile(ts)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readTS(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c, _, _ := small()
	c.Chapters[1].End = 6 * time.Second
	c.Pictures.Sets, c.Pictures.Samples, c.Sound.Sizes = H264AnnexB(all[0].Data).Sets, nil, nil
	var pictures, sound []byte
	for second := range int32(2) { // the same three seconds twice
		for _, p := range all {
			before := len(pictures)
			pictures = AppendAVC(pictures, p.Data)
			place := int32((p.PTS-all[0].PTS)/3000) + 90*second
			c.Pictures.Samples = append(c.Pictures.Samples, MP4Picture{uint32(len(pictures) - before), place, H264AnnexB(p.Data).Key})
		}
	}
	packets := probedPackets(t, adts, "a:0")
	raw, err = os.ReadFile(adts)
	if err != nil {
		t.Fatal(err)
	}
	for len(raw) > 0 { // headers of seven bytes
		n := int(raw[3]&3)<<11 | int(raw[4])<<3 | int(raw[5])>>5
		sound = append(sound, raw[7:n]...)
		c.Sound.Sizes = append(c.Sound.Sizes, uint32(n-7))
		raw = raw[n:]
	}
	if err := os.WriteFile(path, writeMP4(t, c, pictures, sound), 0o600); err != nil {
		t.Fatal(err)
	}

	var about struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Type   string `json:"codec_type"`
			Frames string `json:"nb_frames"`
			Rate   string `json:"avg_frame_rate"`
			Start  string `json:"start_time"`
			Length string `json:"duration"`
			Space  string `json:"color_space"`
			Range  string `json:"color_range"`
			Behind int    `json:"has_b_frames"`
			Tags   map[string]string
		}
		Chapters []struct {
			Start string `json:"start_time"`
			End   string `json:"end_time"`
			Tags  map[string]string
		}
		Format struct{ Tags map[string]string }
	}
	if err := json.Unmarshal(run(t, "ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_chapters", "-show_format", path), &about); err != nil {
		t.Fatal(err)
	}
	v, a := about.Streams[0], about.Streams[1]
	if v.Codec != "h264" || v.Frames != "180" || v.Rate != "30/1" || v.Start != "0.000000" || v.Length != "6.000000" || v.Space != "smpte170m" || v.Range != "tv" || v.Behind != 2 {
		t.Errorf("pictures: %+v", v)
	}
	if a.Codec != "aac" || a.Frames != fmt.Sprint(len(packets)) || a.Start != "0.000000" || !strings.HasPrefix(a.Length, "6.0") {
		t.Errorf("sound: %+v", a)
	}
	var titles []string
	for _, ch := range about.Chapters {
		titles = append(titles, ch.Start+"-"+ch.End+" "+ch.Tags["title"])
	}
	if diff := cmp.Diff([]string{"0.000000-1.500000 Анна вошла", "1.500000-6.000000 The end"}, titles); diff != "" || about.Format.Tags["title"] != "Größe" {
		t.Errorf("title %q, chapters:\n%s", about.Format.Tags["title"], diff)
	}

	frames := func(input ...string) string {
		out := run(t, "ffmpeg", append(append([]string{"-v", "warning", "-xerror"}, input...), "-fps_mode", "passthrough", "-f", "framemd5", "-")...)
		var sums []string
		for line := range strings.Lines(string(out)) {
			if fields := strings.Split(line, ","); len(fields) == 6 && !strings.HasPrefix(line, "#") {
				sums = append(sums, strings.TrimSpace(fields[5]))
			}
		}
		return strings.Join(sums, "\n")
	}
	once := frames("-i", ts, "-map", "0:v")
	if diff := cmp.Diff(once+"\n"+once, frames("-i", path, "-map", "0:v")); diff != "" || !strings.Contains(once, "\n") {
		t.Errorf("the pictures (-stream +film):\n%s", diff)
	}
	// The packet before the beginning is decoded and not heard.
	if heard, all := frames("-i", path, "-map", "0:a"), frames("-i", adts); len(all) < 1000 || !strings.HasSuffix(all, heard) || strings.Count(all, "\n") != strings.Count(heard, "\n")+1 {
		t.Errorf("the sound has %d packets of %d, or others", strings.Count(heard, "\n")+1, strings.Count(all, "\n")+1)
	}
}
