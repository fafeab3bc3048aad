package timeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/media"
)

// TestGapsHaveTheirCause reads the gaps of the first participant's video, or of what track names, in whole tenths of
// seconds.
func TestGapsHaveTheirCause(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(s *script, who, conn string, a, v *source)
		kind  media.Kind
		want  string
	}{
		{"nothing is missing", func(_ *script, _, _ string, _, v *source) {
			v.whole(1, 60)
		}, media.Video, ""},
		{"frames were lost between two files", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			v.play(21, 60, "loss")
			s.add(21, who, gap(v, 20, 21, "loss"))
		}, media.Video, "20.0-21.0 loss"},
		{"frames were lost inside a file", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 29)
			s.add(21, who, gap(v, 20.045, 21.045, "loss"))
			v.play(29, 60, "rotation")
		}, media.Video, "20.0-21.0 loss"},
		{"a hole inside a file is too short to be told", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 60)
			s.add(21, who, gap(v, 20.045, 20.2, "loss"))
		}, media.Video, ""},
		{"the sender leaves silence out", func(s *script, who, _ string, a, _ *source) {
			a.whole(1, 60)
			s.add(21, who, gap(a, 20.1, 23, "dtx"))
		}, media.Audio, ""},
		{"packets stop for a while", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			s.add(22, who, events.TrackStalled{Track: v.id, AfterMS: 2000})
			s.add(30, who, events.TrackResumed{Track: v.id, AfterMS: 10000})
			v.play(30, 60, "silence")
		}, media.Video, "20.0-30.0 stall"},
		{"nothing explains a short hole", func(_ *script, _, _ string, _, v *source) {
			v.whole(1, 20)
			v.play(22, 60, "started")
		}, media.Video, "20.0-22.0 loss"},
		{"nothing explains a long hole", func(_ *script, _, _ string, _, v *source) {
			v.whole(1, 20)
			v.play(32, 60, "started")
		}, media.Video, "20.0-32.0 stall"},
		{"the recorder could not keep up", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			s.add(21, who, gap(v, 20, 23, "overrun"))
			v.play(23, 60, "loss")
		}, media.Video, "20.0-23.0 overrun"},
		{"the recorder could not keep up with the sound, and its file went on", func(s *script, who, _ string, a, _ *source) {
			a.whole(1, 29)
			s.add(21, who, gap(a, 18.06, 21.06, "overrun"))
			a.play(29, 60, "rotation")
		}, media.Audio, "18.0-21.0 overrun"},
		{"what came was no valid media", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			s.add(21, who, gap(v, 20, 23, "corrupt"))
			v.play(23, 60, "loss")
		}, media.Video, "20.0-23.0 corrupt"},
		{"the process died and another one goes on", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			s.change(func(e events.SegmentSealed) events.SegmentSealed { e.Reason = "recovered"; return e })
			s.add(22, "", events.ConferenceHosted{Epoch: 2, Wall: scriptZero.Add(sec(22)), Node: "a", URL: "http://a"})
			s.video(who, s.join(25, who, "patient"), 26).whole(26, 60)
		}, media.Video, "20.0-26.0 crash"},
		{"the disk was full, and the recorder found no time to say so", func(s *script, _, _ string, _, v *source) {
			v.whole(1, 20)
			s.change(func(e events.SegmentSealed) events.SegmentSealed { e.Reason = "disk"; return e })
			v.play(30, 60, "disk")
		}, media.Video, "20.0-30.0 overrun"},
		{"the camera is off while the recording is paused", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			s.add(20, who, events.TrackMuted{Track: v.id})
			s.add(25, "", events.RecordingPaused{Reason: "private"})
			s.add(30, "", events.RecordingResumed{Reason: "private"})
			s.add(35, who, events.TrackUnmuted{Track: v.id})
			v.play(35.2, 60, "unmuted")
		}, media.Video, "20.0-25.0 camera_off, 25.0-30.0 paused, 30.0-35.2 camera_off"},
		{"the microphone is muted and not written", func(s *script, who, _ string, a, _ *source) {
			a.whole(1, 20)
			s.add(20, who, events.TrackMuted{Track: a.id})
			s.add(35, who, events.TrackUnmuted{Track: a.id})
			a.play(35.1, 60, "unmuted")
		}, media.Audio, "20.0-35.1 muted"},
		{"the link was down and came back", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			s.add(26, who, events.ConnectionICEChanged{Connection: conn, State: "disconnected"})
			s.add(32, who, events.ConnectionICEChanged{Connection: conn, State: "connected"})
			v.play(32.3, 60, "silence")
		}, media.Video, "20.0-32.3 disconnected"},
		{"the page is loaded again", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			v.stop(20.1, "replaced")
			s.add(20.1, who, events.ConnectionClosed{Connection: conn, Reason: "replaced"})
			conn = s.join(20.2, who, "patient")
			s.video(who, conn, 23).whole(23, 60)
		}, media.Video, "20.0-23.0 disconnected"},
		{"who comes back without a camera was not disconnected for ever", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			v.stop(20.1, "closed")
			s.add(20.1, who, events.ConnectionClosed{Connection: conn, Reason: "ice_failed"})
			conn = s.join(20.2, who, "patient")
			s.audio(who, conn, 23).whole(23, 60)
		}, media.Video, "20.0-23.0 disconnected"},
		{"who never comes back was disconnected until they were given up", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			v.stop(20.1, "closed")
			s.add(20.1, who, events.ConnectionClosed{Connection: conn, Reason: "ice_failed"})
			s.add(50, who, events.ParticipantLeft{Reason: events.LeftTimeout})
		}, media.Video, "20.0-50.0 disconnected"},
		{"who was given up and comes back was disconnected", func(s *script, who, _ string, _, v *source) {
			v.whole(1, 20)
			v.stop(30, "closed")
			s.add(30, who, events.ParticipantLeft{Reason: events.LeftTimeout})
			s.video(who, s.join(40, who, "patient"), 41).whole(41, 60)
		}, media.Video, "20.0-30.0 stall, 30.0-41.0 disconnected"},
		{"who leaves and comes back misses nothing", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			s.leave(20.1, who, conn, "left")
			v.stop(20.2, "closed")
			conn = s.join(40, who, "patient")
			s.video(who, conn, 41).whole(41, 60)
		}, media.Video, ""},
		{"the camera is taken away on purpose", func(s *script, who, conn string, _, v *source) {
			v.whole(1, 20)
			v.stop(20.1, "removed")
			s.video(who, conn, 41).whole(41, 60)
		}, media.Video, ""},
		{"a file is not in the blob store", func(_ *script, _, _ string, _, v *source) {
			v.unstored[1] = true
			v.whole(1, 60)
		}, media.Video, "1.0-31.0 missing"},
		{"a file is stored with another digest", func(s *script, _, _ string, _, v *source) {
			v.whole(1, 60)
			s.change(func(e events.SegmentStored) events.SegmentStored { e.SHA256 = events.NoHash; return e })
		}, media.Video, "1.0-60.1 corrupt"},
		{"a file says that it is older than its beginning", func(s *script, _, _ string, _, v *source) {
			v.whole(1, 60)
			s.change(func(e events.SegmentSealed) events.SegmentSealed { e.LastRTP = -1 << 62; return e })
		}, media.Video, "1.0-60.1 corrupt"},
		{"the log stops in mid-file", func(_ *script, _, _ string, _, v *source) {
			v.unstored[2] = true
			v.whole(1, 55)
		}, media.Video, "31.0-60.1 missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin(events.PolicyRequired)
			who := s.invite("patient")
			s.consent(-1, who)
			conn := s.join(0, who, "patient")
			a, v := s.audio(who, conn, 1), s.video(who, conn, 1)
			tt.setup(s, who, conn, a, v)
			if tt.name == "the log stops in mid-file" {
				s.unseal()
			}
			s.end(60.1)
			tl := s.build()
			checkTimeline(t, tl)
			if got := gapsOf(tl.Participants[0], tt.kind); got != tt.want {
				t.Errorf("gaps are %q, want %q", got, tt.want)
			}
		})
	}
}

func gap(src *source, from, to float64, cause string) events.Event {
	return events.SegmentGap{Track: src.id, From: scriptZero.Add(sec(from)), To: scriptZero.Add(sec(to)), Cause: cause}
}

// change rewrites all events of one type.
func (s *script) change(by any) {
	for i := range s.lines {
		switch f := by.(type) {
		case func(events.SegmentStored) events.SegmentStored:
			if e, ok := s.lines[i].event.(events.SegmentStored); ok {
				s.lines[i].event = f(e)
			}
		case func(events.SegmentSealed) events.SegmentSealed:
			if e, ok := s.lines[i].event.(events.SegmentSealed); ok {
				s.lines[i].event = f(e)
			}
		default:
			s.tb.Fatalf("cannot change by %T", by)
		}
	}
}

// unseal takes back the last segment.sealed.
func (s *script) unseal() {
	for i := len(s.lines) - 1; i >= 0; i-- {
		if _, ok := s.lines[i].event.(events.SegmentSealed); ok {
			s.lines = append(s.lines[:i], s.lines[i+1:]...)
			return
		}
	}
}

func gapsOf(p Participant, kind media.Kind) string {
	var all []string
	for _, tr := range p.Tracks {
		for _, g := range tr.Gaps {
			if tr.Kind == kind {
				all = append(all, tell(g))
			}
		}
	}
	return strings.Join(all, ", ")
}

func tell(g Gap) string {
	return fmt.Sprintf("%.1f-%.1f %s", float64(g.StartNS)/1e9, float64(g.EndNS)/1e9, g.Cause)
}

// TestCardsHaveTheirReason reads why somebody is present without a picture.
func TestCardsHaveTheirReason(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy events.Policy
		setup  func(s *script, who string)
		want   string
	}{
		{"connected with sound only", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.audio(who, s.join(0, who, "patient"), 1).whole(1, 20)
		}, "0.0-20.0 camera_off"},
		{"an observer who sends nothing", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.join(0, who, "observer")
		}, "0.0-20.0 camera_off"},
		{"never connected", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.add(0, who, events.ParticipantJoined{Role: "patient"})
		}, "0.0-20.0 disconnected"},
		{"agrees later", events.PolicyOptional, func(s *script, who string) {
			s.join(0, who, "patient")
			s.consent(10, who)
		}, "0.0-10.0 not_consented, 10.0-20.0 camera_off"},
		{"nothing is ever recorded", events.PolicyForbidden, func(s *script, who string) {
			s.consent(-1, who)
			s.join(0, who, "patient")
		}, "0.0-20.0 not_consented"},
		{"recording is paused", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.join(0, who, "patient")
			s.add(5, "", events.RecordingPaused{Reason: "private"})
			s.add(15, "", events.RecordingResumed{Reason: "private"})
		}, "0.0-5.0 camera_off, 5.0-15.0 paused, 15.0-20.0 camera_off"},
		{"joins twice without leaving", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.join(0, who, "patient")
			s.add(5, who, events.ParticipantJoined{Role: "patient"})
		}, "0.0-20.0 camera_off"},
		{"comes back late after the server crashed", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.join(0, who, "patient")
			s.add(5, "", events.ConferenceHosted{Epoch: 2, Wall: scriptZero.Add(sec(5)), Node: "a", URL: "http://a"})
			s.join(15, who, "patient")
		}, "0.0-5.0 camera_off, 5.0-15.2 disconnected, 15.2-20.0 camera_off"},
		{"has a picture all the time", events.PolicyRequired, func(s *script, who string) {
			s.consent(-1, who)
			s.video(who, s.join(0, who, "patient"), 0).whole(0, 20)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin(tt.policy)
			tt.setup(s, s.invite("patient"))
			s.end(20)
			tl := s.build()
			checkTimeline(t, tl)
			var all []string
			for _, g := range tl.Participants[0].Absent {
				all = append(all, tell(g))
			}
			if got := strings.Join(all, ", "); got != tt.want {
				t.Errorf("absent is %q, want %q", got, tt.want)
			}
		})
	}
}

// TestNothingIsShownWithoutConsent: what the log does not show consent for is never a clip, whatever was written.
func TestNothingIsShownWithoutConsent(t *testing.T) {
	withdraw := events.ConsentWithdrawn{Consent: events.Consent{By: events.BySelf}}
	for _, tt := range []struct {
		name  string
		setup func(s *script, patient, device string)
		want  string
	}{
		{"both agreed", func(s *script, patient, device string) {
			s.consent(-1, patient)
			s.consent(-1, device)
		}, "1.0-20.1"},
		{"the patient did not agree", func(s *script, _, device string) { s.consent(-1, device) }, ""},
		{"the device was never let in", func(s *script, patient, _ string) { s.consent(-1, patient) }, ""},
		{"the patient refuses and then agrees, behind what was written", func(s *script, patient, device string) {
			s.refuse(-1, patient)
			s.consent(-1, device)
			s.consent(19, patient)
		}, "19.0-20.1"},
		{"the patient withdraws", func(s *script, patient, device string) {
			s.consent(-1, patient)
			s.consent(-1, device)
			s.add(10, patient, withdraw)
		}, "1.0-10.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.begin(events.PolicyRequired)
			patient := s.invite("patient")
			device := s.invite("device", patient)
			tt.setup(s, patient, device)
			s.join(0, patient, "patient")
			s.video(device, s.join(0.1, device, "device"), 1).whole(1, 20)
			s.end(20.1)
			tl := s.build()
			checkTimeline(t, tl)
			var all []string
			for _, c := range tl.Participants[1].Tracks[0].Clips {
				all = append(all, fmt.Sprintf("%.1f-%.1f", float64(c.StartNS)/1e9, float64(c.EndNS)/1e9))
			}
			if got := strings.Join(all, ", "); got != tt.want {
				t.Errorf("clips are %q, want %q", got, tt.want)
			}
		})
	}
}

// TestConsentBeforeTheFileInTheLog: a file that was begun after the consent in the log is shown whole, even when the
// clock that stamped the consent was fast.
func TestConsentBeforeTheFileInTheLog(t *testing.T) {
	evs := scenario(t, "plain").stored()
	want := encode(t, evs)
	for i := range evs {
		if _, ok := evs[i].Event.(events.ConsentGiven); ok {
			evs[i].Time = evs[i].Time.Add(sec(11))
		}
	}
	tl, err := Build(evs, 0)
	if err != nil {
		t.Fatal(err)
	}
	var truth Timeline
	if err := json.Unmarshal(want, &truth); err != nil {
		t.Fatal(err)
	}
	for i, p := range tl.Participants {
		if d := cmp.Diff(truth.Participants[i].Tracks, p.Tracks); d != "" {
			t.Errorf("a fast clock changed what is shown:\n%s", d)
		}
	}
}

// TestLose: what turns out to be damaged when it is read becomes a gap.
func TestLose(t *testing.T) {
	tl := scenario(t, "plain").build()
	clip := tl.Participants[0].Tracks[1].Clips[0]
	if tl.Lose("nothing", Corrupt) {
		t.Error("an unknown segment was lost")
	}
	if !tl.Lose(clip.Segment, Corrupt) {
		t.Error("the segment was not found")
	}
	checkTimeline(t, tl)
	tr := tl.Participants[0].Tracks[1]
	if len(tr.Clips) != 1 || len(tr.Gaps) != 1 || tr.Gaps[0] != (Gap{clip.StartNS, clip.EndNS, Corrupt}) {
		t.Errorf("clips %v, gaps %v", tr.Clips, tr.Gaps)
	}
}

// TestConfine: what a file turns out not to hold becomes a gap, the rest is shown where it was.
func TestConfine(t *testing.T) {
	const second = int64(time.Second)
	whole := scenario(t, "plain").build().Participants[0].Tracks[1].Clips[0]
	file := func(at int64) int64 { return whole.FileStartNS + round(float64(at)*whole.Rate) }
	length := whole.EndNS - whole.StartNS
	if length < 4*second {
		t.Fatalf("the clip lasts %d ns only", length)
	}
	tests := []struct {
		name string
		held []Interval // in archive time from the clip's start
		gaps []Interval // the same
	}{
		{"all of it is there", []Interval{{0, length}}, nil},
		{"more than all of it is there", []Interval{{-1 << 60, 1 << 61}}, nil},
		{"it ends a moment early", []Interval{{0, length - second/5}}, nil},
		{"it ends early", []Interval{{0, second}}, []Interval{{second, length}}},
		{"it begins late", []Interval{{second, length}}, []Interval{{0, second}}},
		{"it has a hole", []Interval{{2 * second, length}, {0, second}}, []Interval{{second, 2 * second}}},
		{"nothing of it is there", []Interval{{1 << 60, 1 << 61}}, []Interval{{0, length}}},
		{"it is empty", nil, []Interval{{0, length}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tl := scenario(t, "plain").build()
			var held []Interval
			for _, h := range test.held {
				held = append(held, Interval{file(h.StartNS), file(h.EndNS)})
			}
			if got := tl.Confine(whole.Segment, held, Corrupt); got != (len(test.gaps) > 0) {
				t.Errorf("something was missing: %v", got)
			}
			checkTimeline(t, tl)
			var gaps []Interval
			for _, g := range tl.Participants[0].Tracks[1].Gaps {
				if g.Cause == Corrupt {
					gaps = append(gaps, Interval{g.StartNS - whole.StartNS, g.EndNS - whole.StartNS})
				}
			}
			near := func(a, b int64) bool { return a-b <= 1 && b-a <= 1 }
			same := func(a, b Interval) bool { return near(a.StartNS, b.StartNS) && near(a.EndNS, b.EndNS) }
			if !slices.EqualFunc(gaps, test.gaps, same) {
				t.Errorf("gaps %v, want %v", gaps, test.gaps)
			}
			for _, c := range tl.Participants[0].Tracks[1].Clips {
				if c.Segment == whole.Segment && !near(c.FileStartNS, file(c.StartNS-whole.StartNS)) {
					t.Errorf("the clip at %d shows the file from %d on", c.StartNS, c.FileStartNS)
				}
			}
		})
	}
}

// TestTracksWithoutAnyFileHaveAccounts: who was never recorded is in the ledger all the same.
func TestTracksWithoutAnyFileHaveAccounts(t *testing.T) {
	empty := 0
	accounts := scenario(t, "refused").build().Accounts()
	for _, a := range accounts {
		if a.Frames == 0 {
			empty++
			if a.ExpectedMS < 18000 || a.RecordedMS != 0 || a.GapsMS["not_consented"] != a.ExpectedMS || a.Bytes != 0 {
				t.Errorf("account %+v", a)
			}
		}
	}
	if len(accounts) != 4 || empty != 2 {
		t.Errorf("%d of %d accounts are of tracks without a file", empty, len(accounts))
	}
}

// TestAccounts adds up what a track should have and what it has.
func TestAccounts(t *testing.T) {
	tl := scenario(t, "lost_segment").build()
	accounts := tl.Accounts()
	if len(accounts) != 2 {
		t.Fatalf("%d accounts, want those of audio and video", len(accounts))
	}
	audio, video := accounts[0], accounts[1]
	if audio.ExpectedMS != 79606 || audio.RecordedMS != 79606 || len(audio.GapsMS) != 0 {
		t.Errorf("audio: %+v", audio)
	}
	if video.ExpectedMS != 79600 || video.RecordedMS != 49600 || video.GapsMS["missing"] != 30000 {
		t.Errorf("video: %+v", video)
	}
	for i, a := range accounts {
		frames, bytes := int64(0), int64(0)
		for _, c := range tl.Participants[0].Tracks[i].Clips {
			frames, bytes = frames+c.Frames, bytes+c.Bytes
		}
		if a.Frames != frames || a.Bytes != bytes || frames == 0 || bytes == 0 {
			t.Errorf("account %d says %d frames and %d bytes, its clips have %d and %d", i, a.Frames, a.Bytes, frames, bytes)
		}
	}
}
