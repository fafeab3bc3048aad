package stitch

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/testenv"
	"consilium/internal/timeline"
)

// tonePackets lets ffmpeg encode two seconds of a tone as a voice is sent: 100 packets of 20 ms.
func tonePackets(t *testing.T) [][]byte {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-f", "lavfi",
		"-i", "sine=frequency=400:sample_rate=48000,volume=4", "-t", "2.1", "-ac", "2", "-c:a", "libopus", "-b:a", "32k", "-application", "voip",
		"-f", "ogg", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return oggPackets(out)[2:102]
}

// toneFile is a segment of these packets.
func toneFile(t *testing.T, name string, packets [][]byte) recording {
	t.Helper()
	var b bytes.Buffer
	o, err := media.NewOggWriter(&b, 77)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := o.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	scan, err := media.ScanOgg(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return recording{segment: name, file: bytes.NewReader(b.Bytes()), scan: scan}
}

// loudness mixes runs and gives the root mean square of each 2.5 ms, one period of the tone.
func loudness(t *testing.T, runs []run) []float64 {
	t.Helper()
	tool, err := ffmpeg.New(ffmpeg.Config{Path: testenv.Require(t, "ffmpeg")["ffmpeg"]}, discard())
	if err != nil {
		t.Fatal(err)
	}
	m := mixer{tool: tool, dir: t.TempDir(), runs: runs}
	var out bytes.Buffer
	if err := m.write(t.Context(), &out, 2*ffmpeg.SampleRate); err != nil {
		t.Fatal(err)
	}
	if lost := m.lostRuns(); len(lost) > 0 {
		t.Errorf("runs %v were lost", lost)
	}
	const period = ffmpeg.SampleRate / 400
	var all []float64
	raw := out.Bytes()
	for len(raw) >= period*frameBytes {
		var sum float64
		for i := range period {
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i*frameBytes:])))
			sum += v * v
		}
		all = append(all, math.Sqrt(sum/period))
		raw = raw[period*frameBytes:]
	}
	return all
}

func TestASteadyToneIsSteadyOverARotation(t *testing.T) {
	packets := tonePackets(t)
	files := map[string]recording{"a": toneFile(t, "a", packets[:50]), "b": toneFile(t, "b", packets[50:])}
	source := func(segment string) recording { return files[segment] }
	clip := func(segment string, from, to int64) timeline.Clip {
		return timeline.Clip{Segment: segment, StartNS: from * ms, EndNS: to * ms, Rate: 1}
	}
	for _, tt := range []struct {
		name  string
		clips []timeline.Clip
		runs  int
		from  int // the first period behind the seam that must be steady: the seam's own fade is a millisecond on each side
	}{
		{"placed end to end", []timeline.Clip{clip("a", 0, 1000), clip("b", 1000, 2000)}, 1, 0},
		{"placed by two fits that differ", []timeline.Clip{clip("a", 0, 1000), clip("b", 1005, 2005)}, 2, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runs, _ := runsOf(tt.clips, source, nil)
			if len(runs) != tt.runs {
				t.Fatalf("%d runs", len(runs))
			}
			rms := loudness(t, runs)
			middle := 0.0
			for _, v := range rms[200:360] { // 0.5 s to 0.9 s
				middle += v / 160
			}
			if middle < 0.1 {
				t.Fatalf("the tone has %f only", middle)
			}
			for i := 400 + tt.from; i < 440; i++ { // 100 ms behind the seam, at 1 s
				if d := 20 * math.Log10(rms[i]/middle); math.Abs(d) > 1 {
					t.Errorf("%.1f ms behind the seam the tone is %.1f dB off", float64(i-400)*2.5, d)
				}
			}
		})
	}
}

func TestAWarmUpIsTakenFromTheSameSoundOnly(t *testing.T) {
	file := func(serial uint32) recording {
		return recording{scan: media.OggScan{Samples: 48000, Serial: serial}}
	}
	clip := func(segment string, from, to, fileFrom int64) timeline.Clip {
		return timeline.Clip{Segment: segment, StartNS: from * ms, EndNS: to * ms, FileStartNS: fileFrom * ms, Rate: 1}
	}
	for _, tt := range []struct {
		name   string
		clips  []timeline.Clip
		serial uint32 // of the second file
		warm   bool
	}{
		{"a few milliseconds apart", []timeline.Clip{clip("a", 0, 1000, 0), clip("b", 1006, 2006, 0)}, 1, true},
		{"of another SSRC", []timeline.Clip{clip("a", 0, 1000, 0), clip("b", 1006, 2006, 0)}, 2, false},
		{"behind a pause", []timeline.Clip{clip("a", 0, 1000, 0), clip("b", 1100, 2100, 0)}, 1, false},
		{"from the middle of its file", []timeline.Clip{clip("a", 0, 1000, 0), clip("b", 1006, 1806, 200)}, 1, false},
		{"behind a file that was cut", []timeline.Clip{clip("a", 0, 800, 0), clip("b", 806, 1806, 0)}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runs, _ := runsOf(tt.clips, func(s string) recording {
				if s == "a" {
					return file(1)
				}
				return file(tt.serial)
			}, nil)
			last := runs[len(runs)-1]
			if len(runs) != 2 || (len(last.files) == 2) != tt.warm {
				t.Fatalf("%d runs, the last of %d files, want 2 and a warm-up: %v", len(runs), len(last.files), tt.warm)
			}
			if want := float64(48000*(len(last.files)-1)) + samples(tt.clips[1].FileStartNS); last.knots[0].file != want {
				t.Errorf("it begins at sample %f, want %f", last.knots[0].file, want)
			}
		})
	}
}
