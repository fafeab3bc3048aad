package simpeer

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// mtu is the largest payload of a packet, in bytes.
const mtu = 1180

// sender sends a participant's media over one connection, each frame and packet when it is captured.
type sender struct {
	media  *Media
	clocks Clocks
	report reporting
	log    *sentLog
	late   time.Duration // by how much sound begins after the picture

	video, audio *lane // nil if not sent
	vp8          codecs.VP8Payloader
	wantWhole    atomic.Bool

	mu    sync.Mutex // guards muted
	muted map[media.Source]bool
}

// reporting says when sender reports are sent.
type reporting struct{ first, every time.Duration }

// lane is one outgoing track.
type lane struct {
	source media.Source
	track  *webrtc.TrackLocalStaticRTP
	rtp    *webrtc.RTPSender
	pc     *webrtc.PeerConnection
	clock  clock
	seq    uint16
	next   int       // frame, or packet of 20 ms
	rate   int       // of those, a second
	sr     time.Time // when the next sender report is due

	packets, octets uint32
}

func newLane(source media.Source, c clock, rate int, track *webrtc.TrackLocalStaticRTP, s *webrtc.RTPSender, pc *webrtc.PeerConnection, dice *rand.Rand) *lane {
	c.base = dice.Uint32()
	return &lane{source: source, track: track, rtp: s, pc: pc, clock: c, seq: uint16(dice.Uint32()), rate: rate}
}

// media is the position of what the lane sends next.
func (l *lane) media() time.Duration {
	return time.Duration(l.next) * time.Second / time.Duration(l.rate)
}

// due is when the lane has to do something next.
func (l *lane) due() time.Time {
	if at := l.clock.at(l.media()); at.Before(l.sr) {
		return at
	}
	return l.sr
}

// write sends one packet. What cannot be sent is lost, as on any network.
func (l *lane) write(payload []byte, marker bool) {
	l.seq++
	p := &rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: marker, SequenceNumber: l.seq, Timestamp: l.clock.rtp(l.media())},
		Payload: payload,
	}
	if l.track.WriteRTP(p) == nil {
		l.packets++
		l.octets += uint32(len(payload))
	}
}

// reportAt sends a sender report about a moment, by the machine's own clock.
func (l *lane) reportAt(now time.Time, wallError time.Duration) {
	encodings := l.rtp.GetParameters().Encodings
	_ = l.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{
		SSRC: uint32(encodings[0].SSRC), NTPTime: toNTP(now.Add(wallError)), RTPTime: l.clock.rtp(l.clock.position(now)),
		PacketCount: l.packets, OctetCount: l.octets,
	}})
}

// toNTP is an NTP timestamp (RFC 5905 §6).
func toNTP(t time.Time) uint64 {
	const from1900To1970 = 2_208_988_800
	return uint64(t.Unix()+from1900To1970)<<32 + (uint64(t.Nanosecond())<<32)/1_000_000_000
}

// run sends until ctx ends. It begins with what is captured now.
func (s *sender) run(ctx context.Context) {
	now := time.Now()
	lanes := s.lanes()
	for _, l := range lanes {
		position := max(l.clock.position(now), 0)
		if l == s.audio {
			position = max(position, s.late)
		}
		l.next = int((position*time.Duration(l.rate) + time.Second - 1) / time.Second)
		l.sr = now.Add(s.report.first)
	}
	s.wantWhole.Store(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l := earliest(lanes)
		timer.Reset(time.Until(l.due()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		switch {
		case !now.Before(l.sr):
			l.reportAt(now, s.clocks.WallError)
			l.sr = now.Add(s.report.every)
		case l == s.video:
			s.log.lateBy(now.Sub(l.due()))
			s.sendFrame(l)
		default:
			s.log.lateBy(now.Sub(l.due()))
			s.sendSound(l)
		}
	}
}

func (s *sender) lanes() []*lane {
	var lanes []*lane
	for _, l := range []*lane{s.video, s.audio} {
		if l != nil {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

func earliest(lanes []*lane) *lane {
	first := lanes[0]
	for _, l := range lanes[1:] {
		if l.due().Before(first.due()) {
			first = l
		}
	}
	return first
}

// sendFrame sends a picture: black while the camera is off, as browsers do.
func (s *sender) sendFrame(l *lane) {
	n := l.next
	frame, off := s.media.black, s.isMuted(l.source)
	if off {
		s.wantWhole.Store(true) // what follows cannot lean on a black picture
	} else {
		frame = s.media.frame(n, s.wantWhole.Swap(false))
	}
	payloads := s.vp8.Payload(mtu, frame)
	for i, p := range payloads {
		l.write(p, i == len(payloads)-1)
	}
	if n%FPS == 0 && !off {
		s.log.flash(Moment{Media: l.media(), At: l.clock.at(l.media())})
	}
	l.next++
}

// sendSound sends 20 ms of sound: silence while the microphone is off.
func (s *sender) sendSound(l *lane) {
	packet, off := s.media.quiet, s.isMuted(l.source)
	if !off {
		packet = s.media.packet(l.next)
	}
	l.write(packet, false)
	if l.next%50 == 0 && !off {
		s.log.beep(Moment{Media: l.media(), At: l.clock.at(l.media())})
	}
	l.next++
}

func (s *sender) isMuted(source media.Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.muted[source]
}

func (s *sender) mute(source media.Source, muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted[source] = muted
}

// readFeedback answers requests for a whole picture until the track ends.
func (s *sender) readFeedback(l *lane) {
	for {
		packets, _, err := l.rtp.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				s.wantWhole.Store(true)
				s.log.asked()
			}
		}
	}
}

// sentLog remembers what was sent, over all connections of a participant.
type sentLog struct {
	mu       sync.Mutex // guards what follows
	flashes  []Moment
	beeps    []Moment
	requests int
	latest   time.Duration
}

func (l *sentLog) flash(m Moment) { l.mu.Lock(); defer l.mu.Unlock(); l.flashes = append(l.flashes, m) }
func (l *sentLog) beep(m Moment)  { l.mu.Lock(); defer l.mu.Unlock(); l.beeps = append(l.beeps, m) }
func (l *sentLog) asked()         { l.mu.Lock(); defer l.mu.Unlock(); l.requests++ }

func (l *sentLog) lateBy(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = max(l.latest, d)
}
