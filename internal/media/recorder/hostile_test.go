package recorder

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/media"
)

// pace is how many segments and events a storm of a minute may lead to: the ten that a track may have at once, and one a
// second with what belongs to it.
const pace = openingsKept + 60

// calm is ordinary traffic of n pictures (or packets of sound) behind a storm: all of it must be there but for the time
// until a segment may be opened again.
func wantCalm(t *testing.T, l *lab, calm []content, within time.Duration, rate uint32) {
	t.Helper()
	got := l.contents()
	if len(got) == 0 {
		t.Fatal("nothing was recorded")
	}
	last := got[len(got)-1]
	missing := len(calm) - len(last)
	if missing < 0 || media.RTPDuration(calm[max(0, missing)].rtp-calm[0].rtp, rate) > within {
		t.Fatalf("the last segment holds %d of %d frames or packets that came behind the storm", len(last), len(calm))
	}
	for i, c := range last {
		if !slices.Equal(c.data, calm[missing+i].data) {
			t.Fatalf("frame or packet %d of the last segment is another one", i)
		}
	}
}

func TestAClockThatJumpsWithEveryPacketMakesFewSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	voice := sound(t, 200)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		s := newSender(media.Opus)
		storm := s.send(0, repeat(15, voice)...)
		for _, p := range storm {
			p.pkt.Timestamp = rng.Uint32()
		}
		l.play(storm)
		s.ts = 7_000_000
		l.play(s.send(time.Minute, repeat(5, voice)...))
	})
	if n := len(reportsOf[Sealed](l)); n > pace {
		t.Errorf("a minute of jumps makes %d segments, want at most %d", n, pace)
	}
	l.mu.Lock()
	reports := len(l.reports)
	l.mu.Unlock()
	if reports > 6*pace {
		t.Errorf("and %d reports", reports)
	}
	corrupt := time.Duration(0)
	for _, g := range reportsOf[Gap](l) {
		if g.Cause == CauseCorrupt {
			corrupt += g.To.Sub(g.From)
		}
	}
	if corrupt < 50*time.Second || corrupt > 62*time.Second {
		t.Errorf("gaps by corruption add up to %v, want most of the minute", corrupt)
	}
	wantCalm(t, l, want(7_000_000, 960, repeat(5, voice)...), 2*time.Second, 48000)
}

func TestAPictureThatChangesItsSizeAllTheTimeMakesFewSegments(t *testing.T) {
	small, large := pictures(t, media.VP8, "160x120", 50, 1), pictures(t, media.VP8, "320x180", 50, 1)
	var clip []picture
	for i := range 1500 {
		clip = append(clip, [2]picture{small[i%50], large[i%50]}[i%2])
	}
	calm := repeat(10, pictures(t, media.VP8, "160x120", 50, 25))
	var first int64
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		s := newSender(media.VP8)
		l.play(s.send(0, clip...))
		first = int64(s.ts)
		l.play(s.send(time.Minute, calm...))
	})
	if n := len(reportsOf[Sealed](l)); n > pace {
		t.Errorf("a minute of changing sizes makes %d segments, want at most %d", n, pace)
	}
	for _, g := range reportsOf[Gap](l) {
		if g.Cause != CauseCorrupt {
			t.Errorf("a gap has the cause %s", g.Cause)
		}
	}
	wantCalm(t, l, want(first, frameStep, calm...), 3*time.Second, 90000)
}

func TestAPictureThatNobodyCouldDecodeIsNotRecorded(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 50, 25)
	huge := func(width, height uint16) picture {
		b := append([]byte{0, 0, 0, 0x9d, 0x01, 0x2a}, make([]byte, 500)...)
		binary.LittleEndian.PutUint16(b[6:], width)
		binary.LittleEndian.PutUint16(b[8:], height)
		return picture{b, true}
	}
	for _, tt := range []struct {
		name    string
		picture picture
	}{{"16,383 by 16,383", huge(16383, 16383)}, {"16,383 by 577", huge(16383, 577)}, {"0 by 0", huge(0, 0)}} {
		t.Run(tt.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			l := inLab(t, Config{Registerer: reg}, videoTrack(media.VP8), func(l *lab) {
				s := newSender(media.VP8)
				l.play(s.send(0, slices.Concat(clip, []picture{tt.picture}, clip[1:25], clip)...))
			})
			sameContent(t, slices.Concat(want(firstRTP, frameStep, clip...), want(firstRTP+75*frameStep, frameStep, clip...)),
				slices.Concat(l.contents()...))
			if diff := cmp.Diff([]string{"corrupt 1960-3000"}, l.gaps()); diff != "" {
				t.Error(diff)
			}
			problem := testutil.GatherAndCompare(reg, strings.NewReader(""), "consilium_recorder_dropped_packets_total")
			if problem == nil || !strings.Contains(problem.Error(), `why="invalid"} 1`) {
				t.Errorf("it is not counted: %v", problem)
			}
		})
	}
}

func TestTheLargestPictureIsRecorded(t *testing.T) {
	b := append([]byte{0, 0, 0, 0x9d, 0x01, 0x2a, 0, 16, 0, 9}, make([]byte, 500)...) // 4096 by 2304
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.play(newSender(media.VP8).send(0, picture{b, true}))
	})
	if got := reportsOf[Sealed](l); len(got) != 1 || got[0].Width*got[0].Height != media.MaxPixels {
		t.Errorf("segments %+v", got)
	}
}

func TestPaddingEmptyPacketsAndForeignBytesDisturbNothing(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.VP9, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := sound(t, 100)
			step := int64(960)
			if c != media.Opus {
				clip, step = pictures(t, c, "160x120", 100, 25), frameStep
			}
			s := newSender(c)
			packets := s.send(0, clip...)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				shift := uint16(0)
				for i, p := range packets {
					p.pkt.SequenceNumber += shift
					l.play([]sent{p})
					if i%7 != 3 { // behind every seventh packet one that holds nothing: a probe of the browser's
						continue
					}
					shift++
					l.rec.RTP(&rtp.Packet{Header: rtp.Header{
						Version: 2, SSRC: s.ssrc, SequenceNumber: p.pkt.SequenceNumber + 1, Timestamp: p.pkt.Timestamp,
						Extension: true, ExtensionProfile: 0xbede,
					}}, time.Now())
				}
			})
			sameContent(t, want(firstRTP, step, clip...), slices.Concat(l.contents()...))
			if len(l.gaps()) != 0 {
				t.Errorf("gaps %v", l.gaps())
			}
		})
	}
}

func TestBytesOfAnotherCodecAreNoMedia(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, c := range []media.Codec{media.VP8, media.VP9, media.AV1, media.H264, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			var noise []picture
			for range 250 {
				b := make([]byte, 1+rng.IntN(900))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				noise = append(noise, picture{b, false})
			}
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				s := newSender(c)
				s.pay = raw{}
				l.play(s.send(0, noise...))
			})
			// What of it looks like media is written as such; the files are whole all the same, as inLab has checked.
			if n := len(reportsOf[Sealed](l)); n > pace {
				t.Errorf("%d segments of noise", n)
			}
			if c != media.Opus && len(l.askedAt()) > 21 {
				t.Errorf("keyframes were asked for %d times in 10 s", len(l.askedAt()))
			}
		})
	}
}

// raw packs bytes as they are.
type raw struct{}

// Payload implements rtp.Payloader.
func (raw) Payload(_ uint16, b []byte) [][]byte { return [][]byte{b} }

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	for _, room := range []string{
		"", ".", "..", "../other", "a/b", "/etc", `a\b`, "nul\x00", ".hidden", strings.Repeat("x", 256),
	} {
		track := audioTrack
		track.Room = room
		r, err := New(Config{Dir: t.TempDir()}, track, func() {}, func(Report) {}, discard)
		if err == nil {
			r.Close("ended")
			t.Errorf("room %.20q is taken", room)
		}
	}
	// Owner and track are text in a sidecar and nothing else.
	track := audioTrack
	track.Owner, track.ID = "../../owner\x00", "/etc/passwd"
	l := inLab(t, Config{}, track, func(l *lab) { l.play(newSender(media.Opus).send(0, sound(t, 10)...)) })
	if got := reportsOf[Sealed](l)[0]; got.Owner != track.Owner || got.Track != track.ID {
		t.Errorf("%+v", got)
	}
}
