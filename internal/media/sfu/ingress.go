package sfu

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// codecDistance is the shortest time between two changes of a track's codec. Each of them is a publication of its own,
// with a recorder and an offer for everybody.
const codecDistance = time.Second

// maxReadErrors is how many reads in a row may fail before a track counts as broken. A client can send what fails to
// parse; that is no reason to end its track.
const maxReadErrors = 1000

// ingress takes in one incoming RTP stream until it ends.
type ingress struct {
	peer     *Peer
	remote   *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver
	track    track

	seen        sequence
	lost        *nacks // nil for audio: what is lost of it is in the packets behind it, or silence
	memory      slab
	payloadType uint8                       // of the current publication
	open        bool                        // packets may pass, and the newest one did
	floor       int64                       // number of the first that did
	opening     opening                     // of video
	changed     time.Time                   // when the current publication began
	blocks      []media.REDBlock            // reused
	current     atomic.Pointer[Publication] // nil before the first packet that may pass
}

// onTrack is called by pion, in a goroutine of its own, when the first packet of a stream has come.
func (p *Peer) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	p.run(func() {
		in := &ingress{peer: p, remote: remote, receiver: receiver, track: p.describe(remote, receiver)}
		if in.track.kind == media.Video {
			in.lost = &nacks{send: in.askFor, rtt: p.rtt}
			defer in.lost.stop()
		}
		reports := make(chan struct{})
		go func() { // ends with the receiver, as run does
			defer close(reports)
			in.readReports()
		}()
		in.run()
		<-reports
	})
}

// describe finds what the offer said about a stream.
func (p *Peer) describe(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) track {
	t := track{rid: remote.RID(), kind: media.Video}
	if remote.Kind() == webrtc.RTPCodecTypeAudio {
		t.kind = media.Audio
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if transceiver := receiver.RTPTransceiver(); transceiver != nil {
		t.mid = transceiver.Mid()
	}
	if t.mid == "" && p.offer != nil {
		// The offer named no SSRC; pion believes a stream on the only m-line then.
		for _, l := range p.offer.lines {
			if l.sends && l.kind == t.kind {
				t.mid = l.mid
			}
		}
	}
	t.source = p.sources[t.mid]
	return t
}

// run reads packets until the stream ends.
func (in *ingress) run() {
	defer in.unpublish()
	m := in.peer.room.sfu.metrics
	for failures := 0; failures < maxReadErrors; {
		n, _, err := in.remote.Read(in.memory.buffer())
		arrival := in.peer.room.sfu.cfg.Now()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe):
			return
		case err != nil:
			failures++
			m.broken.Inc()
			continue
		}
		failures = 0
		m.received.Inc()
		in.peer.counts.in(n)
		in.peer.firstMedia.Do(in.peer.onFirstMedia)
		packet, err := in.memory.take(n)
		if err == nil && packet.Marker && in.track.kind == media.Video {
			in.peer.counts.framesIn.Add(1) // the last packet of a picture has the marker, in all codecs that are taken
		}
		switch {
		case err != nil:
			m.broken.Inc()
		case !in.accept(packet.SequenceNumber):
			m.duplicate.Inc()
		case !in.peer.publishing.Load():
			m.gated.Inc()
			in.open = false
			in.opening.close() // what comes from now on is not the beginning
		case in.lost != nil && !in.opening.over:
			in.begin(packet, arrival)
		default:
			in.enter(packet, arrival)
		}
	}
	in.peer.room.sfu.cfg.Logger.Warn("a track was given up: it cannot be read", "peer", in.peer.id, "mid", in.track.mid)
}

// accept says whether a packet is new, and keeps account of what is missing.
func (in *ingress) accept(seq uint16) bool {
	started, highest, expected := in.seen.started, in.seen.highest, in.seen.expected
	fresh := in.seen.accept(seq)
	in.peer.counts.expected.Add(in.seen.expected - expected)
	if !fresh {
		return false
	}
	in.peer.counts.arrived.Add(1)
	switch missing := in.seen.highest - highest; {
	case in.lost == nil || !started || !in.peer.publishing.Load():
	case missing == 0:
		in.lost.arrived(in.seen.unwrap(seq))
	case missing <= maxDropout: // otherwise the sender began anew
		in.peer.room.sfu.metrics.missing.Add(float64(missing - 1))
		in.lost.advanced(highest, in.seen.highest)
	}
	return true
}

// askFor asks the publisher to send packets again.
func (in *ingress) askFor(numbers []uint16) {
	in.peer.room.sfu.metrics.asked.Add(float64(len(numbers)))
	// An error says that the connection is not up any more.
	_ = in.peer.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{
		SenderSSRC: in.peer.ssrc, MediaSSRC: uint32(in.remote.SSRC()), Nacks: rtcp.NackPairsFromSequenceNumbers(numbers),
	}})
}

// begin takes the first packets of video, and asks for what is before them.
func (in *ingress) begin(packet *rtp.Packet, arrival time.Time) {
	ready, too := in.opening.add(opened{
		number: in.seen.unwrap(packet.SequenceNumber), starts: media.StartsPicture(in.codec(packet.PayloadType), packet.Payload),
		earlyPacket: earlyPacket{packet, arrival},
	})
	if !too {
		in.peer.room.sfu.metrics.duplicate.Inc()
	}
	for _, p := range ready {
		in.enter(p.packet, p.arrival)
	}
	if number, anew := in.opening.wants(); anew {
		in.peer.room.sfu.metrics.missing.Inc()
		in.lost.advanced(number-1, number+1)
	}
}

// enter takes a packet that may pass, and what it holds of packets before it.
func (in *ingress) enter(packet *rtp.Packet, arrival time.Time) {
	if !in.open {
		in.open, in.floor = true, in.seen.unwrap(packet.SequenceNumber)
	}
	if in.track.kind != media.Audio || !strings.EqualFold(in.remote.Codec().MimeType, mimeTypeRED) {
		in.pass(packet, arrival)
		return
	}
	if len(packet.Payload) == 0 { // padding
		packet.PayloadType = in.payloadType
		in.pass(packet, arrival)
		return
	}
	blocks, err := media.ParseRED(in.blocks[:0], packet.Payload)
	in.blocks = blocks
	if err != nil {
		in.peer.room.sfu.metrics.broken.Inc()
		return
	}
	last := len(blocks) - 1
	if last > 0 {
		in.peer.room.sfu.metrics.redundant.Inc()
	}
	for i, b := range blocks[:last] {
		in.restore(packet, b, last-i, arrival)
	}
	packet.PayloadType, packet.Payload = blocks[last].PayloadType, blocks[last].Data
	in.pass(packet, arrival)
}

// restore passes on a packet that did not come and that a later one holds once more, so many places behind it. It
// counts as arrived when it would have if it had taken as long as the later one: nothing of a time in which nothing was
// to pass may come in behind that time.
func (in *ingress) restore(carrier *rtp.Packet, b media.REDBlock, behind int, arrival time.Time) {
	seq := carrier.SequenceNumber - uint16(behind)
	if len(b.Data) == 0 || in.seen.unwrap(seq) < in.floor || !in.seen.accept(seq) {
		return
	}
	in.peer.room.sfu.metrics.restored.Inc()
	in.pass(&rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: b.PayloadType, SSRC: carrier.SSRC, SequenceNumber: seq, Timestamp: carrier.Timestamp - b.Offset,
		},
		Payload: b.Data,
	}, arrival.Add(-media.RTPDuration(int64(b.Offset), media.OpusRate)))
}

// pass hands a packet to the publication that it belongs to, which begins or changes with it.
func (in *ingress) pass(packet *rtp.Packet, arrival time.Time) {
	pub := in.current.Load()
	if pub == nil || packet.PayloadType != in.payloadType {
		pub = in.publication(packet.PayloadType, arrival)
	}
	if pub != nil {
		pub.deliver(packet, arrival)
	}
}

// publication finds or begins the publication for a payload type. It is nil for one that nobody can use, and for all but
// the first of several layers of an m-line.
func (in *ingress) publication(payloadType uint8, now time.Time) *Publication {
	codec := in.codec(payloadType)
	if codec == "" || codec.Kind() != in.track.kind {
		in.peer.room.sfu.metrics.broken.Inc()
		return nil
	}
	if pub := in.current.Load(); pub != nil {
		if pub.codec == codec {
			in.payloadType = payloadType
			return pub
		}
		if now.Sub(in.changed) < codecDistance {
			in.peer.room.sfu.metrics.broken.Inc()
			return nil
		}
		in.unpublish()
	}
	// The layers of an m-line are read by goroutines of their own: the first one must be in the room before the next asks.
	in.peer.entering.Lock()
	defer in.peer.entering.Unlock()
	switch {
	case in.track.rid != "" && in.peer.publishesOn(in.track.mid): // a layer beside the one that is taken
		return nil
	case in.peer.publishes() >= maxSending:
		in.peer.room.sfu.metrics.broken.Inc()
		return nil
	}
	in.changed = now
	in.payloadType = payloadType
	return in.publish(codec, now)
}

// codec names the codec of a payload type, "" if it is none of ours. pion knows that of the newest packet; what was in a
// RED packet is looked up.
func (in *ingress) codec(payloadType uint8) media.Codec {
	if newest := in.remote.Codec(); uint8(newest.PayloadType) == payloadType {
		return codecOf(newest.MimeType)
	}
	for _, c := range in.receiver.GetParameters().Codecs {
		if uint8(c.PayloadType) == payloadType {
			return codecOf(c.MimeType)
		}
	}
	return ""
}

func (in *ingress) publish(codec media.Codec, now time.Time) *Publication {
	p := in.peer
	pub := newPublication(p, in.track, codec, uint32(in.remote.SSRC()), in.captureTimeID(), now)
	in.current.Store(pub)
	p.room.publish(pub)
	if f := p.handlers.OnPublication; f != nil {
		p.events.post(func() { f(pub) })
	}
	p.room.announce(pub)
	return pub
}

func (in *ingress) unpublish() {
	pub := in.current.Swap(nil)
	if pub == nil {
		return
	}
	pub.end()
	in.peer.room.unpublish(pub)
	if f := in.peer.handlers.OnUnpublished; f != nil {
		in.peer.events.post(func() { f(pub) })
	}
}

// captureTimeID looks up what the client calls abs-capture-time.
func (in *ingress) captureTimeID() uint8 {
	for _, e := range in.receiver.GetParameters().HeaderExtensions {
		if e.URI == absCaptureTimeURI && e.ID > 0 && e.ID < 256 {
			return uint8(e.ID)
		}
	}
	return 0
}

// publishes counts the publications of the peer.
func (p *Peer) publishes() int {
	n := 0
	for _, pub := range p.room.Publications() {
		if pub.peer == p {
			n++
		}
	}
	return n
}

// publishesOn tells whether a publication from this m-line exists.
func (p *Peer) publishesOn(mid string) bool {
	for _, pub := range p.room.Publications() {
		if pub.peer == p && pub.mid == mid {
			return true
		}
	}
	return false
}

func (p *Peer) onFirstMedia() {
	if f := p.handlers.OnFirstMedia; f != nil {
		p.events.post(f)
	}
}

// readReports passes the publisher's sender reports on until the stream ends.
func (in *ingress) readReports() {
	readRTCP(in.readRTCP, func(packet rtcp.Packet) {
		if sr, ok := packet.(*rtcp.SenderReport); ok {
			in.report(sr)
		}
	})
}

func (in *ingress) readRTCP(buffer []byte) (n int, err error) {
	if in.track.rid != "" {
		n, _, err = in.receiver.ReadSimulcast(buffer, in.track.rid)
	} else {
		n, _, err = in.receiver.Read(buffer)
	}
	return n, err
}

func (in *ingress) report(sr *rtcp.SenderReport) {
	arrival := in.peer.room.sfu.cfg.Now()
	pub := in.current.Load()
	// A report without a time says that the sender knows none (RFC 3550 §6.4.1).
	if pub == nil || sr.SSRC != pub.ssrc || sr.NTPTime == 0 || !in.peer.publishing.Load() {
		return
	}
	pub.report(media.SenderReport{
		SSRC: sr.SSRC, RTP: sr.RTPTime, NTP: fromNTP(sr.NTPTime), Arrival: arrival, RTT: in.peer.rtt(),
	})
}
