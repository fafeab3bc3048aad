package timeline

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// script writes the events of a consultation whose truth is known.
type script struct {
	tb     testing.TB
	lines  []line
	ids    int
	truth  map[string]truth // by segment
	noise  *rand.Rand
	packet map[media.Kind]time.Duration // how long a frame waits for its last packet
}

type line struct {
	at    time.Duration
	who   string
	event events.Event
}

// truth is when the content of a segment was captured, from the first moment to the end of the last frame, and how fast
// its clock went.
type truth struct {
	start, end time.Duration
	rate       float64
}

const scriptConsultation = "01900000-0000-7000-8000-00000000c000"

var scriptZero = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func newScript(tb testing.TB) *script {
	return &script{
		tb: tb, truth: map[string]truth{}, noise: rand.New(rand.NewPCG(1, 2)),
		packet: map[media.Kind]time.Duration{media.Audio: 20 * time.Millisecond, media.Video: 5 * time.Millisecond},
	}
}

func sec(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

func (s *script) id(kind string) string {
	s.ids++
	return fmt.Sprintf("01900000-0000-7000-8000-%04x%08x", []byte(kind)[0], s.ids)
}

func (s *script) add(at float64, who string, e events.Event) { s.addAt(sec(at), who, e) }

func (s *script) addAt(at time.Duration, who string, e events.Event) {
	s.lines = append(s.lines, line{at, who, e})
}

// stored is the consultation in order of time.
func (s *script) stored() []events.Stored {
	slices.SortStableFunc(s.lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var out []events.Stored
	var v events.Version
	for i, l := range s.lines {
		d := events.Draft{
			ID: fmt.Sprintf("01900000-0000-7000-9000-%012x", i+1), Source: "/live/test", Time: scriptZero.Add(l.at),
			Participant: l.who, Event: l.event,
		}
		raw, next, err := events.Seal(scriptConsultation, v, d)
		if err != nil {
			s.tb.Fatal(err)
		}
		ev, err := events.Open(raw, next.Seq)
		if err != nil {
			s.tb.Fatal(err)
		}
		v = next
		out = append(out, ev)
	}
	return out
}

func (s *script) build() *Timeline {
	s.tb.Helper()
	t, err := Build(s.stored(), 0)
	if err != nil {
		s.tb.Fatal(err)
	}
	return t
}

// begin schedules and hosts the consultation.
func (s *script) begin(policy events.Policy) {
	s.add(-30, "", events.ConsultationScheduled{Policy: policy, Layout: "grid", Language: "en"})
	s.add(-5, "", events.ConsultationOpened{Policy: policy, Layout: "grid", Language: "en"})
	s.add(-5, "", events.ConferenceHosted{Epoch: 1, Wall: scriptZero.Add(-5 * time.Second), Node: "a", URL: "http://a"})
}

func (s *script) invite(role string, guards ...string) string {
	who := s.id("p")
	s.add(-29, who, events.ParticipantInvited{Role: role, For: guards})
	return who
}

func (s *script) consent(at float64, who string) {
	s.add(at, who, events.ConsentGiven{Consent: events.Consent{TextSHA256: events.NoHash, Language: "en", By: events.BySelf}})
}

func (s *script) refuse(at float64, who string) {
	s.add(at, who, events.ConsentRefused{Consent: events.Consent{TextSHA256: events.NoHash, Language: "en", By: events.BySelf}})
}

// join makes who present and connected and returns the connection.
func (s *script) join(at float64, who, role string) string {
	s.add(at, who, events.ParticipantJoined{Role: role})
	c := s.id("c")
	s.add(at+0.05, who, events.ConnectionOpened{Connection: c, Via: "websocket"})
	s.add(at+0.2, who, events.ConnectionICEChanged{Connection: c, State: "connected"})
	return c
}

func (s *script) leave(at float64, who, connection, reason string) {
	s.add(at, who, events.ParticipantLeft{Reason: reason})
	s.add(at+0.01, who, events.ConnectionClosed{Connection: connection, Reason: "left"})
}

func (s *script) end(at float64) {
	s.add(at, "", events.ConsultationEnded{Reason: events.EndedClosed})
}

// source is a track with a known capture clock.
type source struct {
	script          *script
	who, connection string
	id              string
	kind            media.Kind
	from            media.Source
	codec           media.Codec
	ssrc            uint32
	width, height   int

	born     time.Duration // archive time of RTP base
	base     int64
	ppm      float64       // media clock against true time
	wall     time.Duration // NTP clock against true time
	delay    time.Duration // of media, one way
	srDelay  time.Duration // of reports, one way
	rtt      time.Duration
	jitter   time.Duration // of reports, added
	firstSR  time.Duration // after the first packet
	everySR  time.Duration // 0: none
	badFirst time.Duration // error of the first report's NTP
	noise    time.Duration // of the NTP of every report, up or down
	lieRTP   time.Duration // error of the RTP time of every report
	liePPM   float64       // and by how many millionths of the time since born it grows
	wallPPM  float64       // NTP clock against true time, since archive time 0
	media    time.Duration // jitter of media, added to the delay of the packets that are told of
	everyACT time.Duration // between packets with their time of capture; 0: none
	noAnchor bool          // not even arrivals
	lag      time.Duration // until a segment.opened is in the log

	unstored map[int]bool // segments by number that never reach the blob store
	count    int
}

// audio and video are plain sources of who, who has been connected by connection.
func (s *script) audio(who, connection string, born float64) *source {
	src := s.source(who, connection, born)
	src.kind, src.from, src.codec = media.Audio, media.Microphone, media.Opus
	src.firstSR, src.everySR = sec(2.3), sec(4)
	return src
}

func (s *script) video(who, connection string, born float64) *source {
	src := s.source(who, connection, born)
	src.kind, src.from, src.codec = media.Video, media.Camera, media.VP8
	src.width, src.height = 640, 360
	src.firstSR, src.everySR = sec(0.4), sec(5)
	return src
}

func (s *script) source(who, connection string, born float64) *source {
	src := &source{
		script: s, who: who, connection: connection, id: s.id("t"), born: sec(born),
		delay: 40 * time.Millisecond, srDelay: 20 * time.Millisecond, rtt: 40 * time.Millisecond, unstored: map[int]bool{},
	}
	src.ssrc = uint32(1000 + s.ids)
	src.base = int64(s.ids) * 1_000_003
	return src
}

func (src *source) rate() float64 { return float64(src.codec.ClockRate()) }

// rtp is the sender's RTP clock at the true time t.
func (src *source) rtp(t time.Duration) int64 {
	return src.base + int64(math.Round((t-src.born).Seconds()*src.rate()*(1+src.ppm*1e-6)))
}

// captured is when the RTP time was captured in truth.
func (src *source) captured(rtp int64) time.Duration {
	return src.born + sec(float64(rtp-src.base)/src.rate()/(1+src.ppm*1e-6))
}

func (src *source) step() int64 { // ticks from frame to frame
	if src.kind == media.Audio {
		return 960
	}
	return 3000
}

// start announces the track.
func (src *source) start(at float64) {
	src.script.addAt(sec(at)+src.delay, src.who, events.TrackStarted{
		Connection: src.connection, Track: src.id, Kind: string(src.kind), Source: string(src.from),
		Codec: string(src.codec), SSRC: src.ssrc,
	})
}

func (src *source) stop(at float64, reason string) {
	src.script.add(at, src.who, events.TrackEnded{Track: src.id, Reason: reason})
}

// play records what was captured in [from, to) in files of half a minute, and the anchors of that time.
func (src *source) play(from, to float64, reason string) {
	const rotate = 30.0
	end := src.rtp(sec(to))
	first := src.rtp(sec(from))
	first += (src.step() - (first-src.base)%src.step()) % src.step()
	for first < end {
		last := min(end, first+int64(rotate*src.rate()))
		last -= (last - src.base) % src.step()
		if last <= first {
			break
		}
		src.segment(first, last, reason)
		first, reason = last, "rotation"
	}
	src.anchor(sec(from), sec(to))
}

// segment records the frames from RTP time first up to end.
func (src *source) segment(first, end int64, reason string) string {
	s := src.script
	g := s.id("s")
	last := end - src.step()
	sealedEnd := end
	if src.kind == media.Video {
		sealedEnd = last
	}
	opened, closed := src.captured(first)+src.delay+s.packet[src.kind], src.captured(end)+src.delay+s.packet[src.kind]
	opened += src.late(src.media)
	s.truth[g] = truth{src.captured(first), src.captured(end), 1 + src.ppm*1e-6}
	s.addAt(opened+src.lag, src.who, events.SegmentOpened{
		Segment: g, Track: src.id, SSRC: src.ssrc, Codec: string(src.codec), ClockRate: src.codec.ClockRate(), FirstRTP: first,
		Arrival: scriptZero.Add(opened), Width: src.width, Height: src.height, Reason: reason,
	})
	s.addAt(closed, src.who, events.SegmentSealed{
		Segment: g, LastRTP: last, EndRTP: sealedEnd, Frames: (end - first) / src.step(), Bytes: end - first,
		SHA256: events.HashOf([]byte(g)), Reason: "rotation",
	})
	src.count++
	if !src.unstored[src.count] {
		s.addAt(closed+sec(0.3), src.who, events.SegmentStored{
			Segment: g, Key: "c/" + scriptConsultation + "/segments/" + g + src.codec.Extension(), Bytes: end - first,
			SHA256: events.HashOf([]byte(g)),
		})
	}
	return g
}

// anchor writes the anchors of [from, to), an event for every 15 s.
func (src *source) anchor(from, to time.Duration) {
	if src.noAnchor {
		return
	}
	for at := from; at < to; at += 15 * time.Second {
		until := min(at+15*time.Second, to)
		var as []events.Anchor
		{ // the best packet of the batch
			t := at + (until-at)/2
			arrival := t + src.delay + src.script.packet[src.kind] + src.late(src.media)/4 // the best of many packets
			as = append(as, events.Anchor{Kind: events.AnchorArrival, RTP: src.rtp(t), Arrival: scriptZero.Add(arrival), RTTUS: src.rtt.Microseconds()})
		}
		if src.everyACT > 0 {
			for t := at; t < until; t += src.everyACT {
				ntp := scriptZero.Add(t + src.wallError(t))
				arrival := t + src.delay + src.script.packet[src.kind] + src.late(src.media)
				as = append(as, events.Anchor{Kind: events.AnchorACT, RTP: src.rtp(t), NTP: &ntp, Arrival: scriptZero.Add(arrival), RTTUS: src.rtt.Microseconds()})
			}
		}
		if src.everySR > 0 {
			as = append(as, src.reports(from, at, until)...)
		}
		slices.SortStableFunc(as, func(a, b events.Anchor) int { return a.Arrival.Compare(b.Arrival) })
		if len(as) > 0 {
			src.script.addAt(until+sec(0.1), src.who, events.SegmentAnchored{Track: src.id, SSRC: src.ssrc, Anchors: as})
		}
	}
}

// reports are the sender reports of [at, until); the first packet was sent at from.
func (src *source) reports(from, at, until time.Duration) []events.Anchor {
	var as []events.Anchor
	for i := 0; ; i++ {
		t := from + src.firstSR + time.Duration(i)*src.everySR
		if t >= until {
			return as
		}
		if t < at {
			continue
		}
		ntp := scriptZero.Add(t + src.wallError(t))
		if i == 0 {
			ntp = ntp.Add(src.badFirst)
		}
		if src.noise > 0 {
			ntp = ntp.Add(time.Duration(src.script.noise.Int64N(2*int64(src.noise))) - src.noise)
		}
		arrival := t + src.srDelay + src.late(src.jitter)
		lie := src.lieRTP + time.Duration(src.liePPM*1e-6*float64(t-src.born))
		as = append(as, events.Anchor{
			Kind: events.AnchorSR, RTP: src.rtp(t + lie), NTP: &ntp, Arrival: scriptZero.Add(arrival), RTTUS: src.rtt.Microseconds(),
		})
	}
}

// wallError is by how much the sender's wall clock is ahead at the true time t.
func (src *source) wallError(t time.Duration) time.Duration {
	return src.wall + time.Duration(src.wallPPM*1e-6*float64(t))
}

// late is a random delay below limit.
func (src *source) late(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(src.script.noise.Int64N(int64(limit)))
}

// whole plays a source for the whole of [from, to).
func (src *source) whole(from, to float64) *source {
	src.start(from)
	src.play(from, to, "started")
	return src
}

func discontinuity(track string, before, after, arrivalMS int64) events.Event {
	return events.SegmentDiscontinuity{Track: track, RTPBefore: before, RTPAfter: after, ArrivalDeltaMS: arrivalMS}
}
