package stitch

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
	"consilium/internal/timeline"
)

func TestRuns(t *testing.T) {
	second := recording{scan: media.OggScan{Samples: 48000}}
	clip := func(segment string, from, to, fileFrom int64, rate float64) timeline.Clip {
		return timeline.Clip{Segment: segment, StartNS: from * ms, EndNS: to * ms, FileStartNS: fileFrom * ms, Rate: rate}
	}
	tests := []struct {
		name   string
		clips  []timeline.Clip
		phases shifts
		want   [][]knot
	}{
		{
			"files that go on are one run",
			[]timeline.Clip{clip("a", 0, 1000, 0, 1), clip("b", 1000, 2000, 0, 1)},
			nil,
			[][]knot{{{0, 0}, {48000, 48000}, {96000, 96000}}},
		},
		{
			"a pause parts them",
			[]timeline.Clip{clip("a", 0, 1000, 0, 1), clip("b", 1100, 2100, 0, 1)},
			nil,
			[][]knot{{{0, 0}, {48000, 48000}}, {{52800, 0}, {100800, 48000}}},
		},
		{
			"an overlap that was cut parts them",
			[]timeline.Clip{clip("a", 0, 900, 0, 1), clip("b", 900, 1900, 0, 1)},
			nil,
			[][]knot{{{0, 0}, {43200, 43200}}, {{43200, 0}, {91200, 48000}}},
		},
		{
			"a clip from the middle of a file is a run of its own",
			[]timeline.Clip{clip("a", 0, 500, 0, 1), clip("a", 500, 700, 500, 1)},
			nil,
			[][]knot{{{0, 0}, {24000, 24000}}, {{24000, 24000}, {33600, 33600}}},
		},
		{
			"a fast clock is played faster",
			[]timeline.Clip{clip("a", 0, 1000, 0, 1.0001)},
			nil,
			[][]knot{{{0, 0}, {48000, 48004.8}}},
		},
		{
			"sound follows the phase of the picture",
			[]timeline.Clip{clip("a", 1000, 2000, 0, 1)},
			shifts{{from: 0, phase: 0.3}},
			[][]knot{{{47520, 0}, {95520, 48000}}},
		},
		{
			"who is heard before they are seen again belongs to the picture that comes",
			[]timeline.Clip{clip("a", 0, 1000, 0, 1), clip("b", 2000, 3000, 0, 1)},
			shifts{{0, 1100 * ms, 0.3}, {2100 * ms, 3000 * ms, -0.3}},
			[][]knot{{{-480, 0}, {47520, 48000}}, {{96480, 0}, {144480, 48000}}},
		},
		{
			"a phase is not made up for within a second",
			[]timeline.Clip{clip("a", 0, 1000, 0, 1), clip("b", 1000, 2000, 0, 1)},
			shifts{{0, 1000 * ms, 0}, {1000 * ms, 2000 * ms, 0.5}},
			[][]knot{{{0, 0}, {48000, 48000}, {96000, 96000}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got [][]knot
			for _, r := range runsOf(test.clips, func(string) recording { return second }, test.phases) {
				got = append(got, r.knots)
			}
			near := cmp.Comparer(func(a, b knot) bool { return math.Abs(a.at-b.at) < 1e-6 && math.Abs(a.file-b.file) < 1e-6 })
			if diff := cmp.Diff(test.want, got, near); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJoinedOggHoldsEveryPacketOnce(t *testing.T) {
	var r run
	for _, n := range []int{7, 1, 12} {
		var b bytes.Buffer
		o, err := media.NewOggWriter(&b, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			packet := append([]byte{0xf8}, bytes.Repeat([]byte{byte(i)}, 250+i)...) // some need two lacing values
			if err := o.WritePacket(packet, 960); err != nil {
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
		r.files = append(r.files, recording{file: bytes.NewReader(b.Bytes()), scan: scan})
	}
	var out bytes.Buffer
	if skipped, err := r.writeOgg(&out, 0); err != nil || skipped != 0 {
		t.Fatal(skipped, err)
	}
	scan, err := media.ScanOgg(bytes.NewReader(out.Bytes()))
	if err != nil || scan.Packets != 20 || scan.Samples != 20*960 || !scan.Ended {
		t.Errorf("%+v, %v", scan, err)
	}
	packets := oggPackets(out.Bytes())[2:]
	if len(packets) != 20 || packets[8][1] != 0 || len(packets[19]) != 251+11 {
		t.Errorf("%d packets", len(packets))
	}
}

// samplesAs is a file of decoded sound that rises by one with each sample.
func samplesAs(n int, f func(i int) float32) *bytes.Buffer {
	var b bytes.Buffer
	for i := range n {
		_ = writeSamples(&b, []float32{f(i), -f(i)}) // a buffer takes everything
	}
	return &b
}

func TestSourceReadsBetweenSamples(t *testing.T) {
	tone := func(x float64) float64 { return math.Sin(2 * math.Pi * 3000 * x / 48000) }
	s := source{r: samplesAs(48000, func(i int) float32 { return float32(tone(float64(i))) })}
	for place := 100.0; place < 47000; place += 1.0003 {
		f, err := s.at(place)
		if err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(float64(f[0]) - tone(place)); d > 2e-3 || f[1] != -f[0] {
			t.Fatalf("at %f: %v, want %f", place, f, tone(place))
		}
	}
	exact := source{r: samplesAs(5000, func(i int) float32 { return float32(i%97) / 97 })}
	for i := range 5100 {
		f, err := exact.at(float64(i))
		if err != nil {
			t.Fatal(err)
		}
		want := float32(i%97) / 97
		if i >= 5000 {
			want = 0
		}
		if f[0] != want {
			t.Fatalf("sample %d: %v, want %v", i, f[0], want)
		}
	}
}

func TestLimiter(t *testing.T) {
	l := newLimiter()
	in := make([]frame, 20000)
	for i := range in {
		in[i] = frame{float32(0.5 * math.Sin(float64(i)/7)), 0.25}
		if i > 9000 && i < 10000 {
			in[i][0] *= 5
		}
	}
	out := make([]frame, 0, len(in))
	for i := range len(in) + lookAhead - 1 {
		var f frame
		if i < len(in) {
			f = in[i]
		}
		out = append(out, l.next(f))
	}
	out = out[lookAhead-1:]
	for i, f := range out {
		if math.Abs(float64(f[0])) > ceiling+1e-6 {
			t.Fatalf("sample %d is %v", i, f[0])
		}
		if i < 9000-lookAhead && f != in[i] {
			t.Fatalf("sample %d is turned down long before the peak: %v, was %v", i, f, in[i])
		}
	}
	if out[9500][1] > 0.12 || out[9500][1] < 0.08 {
		t.Errorf("beside the peak the other channel is %v: it must keep its balance", out[9500][1])
	}
	if out[19999][1] < 0.2 {
		t.Errorf("long after the peak it is still at %v", out[19999][1])
	}
}

// One operation is one second of one voice.
func BenchmarkVoice(b *testing.B) {
	raw := samplesAs(48000, func(i int) float32 { return float32(i%97) / 97 }).Bytes()
	l := newLimiter()
	for b.Loop() {
		s := source{r: bytes.NewReader(raw)}
		for i := range 48000 {
			f, err := s.at(float64(i) * 1.00001)
			if err != nil {
				b.Fatal(err)
			}
			l.next(f)
		}
	}
}
