package sfu

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// keyframeDistance is the shortest time between two requests for a whole picture to one publisher. Whole pictures are
// large, and a browser answers the request of everybody with one.
const keyframeDistance = 500 * time.Millisecond

// Subscriber takes what a Publication takes in. Its methods are called one at a time and must not block, nor call the
// publication's Subscribe or Unsubscribe.
type Subscriber interface {
	// RTP gets every packet once, in the order of arrival, which under loss is not that of their numbers. Packet and
	// payload are shared by all subscribers: read only, and kept as long as one likes. Extensions are the publisher's
	// own; padding is cut off, and a packet of nothing but padding has an empty payload.
	RTP(p *rtp.Packet, arrival time.Time)
	// SenderReport gets what the publisher says about its clock.
	SenderReport(sr media.SenderReport)
}

// Publication is one incoming track: one SSRC of one codec.
type Publication struct {
	peer *Peer
	id   string
	track
	ssrc        uint32
	codec       media.Codec
	captureTime uint8 // id of the header extension abs-capture-time, 0 if it was not negotiated
	history     *history
	lastPacket  atomic.Int64 // nanoseconds since started
	started     time.Time
	ended       chan struct{}
	keyframes   keyframes

	mu          sync.Mutex // makes the calls of subscribers one at a time and guards the list
	subscribers []Subscriber
	early       early
}

// track says what an incoming RTP stream is, as the offer that announced it has it.
type track struct {
	mid    string
	rid    string
	kind   media.Kind
	source media.Source
}

func newPublication(p *Peer, t track, codec media.Codec, ssrc uint32, captureTime uint8, now time.Time) *Publication {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // the machine has no randomness: nothing here could go on
	}
	pub := &Publication{
		peer: p, id: id.String(), track: t, ssrc: ssrc, codec: codec, captureTime: captureTime,
		started: now, ended: make(chan struct{}),
	}
	if t.kind == media.Video {
		pub.history = &history{}
	}
	return pub
}

// ID is a UUIDv7.
func (p *Publication) ID() string { return p.id }

// PeerID is the id of the peer that publishes.
func (p *Publication) PeerID() string { return p.peer.id }

// Kind is audio or video.
func (p *Publication) Kind() media.Kind { return p.kind }

// Codec is what the packets hold.
func (p *Publication) Codec() media.Codec { return p.codec }

// SSRC is the publisher's.
func (p *Publication) SSRC() uint32 { return p.ssrc }

// MID names the publisher's m-line.
func (p *Publication) MID() string { return p.mid }

// RID names the layer when the m-line has several; of those, one is published.
func (p *Publication) RID() string { return p.rid }

// Source is what Peer.Answer was told about the m-line when the publication began; "" if nothing.
func (p *Publication) Source() media.Source { return p.source }

// CaptureTimeExtension is the id of the header extension abs-capture-time in the packets; 0 if there is none.
func (p *Publication) CaptureTimeExtension() uint8 { return p.captureTime }

// RTT is the round trip of the newest check of the publisher's connection; 0 if there was none.
func (p *Publication) RTT() time.Duration { return p.peer.rtt() }

// Ended is closed when no packet will come any more.
func (p *Publication) Ended() <-chan struct{} { return p.ended }

func (p *Publication) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// LastPacket is when the newest packet arrived.
func (p *Publication) LastPacket() time.Time {
	return p.started.Add(time.Duration(p.lastPacket.Load()))
}

// Subscribe adds a subscriber; packets reach it from now on. A publisher of video is asked for a whole picture.
func (p *Publication) Subscribe(s Subscriber) {
	p.add(s)
	p.RequestKeyframe()
}

// add is Subscribe for somebody who asks for a whole picture when it can take one. One that is asked for too early is lost,
// and the next one is not asked for before keyframeDistance is over; browsers do not send it earlier either.
func (p *Publication) add(s Subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers = append(p.subscribers, s)
}

// Unsubscribe takes a subscriber away. When it returns, nothing is called any more.
func (p *Publication) Unsubscribe(s Subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers = slices.DeleteFunc(p.subscribers, func(other Subscriber) bool { return other == s })
}

// deliver hands a packet to everybody. The lock is taken once a packet, not once a subscriber, and in practice nobody
// else wants it; in return a subscriber needs none of its own.
func (p *Publication) deliver(packet *rtp.Packet, arrival time.Time) {
	p.lastPacket.Store(int64(arrival.Sub(p.started)))
	if p.history != nil {
		p.history.add(packet)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.early.add(packet, arrival, arrival.Sub(p.started))
	for _, s := range p.subscribers {
		s.RTP(packet, arrival)
	}
}

func (p *Publication) report(sr media.SenderReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subscribers {
		s.SenderReport(sr)
	}
}

// end says that no packet will come any more.
func (p *Publication) end() {
	close(p.ended)
	p.keyframes.stop()
}

// RequestKeyframe asks a publisher of video for a whole picture: at once, or, when the last request was less than
// keyframeDistance ago, as soon as that is over. Requests in between count as one.
func (p *Publication) RequestKeyframe() {
	if p.kind == media.Video {
		p.keyframes.request(p.sendPLI)
	}
}

func (p *Publication) sendPLI() {
	p.peer.room.sfu.metrics.keyframeRequests.Inc()
	// An error says that the connection is not up yet or not any more; what there is to see then begins with a whole
	// picture, or there is nothing to see.
	_ = p.peer.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: p.ssrc}})
}

// keyframes keeps requests apart. The zero value is ready.
type keyframes struct {
	mu      sync.Mutex // guards what follows; not held while sending
	last    time.Time
	waiting *time.Timer // nil while no request waits
	stopped bool
}

func (k *keyframes) request(send func()) {
	k.mu.Lock()
	wait := keyframeDistance - time.Since(k.last)
	switch {
	case k.stopped || k.waiting != nil:
		k.mu.Unlock()
	case wait > 0:
		k.waiting = time.AfterFunc(wait, func() {
			k.mu.Lock()
			k.waiting = nil
			k.mu.Unlock()
			k.request(send)
		})
		k.mu.Unlock()
	default:
		k.last = time.Now()
		k.mu.Unlock()
		send()
	}
}

func (k *keyframes) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.waiting != nil {
		k.waiting.Stop()
	}
}
