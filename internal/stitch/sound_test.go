package stitch

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/ffmpeg"
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
			runs, _ := runsOf(test.clips, func(string) recording { return second }, test.phases)
			for _, r := range runs {
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

// decodedAs is decoded sound of so many samples.
func decodedAs(n int, left, right func(i int) float64) []byte {
	var b []byte
	for i := range n {
		for _, v := range []float64{left(i), right(i)} {
			b = binary.LittleEndian.AppendUint16(b, uint16(int16(min(ffmpeg.FullScale-1, math.Round(v*ffmpeg.FullScale)))))
		}
	}
	return b
}

// coarseness is the precision of 16 bits.
const coarseness = 1.0 / ffmpeg.FullScale

func TestSourceReadsBetweenSamples(t *testing.T) {
	tone := func(x float64) float64 { return math.Sin(2 * math.Pi * 3000 * x / 48000) }
	at := func(i int) float64 { return tone(float64(i)) }
	for _, tt := range []struct {
		name  string
		right func(float64) float64
	}{
		{"the channels are the same", tone},
		{"they are not", func(x float64) float64 { return -tone(x) }},
		{"they are not from somewhere on", func(x float64) float64 { return tone(x) * max(-1, min(1, (30000-x)/100)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(bytes.NewReader(decodedAs(48000, at, func(i int) float64 { return tt.right(float64(i)) })), 0)
			const step = 1.0003
			for place := 100.0; place < 43000; {
				b, err := s.read(place, step, 1+int(place)%mixBlock)
				if err != nil {
					t.Fatal(err)
				}
				for i := range b.len() {
					here := place + float64(i)*step
					left, right := float64(b.channel(0)[i]), float64(b.channel(1)[i])
					if math.Abs(left-tone(here)) > 2e-3 || math.Abs(right-tt.right(here)) > 2e-3 {
						t.Fatalf("at %f: %f and %f, want %f and %f", here, left, right, tone(here), tt.right(here))
					}
				}
				place += float64(b.len()) * step
			}
		})
	}
}

func TestSourceIsExactAtWholeSamplesAndSilentAround(t *testing.T) {
	saw := func(i int) float64 { return float64(i%97) / 97 }
	s := newSource(bytes.NewReader(decodedAs(30000, saw, saw)), 1000)
	for at := -mixBlock; at < 41*mixBlock; at += mixBlock / 2 {
		b, err := s.read(float64(at), 1, mixBlock/2)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range b.channel(1) {
			want := 0.0
			if n := at + i - 1000; n >= 0 && n < 30000 {
				want = saw(n)
			}
			if math.Abs(float64(got)-want) > coarseness {
				t.Fatalf("sample %d: %v, want %v", at+i, got, want)
			}
		}
	}
	if held := len(s.held[0]); held > 4*readAhead {
		t.Errorf("%d samples are held at the end", held)
	}
}

// A source that is asked for something far ahead does not keep what lies before it.
func TestSourceForgetsWhatItPassesOver(t *testing.T) {
	tone := func(i int) float64 { return math.Sin(float64(i) / 10) }
	s := newSource(bytes.NewReader(decodedAs(500_000, tone, tone)), 0)
	b, err := s.read(400_000, 1, 10)
	if err != nil || math.Abs(float64(b.channels[0][0])-tone(400_000)) > coarseness {
		t.Fatal(b, err)
	}
	if cap(s.held[0]) > 10*readAhead {
		t.Errorf("room for %d samples", cap(s.held[0]))
	}
}

// Voices of one channel and of two, with gains and clocks of their own, are added up each in its place, and come and go
// within a millisecond.
func TestVoicesAddUp(t *testing.T) {
	tone := func(hz float64) func(float64) float64 {
		return func(x float64) float64 { return 0.3 * math.Sin(2*math.Pi*hz*x/ffmpeg.SampleRate) }
	}
	type voiceOf struct {
		left, right func(float64) float64
		gain        float64
		knots       []knot
	}
	all := []voiceOf{
		{tone(300), tone(300), 2, []knot{{0, 0}, {20_000, 20_000}}},
		{tone(500), tone(700), 0.5, []knot{{6000.25, 100}, {9000.5, 3101}, {13_000.75, 7095}}},
		{tone(900), tone(900), 1, []knot{{11_000, 40.5}, {17_000, 6041}}},
	}
	var voices []*voice
	for _, v := range all {
		raw := decodedAs(20_000, func(i int) float64 { return v.left(float64(i)) }, func(i int) float64 { return v.right(float64(i)) })
		voices = append(voices, &voice{run: run{knots: v.knots}, in: newSource(bytes.NewReader(raw), 0), gain: float32(v.gain)})
	}
	room := newBlock(mixBlock)
	for at := int64(0); at < 19_200; at += mixBlock {
		b := room.silent(mixBlock)
		for _, v := range voices {
			if v.run.begin() < float64(at+mixBlock) && v.run.end() > float64(at) {
				if err := v.add(b, at); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range mixBlock {
			now := float64(at) + float64(i)
			var left, right float64
			for n, v := range all {
				r := voices[n].run
				share := v.gain * max(0, min(1, (now-r.begin())/edge, (r.end()-now)/edge))
				left += share * v.left(r.place(now))
				right += share * v.right(r.place(now))
			}
			if a, b := float64(b.channel(0)[i]), float64(b.channel(1)[i]); math.Abs(a-left) > 2e-3 || math.Abs(b-right) > 2e-3 {
				t.Fatalf("sample %.0f is %f and %f, want %f and %f", now, a, b, left, right)
			}
		}
	}
}

// through sends sound through a limiter, in blocks of all lengths, and gives what comes out without the delay.
func through(in *block) (left, right []float32) {
	l, n := newLimiter(), 1
	padded := newBlock(in.len() + lookAhead - 1)
	for c := range padded.channels {
		copy(padded.channels[c], in.channels[c])
	}
	for at := 0; at < padded.len(); n = n*7%mixBlock + 1 {
		b := padded.part(at, min(padded.len(), at+n))
		b.single = slices.Equal(b.channels[0], b.channels[1])
		l.next(b)
		left, right = append(left, b.channel(0)...), append(right, b.channel(1)...)
		at += b.len()
	}
	return left[lookAhead-1:], right[lookAhead-1:]
}

func TestLimiter(t *testing.T) {
	in := newBlock(120_000)
	for i := range in.len() {
		in.channels[0][i], in.channels[1][i] = float32(0.5*math.Sin(float64(i)/7)), 0.25
		if i > 9000 && i < 10000 {
			in.channels[0][i] *= 5
		}
		if i > 11000 {
			in.channels[1][i] = in.channels[0][i]
		}
	}
	left, right := through(in)
	for i, v := range left {
		if math.Abs(float64(v)) > ceiling+1e-6 {
			t.Fatalf("sample %d is %v", i, v)
		}
		if (i < 9000-lookAhead || i > 110_000) && (v != in.channels[0][i] || right[i] != in.channels[1][i]) {
			t.Fatalf("sample %d is turned down far from the peak: %v, was %v", i, v, in.channels[0][i])
		}
		if i > 11000 && right[i] != v {
			t.Fatalf("sample %d is %v in one channel and %v in the other", i, v, right[i])
		}
	}
	if right[9500] > 0.12 || right[9500] < 0.08 {
		t.Errorf("beside the peak the other channel is %v: it must keep its balance", right[9500])
	}
	if right[10900] < 0.11 || right[10900] > 0.2 {
		t.Errorf("soon after the peak it is at %v", right[10900])
	}
}

// The gain is what it is said to be: the mean of the least gains that were wanted, whatever came before it.
func TestTheGainOfALimiterIsAMeanOfMinima(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	in := newBlock(150_000)
	for i := range in.len() {
		if i%50_000 < 20_000 {
			in.channels[0][i] = 3 * float32(math.Pow(random.Float64(), 8))
		}
		in.channels[1][i] = in.channels[0][i] * []float32{0, 1.5, 1}[i/50_000]
	}
	wanted, gain := make([]float64, in.len()+lookAhead), 1.0
	for i := range wanted {
		gain += (1 - gain) * recovery
		if i < in.len() {
			gain = min(gain, ceiling/float64(max(in.channels[0][i], in.channels[1][i])))
		}
		wanted[i] = gain
	}
	least := make([]float64, len(wanted))
	for i := range least {
		least[i] = slices.Min(wanted[max(0, i-lookAhead+1) : i+1])
	}
	left, right := through(in)
	for i := range left {
		sum := 0.0
		for _, g := range least[i:][:lookAhead] {
			sum += g
		}
		want := float64(in.channels[0][i]) * sum / lookAhead
		if math.Abs(float64(left[i])-want) > 1e-6 {
			t.Fatalf("sample %d of %v is %v, want %v", i, in.channels[0][i], left[i], want)
		}
		if other := float64(in.channels[1][i]) * sum / lookAhead; math.Abs(float64(right[i])-other) > 1e-6 {
			t.Fatalf("sample %d of the other channel is %v, want %v", i, right[i], other)
		}
	}
}

// One operation is one second of one voice.
func BenchmarkVoice(b *testing.B) {
	for _, kind := range []struct {
		name  string
		right float64
	}{{"mono", 1}, {"stereo", 0.9}} {
		b.Run(kind.name, func(b *testing.B) {
			saw := func(i int) float64 { return float64(i%97) / 97 * 0.9 }
			raw := decodedAs(48000, saw, func(i int) float64 { return kind.right * saw(i) })
			limit, meter, room := newLimiter(), newLoudnessMeter(), newBlock(mixBlock)
			for b.Loop() {
				v := voice{in: newSource(bytes.NewReader(raw), 0), gain: 1, run: run{knots: []knot{{0, 0.3}, {48000, 48001.3}}}}
				for at := int64(0); at < 48000; at += mixBlock {
					block := room.silent(mixBlock)
					if err := v.add(block, at); err != nil {
						b.Fatal(err)
					}
					limit.next(block)
					meter.add(block)
				}
				meter.tenths = meter.tenths[:0]
			}
		})
	}
}
