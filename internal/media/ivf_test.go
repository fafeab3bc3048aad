package media

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the golden file:\n%s", name, cmp.Diff(want, got))
	}
}

// ffmpeg runs ffmpeg and returns what it wrote to stdout.
func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	return run(t, "ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
}

func run(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testenv.Require(t, program)[program], args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

type probed struct {
	PTS      int64  `json:"pts"`
	Size     string `json:"size"`
	Duration int64  `json:"duration"`
	Flags    string `json:"flags"`
}

func probe(t testing.TB, path string) []probed {
	t.Helper()
	var found struct{ Packets []probed }
	out := run(t, "ffprobe", "-v", "error", "-show_packets", "-of", "json", path)
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found.Packets
}

// encodeIVF lets ffmpeg encode two seconds of a test picture with a keyframe every ten frames.
func encodeIVF(t testing.TB, c Codec, size string) string {
	t.Helper()
	encoder := map[Codec][]string{
		VP8:  {"libvpx", "-deadline", "realtime", "-cpu-used", "8"},
		VP9:  {"libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"},
		AV1:  {"libaom-av1", "-usage", "realtime", "-cpu-used", "8"},
		H264: {"libx264", "-preset", "ultrafast", "-bf", "0", "-x264-params", "aud=1", "-f", "h264"},
	}[c]
	path := filepath.Join(t.TempDir(), string(c)+".ivf")
	args := []string{"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=25", "-frames:v", "50", "-g", "10", "-c:v"}
	ffmpeg(t, append(append(args, encoder...), path)...)
	if c == H264 {
		wrapH264(t, path)
	}
	return path
}

// wrapH264 turns a file of Annex B access units, each with a delimiter in front, into IVF: ffmpeg cannot write that.
func wrapH264(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	delimiter := []byte{0, 0, 0, 1, 9}
	out := AppendIVFHeader(nil, IVFHeader{Codec: H264, Width: 178, Height: 98, Den: 25, Num: 1})
	for i, unit := range bytes.Split(b, delimiter)[1:] {
		out = AppendIVFFrameHeader(out, len(delimiter)+len(unit), int64(i))
		out = append(append(out, delimiter...), unit...)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

func scanFile(t testing.TB, path string) IVFScan {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scan, err := ScanIVF(f)
	if err != nil {
		t.Fatal(err)
	}
	return scan
}

func TestScanIVFSeesWhatFFprobeSees(t *testing.T) {
	for _, c := range []Codec{VP8, VP9, AV1, H264} {
		t.Run(string(c), func(t *testing.T) {
			path := encodeIVF(t, c, "178x98") // H.264 needs cropping for that
			scan := scanFile(t, path)
			var got []probed
			for _, f := range scan.Frames {
				flags := "__"
				if f.Key {
					flags = "K_"
					if f.Width != 178 || f.Height != 98 {
						t.Errorf("keyframe at pts %d is %dx%d, want 178x98", f.PTS, f.Width, f.Height)
					}
				}
				got = append(got, probed{PTS: f.PTS, Size: strconv.Itoa(f.Length), Flags: flags})
			}
			want := probe(t, path)
			for i := range want {
				want[i].Duration = 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ffprobe against scan:\n%s", diff)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if scan.Good != info.Size() || scan.Header.Codec != c {
				t.Errorf("good bytes %d of %d, codec %s", scan.Good, info.Size(), scan.Header.Codec)
			}
		})
	}
}

func sampleIVF() []byte {
	key := []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x40, 0xaa}
	b := AppendIVFHeader(nil, IVFHeader{Codec: VP8, Width: 320, Height: 180, Den: 90000, Num: 1, Frames: 3})
	for i, frame := range [][]byte{key, {0x11, 1, 2}, {0x11, 3}} {
		b = append(AppendIVFFrameHeader(b, len(frame), int64(i)*3000), frame...)
	}
	return b
}

func TestIVFBytesAreGolden(t *testing.T) {
	golden(t, "sample.ivf", sampleIVF())
}

func TestScanIVFStopsAtTheLastWholeFrame(t *testing.T) {
	whole := sampleIVF()
	full, err := ScanIVF(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	wantFirst := IVFFrame{Offset: 44, Length: 11, Key: true, Width: 320, Height: 180}
	if len(full.Frames) != 3 || !cmp.Equal(full.Frames[0], wantFirst) {
		t.Fatalf("scan of the whole file: %+v", full)
	}
	for n := range len(whole) {
		scan, err := ScanIVF(bytes.NewReader(whole[:n]))
		if n < IVFHeaderSize {
			if !errors.Is(err, ErrNotIVF) {
				t.Errorf("%d bytes: error %v, want ErrNotIVF", n, err)
			}
			continue
		}
		want := 0
		for want < 3 && full.Frames[want].End() <= int64(n) {
			want++
		}
		if err != nil || !cmp.Equal(scan.Frames, full.Frames[:want:want], cmpNil) || scan.Good > int64(n) {
			t.Errorf("%d bytes: %d frames, want %d; good %d, error %v", n, len(scan.Frames), want, scan.Good, err)
		}
	}
}

// cmpNil takes nil and empty slices as equal.
var cmpNil = cmp.Transformer("len", func(f []IVFFrame) []IVFFrame { return append([]IVFFrame{}, f...) })

func TestScanIVFCutsOffAZeroFilledTail(t *testing.T) {
	whole := sampleIVF()
	scan, err := ScanIVF(bytes.NewReader(append(bytes.Clone(whole), make([]byte, 4096)...)))
	if err != nil || scan.Good != int64(len(whole)) || len(scan.Frames) != 3 {
		t.Errorf("good %d, want %d; %d frames, error %v", scan.Good, len(whole), len(scan.Frames), err)
	}
}

func TestScanIVFStopsWhereTimeDoesNotGoOn(t *testing.T) {
	whole := sampleIVF()
	again := append(AppendIVFFrameHeader(bytes.Clone(whole), 3, 6000), 0x11, 1, 2)
	scan, err := ScanIVF(bytes.NewReader(again))
	if err != nil || scan.Good != int64(len(whole)) || len(scan.Frames) != 3 {
		t.Errorf("good %d, want %d; %d frames, error %v", scan.Good, len(whole), len(scan.Frames), err)
	}
}

func TestScanIVFTellsTheErrorOfItsReader(t *testing.T) {
	broken := errors.New("disk is gone")
	_, err := ScanIVF(io.MultiReader(bytes.NewReader(sampleIVF()[:50]), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the reader's", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestCutIVFDecodesToTheSamePictures(t *testing.T) {
	path := encodeIVF(t, VP8, "160x120")
	scan := scanFile(t, path)
	src, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	all := frameSums(t, path)
	tests := []struct {
		name        string
		start, end  int64
		first, last int // frames of the source, last is the first one outside
	}{
		{name: "start on a keyframe", start: 10, end: 25, first: 10, last: 25},
		{name: "start between keyframes goes back to one", start: 17, end: 22, first: 10, last: 22},
		{name: "start before the file", start: -5, end: 3, first: 0, last: 3},
		{name: "end behind the file", start: 44, end: 1000, first: 40, last: 50},
		{name: "a single frame", start: 20, end: 21, first: 20, last: 21},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			cut, err := CutIVF(&out, src, scan, tt.start, tt.end)
			if err != nil {
				t.Fatal(err)
			}
			if want := (IVFCut{FirstPTS: int64(tt.first), Frames: tt.last - tt.first}); cut != want {
				t.Errorf("cut %+v, want %+v", cut, want)
			}
			part := filepath.Join(t.TempDir(), "part.ivf")
			if err := os.WriteFile(part, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(all[tt.first:tt.last], frameSums(t, part)); diff != "" {
				t.Errorf("pictures differ:\n%s", diff)
			}
			if got := scanFile(t, part); got.Frames[0].PTS != 0 || int(got.Header.Frames) != cut.Frames {
				t.Errorf("first pts %d, header says %d frames", got.Frames[0].PTS, got.Header.Frames)
			}
		})
	}
}

// frameSums decodes a file and returns a digest of each picture.
func frameSums(t testing.TB, path string) []string {
	t.Helper()
	var sums []string
	for line := range strings.Lines(string(ffmpeg(t, "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(line, ",")
			sums = append(sums, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return sums
}

func TestCutIVFNeedsAKeyframe(t *testing.T) {
	whole := sampleIVF()
	scan, err := ScanIVF(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	scan.Frames = scan.Frames[1:]
	var out bytes.Buffer
	if _, err := CutIVF(&out, bytes.NewReader(whole), scan, 0, 1<<40); !errors.Is(err, ErrNoKeyframe) || out.Len() != 0 {
		t.Errorf("error %v, %d bytes written; want ErrNoKeyframe and none", err, out.Len())
	}
}

func TestIVFWithGapsKeepsItsTimes(t *testing.T) {
	src, err := os.ReadFile(encodeIVF(t, VP8, "160x120"))
	if err != nil {
		t.Fatal(err)
	}
	scan, err := ScanIVF(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	b := AppendIVFHeader(nil, IVFHeader{Codec: VP8, Width: 160, Height: 120, Den: 90000, Num: 1, Frames: 50})
	var want []int64
	for i, f := range scan.Frames {
		pts := int64(i)*3003 + int64(i/20)*90000*7 // uneven, with holes of seven seconds
		want = append(want, pts)
		b = append(AppendIVFFrameHeader(b, f.Length, pts), src[f.Offset:f.End()]...)
	}
	path := filepath.Join(t.TempDir(), "gaps.ivf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, p := range probe(t, path) {
		got = append(got, p.PTS)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pts as ffprobe reads them:\n%s", diff)
	}
}

func FuzzScanIVF(f *testing.F) {
	f.Add(sampleIVF())
	f.Add(sampleIVF()[:60])
	for _, c := range []Codec{VP9, AV1, H264} {
		b := AppendIVFHeader(nil, IVFHeader{Codec: c, Width: 16, Height: 16, Den: 90000, Num: 1, Frames: 900})
		f.Add(append(AppendIVFFrameHeader(b, 12, 0), "\x0a\x0b\x00\x00\x01\x67\x42\x00\x1f\x01\x02\x03"...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		scan, err := ScanIVF(bytes.NewReader(b))
		if scan.Good > int64(len(b)) {
			t.Fatalf("%d good bytes of %d", scan.Good, len(b))
		}
		if err != nil {
			return
		}
		again, err := ScanIVF(bytes.NewReader(b[:scan.Good]))
		if err != nil || !cmp.Equal(scan, again) {
			t.Fatalf("the good part scans differently: %v\n%s", err, cmp.Diff(scan, again))
		}
		at := int64(IVFHeaderSize)
		for _, fr := range scan.Frames {
			if fr.Offset != at+IVFFrameHeaderSize || fr.Length <= 0 || fr.Width < 0 || fr.Height < 0 || fr.PTS < 0 {
				t.Fatalf("frame %+v after offset %d", fr, at)
			}
			at = fr.End()
		}
		if at != scan.Good {
			t.Fatalf("frames end at %d, good is %d", at, scan.Good)
		}
		var out bytes.Buffer
		cut, err := CutIVF(&out, bytes.NewReader(b), scan, 0, 1<<62)
		if err != nil {
			return
		}
		part, err := ScanIVF(&out)
		if err != nil || len(part.Frames) != cut.Frames || !part.Frames[0].Key {
			t.Fatalf("cut %+v scans as %d frames, error %v", cut, len(part.Frames), err)
		}
	})
}
