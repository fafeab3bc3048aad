package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// encodeMP4 lets ffmpeg put a transport stream and a tone of three seconds into one file, as archives are.
func encodeMP4(t testing.TB, ts string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.mp4")
	run(t, "ffmpeg", "-v", "error", "-i", ts, "-f", "lavfi", "-i", "sine=r=48000:d=3", "-map", "0:v", "-map", "1:a",
		"-c:v", "copy", "-c:a", "aac", "-movflags", "+faststart", path)
	return path
}

func readMP4(raw []byte) (*MP4, error) { return ReadMP4(bytes.NewReader(raw), int64(len(raw))) }

func TestMP4IsReadAsFFprobeReadsIt(t *testing.T) {
	path := encodeMP4(t, encodeTS(t))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMP4(raw)
	if err != nil {
		t.Fatal(err)
	}
	for stream, track := range map[string]*MP4Track{"v:0": m.Video(), "a:0": m.Audio()} {
		var got, want []string
		say := func(all *[]string, at int64, size, pos string, key bool) {
			*all = append(*all, strings.Join([]string{strconv.FormatInt(at, 10), size, pos, strconv.FormatBool(key)}, " "))
		}
		for s := range track.Samples() {
			say(&got, s.At, strconv.FormatInt(s.Size, 10), strconv.FormatInt(s.Offset, 10), s.Key)
		}
		for _, p := range probedPackets(t, path, stream) {
			say(&want, p.PTS, p.Size, p.Pos, strings.Contains(p.Flags, "K"))
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 90 || len(got) != track.Count {
			t.Errorf("%d samples of %s (-ffprobe +read):\n%s", len(got), stream, diff)
		}
	}
	v, a := m.Video(), m.Audio()
	if v.Codec != "avc1" || v.Width != 320 || v.Height != 180 || v.Length != 3*time.Second || len(v.Sets) != 2 {
		t.Errorf("pictures: %s, %dx%d, %s, %d parameter sets", v.Codec, v.Width, v.Height, v.Length, len(v.Sets))
	}
	if a.Codec != "mp4a" || a.Rate != 48000 || a.Length.Round(time.Millisecond) != 3*time.Second || m.Length.Round(50*time.Millisecond) != 3*time.Second {
		t.Errorf("sound: %s, %d Hz, %s; all: %s", a.Codec, a.Rate, a.Length, m.Length)
	}
	hidden := 0
	for s := range a.Samples() {
		if s.Hidden {
			hidden++
		}
	}
	if hidden == 0 {
		t.Error("the packet before the beginning is not hidden")
	}
}

// The pictures are the same whatever container holds them, and one bit more makes them others.
func TestPicturesAreTheSameInEveryContainer(t *testing.T) {
	ts := encodeTS(t)
	stream, err := os.ReadFile(ts)
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := readTS(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(encodeMP4(t, ts))
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMP4(raw)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s := range m.Video().Samples() {
		sample := raw[s.Offset : s.Offset+s.Size]
		got, err := H264AVC(sample)
		if err != nil {
			t.Fatal(err)
		}
		want := H264AnnexB(pictures[n].Data)
		if sliceSum(t, got) != sliceSum(t, want) || got.Key != want.Key || got.Key != s.Key {
			t.Fatalf("picture %d is another one", n)
		}
		sample[len(sample)-1] ^= 1
		if other, _ := H264AVC(sample); sliceSum(t, other) == sliceSum(t, want) {
			t.Fatalf("a bit of picture %d does not count", n)
		}
		n++
	}
	if diff := cmp.Diff(H264AnnexB(pictures[0].Data).Sets, m.Video().Sets); diff != "" || n != 90 {
		t.Errorf("%d pictures, parameter sets:\n%s", n, diff)
	}
}

func sliceSum(t *testing.T, p H264Picture) string {
	t.Helper()
	sum := sha256.New()
	if err := p.WriteSlices(sum); err != nil {
		t.Fatal(err)
	}
	return string(sum.Sum(nil))
}

func TestPicturesThatAreNotWholeAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"a length that is cut off":        {0, 0, 0},
		"a unit that is cut off":          {0, 0, 0, 2, 0x65},
		"a unit of nothing":               {0, 0, 0, 0, 0, 0, 0, 1, 0x65},
		"a unit with more than is there":  {0xff, 0xff, 0xff, 0xff, 0x65},
		"something behind the last whole": {0, 0, 0, 1, 0x65, 9},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := H264AVC(b); !errors.Is(err, ErrNotAVC) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestADamagedMP4IsRefused(t *testing.T) {
	raw, err := os.ReadFile(encodeMP4(t, encodeTS(t)))
	if err != nil {
		t.Fatal(err)
	}
	in := func(b []byte, kind string, n int) []byte { // the body of the n-th box of a kind
		at := 0
		for range n {
			next := bytes.Index(b[at:], []byte(kind))
			if next < 0 {
				t.Fatalf("there is no %s", kind)
			}
			at += next + 4
		}
		return b[at:]
	}
	more := func(b []byte) { binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)+1) }
	tests := []struct {
		name   string
		damage func(b []byte)
		want   string
	}{
		{"there is no index", func(b []byte) { copy(b[bytes.Index(b, []byte("moov")):], "free") }, "it has none"},
		{"one time too many", func(b []byte) { more(in(b, "stts", 1)[8:]) }, "times of"},
		{"one shift too many", func(b []byte) { more(in(b, "ctts", 1)[8:]) }, "shifts of"},
		{"a table is longer than its box", func(b []byte) { more(in(b, "stts", 1)[4:]) }, "a table of"},
		{"a size too many", func(b []byte) { more(in(b, "stsz", 1)[8:]) }, "sizes in"},
		{"a keyframe that is not there", func(b []byte) { more(in(b, "stss", 1)[8:]); in(b, "stss", 1)[8] = 0xff }, "keyframes"},
		{"a chunk with a sample too many", func(b []byte) { more(in(b, "stsc", 1)[12:]) }, "chunks of"},
		{"a chunk behind the end", func(b []byte) { in(b, "stco", 1)[8] = 0x7f }, "behind the end"},
		{"a clock that stands still", func(b []byte) { copy(in(b, "mdhd", 1)[12:], "\x00\x00\x00\x00") }, "a clock of 0"},
		{"an edit that plays twice as fast", func(b []byte) { more(in(b, "elst", 1)[16:]) }, "an edit"},
		{"units with short lengths", func(b []byte) { in(b, "avcC", 1)[4] &^= 2 }, "configuration of the decoder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := bytes.Clone(raw)
			test.damage(b)
			if _, err := readMP4(b); !errors.Is(err, ErrNotMP4) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, n := range []int{0, 7, 40, len(raw) / 10} {
		if _, err := readMP4(raw[:n]); !errors.Is(err, ErrNotMP4) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
	broken := errors.New("the disk is broken")
	if _, err := ReadMP4(brokenDisk{broken}, 1000); !errors.Is(err, broken) || errors.Is(err, ErrNotMP4) {
		t.Errorf("a disk that does not read: %v", err)
	}
}

type brokenDisk struct{ err error }

func (d brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, d.err }

var _ io.ReaderAt = brokenDisk{}

func FuzzMP4(f *testing.F) {
	raw := sampleFile(f, "testdata/sample.mp4", "-movflags", "+faststart")
	f.Add(raw, int64(0))
	moov := bytes.Index(raw, []byte("moov")) - 4
	f.Add(raw[moov:moov+int(binary.BigEndian.Uint32(raw[moov:]))], int64(len(raw)))
	c, pictures, sound := small()
	f.Add(writeMP4(f, c, pictures, sound), int64(0))
	f.Add([]byte("\x00\x00\x00\x01moov\x00\x00\x00\x00\x00\x00\x00\x10"), int64(16))
	f.Fuzz(func(t *testing.T, b []byte, more int64) {
		size := int64(len(b)) + max(0, more%(1<<40)) // samples may lie behind what is there
		m, err := ReadMP4(bytes.NewReader(b), size)
		if err != nil {
			return
		}
		for _, track := range m.Tracks {
			n := 0
			for s := range track.Samples() {
				if s.Offset < 0 || s.Size < 0 || s.Offset+s.Size > size {
					t.Fatalf("sample %d: %+v of %d", n, s, size)
				}
				n++
			}
			if n != track.Count {
				t.Fatalf("%d samples of %d", n, track.Count)
			}
		}
	})
}
