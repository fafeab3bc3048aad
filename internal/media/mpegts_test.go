package media

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// encodeTS lets ffmpeg encode three seconds as a chunk of an archive is encoded: with pictures that lean on later ones, and a
// keyframe each second.
func encodeTS(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.ts")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-frames:v", "90",
		"-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-sc_threshold", "0", "-threads", "1", "-f", "mpegts", path)
	return path
}

// probedPackets are the packets of one stream as ffprobe reads them.
func probedPackets(t testing.TB, path, stream string) []probedPacket {
	t.Helper()
	var found struct{ Packets []probedPacket }
	out := run(t, "ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "packet=pts,dts,size,pos,flags", "-of", "json", path)
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found.Packets
}

type probedPacket struct {
	PTS, DTS         int64
	Size, Pos, Flags string
}

func readTS(in io.Reader) (all []TSPicture, err error) {
	r := NewTSReader(in)
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		p.Data = bytes.Clone(p.Data)
		all = append(all, p)
	}
}

func TestTransportStreamsAreReadAsFFprobeReadsThem(t *testing.T) {
	path := encodeTS(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := readTS(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	say := func(all *[]string, pts, dts int64, size string, key bool) {
		*all = append(*all, strings.Join([]string{strconv.FormatInt(pts, 10), strconv.FormatInt(dts, 10), size, strconv.FormatBool(key)}, " "))
	}
	for _, p := range pictures {
		say(&got, p.PTS, p.DTS, strconv.Itoa(len(p.Data)), H264AnnexB(p.Data).Key)
	}
	for _, p := range probedPackets(t, path, "v:0") {
		say(&want, p.PTS, p.DTS, p.Size, strings.Contains(p.Flags, "K"))
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 90 {
		t.Errorf("%d pictures (-ffprobe +read):\n%s", len(got), diff)
	}
	if sets := H264AnnexB(pictures[0].Data).Sets; len(sets) != 2 {
		t.Errorf("the first picture brings %d parameter sets", len(sets))
	}
}

func TestADamagedTransportStreamIsRefused(t *testing.T) {
	raw, err := os.ReadFile(encodeTS(t))
	if err != nil {
		t.Fatal(err)
	}
	const packet = tsPacketSize
	video := func(n int) int { // where the n-th packet of the video that begins no picture is
		for at := 0; at < len(raw); at += packet {
			if raw[at+1] == 0x01 && raw[at+2] == 0x00 {
				if n--; n == 0 {
					return at
				}
			}
		}
		t.Fatal("the stream has no such packet")
		return 0
	}
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		want   string
	}{
		{"a packet is lost", func(b []byte) []byte { return append(b[:video(3)], b[video(3)+packet:]...) }, "comes behind"},
		{"a packet is cut off", func(b []byte) []byte { return b[:len(b)-1] }, "cut off"},
		{"a byte is too much", func(b []byte) []byte { return append(b[:video(3)], append([]byte{0}, b[video(3):]...)...) }, "begins with"},
		{"a packet is marked as damaged", func(b []byte) []byte { b[video(3)+1] |= 0x80; return b }, "begins with"},
		{"it begins in the middle", func(b []byte) []byte { return append(b[:3*packet:3*packet], b[video(2):]...) }, "without its beginning"},
		{"it is sound", func(b []byte) []byte { b[2*packet+17] = 0x0f; return b }, "of type 15"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all, err := readTS(bytes.NewReader(test.damage(bytes.Clone(raw))))
			if !errors.Is(err, ErrNotTS) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d pictures, %v", len(all), err)
			}
		})
	}
	if all, err := readTS(bytes.NewReader(nil)); err != nil || len(all) != 0 {
		t.Errorf("an empty file has %d pictures, %v", len(all), err)
	}
}

// sampleFile is a small file of pictures for fuzzers, with a tone where the container is MP4. With -update it is made again:
// go test ./internal/media -run Fuzz -update
func sampleFile(t testing.TB, path string, out ...string) []byte {
	t.Helper()
	if *update {
		args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=64x36:r=30", "-f", "lavfi", "-i", "sine=r=48000:d=0.4", "-map", "0:v"}
		if strings.HasSuffix(path, ".mp4") {
			args = append(args, "-map", "1:a", "-c:a", "aac", "-t", "0.4")
		}
		args = append(args, "-frames:v", "12", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-flags", "+bitexact", "-fflags", "+bitexact")
		run(t, "ffmpeg", append(append(args, out...), path)...)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzTransportStream(f *testing.F) {
	raw := sampleFile(f, "testdata/sample.ts", "-f", "mpegts")
	f.Add(raw)
	f.Add(raw[:3*tsPacketSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readTS(bytes.NewReader(b))
		bytes := 0
		for _, p := range all {
			bytes += len(p.Data)
			picture := H264AnnexB(p.Data)
			if picture.Key && len(picture.Slices) == 0 {
				t.Error("a keyframe without a slice")
			}
		}
		if bytes > len(b) || err != nil && !errors.Is(err, ErrNotTS) {
			t.Errorf("%d bytes of %d, %v", bytes, len(b), err)
		}
	})
}
