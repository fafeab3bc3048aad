package recorder

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/transport/v5/test"

	"consilium/internal/media"
)

func videoTrack(c media.Codec) Track {
	t := testTrack
	t.Codec = c
	return t
}

var audioTrack = videoTrack(media.Opus)

const (
	frameStep = 3600 // RTP time of a picture at 25 a second
	firstRTP  = 500_000
)

func TestPacketsInOrderBecomeTheFramesThatWereSent(t *testing.T) {
	defer test.CheckRoutines(t)()
	clip := pictures(t, media.VP8, "320x180", 50, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.play(newSender(media.VP8).send(0, clip...))
	})
	if diff := cmp.Diff([]string{"started-ended"}, l.reasons()); diff != "" {
		t.Fatal(diff)
	}
	sameContent(t, want(firstRTP, frameStep, clip...), l.contents()[0])
	if len(l.gaps()) != 0 || len(l.asked) != 0 {
		t.Errorf("gaps %v, keyframes asked for at %v", l.gaps(), l.asked)
	}
	s := reportsOf[Sealed](l)[0]
	if sums := videoSums(t, s.Path); len(sums) != 50 {
		t.Errorf("ffmpeg decodes %d pictures, want 50", len(sums))
	}
	wantSegment := media.Segment{
		ID: s.ID, Room: "room", Owner: "owner", Track: "track", SSRC: 0x1234, Codec: media.VP8, ClockRate: 90000,
		FirstRTP: firstRTP, Arrival: l.began, Width: 320, Height: 180, OpenReason: "started",
		LastRTP: firstRTP + 49*frameStep, EndRTP: firstRTP + 49*frameStep, Frames: 50, Bytes: s.Bytes, SHA256: s.SHA256,
		CloseReason: "ended", Anchors: s.Anchors,
	}
	if diff := cmp.Diff(wantSegment, s.Segment); diff != "" {
		t.Error(diff)
	}
}

func TestDuplicatesAreWrittenOnce(t *testing.T) {
	clip := pictures(t, media.VP8, "320x180", 50, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		for _, p := range packets {
			packets = append(packets, sent{p.at + 5*time.Millisecond, p.pkt}, sent{p.at + 900*time.Millisecond, p.pkt})
		}
		l.play(packets)
	})
	sameContent(t, want(firstRTP, frameStep, clip...), slices.Concat(l.contents()...))
	if len(l.gaps()) != 0 || len(l.contents()) != 1 {
		t.Errorf("gaps %v, segments %v", l.gaps(), l.reasons())
	}
}

func TestReorderingWithinTheWindowIsPutRight(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip, window := pictures(t, media.VP8, "320x180", 50, 25), 590*time.Millisecond
			if c == media.Opus {
				clip, window = sound(t, 100), 190*time.Millisecond
			}
			s := newSender(c)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				packets := s.send(0, clip...)
				for i := 3; i < len(packets); i += 7 {
					packets[i].at += window
				}
				l.play(packets)
			})
			sameContent(t, want(firstRTP, int64(s.step), clip...), slices.Concat(l.contents()...))
			if len(l.gaps()) != 0 || len(l.contents()) != 1 {
				t.Errorf("gaps %v, segments %v", l.gaps(), l.reasons())
			}
		})
	}
}

// without leaves out the packets whose index drop names.
func without(packets []sent, drop func(int) bool) []sent {
	var out []sent
	for i, p := range packets {
		if !drop(i) {
			out = append(out, p)
		}
	}
	return out
}

// frameOf returns the indexes of the packets of the picture with that number.
func frameOf(packets []sent, number int) []int {
	var out []int
	ts := packets[0].pkt.Timestamp + uint32(number)*frameStep
	for i, p := range packets {
		if p.pkt.Timestamp == ts {
			out = append(out, i)
		}
	}
	return out
}

func TestALostPacketClosesTheKeyGateUntilAKeyframe(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 25)
	for _, tt := range []struct {
		name string
		drop func(packets []sent) int
	}{
		{name: "first packet of a frame", drop: func(p []sent) int { return frameOf(p, 10)[0] }},
		{name: "last packet of a frame", drop: func(p []sent) int { f := frameOf(p, 10); return f[len(f)-1] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
				packets := newSender(media.VP8).send(0, clip...)
				lost := tt.drop(packets)
				l.play(without(packets, func(i int) bool { return i == lost }))
			})
			kept := append(want(firstRTP, frameStep, clip[:10]...), want(firstRTP+25*frameStep, frameStep, clip[25:]...)...)
			if len(l.contents()) != 1 {
				t.Fatalf("segments %v, want one", l.reasons())
			}
			sameContent(t, kept, l.contents()[0])
			if diff := cmp.Diff([]string{"loss 360-1000"}, l.gaps()); diff != "" {
				t.Error(diff)
			}
			// The hole is believed after 600 ms; by then the frames behind it are there.
			if len(l.asked) != 1 || l.asked[0] < 900*time.Millisecond || l.asked[0] > 1100*time.Millisecond {
				t.Errorf("keyframes asked for at %v", l.asked)
			}
			all := videoSums(t, writeIVF(t, clip))
			if diff := cmp.Diff(slices.Concat(all[:10], all[25:]), videoSums(t, reportsOf[Sealed](l)[0].Path)); diff != "" {
				t.Errorf("decoded pictures:\n%s", diff)
			}
		})
	}
}

func TestARetransmittedPacketIsPutIntoItsPlace(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		packets[frameOf(packets, 10)[0]].at += 500 * time.Millisecond
		l.play(packets)
	})
	sameContent(t, want(firstRTP, frameStep, clip...), slices.Concat(l.contents()...))
	if len(l.gaps()) != 0 || len(l.asked) != 0 {
		t.Errorf("gaps %v, asked at %v", l.gaps(), l.asked)
	}
}

func TestKeyframesAreAskedForAtMostTwiceASecondUntilOneComes(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 75)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		lost := frameOf(packets, 10)[0]
		l.play(without(packets, func(i int) bool { return i == lost }))
	})
	sameContent(t, want(firstRTP, frameStep, clip[:10]...), slices.Concat(l.contents()...))
	if len(l.asked) != 4 {
		t.Errorf("asked at %v, want about 1.0, 1.5, 2.0 and 2.5 s", l.asked)
	}
	for i := 1; i < len(l.asked); i++ {
		// 500 ms by the arrival of packets, which are looked at a moment later. The switch keeps requests apart too.
		if apart := l.asked[i] - l.asked[i-1]; apart < 500*time.Millisecond-soonWindow || apart > 600*time.Millisecond {
			t.Errorf("asked again after %v", apart)
		}
	}
	if diff := cmp.Diff([]string{"loss 360-2960"}, l.gaps()); diff != "" {
		t.Errorf("the gap lasts until the end:\n%s", diff)
	}
}

func TestAStallAlsoEndsTheWaitForALostPacket(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 75)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip[:20]...)
		lost := frameOf(packets, 10)[0]
		l.play(without(packets, func(i int) bool { return i == lost }))
		l.until(1500 * time.Millisecond)
		if asked := l.askedAt(); len(asked) != 1 || asked[0] < 1000*time.Millisecond || asked[0] > 1060*time.Millisecond {
			t.Errorf("asked at %v although nothing more came, want 600 ms after the next packet", asked)
		}
	})
	sameContent(t, want(firstRTP, frameStep, clip[:10]...), slices.Concat(l.contents()...))
}

func TestNumbersMayWrap(t *testing.T) {
	clip := pictures(t, media.VP8, "320x180", 50, 25)
	voice := sound(t, 100)
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			p := clip
			if c == media.Opus {
				p = voice
			}
			s := newSender(c)
			s.seq, s.ts = 65535-20, ^uint32(0)-20*s.step-7
			first := int64(s.ts)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) { l.play(s.send(0, p...)) })
			if len(l.contents()) != 1 || len(l.gaps()) != 0 {
				t.Fatalf("segments %v, gaps %v", l.reasons(), l.gaps())
			}
			sameContent(t, want(first, int64(s.step), p...), l.contents()[0])
		})
	}
}

func TestPaddingHasANumberAndNothingElse(t *testing.T) {
	clip := pictures(t, media.VP8, "320x180", 50, 50)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		s := newSender(media.VP8)
		var packets []sent
		for i, p := range clip {
			at := time.Duration(i) * s.interval()
			packets = append(packets, s.send(at, p)...)
			if i%5 == 2 {
				pad := packets[len(packets)-1].pkt.Clone()
				pad.SequenceNumber, pad.Payload, pad.Padding, pad.PaddingSize = s.seq, nil, true, 200
				s.seq++
				packets = append(packets, sent{at + time.Millisecond, pad})
			}
		}
		l.play(packets)
	})
	sameContent(t, want(firstRTP, frameStep, clip...), slices.Concat(l.contents()...))
}

func TestARecordingThatBeginsInMidFrameAsksForAKeyframe(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.play(newSender(media.VP8).send(0, clip...)[3:])
	})
	sameContent(t, want(firstRTP+25*frameStep, frameStep, clip[25:]...), slices.Concat(l.contents()...))
	if len(l.asked) == 0 || l.asked[0] > soonWindow+10*time.Millisecond {
		t.Errorf("asked at %v, want at once", l.asked)
	}
	if diff := cmp.Diff([]string{"loss 0-1000"}, l.gaps()); diff != "" {
		t.Error(diff)
	}
}

func TestATrackWithoutAWholeFrameLeavesNothing(t *testing.T) {
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, pictures(t, media.VP8, "640x360", 75, 25)[:1]...)
		l.play(packets[:len(packets)-1])
	})
	if n := len(reportsOf[Opened](l)); n != 0 {
		t.Errorf("%d segments opened", n)
	}
}

func TestABrokenPayloadIsAGap(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		packets[frameOf(packets, 10)[0]].pkt.Payload = []byte{0x80} // a descriptor that promises more than there is
		l.play(packets)
	})
	kept := append(want(firstRTP, frameStep, clip[:10]...), want(firstRTP+25*frameStep, frameStep, clip[25:]...)...)
	sameContent(t, kept, slices.Concat(l.contents()...))
	if diff := cmp.Diff([]string{"corrupt 360-1000"}, l.gaps()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryCodecIsRecordedFrameByFrame(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.VP9, media.AV1, media.H264} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, c, "320x180", 50, 25)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) { l.play(newSender(c).send(0, clip...)) })
			if len(l.contents()) != 1 || len(l.gaps()) != 0 {
				t.Fatalf("segments %v, gaps %v", l.reasons(), l.gaps())
			}
			s := reportsOf[Sealed](l)[0]
			if s.Frames != 50 || s.Width != 320 || s.Height != 180 {
				t.Errorf("%d frames of %dx%d", s.Frames, s.Width, s.Height)
			}
			if diff := cmp.Diff(videoSums(t, writeIVF(t, clip, c)), videoSums(t, s.Path)); diff != "" {
				t.Errorf("decoded pictures differ from the encoder's:\n%s", diff)
			}
		})
	}
}

func TestNewRefusesWhatCannotBeRecorded(t *testing.T) {
	good := Track{Room: "r", ID: "t", Codec: media.VP8}
	for _, tt := range []struct {
		name  string
		cfg   Config
		track func(*Track)
	}{
		{name: "no folder", cfg: Config{}},
		{name: "no room", cfg: Config{Dir: "x"}, track: func(t *Track) { t.Room = "" }},
		{name: "a room outside", cfg: Config{Dir: "x"}, track: func(t *Track) { t.Room = "../r" }},
		{name: "a room that is the folder above", cfg: Config{Dir: "x"}, track: func(t *Track) { t.Room = ".." }},
		{name: "no track", cfg: Config{Dir: "x"}, track: func(t *Track) { t.ID = "" }},
		{name: "an unknown codec", cfg: Config{Dir: "x"}, track: func(t *Track) { t.Codec = "H265" }},
		{name: "a hard cut before the keyframe", cfg: Config{Dir: "x", HardCut: time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			track := good
			if tt.track != nil {
				tt.track(&track)
			}
			if _, err := New(tt.cfg, track, func() {}, func(Report) {}, discard); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestASegmentIsOpenedWhenItsFirstFrameIsInTheFile(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "320x180", 50, 25)
			if c == media.Opus {
				clip = sound(t, 100)
			}
			inLab(t, Config{}, videoTrack(c), func(l *lab) {
				l.onTell = func(r Report) {
					if o, ok := r.(Opened); ok && len(contentOf(l.t, o.Segment, partPath(filepath.Join(l.dir, o.Room), o.Segment))) == 0 {
						l.t.Error("there is nothing in the file yet")
					}
				}
				l.play(newSender(c).send(0, clip...))
			})
		})
	}
}

func TestAFrameWithoutItsEndIsNotGluedToTheNext(t *testing.T) {
	clip := pictures(t, media.VP8, "640x360", 75, 25)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		tenth := frameOf(packets, 10)
		packets[tenth[len(tenth)-1]].pkt.Marker = false
		eleventh := packets[tenth[len(tenth)-1]+1].pkt
		eleventh.Payload = slices.Clone(eleventh.Payload)
		eleventh.Payload[0] &^= 0x10 // and it does not look like a start
		l.play(packets)
	})
	kept := append(want(firstRTP, frameStep, clip[:10]...), want(firstRTP+25*frameStep, frameStep, clip[25:]...)...)
	sameContent(t, kept, slices.Concat(l.contents()...))
}

func TestParameterSetsStandBeforeEachIDRFrame(t *testing.T) {
	clip := pictures(t, media.H264, "320x180", 50, 25)
	l := inLab(t, Config{Rotate: time.Second}, videoTrack(media.H264), func(l *lab) {
		bare := slices.Clone(clip)
		bare[25].data = bare[25].data[bytes.LastIndex(bare[25].data, []byte{0, 0, 1}):] // the IDR slice alone, as devices send it
		l.play(newSender(media.H264).send(0, bare...))
	})
	if diff := cmp.Diff([]string{"started-rotation", "rotation-ended"}, l.reasons()); diff != "" {
		t.Fatal(diff)
	}
	all := videoSums(t, writeIVF(t, clip, media.H264))
	if diff := cmp.Diff(all[25:], videoSums(t, reportsOf[Sealed](l)[1].Path)); diff != "" {
		t.Errorf("the second segment decodes to something else:\n%s", diff)
	}
}
