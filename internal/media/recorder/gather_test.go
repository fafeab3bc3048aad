package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

func TestPacketsAreTakenTogetherFiveTimesASecond(t *testing.T) {
	tests := []struct {
		name string
		soon time.Duration // when the recorder begins to wait for something to begin with; 0 for never
		note bool          // sender reports come too
		want []time.Duration
	}{
		{
			name: "queues that began apart are taken at the same moments",
			want: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond, 800 * time.Millisecond, time.Second},
		},
		{
			name: "sender reports wait along", note: true,
			want: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond, 800 * time.Millisecond, time.Second},
		},
		{
			name: "sooner while the recorder waits for a keyframe, what is there already included", soon: 820 * time.Millisecond,
			want: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond, 800 * time.Millisecond, 850 * time.Millisecond, 900 * time.Millisecond, 950 * time.Millisecond, time.Second},
		},
	}
	for _, tt := range tests {
		for _, late := range []time.Duration{0, 130 * time.Millisecond} {
			t.Run(fmt.Sprint(tt.name, ", begun at ", late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // its clock begins with a whole second
					began := time.Now()
					q := newQueue(1000)
					time.Sleep(late)
					got := []time.Duration{}
					for at := late; at < time.Second; {
						q.push(&rtp.Packet{}, time.Now())
						if tt.note {
							q.note(func(*pipeline) {})
						}
						if at == tt.soon {
							q.hurry(at > 0)
						}
						time.Sleep(5 * time.Millisecond)
						synctest.Wait()
						at = time.Since(began)
						select {
						case <-q.batch.C:
							q.take(nil)
							got = append(got, at)
						case <-q.wake:
							t.Fatalf("woken at %v", at)
						default:
						}
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// onDisk is what the unfinished files of a lab hold.
func (l *lab) onDisk() []content {
	l.t.Helper()
	parts, err := filepath.Glob(filepath.Join(l.dir, "room", "*"+media.PartExtension))
	if err != nil || len(parts) != 1 {
		l.t.Fatalf("unfinished files %v, %v", parts, err)
	}
	opened := reportsOf[Opened](l)
	return contentOf(l.t, opened[len(opened)-1].Segment, parts[0])
}

func TestWhatWasSentIsInItsFileAFifthOfASecondLater(t *testing.T) {
	for _, c := range []media.Codec{media.VP8, media.H264, media.Opus} {
		t.Run(string(c), func(t *testing.T) {
			clip := sound(t, 200)
			late := batchWindow + 100*time.Millisecond // a page
			if c != media.Opus {
				clip, late = pictures(t, c, "160x120", 100, 25), batchWindow
			}
			inLab(t, Config{}, videoTrack(c), func(l *lab) {
				s := newSender(c)
				step, interval := int64(s.step), s.interval()
				packets := s.send(0, clip...)
				for at := 500 * time.Millisecond; at < 3900*time.Millisecond; at += 70 * time.Millisecond {
					next := slices.IndexFunc(packets, func(p sent) bool { return p.at > at })
					l.play(packets[:next])
					packets = packets[next:]
					l.until(at)
					synctest.Wait()
					frames := l.onDisk()
					last := time.Duration((frames[len(frames)-1].rtp-firstRTP)/step) * interval
					if at-last > late+interval {
						l.t.Fatalf("at %v the newest in the file is of %v", at, last)
					}
				}
				l.play(packets)
			})
		})
	}
}

// The file is closed under the recorder: the next write fails, and what was gathered for it is lost.
func TestAGapBeginsWhereTheFileEndsWhenAWriteFails(t *testing.T) {
	tests := []struct {
		name  string
		until time.Duration
		files int
	}{
		{name: "and recording goes on", until: 10 * time.Second, files: 2},
		{name: "and the call ends before that is tried", until: 3730 * time.Millisecond, files: 1},
	}
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		for _, tt := range tests {
			t.Run(string(c)+" "+tt.name, func(t *testing.T) {
				clip := sound(t, 500)
				if c != media.Opus {
					clip = pictures(t, c, "160x120", 250, 25)
				}
				s := newSender(c)
				step, interval := int64(s.step), s.interval()
				l := inLab(t, Config{}, videoTrack(c), func(l *lab) {
					broken := false
					for _, p := range s.send(0, clip...) {
						if p.at >= tt.until {
							break
						}
						if p.at >= 3530*time.Millisecond && !broken {
							broken = true
							synctest.Wait()
							l.rec.queue.order(func(p *pipeline) { p.out.seg.file.Close() }, false)
						}
						l.play([]sent{p})
					}
				})
				files, gaps := l.contents(), reportsOf[Gap](l)
				if len(files) != tt.files || len(gaps) != 1 || gaps[0].Cause != CauseOverrun {
					t.Fatalf("%d files and gaps %v, want %d and one overrun", len(files), l.gaps(), tt.files)
				}
				last := time.Duration((files[0][len(files[0])-1].rtp-firstRTP)/step) * interval
				if last < 3250*time.Millisecond || last > 3530*time.Millisecond {
					t.Errorf("the file ends at %v", last)
				}
				if from := gaps[0].From.Sub(l.began); from != last {
					t.Errorf("the gap begins at %v, the file ends at %v", from, last)
				}
			})
		}
	}
}

func TestAFrameIsNeverInTwoWrites(t *testing.T) {
	// Frames of 30 KB, one of them far larger than what is gathered.
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seg := &segment{Segment: media.Segment{Codec: media.VP8}, file: f, out: &gathered{file: f}}
	frames := newIVFFrames(seg.out, media.VP8, frame{})
	seg.frames = frames
	ends := map[int64]bool{0: true}
	end := int64(media.IVFHeaderSize)
	for i := range 40 {
		size := 30_000
		if i == 7 {
			size = 400_000
		}
		if err := seg.write(frame{rtp: int64(i), parts: [][]byte{make([]byte, size/2), make([]byte, size-size/2)}}); err != nil {
			t.Fatal(err)
		}
		end += media.IVFFrameHeaderSize + int64(size)
		ends[end] = true
		if seg.out.full() {
			if err := seg.flush(); err != nil {
				t.Fatal(err)
			}
		}
		if !ends[seg.out.length] {
			t.Fatalf("the file ends in a frame, at %d", seg.out.length)
		}
		if cap(seg.out.buf) > 4*gatherLimit && seg.out.waiting() == 0 {
			t.Fatalf("%d bytes are kept for what comes", cap(seg.out.buf))
		}
	}
	if end-seg.out.length > gatherLimit {
		t.Errorf("%d bytes wait", end-seg.out.length)
	}
}

func TestHeadersWithoutAPictureAreNoFrame(t *testing.T) {
	clip := pictures(t, media.VP8, "160x120", 50, 50)
	l := inLab(t, Config{}, videoTrack(media.VP8), func(l *lab) {
		s := newSender(media.VP8)
		packets := s.send(0, clip[:20]...)
		packets = append(packets, sent{20 * s.interval(), &rtp.Packet{
			Header:  rtp.Header{Version: 2, SSRC: s.ssrc, SequenceNumber: s.seq, Timestamp: s.ts, Marker: true},
			Payload: []byte{0x10},
		}})
		s.seq++
		s.ts += s.step
		l.play(append(packets, s.send(21*s.interval(), clip[20:]...)...))
	})
	sameContent(t, append(want(firstRTP, frameStep, clip[:20]...), want(firstRTP+21*frameStep, frameStep, clip[20:]...)...), slices.Concat(l.contents()...))
}
