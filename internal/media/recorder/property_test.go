package recorder

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// network drops, doubles and delays packets.
func network(rng *rand.Rand, packets []sent, drop, double, delay float64, window time.Duration) []sent {
	var out []sent
	for _, p := range packets {
		if rng.Float64() < drop {
			continue
		}
		p.at += time.Duration(rng.IntN(30)) * time.Millisecond
		if rng.Float64() < delay {
			p.at += time.Duration(rng.Int64N(int64(window * 3 / 2)))
		}
		out = append(out, p)
		if rng.Float64() < double {
			p.at += time.Duration(rng.Int64N(int64(window * 2)))
			out = append(out, p)
		}
	}
	return out
}

// inTime is the oracle's view of the reorder buffer, in as many words as its documentation: a packet is there if it comes
// before the window is over that began when the first packet behind it came.
func inTime(all, came []sent, window time.Duration) []bool {
	first := func(match func(int) bool) (time.Duration, bool) {
		at, found := time.Duration(0), false
		for _, c := range came {
			n := int(c.pkt.SequenceNumber - all[0].pkt.SequenceNumber)
			if match(n) && (!found || c.at < at) {
				at, found = c.at, true
			}
		}
		return at, found
	}
	// The first packet that comes at all is the first one there is.
	begin := int(slices.MinFunc(came, func(a, b sent) int { return int(a.at - b.at) }).pkt.SequenceNumber - all[0].pkt.SequenceNumber)
	ok := make([]bool, len(all))
	for i := begin; i < len(all); i++ {
		at, arrived := first(func(n int) bool { return n == i })
		behind, any := first(func(n int) bool { return n > i })
		ok[i] = arrived && (!any || at < behind+window)
	}
	return ok
}

// randomPictures makes what looks like VP8 to everybody who does not decode.
func randomPictures(rng *rand.Rand, n int) []picture {
	var out []picture
	for i := range n {
		data := make([]byte, 20+rng.IntN(3000))
		binary.LittleEndian.PutUint64(data[10:], rng.Uint64())
		data[0] = 1
		key := i == 0 || rng.IntN(15) == 0
		if key {
			copy(data, []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00})
		}
		out = append(out, picture{data, key})
	}
	return out
}

// wholeAndDecodable is the oracle for video: the frames of which every packet was in time, from a keyframe on up to the
// next one of which not every packet was.
func wholeAndDecodable(clip []picture, all []sent, ok []bool, first int64) []content {
	var out []content
	open := false
	for i, p := range clip {
		whole := true
		for n, s := range all {
			if s.pkt.Timestamp == uint32(first)+uint32(i)*frameStep {
				whole = whole && ok[n]
			}
		}
		if open = whole && (open || p.key); open {
			out = append(out, content{first + int64(i)*frameStep, p.data})
		}
	}
	return out
}

func TestVideoIsWhatTheOracleSays(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			clip := randomPictures(rng, 150)
			s := newSender(media.VP8)
			s.seq, s.ts = uint16(rng.Uint32()), rng.Uint32()
			first := int64(s.ts)
			const window = 600 * time.Millisecond
			all := s.send(0, clip...)
			loss := []float64{0, 0.002, 0.02}[rng.IntN(3)]
			came := network(rng, all, loss, 0.2*rng.Float64(), 0.05*rng.Float64(), window)
			expected := wholeAndDecodable(clip, all, inTime(all, came, window), first)
			l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) { l.play(came) })
			sameContent(t, expected, slices.Concat(l.contents()...))
			if len(expected) == 0 && loss == 0 {
				t.Error("nothing was to be written: the test says nothing")
			}
		})
	}
}

func TestAudioIsWhatTheOracleSays(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	voice := sound(t, 250)
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			s := newSender(media.Opus)
			s.seq, s.ts = uint16(rng.Uint32()), rng.Uint32()
			first := int64(s.ts)
			const window = 200 * time.Millisecond
			all := s.send(0, voice...)
			came := network(rng, all, 0.1*rng.Float64(), 0.2*rng.Float64(), 0.1*rng.Float64(), window)
			ok := inTime(all, came, window)
			begin, end := slices.Index(ok, true), len(ok)
			for !ok[end-1] {
				end-- // nothing is filled behind the last packet
			}
			expected := filled(first, voice, func(i int) bool { return !ok[i] })[begin:end]
			l := inLab(t, Config{}, audioTrack, func(l *lab) { l.play(came) })
			sameContent(t, expected, slices.Concat(l.contents()...))
			if got, want := len(l.reasons()), 1; got != want {
				t.Errorf("segments %v", l.reasons())
			}
			seg := reportsOf[Sealed](l)[0]
			if seg.EndRTP-seg.FirstRTP != int64(end-begin)*960 {
				t.Errorf("lasts %d samples of RTP time, want %d", seg.EndRTP-seg.FirstRTP, (end-begin)*960)
			}
		})
	}
}

// redundantly is what the switch passes on of audio with redundancy: of each packet that came, the one or two before it
// that had not, in front of it and as if they had taken as long as it, and every packet once.
func redundantly(all, came []sent, depth int, step time.Duration) []sent {
	came = slices.Clone(came)
	slices.SortStableFunc(came, func(a, b sent) int { return int(a.at - b.at) })
	seen := map[uint16]bool{}
	var out []sent
	for _, c := range came {
		if seen[c.pkt.SequenceNumber] {
			continue
		}
		seen[c.pkt.SequenceNumber] = true
		n := int(c.pkt.SequenceNumber - all[0].pkt.SequenceNumber)
		for d := min(depth, n); d > 0; d-- {
			if before := all[n-d].pkt; !seen[before.SequenceNumber] && len(out) > 0 {
				seen[before.SequenceNumber] = true
				out = append(out, sent{at: c.at - time.Duration(d)*step, pkt: before})
			}
		}
		out = append(out, c)
	}
	return out
}

// Loss, doubling, delay and redundancy over several rotations: every packet that came or was restored in time is in
// exactly one file, and silence stands for every other.
func TestRedundantAudioOverRotationsIsWhatTheOracleSays(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	voice := sound(t, 500)
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 7))
			s := newSender(media.Opus)
			s.seq, s.ts = uint16(rng.Uint32()), rng.Uint32()
			first := int64(s.ts)
			const window, step, rotate = 200 * time.Millisecond, 20 * time.Millisecond, 3 * time.Second
			all := s.send(time.Second, voice...)
			// The beginning is calm: which packet is the first one is another test's question.
			lossy := slices.Concat(all[:5], network(rng, all[5:], 0.1*rng.Float64(), 0.2*rng.Float64(), 0.05*rng.Float64(), window))
			came := redundantly(all, lossy, 1+rng.IntN(2), step)
			ok := inTime(all, came, window)
			begin, end := slices.Index(ok, true), len(ok)
			for !ok[end-1] {
				end--
			}
			expected := filled(first, voice, func(i int) bool { return !ok[i] })[begin:end]
			l := inLab(t, Config{Rotate: rotate, KeyframeAt: rotate}, audioTrack, func(l *lab) { l.playAsArrived(came) })
			sameContent(t, expected, slices.Concat(l.contents()...))
			if n := len(l.reasons()); n < 3 || n > 4 {
				t.Errorf("10 s cut every 3 s are %d files: %v", n, l.reasons())
			}
			for i, s := range reportsOf[Sealed](l)[1:] {
				if before := reportsOf[Sealed](l)[i]; s.FirstRTP != before.EndRTP {
					t.Errorf("a file ends at %d and the next begins at %d", before.EndRTP, s.FirstRTP)
				}
			}
		})
	}
}

// FuzzPipeline feeds packets of arbitrary bytes, numbers and times: nothing may panic, and every file must be whole.
func FuzzPipeline(f *testing.F) {
	for i, c := range []media.Codec{media.VP8, media.VP9, media.AV1, media.H264, media.Opus} {
		var raw []byte
		s := newSender(c)
		clip := sound(f, 10)
		if c != media.Opus {
			clip = pictures(f, c, "160x120", 5, 5)
		}
		for _, p := range s.send(0, clip...) {
			if len(raw) > 4000 {
				break
			}
			flags := byte(0)
			if p.pkt.Marker {
				flags = 0x80
			}
			raw = append(raw, 1, byte(s.step>>8), flags, byte(len(p.pkt.Payload)>>8), byte(len(p.pkt.Payload)))
			raw = append(raw, p.pkt.Payload...)
		}
		f.Add(byte(i), raw)
	}
	codecs := []media.Codec{media.VP8, media.VP9, media.AV1, media.H264, media.Opus}
	f.Fuzz(func(t *testing.T, which byte, raw []byte) {
		dir := t.TempDir()
		var sealed []Sealed
		cfg := Config{Dir: dir}.withDefaults()
		m, err := newMetrics(nil, media.Video)
		if err != nil {
			t.Fatal(err)
		}
		r := &Recorder{}
		p := newPipeline(cfg, videoTrack(codecs[int(which)%len(codecs)]), func() {}, func(r Report) {
			if s, ok := r.(Sealed); ok {
				sealed = append(sealed, s)
			}
		}, discard, m, &r.bytes)
		pkt := rtp.Header{SSRC: 1}
		at := time.Unix(1_900_000_000, 0)
		for n := 0; len(raw) >= 5 && n < 100; n++ { // each of them may be a segment with all its syncs
			pkt.SequenceNumber += uint16(int8(raw[0]))
			pkt.Timestamp += uint32(int8(raw[1])) << 8
			pkt.Marker = raw[2]&0x80 != 0
			if raw[2]&0x7f == 0x7f {
				pkt.SSRC++
			}
			at = at.Add(time.Duration(raw[2]&0x3f) * time.Millisecond)
			n := min(int(binary.BigEndian.Uint16(raw[3:])), len(raw)-5)
			p.packet(&rtp.Packet{Header: pkt, Payload: raw[5 : 5+n]}, at)
			raw = raw[5+n:]
		}
		p.close("ended", at)
		for _, s := range sealed {
			checkSealed(t, dir, s.Segment, s.Path)
		}
		if got := len(tree(t, dir)); got != 2*len(sealed) {
			t.Errorf("%d files of %d segments", got, len(sealed))
		}
	})
}
