package timeline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// scenarios are consultations as the log would hold them. With -update their events and timelines become testdata.
var scenarios = map[string]func(*script){
	"plain": func(s *script) {
		doctor, patient := s.invite("clinician"), s.invite("patient")
		s.consent(-1, doctor)
		s.consent(-1, patient)
		d, p := s.join(0, doctor, "clinician"), s.join(4, patient, "patient")
		s.audio(doctor, d, 0.5).whole(0.5, 50)
		s.video(doctor, d, 0.6).whole(0.6, 50)
		s.audio(patient, p, 4.5).whole(4.5, 50)
		s.video(patient, p, 4.6).whole(4.6, 50)
		s.end(50.1)
	},
	"drop_and_return": func(s *script) {
		doctor, patient := s.invite("clinician"), s.invite("patient")
		s.consent(-1, doctor)
		s.consent(-1, patient)
		d, p := s.join(0, doctor, "clinician"), s.join(1, patient, "patient")
		s.video(doctor, d, 0.5).whole(0.5, 60)
		a, v := s.audio(patient, p, 1.5), s.video(patient, p, 1.5)
		a.whole(1.5, 20)
		v.whole(1.5, 20)
		s.add(25, patient, events.ConnectionICEChanged{Connection: p, State: "disconnected"})
		s.add(35, patient, events.ConnectionClosed{Connection: p, Reason: "ICE-TIMEOUT"})
		a.stop(35, "closed")
		v.stop(35, "closed")
		s.add(38, patient, events.ParticipantLeft{Reason: events.LeftTimeout})
		p = s.join(42, patient, "patient")
		s.audio(patient, p, 43).whole(43, 60)
		s.video(patient, p, 43).whole(43, 60)
		s.end(60.1)
	},
	"mute": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		a, v := s.audio(doctor, d, 0.5), s.video(doctor, d, 0.5)
		a.whole(0.5, 12)
		s.add(10, doctor, events.TrackMuted{Track: a.id})
		s.add(20, doctor, events.TrackUnmuted{Track: a.id})
		a.play(20.1, 40, "unmuted")
		v.whole(0.5, 17)
		s.add(15, doctor, events.TrackMuted{Track: v.id})
		s.add(25, doctor, events.TrackUnmuted{Track: v.id})
		v.play(25.3, 40, "unmuted")
		s.leave(40.1, doctor, d, "left")
	},
	"portrait_device": func(s *script) {
		patient := s.invite("patient")
		device := s.invite("device", patient)
		s.consent(-1, patient)
		s.consent(-1, device)
		p, c := s.join(0, patient, "patient"), s.join(5, device, "device")
		s.audio(patient, p, 0.5).whole(0.5, 20)
		v := s.video(device, c, 5.5)
		v.width, v.height, v.from, v.codec = 360, 640, "device", "H264"
		v.whole(5.5, 20)
		s.add(15, patient, events.ConsentWithdrawn{Consent: events.Consent{TextSHA256: events.NoHash, Language: "en", By: events.BySelf}})
		s.end(20.1)
	},
	"refused": func(s *script) {
		doctor, patient := s.invite("clinician"), s.invite("patient")
		s.consent(-1, doctor)
		s.refuse(-1, patient)
		d, p := s.join(0, doctor, "clinician"), s.join(1, patient, "patient")
		s.audio(doctor, d, 0.5).whole(0.5, 20)
		s.video(doctor, d, 0.5).whole(0.5, 20)
		s.audio(patient, p, 1.5).start(1.5)
		s.video(patient, p, 1.5).start(1.5)
		s.end(20.1)
	},
	"paused": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		a, v := s.audio(doctor, d, 0.5), s.video(doctor, d, 0.5)
		a.whole(0.5, 10)
		v.whole(0.5, 10.2) // a little more came in than the pause allows
		s.add(10.1, doctor, events.RecordingPaused{Reason: "examination"})
		s.add(18, doctor, events.RecordingResumed{Reason: "examination"})
		a.play(18.1, 30, "resumed")
		v.play(18.4, 30, "resumed")
		s.leave(30.1, doctor, d, "left")
	},
	"lost_segment": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		a, v := s.audio(doctor, d, 0.5), s.video(doctor, d, 0.5)
		v.unstored[2] = true
		a.whole(0.5, 80)
		v.whole(0.5, 80)
		s.end(80.1)
		s.add(90, "", events.ConsultationCompleted{Segments: 6, Missing: []events.MissingSegment{{Segment: v.lostID(), Cause: "missing"}}})
	},
	"silent": func(s *script) {
		doctor, patient := s.invite("clinician"), s.invite("patient")
		s.consent(-1, doctor)
		s.join(0, doctor, "clinician")
		s.consent(5, patient)
		s.add(5, patient, events.ParticipantJoined{Role: "patient"})
		s.end(20)
	},
	"reopened": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		s.video(doctor, d, 0.5).whole(0.5, 10)
		s.end(10.1)
		s.add(10.1, doctor, events.ParticipantLeft{Reason: events.LeftEnded})
		s.add(20, "", events.ConsultationReopened{})
		d = s.join(22, doctor, "clinician")
		s.video(doctor, d, 22.5).whole(22.5, 30)
		s.leave(30.1, doctor, d, "left")
		s.add(930, "", events.ConsultationEnded{Reason: events.EndedAbandoned})
	},
	"arrival_only": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		a, v := s.audio(doctor, d, 0.5), s.video(doctor, d, 0.5)
		a.everySR, v.everySR = 0, 0
		a.whole(0.5, 40)
		v.whole(0.5, 40)
		s.leave(40.1, doctor, d, "left")
	},
	"lying_reports": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		a, v := s.audio(doctor, d, 0.5), s.video(doctor, d, 0.5)
		a.lieRTP = sec(3)
		a.whole(0.5, 40)
		v.whole(0.5, 40)
		s.leave(40.1, doctor, d, "left")
	},
	"crashed": func(s *script) {
		doctor := s.invite("clinician")
		s.consent(-1, doctor)
		d := s.join(0, doctor, "clinician")
		v := s.video(doctor, d, 0.5)
		v.whole(0.5, 12)
		s.recover(v, 20)
		s.add(20, "", events.ConferenceHosted{Epoch: 2, Wall: scriptZero.Add(sec(20)), Node: "a", URL: "http://a"})
		d = s.join(24, doctor, "clinician")
		s.video(doctor, d, 25).whole(25, 40)
		s.leave(40.1, doctor, d, "left")
	},
}

// lostID is the segment that play left unstored.
func (src *source) lostID() string {
	n := 0
	for _, l := range src.script.lines {
		if o, ok := l.event.(events.SegmentOpened); ok && o.Track == src.id {
			if n++; src.unstored[n] {
				return o.Segment
			}
		}
	}
	src.script.tb.Fatal("no segment was left unstored")
	return ""
}

// recover turns the end of the only segment of src into what a new process finds at the moment at.
func (s *script) recover(src *source, at float64) {
	var segment string
	for i := range s.lines {
		l := &s.lines[i]
		switch e := l.event.(type) {
		case events.SegmentOpened:
			if e.Track == src.id {
				segment = e.Segment
			}
		case events.SegmentSealed:
			if e.Segment == segment {
				l.at = sec(at + 0.1)
				l.event = events.SegmentRecovered{
					Segment: segment, LastRTP: e.LastRTP, EndRTP: e.EndRTP, Frames: e.Frames, Bytes: e.Bytes, SHA256: e.SHA256, LostBytes: 17,
				}
			}
		case events.SegmentStored:
			if e.Segment == segment {
				l.at = sec(at + 0.2)
			}
		}
	}
}

func policyOf(name string) events.Policy {
	if name == "refused" {
		return events.PolicyOptional
	}
	return events.PolicyRequired
}

func scenario(tb testing.TB, name string) *script {
	s := newScript(tb)
	s.begin(policyOf(name))
	scenarios[name](s)
	return s
}

// TestGoldenTimelines compares whole timelines; the files are reviewed like code.
func TestGoldenTimelines(t *testing.T) {
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			in := filepath.Join("testdata", name+".events.ndjson")
			out := filepath.Join("testdata", name+".timeline.json")
			if *update {
				var b bytes.Buffer
				for _, ev := range scenario(t, name).stored() {
					b.Write(ev.Raw)
					b.WriteByte('\n')
				}
				write(t, in, b.Bytes())
			}
			tl, err := Build(readEvents(t, in), 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(tl, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			if *update {
				write(t, out, got)
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("timeline of %s (-golden +got):\n%s", name, d)
			}
			checkTimeline(t, tl)
		})
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func readEvents(tb testing.TB, path string) []events.Stored {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var all []events.Stored
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		ev, err := events.Open(bytes.Clone(lines.Bytes()), uint64(len(all)+1))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, ev)
	}
	return all
}
