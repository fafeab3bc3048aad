package recorder

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// oncePerFile fails when a frame or packet is in two segments, or in none, or out of order.
func oncePerFile(t *testing.T, wanted []content, l *lab) {
	t.Helper()
	sameContent(t, wanted, slices.Concat(l.contents()...))
}

func TestVideoIsCutAtTheKeyframeThatIsAskedFor(t *testing.T) {
	answers := pictures(t, media.VP8, "160x120", 250, 250)
	var clip []picture // 100 s
	s := newSender(media.VP8)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		var asked atomic.Bool
		l.onKey = func() { asked.Store(true) }
		// The sender answers within a second with a keyframe, and has one of its own every 40 s only.
		next := 0
		for i := range 2500 {
			if i%25 == 3 && asked.CompareAndSwap(true, false) || i%1000 == 0 {
				next = 0
			}
			clip = append(clip, answers[next%250])
			if next++; next == 250 {
				next = 1 // go on with a delta frame; what it decodes to does not matter here
			}
			l.play(s.send(time.Duration(i)*40*time.Millisecond, clip[i]))
		}
	})
	oncePerFile(t, want(firstRTP, frameStep, clip...), l)
	if diff := cmp.Diff([]string{"started-rotation", "rotation-rotation", "rotation-rotation", "rotation-ended"}, l.reasons()); diff != "" {
		t.Error(diff)
	}
	for _, s := range reportsOf[Sealed](l)[:3] {
		if d := media.RTPDuration(s.EndRTP-s.FirstRTP, 90000); d < 25*time.Second || d > 30*time.Second {
			t.Errorf("segment lasts %v", d)
		}
	}
	if len(l.gaps()) != 0 {
		t.Errorf("gaps %v", l.gaps())
	}
}

func TestRotatedVideoDecodesFrameForFrame(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	l := inLab(t, Config{Rotate: 3 * time.Second}, videoTrack(media.VP8), func(l *lab) {
		l.play(newSender(media.VP8).send(0, clip...))
	})
	oncePerFile(t, want(firstRTP, frameStep, clip...), l)
	var paths []string
	for _, s := range reportsOf[Sealed](l) {
		paths = append(paths, s.Path)
	}
	if len(paths) != 4 {
		t.Errorf("segments %v", l.reasons())
	}
	if diff := cmp.Diff(videoSums(t, writeIVF(t, clip)), videoSums(t, paths...)); diff != "" {
		t.Errorf("decoded pictures:\n%s", diff)
	}
}

func TestVideoIsCutHardWhenNoKeyframeComes(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 250, 250)
	for len(clip) < 1200 { // 48 s, one keyframe
		clip = append(clip, clip[1:250]...)
	}
	clip = append(clip[:1200], clip[0], clip[1])
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) { l.play(newSender(media.VP8).send(0, clip...)) })
	if diff := cmp.Diff([]string{"started-rotation", "rotation-ended"}, l.reasons()); diff != "" {
		t.Fatal(diff)
	}
	oncePerFile(t, append(want(firstRTP, frameStep, clip[:1000]...), want(firstRTP+1200*frameStep, frameStep, clip[1200:]...)...), l)
	if diff := cmp.Diff([]string{"loss 39960-48000"}, l.gaps()); diff != "" {
		t.Error(diff)
	}
	if len(l.asked) < 8 || l.asked[0] < 25*time.Second || l.asked[0] > 28500*time.Millisecond+batchWindow {
		t.Errorf("asked at %v, want from 25 to 28.5 s on", l.asked)
	}
}

func TestAudioIsCutAtOnceAndWithoutAHole(t *testing.T) {
	voice := repeat(20, sound(t, 250)) // 100 s
	l := inLab(t, Config{}, audioTrack, func(l *lab) { l.play(newSender(media.Opus).send(0, voice...)) })
	oncePerFile(t, want(firstRTP, 960, voice...), l)
	sealed := reportsOf[Sealed](l)
	if len(sealed) != 4 || len(l.gaps()) != 0 {
		t.Fatalf("segments %v, gaps %v", l.reasons(), l.gaps())
	}
	samples := 0
	for i, s := range sealed {
		if i > 0 && s.FirstRTP != sealed[i-1].EndRTP {
			t.Errorf("segment %d begins at %d, the one before ends at %d", i, s.FirstRTP, sealed[i-1].EndRTP)
		}
		if i < 3 && s.EndRTP-s.FirstRTP != 30*48000 {
			t.Errorf("segment %d lasts %d samples, want 30 s", i, s.EndRTP-s.FirstRTP)
		}
		samples += len(pcm(t, s.Path))
	}
	if samples != 100*48000 {
		t.Errorf("ffmpeg decodes %d samples, want %d", samples, 100*48000)
	}
}

func TestANewResolutionStartsASegment(t *testing.T) {
	small, large := pictures(t, media.VP8, "160x120", 50, 25), pictures(t, media.VP8, "320x180", 50, 25)
	clip := slices.Concat(small, large, small)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) { l.play(newSender(media.VP8).send(0, clip...)) })
	oncePerFile(t, want(firstRTP, frameStep, clip...), l)
	if diff := cmp.Diff([]string{"started-resolution", "resolution-resolution", "resolution-ended"}, l.reasons()); diff != "" {
		t.Error(diff)
	}
	if s := reportsOf[Sealed](l)[1]; s.Width != 320 || s.Height != 180 {
		t.Errorf("second segment is %dx%d", s.Width, s.Height)
	}
}

func TestANewSSRCStartsASegment(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 50, 25)
	first, second := newSender(media.VP8), newSender(media.VP8)
	second.ssrc, second.seq, second.ts = 0x9999, 7, 77
	var a, b, again []sent
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		a = first.send(0, clip...)
		b = second.send(2*time.Second, clip...)
		a[len(a)-1].at += 100 * time.Millisecond // a straggler of the old one
		again = first.send(5*time.Second, clip...)
		l.play(slices.Concat(a, b, again))
	})
	if diff := cmp.Diff([]string{"started-ssrc", "ssrc-ssrc", "ssrc-ended"}, l.reasons()); diff != "" {
		t.Fatal(diff)
	}
	sealed := reportsOf[Sealed](l)
	if sealed[0].SSRC != 0x1234 || sealed[1].SSRC != 0x9999 || sealed[2].SSRC != 0x1234 {
		t.Errorf("SSRCs %x %x %x", sealed[0].SSRC, sealed[1].SSRC, sealed[2].SSRC)
	}
	sameContent(t, want(firstRTP, frameStep, clip[:49]...), l.contents()[0])
	sameContent(t, want(77, frameStep, clip...), l.contents()[1])
	sameContent(t, want(firstRTP+50*frameStep, frameStep, clip...), l.contents()[2])
}

func TestAnotherPayloadTypeMayBeAnotherCodec(t *testing.T) {
	vp8, vp9 := pictures(t, media.VP8, "320x180", 50, 25), pictures(t, media.VP9, "320x180", 50, 25)
	track := videoTrack(media.VP8)
	track.PayloadTypes = map[uint8]media.Codec{96: media.VP8, 98: media.VP9}
	s := newSender(media.VP8)
	l := inLab(t, Config{}, track, func(l *lab) {
		packets := s.send(0, vp8...)
		split := len(packets)
		s.pay = newSender(media.VP9).pay
		packets = append(packets, s.send(2*time.Second, vp9...)...)
		for i := range packets {
			packets[i].pkt.PayloadType = 96
			if i >= split {
				packets[i].pkt.PayloadType = 98
			}
		}
		stranger := packets[3].pkt.Clone()
		stranger.PayloadType, stranger.SSRC = 97, 1
		l.play(append(packets, sent{time.Second, stranger}))
	})
	if diff := cmp.Diff([]string{"started-codec", "codec-ended"}, l.reasons()); diff != "" {
		t.Fatal(diff)
	}
	sealed := reportsOf[Sealed](l)
	if sealed[0].Codec != media.VP8 || sealed[1].Codec != media.VP9 || sealed[0].Frames != 50 || sealed[1].Frames != 50 {
		t.Errorf("%s %d frames, %s %d frames", sealed[0].Codec, sealed[0].Frames, sealed[1].Codec, sealed[1].Frames)
	}
}

func TestNothingIsWrittenWhilePaused(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "160x120", 250, 25)
			if c == media.Opus {
				clip = sound(t, 500)
			}
			s := newSender(c)
			perSecond := int(time.Second / s.interval())
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				packets := s.send(0, clip...)
				split := func(at time.Duration) int {
					return slices.IndexFunc(packets, func(p sent) bool { return p.at >= at })
				}
				from, to := split(3*time.Second), split(7*time.Second)
				l.play(packets[:from])
				l.rec.Pause("paused")
				l.until(3*time.Second + 500*time.Millisecond)
				before := tree(t, l.dir)
				l.play(packets[from:to])
				l.rec.SenderReport(media.SenderReport{SSRC: s.ssrc, RTP: s.ts, NTP: time.Now(), Arrival: time.Now()})
				if diff := cmp.Diff(before, tree(t, l.dir)); diff != "" {
					t.Errorf("files changed while paused:\n%s", diff)
				}
				l.rec.Resume("resumed")
				l.play(packets[to:])
			})
			if diff := cmp.Diff([]string{"started-paused", "resumed-ended"}, l.reasons()); diff != "" {
				t.Fatal(diff)
			}
			sameContent(t, want(firstRTP, int64(s.step), clip[:3*perSecond]...), l.contents()[0])
			sameContent(t, want(firstRTP+int64(7*perSecond)*int64(s.step), int64(s.step), clip[7*perSecond:]...), l.contents()[1])
			if len(l.gaps()) != 0 {
				t.Errorf("gaps %v: a pause is not the recorder's to report", l.gaps())
			}
		})
	}
}

func TestAPauseWritesWhatCameBeforeIt(t *testing.T) {
	// A packet is missing when the pause begins: what came after it must not wait for it any longer.
	voice := sound(t, 100)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		l.play(without(newSender(media.Opus).send(0, voice[:50]...), func(i int) bool { return i == 47 }))
		l.rec.Pause("muted")
		l.rec.Pause("paused")
		l.rec.Resume("resumed")
		l.rec.Resume("resumed")
	})
	sameContent(t, filled(firstRTP, voice[:50], func(i int) bool { return i == 47 }), slices.Concat(l.contents()...))
	if diff := cmp.Diff([]string{"started-muted"}, l.reasons()); diff != "" {
		t.Error(diff)
	}
}

func TestSilenceOfPacketsSealsTheSegment(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 50, 25)
	s := newSender(media.VP8)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		l.play(s.send(0, clip...))
		l.until(4100 * time.Millisecond)
		if got := l.reasons(); len(got) != 1 || got[0] != "started-silence" {
			t.Errorf("2 s after the last packet the segments are %v", got)
		}
		s.ts += 125 * frameStep // its clock went on
		l.play(s.send(7*time.Second, clip...))
	})
	if diff := cmp.Diff([]string{"started-silence", "silence-ended"}, l.reasons()); diff != "" {
		t.Error(diff)
	}
	oncePerFile(t, append(want(firstRTP, frameStep, clip...), want(firstRTP+175*frameStep, frameStep, clip...)...), l)
	if diff := cmp.Diff([]string{"stall 1960-7000"}, l.gaps()); diff != "" {
		t.Error(diff)
	}
	if n := len(reportsOf[Discontinuity](l)); n != 0 {
		t.Errorf("%d discontinuities, but the clock went on", n)
	}
}

func TestNothingFromBeforeRecordingWasAllowedIsWritten(t *testing.T) {
	// A lost packet can come in with one that came later, as redundancy: it carries the arrival that it would have had.
	voice := sound(t, 100)
	s := newSender(media.Opus)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		packets := s.send(0, voice...)
		l.play(packets[:40])
		l.rec.Pause("paused")
		l.until(packets[60].at)
		l.rec.Resume("resumed")
		resumed := time.Now()
		for _, p := range packets[57:60] { // restored by the packet behind the pause
			l.rec.RTP(p.pkt, resumed.Add(p.at-packets[60].at))
		}
		l.play(packets[60:])
	})
	got := l.contents()
	sameContent(t, want(firstRTP, 960, voice[:40]...), got[0])
	sameContent(t, want(firstRTP+60*960, 960, voice[60:]...), got[1])
}
