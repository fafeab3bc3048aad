package simpeer

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// Arrival is a packet or a sender report that comes to a server.
type Arrival struct {
	At     time.Time
	Kind   media.Kind
	Packet *rtp.Packet         // nil for a report
	Report *media.SenderReport // nil for a packet
}

// Tape plays a plan without a server, without a network and as fast as it is asked: what would have come to a server, in
// order of arrival. Nothing is sent again; what the person does is left out, and Renew changes the SSRC. It is for one
// goroutine, WantKeyframe excepted.
type Tape struct {
	options  Options
	sender   *sender
	road     *road
	log      sentLog
	queue    deliveries
	ready    []Arrival
	renewals []Action
	dice     *rand.Rand
	now      time.Time
}

// NewTape takes the media, clocks, network, reports, sizes and actions of the options, and begins with Clocks.Began.
func NewTape(o Options) (*Tape, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("tape: %w", err)
	}
	t := &Tape{
		options: o, road: newRoad(o.Network, o.Clocks.Began, o.Actions), renewals: only(o.Actions, Renew),
		dice: rand.New(rand.NewPCG(o.Network.Seed, 2)), now: o.Clocks.Began,
	}
	t.sender = &sender{options: o, log: &t.log, picture: o.Media}
	t.sender.vp8.EnablePictureID = true
	for _, k := range []media.Kind{media.Audio, media.Video} {
		if !(k == media.Audio && o.NoAudio || k == media.Video && o.NoVideo) {
			t.sender.use(t.lane(k), t.now)
		}
	}
	return t, nil
}

func (t *Tape) lane(k media.Kind) *lane {
	source := t.options.VideoSource
	if k == media.Audio {
		source = t.options.AudioSource
	}
	l := newLane(source, k, t.options, t.dice)
	l.ssrc = firstSSRC + t.dice.Uint32N(1<<30)
	l.out = tapeOutlet{t, k}
	return l
}

// Next is what arrives next.
func (t *Tape) Next() Arrival {
	for {
		if len(t.ready) > 0 {
			a := t.ready[0]
			t.ready = t.ready[1:]
			return a
		}
		l := t.sender.earliest()
		if len(t.queue.list) > 0 && !t.queue.list[0].at.After(l.due()) {
			heap.Pop(&t.queue).(delivery).send()
			continue
		}
		t.now = l.due()
		t.renew()
		t.sender.step(l, t.now)
	}
}

// WantKeyframe asks for a whole picture.
func (t *Tape) WantKeyframe() { t.sender.wantWhole.Store(true) }

// Sent tells what was captured so far, since Forget.
func (t *Tape) Sent() Sent { return t.log.sent(t.options.Media.Spec) }

// Fastest is how long the way took at least so far.
func (t *Tape) Fastest() Fastest { return t.road.fastest }

// Forget drops what Sent tells of, so that a long tape does not grow.
func (t *Tape) Forget() {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.log.flashes, t.log.beeps, t.log.lost = nil, nil, nil
}

// renew gives a track another SSRC when it is time.
func (t *Tape) renew() {
	for len(t.renewals) > 0 && t.now.Sub(t.options.Clocks.Began) >= t.renewals[0].At {
		for _, l := range t.sender.lanes() {
			if t.renewals[0].of(l.kind) {
				l.ssrc, l.seq, l.clock.base = firstSSRC+t.dice.Uint32N(1<<30), uint16(t.dice.Uint32()), t.dice.Uint32()
				t.sender.wantWhole.Store(t.sender.wantWhole.Load() || l.kind == media.Video)
			}
		}
		t.renewals = t.renewals[1:]
	}
}

// roundTrip is what a server would measure if the way back took as long.
func (t *Tape) roundTrip() time.Duration {
	return 2 * min(t.options.Network.AudioDelay, t.options.Network.VideoDelay)
}

// tapeOutlet puts what is sent into the queue of what arrives.
type tapeOutlet struct {
	tape *Tape
	kind media.Kind
}

func (o tapeOutlet) rtp(p *rtp.Packet) error {
	p.PayloadType = 96
	if o.kind == media.Audio {
		p.PayloadType = 111
	}
	arrivals := o.tape.road.packet(o.tape.now, o.kind)
	for _, at := range arrivals {
		o.tape.queue.add(at, func() {
			o.tape.ready = append(o.tape.ready, Arrival{At: at, Kind: o.kind, Packet: p})
		})
	}
	if len(arrivals) == 0 {
		o.tape.log.lose(o.kind, p.SSRC, p.SequenceNumber)
	}
	return nil
}

func (o tapeOutlet) report(sr *rtcp.SenderReport) {
	at, ok := o.tape.road.report(o.tape.now, o.kind)
	if !ok {
		return
	}
	report := &media.SenderReport{
		SSRC: sr.SSRC, RTP: sr.RTPTime, NTP: fromNTP(sr.NTPTime), Arrival: at, RTT: o.tape.roundTrip(),
	}
	o.tape.queue.add(at, func() { o.tape.ready = append(o.tape.ready, Arrival{At: at, Kind: o.kind, Report: report}) })
}

// fromNTP is the time of an NTP timestamp, to the nanosecond above.
func fromNTP(n uint64) time.Time {
	const from1900To1970 = 2_208_988_800
	return time.Unix(int64(n>>32)-from1900To1970, int64((n&0xffffffff)*1_000_000_000+1<<31)>>32).UTC()
}
