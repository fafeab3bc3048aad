package timeline

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"consilium/internal/events"
)

// hostile reads bytes as a consultation in which anything may follow anything, from a small world of ids so that events
// meet each other, with a good share of nonsense among the values.
type hostile struct{ data []byte }

func (h *hostile) byte() int {
	if len(h.data) == 0 {
		return 0
	}
	b := h.data[0]
	h.data = h.data[1:]
	return int(b)
}

func (h *hostile) pick(of ...string) string { return of[h.byte()%len(of)] }

func (h *hostile) id(kind string) string { return h.pick(kind+"1", kind+"2", kind+"3", "") }

func (h *hostile) number() int64 {
	switch h.byte() % 8 {
	case 0:
		return []int64{math.MaxInt64, math.MinInt64, 1 << 62, -1 << 62, -1, 1 << 33}[h.byte()%6]
	case 1:
		var b [8]byte
		n := copy(b[:], h.data)
		h.data = h.data[n:]
		return int64(binary.LittleEndian.Uint64(b[:]))
	}
	return int64(h.byte())<<12 + int64(h.byte())
}

// time is mostly within some minutes of the beginning.
func (h *hostile) time() time.Time {
	switch h.byte() % 16 {
	case 0:
		return []time.Time{{}, time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(-1<<40, 0)}[h.byte()%4]
	}
	return scriptZero.Add(time.Duration(h.byte())*time.Second + time.Duration(h.byte())*7*time.Millisecond)
}

func (h *hostile) event() events.Event {
	consent := events.Consent{By: events.BySelf}
	switch h.byte() % 34 {
	case 0:
		return events.ConsultationScheduled{Policy: events.Policy(h.pick("required", "optional", "forbidden", "?"))}
	case 1:
		return events.ConsultationEnded{Reason: events.EndedClosed}
	case 2:
		return events.ConsultationReopened{}
	case 3:
		return events.ConsultationCompleted{Missing: []events.MissingSegment{{Segment: h.id("s"), Cause: h.pick("missing", "corrupt", "?")}}}
	case 4:
		return events.ConferenceHosted{Epoch: h.byte() % 4}
	case 5:
		return events.ParticipantInvited{Role: "device", For: []string{h.id("p")}}
	case 6, 7:
		return events.ParticipantJoined{Role: "patient"}
	case 8:
		return events.ParticipantLeft{Reason: h.pick("left", "timeout", "ended", "?")}
	case 9, 10:
		return events.ConsentGiven{Consent: consent}
	case 11:
		return events.ConsentWithdrawn{Consent: consent}
	case 12:
		return events.ConnectionICEChanged{Connection: h.id("c"), State: h.pick("connected", "disconnected", "failed", "?")}
	case 13:
		return events.ConnectionClosed{Connection: h.id("c")}
	case 14, 15:
		return events.TrackStarted{
			Connection: h.id("c"), Track: h.id("t"), Kind: h.pick("audio", "video", "?"), Source: h.pick("camera", "microphone"),
			Codec: h.pick("opus", "VP8"), SSRC: uint32(h.byte() % 3),
		}
	case 16:
		return events.TrackEnded{Track: h.id("t"), Reason: h.pick("closed", "removed", "?")}
	case 17:
		return events.TrackMuted{Track: h.id("t")}
	case 18:
		return events.TrackUnmuted{Track: h.id("t")}
	case 19:
		return events.TrackStalled{Track: h.id("t"), AfterMS: h.number()}
	case 20:
		return events.TrackResumed{Track: h.id("t"), AfterMS: h.number()}
	case 21:
		return events.RecordingPaused{}
	case 22:
		return events.RecordingResumed{}
	case 23, 24, 25:
		return events.SegmentOpened{
			Segment: h.id("s"), Track: h.id("t"), SSRC: uint32(h.byte() % 3), Codec: h.pick("opus", "VP8", "?"),
			ClockRate: uint32([]int64{48000, 90000, 0, h.number()}[h.byte()%4]), FirstRTP: h.number(), Arrival: h.time(),
			Reason: h.pick("started", "rotation", "discontinuity"),
		}
	case 26:
		return events.SegmentAnchored{Track: h.id("t"), SSRC: uint32(h.byte() % 3), Anchors: h.anchors()}
	case 27:
		return events.SegmentDiscontinuity{Track: h.id("t"), RTPBefore: h.number(), RTPAfter: h.number(), ArrivalDeltaMS: h.number()}
	case 28:
		return events.SegmentGap{Track: h.id("t"), From: h.time(), To: h.time(), Cause: h.pick("loss", "stall", "dtx", "overrun", "?")}
	case 29, 30:
		return events.SegmentSealed{Segment: h.id("s"), LastRTP: h.number(), EndRTP: h.number(), Frames: h.number(), SHA256: "a"}
	case 31:
		return events.SegmentStored{Segment: h.id("s"), Key: "k", SHA256: h.pick("a", "a", "a", "b", "")}
	case 32:
		return events.SegmentRecovered{Segment: h.id("s"), LastRTP: h.number(), EndRTP: h.number(), Frames: h.number(), SHA256: "a"}
	}
	return events.Unknown{Name: "weather.changed", Version: 9}
}

func (h *hostile) anchors() []events.Anchor {
	var as []events.Anchor
	for range h.byte() % 6 {
		a := events.Anchor{Kind: h.pick("sr", "act", "arrival", "?"), RTP: h.number(), Arrival: h.time(), RTTUS: h.number()}
		if h.byte()%4 > 0 {
			ntp := h.time()
			a.NTP = &ntp
		}
		as = append(as, a)
	}
	return as
}

// file is a segment that makes sense in itself, wherever it lies.
func (h *hostile) file() []events.Event {
	id, ssrc := h.id("s")+string(rune('a'+h.byte()%20)), uint32(h.byte()%3)
	first, length := h.number(), int64(h.byte())*int64(h.byte()+1)*48
	return []events.Event{
		events.SegmentOpened{
			Segment: id, Track: h.pick("t1", "t2"), SSRC: ssrc, Codec: h.pick("opus", "VP8"), FirstRTP: first, Arrival: h.time(),
			Reason: h.pick("started", "rotation", "discontinuity"),
		},
		events.SegmentSealed{Segment: id, LastRTP: first + length, EndRTP: first + length + 960, Frames: 1 + length/960, SHA256: "a"},
		events.SegmentStored{Segment: id, Key: "k", SHA256: "a"},
	}
}

// consultation reads events until the bytes end.
func (h *hostile) consultation() []events.Stored {
	var evs []events.Stored
	add := func(who string, e events.Event) {
		evs = append(evs, events.Stored{Event: e, Envelope: events.Envelope{
			Subject: scriptConsultation, Seq: uint64(len(evs) + 1), Time: h.time(), Type: events.TypeOf(e), Participant: who,
		}})
	}
	if h.byte()%4 > 0 {
		for _, who := range []string{"p1", "p2"} {
			add(who, events.ConsentGiven{})
			add(who, events.ParticipantJoined{Role: "patient"})
			add(who, events.TrackStarted{Connection: "c1", Track: "t" + who[1:], Kind: h.pick("audio", "video"), SSRC: 1})
		}
	}
	for len(h.data) > 0 && len(evs) < 400 {
		if h.byte()%4 > 0 {
			add(h.id("p"), h.event())
			continue
		}
		who := h.pick("p1", "p2")
		for _, e := range h.file() {
			add(who, e)
		}
	}
	return evs
}

// checkAnything builds evs at once and event by event and asserts what holds for every timeline.
func checkAnything(t *testing.T, evs []events.Stored) {
	t.Helper()
	var s State
	for _, ev := range evs {
		if err := s.Apply(ev); err != nil {
			t.Fatal(err)
		}
		if ev.Seq%16 == 0 {
			s.Place()
		}
	}
	first := s.Place()
	checkTimeline(t, first)
	checkFiles(t, &s, first)
	checkForbidden(t, evs, first)
	again, err := Build(evs, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("event by event gives another timeline than at once:\n%s\n%s", a, b)
	}
}

// TestNonsense builds thousands of hostile consultations.
func TestNonsense(t *testing.T) {
	n := 800
	if testing.Short() {
		n = 300
	}
	random := rand.New(rand.NewPCG(7, 7))
	clips := 0
	for i := range n {
		data := make([]byte, 200+random.IntN(3000))
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		evs := (&hostile{bytes.Clone(data)}).consultation()
		checkAnything(t, evs)
		if t.Failed() {
			t.Fatalf("consultation %d", i)
		}
		if tl, err := Build(evs, 0); err == nil {
			for _, p := range tl.Participants {
				for _, tr := range p.Tracks {
					clips += len(tr.Clips)
				}
			}
		}
	}
	if clips < n {
		t.Errorf("only %d clips in %d consultations: the nonsense never gets as far as placing", clips, n)
	}
}

// FuzzBuild looks for events, in any order and with any values, that break a timeline. Its corpus begins with random
// bytes and grows by what was found.
func FuzzBuild(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		data := make([]byte, 1500)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if evs := (&hostile{data}).consultation(); len(evs) > 0 {
			checkAnything(t, evs)
		}
	})
}

// FuzzBuildStored lets the fuzzer change the stored bytes of real consultations.
func FuzzBuildStored(f *testing.F) {
	for name := range scenarios {
		var b bytes.Buffer
		for _, ev := range scenario(f, name).stored() {
			b.Write(ev.Raw)
			b.WriteByte('\n')
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var evs []events.Stored
		for line := range bytes.Lines(data) {
			ev, err := events.Open(bytes.TrimRight(line, "\n"), 1)
			if err != nil {
				continue
			}
			ev.Seq, ev.Subject = uint64(len(evs)+1), scriptConsultation
			evs = append(evs, ev)
		}
		if len(evs) > 0 {
			checkAnything(t, evs)
		}
	})
}
