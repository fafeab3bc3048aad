package simpeer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"

	"consilium/internal/media"
)

// received finds what a participant got of another's source.
func received(p *Participant, from string, source media.Source) Received {
	for _, r := range p.Received() {
		if r.Participant == from && r.Source == source {
			return r
		}
	}
	return Received{}
}

func TestParticipantsMeet(t *testing.T) {
	s := newServer(t)
	a := s.join("a", Options{Media: made(t, short(0))})
	b := s.join("b", Options{Media: made(t, short(1).Portrait())})
	for _, pair := range []struct {
		p    *Participant
		from string
	}{{a, "b"}, {b, "a"}} {
		await(t, "sound and whole pictures of "+pair.from, func() bool {
			sound, picture := received(pair.p, pair.from, media.Microphone), received(pair.p, pair.from, media.Camera)
			return sound.Packets > 50 && picture.Frames > 30 && picture.Keyframes > 0
		})
	}
	c := s.join("c", Options{Media: made(t, short(2)), NoVideo: true})
	await(t, "the third to get both, and both to get the third", func() bool {
		return received(c, "a", media.Camera).Frames > 5 && received(c, "b", media.Camera).Frames > 5 &&
			received(a, "c", media.Microphone).Packets > 5 && received(b, "c", media.Microphone).Packets > 5
	})
	if n := received(a, "c", media.Camera).Packets; n != 0 {
		t.Errorf("%d packets came of a camera that is not there", n)
	}
	if got := len(a.State().Participants); got != 3 {
		t.Errorf("the state shows %d participants", got)
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "b to be gone", func() bool { return len(a.State().Participants) == 2 })
}

// What a participant says of its clocks must be true, or every figure of sync is worth nothing: this takes arrival times
// and sender reports of the server and finds the captures that Sent tells of.
func TestClocksAreWhatTheySeem(t *testing.T) {
	inFull(t)
	const ms = time.Millisecond
	s := newServer(t)
	clocks := Clocks{Began: time.Now().Add(-300 * ms), WallError: -1300 * ms, AudioPPM: 250, VideoPPM: -120}
	p := s.join("a", Options{
		Media: made(t, short(0)), Clocks: clocks, AudioLate: 700 * ms, FirstReport: 200 * ms, ReportEvery: 300 * ms,
		Network: Network{AudioDelay: 40 * ms, VideoDelay: 120 * ms},
	})
	sound := s.tap("a", media.Audio)
	picture := s.tap("a", media.Video)
	await(t, "flashes and beeps", func() bool {
		sent := p.Sent()
		return len(sent.Flashes) >= 2 && len(sent.Beeps) >= 2
	})
	sent := p.Sent()
	await(t, "what was sent last to arrive", func() bool {
		packets, _ := picture.snapshot()
		return packets[len(packets)-1].at.After(time.Now().Add(-20*ms)) && time.Since(sent.Beeps[len(sent.Beeps)-1].At) > time.Second
	})

	for _, tt := range []struct {
		name    string
		tap     *tap
		rate    float64
		ppm     float64
		delay   time.Duration
		moments []Moment
	}{
		{"sound", sound, 48000, clocks.AudioPPM, 40 * ms, sent.Beeps},
		{"picture", picture, 90000, clocks.VideoPPM, 120 * ms, sent.Flashes},
	} {
		packets, reports := tt.tap.snapshot()
		if len(reports) < 4 {
			t.Fatalf("%s: %d sender reports", tt.name, len(reports))
		}
		// When the packets were captured, by the last report.
		last := reports[len(reports)-1]
		captured := func(p arrived) time.Time {
			ticks := float64(int32(p.Timestamp - last.RTP))
			return last.NTP.Add(-clocks.WallError).Add(time.Duration(ticks / tt.rate / (1 + tt.ppm/1e6) * float64(time.Second)))
		}
		for _, m := range tt.moments {
			if !slices.ContainsFunc(packets, func(p arrived) bool { return captured(p).Sub(m.At).Abs() < ms }) {
				t.Errorf("%s: nothing was captured at %v", tt.name, m.Media)
			}
		}
		var delays, rates []time.Duration
		for _, p := range packets {
			delays = append(delays, p.at.Sub(captured(p)))
		}
		// A busy machine holds up most of them at times, but none comes sooner than the network lets it.
		if d := slices.Min(delays); d < tt.delay-ms || d > tt.delay+60*ms {
			t.Errorf("%s: the quickest packet took %v, want a little more than %v (the machine was %v late)", tt.name, d, tt.delay, p.Lateness())
		}
		first := reports[0]
		span := last.NTP.Sub(first.NTP)
		ticks := time.Duration(float64(last.RTP-first.RTP) / tt.rate * float64(time.Second))
		rates = append(rates, ticks-span)
		want := time.Duration(float64(span) * tt.ppm / 1e6)
		if d := (rates[0] - want).Abs(); d > 50*time.Microsecond {
			t.Errorf("%s: over %v the clock gained %v, want %v", tt.name, span, rates[0], want)
		}
		if again := last.Arrival.Sub(last.NTP.Add(-clocks.WallError)); again < tt.delay {
			t.Errorf("%s: a report took %v, less than what it reports on", tt.name, again)
		}
	}
	packets, _ := sound.snapshot()
	if first := packets[0].at.Sub(clocks.Began); first < 700*ms {
		t.Errorf("sound began after %v", first)
	}
}

func TestTheNetworkLosesAndMixes(t *testing.T) {
	inFull(t)
	s := newServer(t)
	s.join("a", Options{Media: made(t, short(0)), Network: Network{Loss: 0.08, Duplicate: 0.05, Reorder: 0.1, Seed: 7}})
	sound, picture := s.tap("a", media.Audio), s.tap("a", media.Video)
	await(t, "some media", func() bool {
		packets, _ := sound.snapshot()
		frames, _ := picture.snapshot()
		return len(packets) > 100 && len(frames) > 200
	})
	missing := func(packets []arrived) (missing, unordered int) {
		low, high, have := packets[0].SequenceNumber, packets[0].SequenceNumber, map[uint16]bool{}
		for i, p := range packets {
			have[p.SequenceNumber] = true
			if int16(p.SequenceNumber-high) > 0 {
				high = p.SequenceNumber
			}
			if int16(p.SequenceNumber-low) < 0 {
				low = p.SequenceNumber
			}
			if i > 0 && int16(p.SequenceNumber-packets[i-1].SequenceNumber) < 0 {
				unordered++
			}
		}
		return int(high-low) + 1 - len(have), unordered
	}
	packets, _ := sound.snapshot()
	if lost, unordered := missing(packets); lost < len(packets)/50 || lost > len(packets)/5 || unordered == 0 {
		t.Errorf("of %d packets of sound %d are lost and %d out of order", len(packets), lost, unordered)
	}
	// Pictures are asked for again, some of them for half a second: the newest are not counted. Nor is what was long ago: a
	// machine that stood still then has lost some for good.
	await(t, "most of the packets of pictures that were lost", func() bool {
		packets, _ = picture.snapshot()
		newest := packets[0].SequenceNumber
		for _, p := range packets {
			if int16(p.SequenceNumber-newest) > 0 {
				newest = p.SequenceNumber
			}
		}
		packets = slices.DeleteFunc(packets, func(p arrived) bool { age := newest - p.SequenceNumber; return age < 100 || age >= 400 })
		if len(packets) < 150 {
			return false
		}
		lost, _ := missing(packets)
		return lost <= len(packets)/50
	})
	if _, unordered := missing(packets); unordered == 0 {
		t.Errorf("of %d packets of pictures none is out of order", len(packets))
	}
}

func TestAWholePictureComesWhenAskedFor(t *testing.T) {
	inFull(t)
	s := newServer(t)
	p := s.join("a", Options{Media: made(t, Someone(0)), NoAudio: true}) // whole by itself once in 20 s
	picture := s.tap("a", media.Video)
	keyframes := func() int {
		n := 0
		packets, _ := picture.snapshot()
		for _, p := range packets {
			if beginsKeyframe(p.Payload) {
				n++
			}
		}
		return n
	}
	await(t, "the first whole picture", func() bool { return keyframes() > 0 })
	for range 2 {
		time.Sleep(600 * time.Millisecond) // the server asks no oftener
		before, asked := keyframes(), time.Now()
		picture.pub.RequestKeyframe()
		await(t, "a whole picture", func() bool { return keyframes() > before })
		if waited := time.Since(asked); waited > 300*time.Millisecond && p.Lateness() < 50*time.Millisecond {
			t.Errorf("it came after %v", waited)
		}
	}
	if p.PictureRequests() < 2 {
		t.Errorf("%d requests were noticed", p.PictureRequests())
	}
}

func TestDropAndRejoin(t *testing.T) {
	inFull(t)
	t.Cleanup(test.CheckRoutines(t))
	s := newServer(t)
	p := s.join("a", Options{Media: made(t, short(0))})
	first := s.tap("a", media.Video)
	await(t, "a flash", func() bool { return len(p.Sent().Flashes) > 0 })
	p.Drop()
	p.Drop() // harmless
	flashes := len(p.Sent().Flashes)
	// What was on its way arrives; then nothing does for half a second, over which 15 frames would have come.
	silentSince := func() time.Time {
		packets, _ := first.snapshot()
		return packets[len(packets)-1].at
	}
	await(t, "silence", func() bool { return time.Since(silentSince()) > 500*time.Millisecond })
	select {
	case <-first.pub.Ended():
		t.Error("the server was told goodbye")
	default:
	}
	if len(p.Sent().Flashes) != flashes {
		t.Error("something was sent while the participant was away")
	}
	if err := p.Leave(t.Context()); err != nil {
		t.Errorf("leaving while away: %v", err)
	}

	if err := p.Rejoin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Rejoin(t.Context()); err == nil {
		t.Error("it came in twice")
	}
	var second *tap
	await(t, "a new publication", func() bool { second = s.tap("a", media.Video); return second != first })
	if second.pub.SSRC() == first.pub.SSRC() {
		t.Error("the new connection has the old SSRC")
	}
	await(t, "another flash", func() bool { return len(p.Sent().Flashes) > flashes })
	sent := p.Sent().Flashes
	if gap := sent[flashes].Media - sent[flashes-1].Media; gap < time.Second || sent[flashes].At.Sub(sent[flashes-1].At).Round(time.Millisecond) != gap {
		t.Errorf("capture did not run on: %+v", sent)
	}
	if err := p.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the end at the server", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.states["a"], "closed") && len(s.tracks) == 0
	})
}

func TestMute(t *testing.T) {
	inFull(t)
	s := newServer(t)
	p := s.join("a", Options{Media: made(t, short(0))})
	sound, picture := s.tap("a", media.Audio), s.tap("a", media.Video)
	await(t, "sound and pictures", func() bool {
		packets, _ := sound.snapshot()
		frames, _ := picture.snapshot()
		return len(packets) > 5 && len(frames) > 5
	})
	for _, source := range []media.Source{media.Microphone, media.Camera} {
		if err := p.Mute(t.Context(), source, true); err != nil {
			t.Fatal(err)
		}
	}
	begun := p.Sent()
	packets, _ := sound.snapshot()
	frames, _ := picture.snapshot()
	await(t, "more than a second of silence and black", func() bool {
		p, _ := sound.snapshot()
		f, _ := picture.snapshot()
		return len(p) > len(packets)+55 && len(f) > len(frames)+33
	})
	if now := p.Sent(); len(now.Flashes) != len(begun.Flashes) || len(now.Beeps) != len(begun.Beeps) {
		t.Errorf("%d flashes and %d beeps were sent by who is muted", len(now.Flashes)-len(begun.Flashes), len(now.Beeps)-len(begun.Beeps))
	}
	s.mu.Lock()
	told := s.said["mute"]
	s.mu.Unlock()
	if told["source"] != "camera" || told["muted"] != true {
		t.Errorf("the server was told %v", told)
	}
	if err := p.Mute(t.Context(), media.Camera, false); err != nil {
		t.Fatal(err)
	}
	await(t, "a flash", func() bool { return len(p.Sent().Flashes) > len(begun.Flashes) })
}

func TestWHIP(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	s := newServer(t)
	watcher := s.join("watcher", Options{Media: made(t, short(1)), NoVideo: true})
	p, err := PublishWHIP(t.Context(), s.web.URL+"/whip", "device", Options{Media: made(t, short(4)), NoAudio: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Drop)
	await(t, "pictures of the device", func() bool { return received(watcher, "device", "").Frames > 10 })
	if err := p.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	if s.deleted != 1 {
		t.Errorf("the session was deleted %d times", s.deleted)
	}
	s.refusing = http.StatusForbidden
	s.mu.Unlock()
	var refused StatusError
	if err := p.Rejoin(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("the error is %v", err)
	}
}

func TestWhoIsRefusedIsToldWhy(t *testing.T) {
	s := newServer(t)
	var refused ServerError
	_, err := JoinWebSocket(t.Context(), s.web.URL+"/signaling", "bad token", Options{Media: made(t, short(0))})
	if !errors.As(err, &refused) || refused.Code != "unauthorized" {
		t.Errorf("the error is %v", err)
	}
	if _, err := JoinWebSocket(t.Context(), s.web.URL+"/nowhere", "a", Options{Media: made(t, short(0))}); err == nil {
		t.Error("a door that is not there let somebody in")
	}
	for _, o := range []Options{{}, {Media: made(t, short(0)), NoAudio: true, NoVideo: true}} {
		if _, err := JoinWebSocket(t.Context(), s.web.URL, "a", o); err == nil {
			t.Errorf("options %+v were taken", o)
		}
	}
}

// The participants' own idea of the protocol is held against the protocol's examples.
func TestMessagesAreThoseOfTheProtocol(t *testing.T) {
	example := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("..", "signaling", "testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	read := func(name string) message {
		var m message
		if err := json.Unmarshal(example(name), &m); err != nil {
			t.Fatal(err)
		}
		if m.Type != name {
			t.Errorf("%s has the type %q", name, m.Type)
		}
		return m
	}
	if m := read("welcome"); m.Participant == "" || m.Consultation == "" || m.Role == "" || m.Policy == "" || m.Re == nil {
		t.Errorf("welcome: %+v", m)
	}
	if m := read("state"); m.Phase == "" || !m.Joined || len(m.Participants) == 0 || len(m.Participants[0].Tracks) == 0 ||
		m.Participants[0].ID == "" || m.Participants[0].Tracks[0].ID == "" || m.Participants[0].Tracks[0].Kind == "" {
		t.Errorf("state: %+v", m)
	}
	if m := read("answer"); m.SDP == "" || len(m.Tracks) == 0 || m.Tracks[0].MID == "" || m.Tracks[0].Track == "" || m.Tracks[0].Participant == "" || m.Tracks[0].Source == "" {
		t.Errorf("answer: %+v", m)
	}
	if m := read("candidate"); m.Candidate == "" || m.SDPMid == nil || m.SDPMLineIndex == nil {
		t.Errorf("candidate: %+v", m)
	}
	if m := read("please_offer"); m.Audio == 0 || m.Video == 0 {
		t.Errorf("please_offer: %+v", m)
	}
	if m := read("ended"); m.Reason == "" {
		t.Errorf("ended: %+v", m)
	}
	if m := read("error"); m.Code == "" || m.Text == "" {
		t.Errorf("error: %+v", m)
	}

	s := newServer(t)
	p := s.join("a", Options{Media: made(t, short(0))})
	await(t, "the participant tells of an address of its own", func() bool { // two that are on one machine may be connected before
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.said["candidate"] != nil
	})
	if err := p.Mute(t.Context(), media.Microphone, true); err != nil {
		t.Fatal(err)
	}
	if err := p.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{"hello", "join", "offer", "candidate", "mute", "end", "leave"} {
		var known map[string]any
		if err := json.Unmarshal(example(name), &known); err != nil {
			t.Fatal(err)
		}
		said, ok := s.said[name]
		if !ok {
			t.Errorf("%s was never said", name)
		}
		for key, value := range said {
			if _, ok := known[key]; !ok && key != "id" {
				t.Errorf("%s has a field %q that the protocol does not know", name, key)
			} else if key != "id" && fmt.Sprintf("%T", value) != fmt.Sprintf("%T", known[key]) {
				t.Errorf("%s: field %q is a %T, the protocol's is a %T", name, key, value, known[key])
			}
		}
	}
}
