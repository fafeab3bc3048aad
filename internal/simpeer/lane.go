package simpeer

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// outlet is where a lane's packets go.
type outlet interface {
	rtp(p *rtp.Packet) error
	report(sr *rtcp.SenderReport)
}

// lane is one outgoing track: which frame or packet is due when, and how it is numbered. It reads no clock.
type lane struct {
	source media.Source
	kind   media.Kind
	out    outlet
	sender *webrtc.RTPSender // nil on a Tape
	ssrc   uint32
	clock  clock
	seq    uint16
	next   int // frame, or packet of 20 ms
	rate   int // of those, a second

	reports Reports
	sr      time.Time // when the next sender report is due
	dice    *rand.Rand

	todo   []Action // of the capture, still to come, by time
	frozen int64    // RTP ticks by which the clock stands back when the next frame comes

	packets, octets uint32
}

// lanes are made of these.
const (
	soundRate = 50 // packets a second
	firstSSRC = 1 << 20
)

func newLane(source media.Source, k media.Kind, o Options, dice *rand.Rand) *lane {
	l := &lane{source: source, kind: k, rate: FPS, reports: o.VideoReports, dice: dice, seq: uint16(dice.Uint32())}
	l.clock = clock{began: o.Clocks.Began, ppm: o.Clocks.VideoPPM, rate: float64(media.VP8.ClockRate()), base: dice.Uint32()}
	if k == media.Audio {
		l.rate, l.reports = soundRate, o.AudioReports
		l.clock.ppm, l.clock.rate = o.Clocks.AudioPPM, float64(media.Opus.ClockRate())
	}
	if at := o.Clocks.WrapAt; at > 0 {
		l.clock.base = -uint32(int64(at.Seconds() * l.clock.rate))
	}
	if n := o.Clocks.WrapAfter; n > 0 {
		l.seq = -uint16(n)
	}
	for _, a := range only(o.Actions, Detach, Freeze, Step, Resize, Doze, Withhold) {
		if a.of(k) {
			l.todo = append(l.todo, a)
		}
	}
	return l
}

// begin makes what is captured at now, or late after the capture began, the first that is sent.
func (l *lane) begin(now time.Time, late time.Duration) {
	position := max(l.clock.position(now), late, 0)
	l.next = int((position*time.Duration(l.rate) + time.Second - 1) / time.Second)
	l.sr = now.Add(l.reports.First)
	for len(l.todo) > 0 && l.todo[0].At+l.todo[0].For < now.Sub(l.clock.began) {
		l.todo = l.todo[1:] // happened while nobody was there
	}
}

// media is the position of what the lane sends next.
func (l *lane) media() time.Duration {
	return time.Duration(l.next) * time.Second / time.Duration(l.rate)
}

// captured is when what the lane sends next is captured.
func (l *lane) captured() time.Time { return l.clock.at(l.media()) }

// due is when the lane has to do something next.
func (l *lane) due() time.Time {
	if at := l.captured(); at.Before(l.sr) {
		return at
	}
	return l.sr
}

// obey does what happens up to the next frame, and returns a change of size. The next frame may be a later one afterwards.
func (l *lane) obey() (resize *Action) {
	for len(l.todo) > 0 && l.captured().Sub(l.clock.began) >= l.todo[0].At {
		a := l.todo[0]
		l.todo = l.todo[1:]
		switch a.Do {
		case Detach, Freeze:
			from := l.next
			for a.during(l.captured().Sub(l.clock.began)) {
				l.next++
			}
			if a.Do == Freeze || l.kind == media.Audio {
				l.frozen += int64(float64(l.next-from) / float64(l.rate) * l.clock.rate)
			}
		case Step:
			l.clock.base += uint32(int64(a.By.Seconds() * l.clock.rate))
		case Resize:
			resize = &a
		}
	}
	return resize
}

// dozing says whether DTX leaves out the packet that is next, or sends a mere sign of life in its place: it does so
// where nothing is to be heard, up to 400 ms.
func (l *lane) dozing(actions []Action) (leaves, sign bool) {
	const heard = int(beepLength/(20*time.Millisecond)) + 3 // packets, with what rings after
	if l.next%soundRate < heard {
		return false, false
	}
	for _, a := range only(actions, Doze) {
		if a.during(l.captured().Sub(l.clock.began)) {
			sign = l.next%20 == 0
			return !sign, sign
		}
	}
	return false, false
}

// write sends one packet. What cannot be sent is lost, as on any network.
func (l *lane) write(payload []byte, marker bool) {
	l.seq++
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, Marker: marker, SequenceNumber: l.seq, Timestamp: l.clock.rtp(l.media()), SSRC: l.ssrc,
		},
		Payload: payload,
	}
	if l.out.rtp(p) == nil {
		l.packets++
		l.octets += uint32(len(payload))
	}
}

// reportAt sends the sender report that is due, about a moment, by a machine's own clock that is wrong.
func (l *lane) reportAt(now time.Time, wallError time.Duration, actions []Action) {
	l.sr = now.Add(l.reports.Every)
	if l.reports.Never {
		return
	}
	for _, a := range only(actions, Withhold) {
		if a.of(l.kind) && a.during(now.Sub(l.clock.began)) {
			return
		}
	}
	ntp := now.Add(wallError + l.reports.Lie)
	if n := l.reports.Noise; n > 0 {
		ntp = ntp.Add(time.Duration(l.dice.Int64N(2*int64(n))) - n)
	}
	l.out.report(&rtcp.SenderReport{
		SSRC: l.ssrc, NTPTime: toNTP(ntp), RTPTime: l.clock.rtp(l.clock.position(now)),
		PacketCount: l.packets, OctetCount: l.octets,
	})
}

// toNTP is an NTP timestamp (RFC 5905 §6).
func toNTP(t time.Time) uint64 {
	const from1900To1970 = 2_208_988_800
	return uint64(t.Unix()+from1900To1970)<<32 + (uint64(t.Nanosecond())<<32)/1_000_000_000
}
