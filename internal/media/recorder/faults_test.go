package recorder

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/media"
)

func TestARecorderThatDoesNotKeepUpDropsAndSaysSo(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "160x120", 250, 25)
			if c == media.Opus {
				clip = sound(t, 500)
			}
			s := newSender(c)
			reg := prometheus.NewRegistry()
			perSecond := int(time.Second / s.interval())
			l := inLab(t, Config{Queue: perSecond, Registerer: reg}, videoTrack(c), func(l *lab) {
				stuck := make(chan struct{})
				l.onTell = func(r Report) {
					if _, ok := r.(Opened); ok { // its goroutine is held up for 4 s
						<-stuck
					}
				}
				packets := s.send(0, clip...)
				at := slices.IndexFunc(packets, func(p sent) bool { return p.at >= 4*time.Second })
				l.play(packets[:at])
				close(stuck)
				synctest.Wait()
				l.play(packets[at:])
			})
			var whole []content
			for _, c := range l.contents() {
				whole = append(whole, c...)
			}
			if n := len(whole); n < len(clip)*5/10 || n > len(clip)*8/10 {
				t.Errorf("%d of %d written, want all but about 3 s of 10", n, len(clip))
			}
			gaps := reportsOf[Gap](l)
			if len(gaps) != 1 || gaps[0].Cause != CauseOverrun {
				t.Fatalf("gaps %v, want one overrun", l.gaps())
			}
			if d := gaps[0].To.Sub(gaps[0].From); d < 2500*time.Millisecond || d > 4500*time.Millisecond {
				t.Errorf("the gap lasts %v: %v, segments %v", d, l.gaps(), l.reasons())
			}
			problem := testutil.GatherAndCompare(reg, strings.NewReader(""), "consilium_recorder_dropped_packets_total")
			if problem == nil || !strings.Contains(problem.Error(), `why="overrun"`) {
				t.Errorf("the dropped packets are not counted: %v", problem)
			}
		})
	}
}

func TestAFailingDiskIsAGapAndRecordingGoesOnAfterIt(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := pictures(t, media.VP8, "160x120", 250, 25)
			if c == media.Opus {
				clip = sound(t, 500)
			}
			s := newSender(c)
			l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
				blocker := filepath.Join(l.dir, "room")
				if err := os.WriteFile(blocker, nil, 0o600); err != nil {
					l.t.Fatal(err)
				}
				packets := s.send(0, clip...)
				at := slices.IndexFunc(packets, func(p sent) bool { return p.at >= 3500*time.Millisecond })
				l.play(packets[:at])
				if err := os.Remove(blocker); err != nil {
					l.t.Fatal(err)
				}
				l.play(packets[at:])
			})
			if diff := cmp.Diff([]string{"disk-ended"}, l.reasons()); diff != "" {
				t.Fatal(diff)
			}
			gaps := reportsOf[Gap](l)
			if len(gaps) != 1 || gaps[0].Cause != CauseOverrun {
				t.Fatalf("gaps %v, want one overrun", l.gaps())
			}
			if to := gaps[0].To.Sub(l.began); to < 3500*time.Millisecond || to > 5100*time.Millisecond {
				t.Errorf("recording went on at %v", to)
			}
		})
	}
}

func TestASegmentThatCannotBeSealedIsSalvaged(t *testing.T) {
	// The file is closed under the recorder, as a dying disk does it: every call on it fails from then on.
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	var part string
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		packets := newSender(media.VP8).send(0, clip...)
		at := slices.IndexFunc(packets, func(p sent) bool { return p.at >= 3500*time.Millisecond })
		l.play(packets[:at])
		synctest.Wait()
		l.rec.queue.order(func(p *pipeline) {
			part = p.out.seg.file.Name()
			p.out.seg.file.Close()
		}, false)
		l.play(packets[at:])
	})
	if part == "" || len(reportsOf[Sealed](l)) != 2 {
		t.Fatalf("segments %v", l.reasons())
	}
	if got := slices.Concat(l.contents()...); len(got) < 200 {
		t.Errorf("%d of 250 frames are there", len(got))
	}
}

// A folder stands where the sidecar is written: not even root can write it then.
func TestASegmentThatCannotBeSealedNowIsSealedWhenTheDiskIsWell(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	for name, well := range map[string]time.Duration{"in mid-call": 7 * time.Second, "after its end": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			l := inLab(t, Config{Rotate: 3 * time.Second}, videoTrack(media.VP8), func(l *lab) {
				packets := newSender(media.VP8).send(0, clip...)
				at := slices.IndexFunc(packets, func(p sent) bool { return p.at >= 2*time.Second })
				l.play(packets[:at])
				synctest.Wait()
				sidecars, err := filepath.Glob(filepath.Join(l.dir, "room", "*.json"))
				if err != nil || len(sidecars) != 1 {
					t.Fatalf("sidecars %v, %v", sidecars, err)
				}
				obstacle := sidecars[0] + ".tmp"
				if err := os.Mkdir(obstacle, 0o700); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(well-2*time.Second, func() { _ = os.Remove(obstacle) })
				l.play(packets[at:])
			})
			if opened, sealed := len(reportsOf[Opened](l)), len(reportsOf[Sealed](l)); opened != sealed || opened < 3 {
				t.Errorf("%d segments were opened and %d sealed: %v", opened, sealed, l.reasons())
			}
			if got := slices.Concat(l.contents()...); len(got) < 200 {
				t.Errorf("%d of 250 frames are there", len(got))
			}
		})
	}
}

func TestTwoRecordersShareTheirMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		inLab(t, Config{Registerer: reg}, audioTrack, func(l *lab) { l.play(newSender(media.Opus).send(0, sound(t, 10)...)) })
	}
	expected := `
# HELP consilium_recorder_frames_total Video frames or audio packets written, silence included.
# TYPE consilium_recorder_frames_total counter
consilium_recorder_frames_total{kind="audio"} 20
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(expected), "consilium_recorder_frames_total"); err != nil {
		t.Error(err)
	}
}

func TestBytesAreCountedWhenTheyAreSynced(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 250, 25)
	inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		var at []int64
		packets := newSender(media.VP8).send(0, clip...)
		for second := range 5 {
			end := time.Duration(second+1) * time.Second
			l.play(packets[slices.IndexFunc(packets, func(p sent) bool { return p.at >= end-time.Second }):slices.IndexFunc(packets, func(p sent) bool { return p.at >= end })])
			l.until(end + 30*time.Millisecond)
			at = append(at, l.rec.Bytes())
		}
		for i := 1; i < len(at); i++ {
			if at[i] <= at[i-1] {
				l.t.Errorf("durable bytes after each second: %v", at)
			}
		}
	})
}

func TestCloseMayBeCalledTwiceAndFromTwoSides(t *testing.T) {
	inLab(t, Config{}, audioTrack, func(l *lab) {
		l.play(newSender(media.Opus).send(0, sound(t, 10)...))
		other := make(chan struct{})
		go func() {
			defer close(other)
			l.rec.Close("ended")
		}()
		l.rec.Close("ended")
		<-other
		l.rec.RTP(newSender(media.Opus).send(0, sound(t, 10)...)[0].pkt, time.Now())
		l.rec.Pause("paused")
		l.rec.Resume("resumed")
	})
}
