package recorder

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// Reasons why segments are opened and closed that the recorder finds itself.
const (
	reasonStarted       = "started"
	reasonRotation      = "rotation"
	reasonSSRC          = "ssrc"
	reasonCodec         = "codec"
	reasonResolution    = "resolution"
	reasonDiscontinuity = "discontinuity"
	reasonSilence       = "silence"
	reasonDisk          = "disk"
	reasonShutdown      = "shutdown" // given by the caller of Close
)

// chain is what follows when packets are in order and on one clock.
type chain interface {
	packet(e entry)                        // the next one
	unwritten(since time.Time)             // the disk did not take what was written since then
	cut(reason, next string, at time.Time) // ends the segment; next is why another will be opened
	close(now time.Time)                   // nothing will come until further notice
}

// stream is what is known of one SSRC. It is kept when the track goes over to another one, so that its RTP time goes on
// when it comes back.
type stream struct {
	ssrc    uint32
	seq     media.Unwrapper[uint16]
	rtp     media.Unwrapper[uint32]
	anchors anchors
	early   []media.SenderReport // came before the first packet
	left    time.Time            // when the track went over to another SSRC
	held    entry                // the last packet before a pause, until the first behind it; without a packet if there is none
}

// pipeline is everything behind the queue. One goroutine owns it; time comes in with the packets and with tick.
type pipeline struct {
	cfg     Config
	track   Track
	report  func(Report)
	logger  *slog.Logger
	metrics *metrics

	streams map[uint32]*stream
	order   reorder
	clock   clockWatch
	out     *output
	chain   chain
	vid     *video // nil for audio

	since     time.Time // nothing that arrived before is written
	paused    bool
	closed    bool
	mendUntil time.Time // once closed: how long what is left is tried again
	lost      entry     // loss before a packet without media, carried over to the next one
	heard     time.Time // arrival of the newest packet with media; zero before the first and behind a silence
	silent    time.Time // since when there is silence, once it has cut the segment; else zero
	overrun   time.Time // since when packets were refused; zero when that was reported
	restarts  restarts
	storm     storm
}

func newPipeline(cfg Config, track Track, ask func(), report func(Report), logger *slog.Logger, m *metrics, bytes *atomic.Int64) *pipeline {
	p := &pipeline{cfg: cfg, track: track, report: report, logger: logger, metrics: m, since: track.Since, streams: map[uint32]*stream{}}
	p.out = &output{
		cfg: cfg, track: track, report: report, logger: logger, metrics: m, bytes: bytes,
		codec: track.Codec, reason: reasonStarted,
	}
	if track.Codec.Kind() == media.Audio {
		p.order.window = cfg.ReorderAudio
		p.chain = &audio{cfg: cfg, track: track, out: p.out, report: report}
		p.out.unwritten = p.chain.unwritten
		return p
	}
	p.order.window = cfg.ReorderVideo
	p.vid = &video{cfg: cfg, track: track, out: p.out, report: report, ask: ask, beat: beatOf(track, cfg.KeyframeAt), frames: assembler{codec: track.Codec}}
	p.chain = p.vid
	p.out.unwritten = p.chain.unwritten
	return p
}

// waits says whether there is nothing to write to yet, nothing that could be written, or something that is held back: what
// comes next decides.
func (p *pipeline) waits() bool {
	return p.out.seg == nil || p.vid != nil && !p.vid.open || len(p.clock.held) > 0
}

// flush hands to the file system what was gathered.
func (p *pipeline) flush(now time.Time) {
	_ = p.out.flush(now) // what fails is logged, and is a gap
}

// packet takes one packet as it came from the network.
func (p *pipeline) packet(pkt *rtp.Packet, at time.Time) {
	if p.paused {
		return
	}
	p.metrics.packets.Inc()
	if at.Before(p.since) {
		p.metrics.dropped(droppedEarly).Inc()
		return
	}
	p.tick(at)
	codec, ok := p.codecOf(pkt)
	if !ok {
		p.metrics.dropped(droppedInvalid).Inc()
		return
	}
	s := p.enter(pkt, at)
	if s == nil {
		p.metrics.dropped(droppedLate).Inc()
		return
	}
	if codec != p.out.codec {
		p.switchCodec(codec, at)
	}
	e := entry{packet: pkt, seq: s.seq.Unwrap(pkt.SequenceNumber), arrival: at}
	if len(pkt.Payload) > 0 && p.order.wants(e.seq) {
		p.hear(at)
	}
	switch p.order.push(e, p.inOrder) {
	case taken:
	case late:
		if p.restarts.seen(e, s) {
			p.restart(e, s)
			return
		}
		p.metrics.dropped(droppedLate).Inc()
	case duplicate:
		p.metrics.dropped(droppedDuplicate).Inc()
	}
}

// codecOf is the codec of a packet; not ok when it is of none that is recorded here.
func (p *pipeline) codecOf(pkt *rtp.Packet) (media.Codec, bool) {
	if p.track.PayloadTypes == nil {
		return p.track.Codec, true
	}
	c, ok := p.track.PayloadTypes[pkt.PayloadType]
	return c, ok && c.Kind() == p.track.Codec.Kind()
}

// maxStreams bounds how many SSRCs of a track are remembered.
const maxStreams = 16

// enter finds the stream of a packet and goes over to it when it is another than before; nil for stragglers of the one
// that was left.
func (p *pipeline) enter(pkt *rtp.Packet, at time.Time) *stream {
	s := p.streams[pkt.SSRC]
	if s != nil && s == p.out.stream {
		return s
	}
	if s != nil && !s.left.IsZero() && at.Sub(s.left) < straggle {
		return nil
	}
	if s == nil {
		s = p.newStream(pkt.SSRC)
	}
	if p.out.stream == nil {
		p.out.stream = s
		p.clock.rate = p.out.codec.ClockRate()
		return s
	}
	p.leave()
	p.chain.cut(reasonSSRC, reasonSSRC, at)
	p.out.anchored(at)
	p.out.stream.left = at
	p.out.stream = s
	p.forget()
	return s
}

// straggle is how long packets of an SSRC that the track has left are late, and not a way back.
const straggle = time.Second

func (p *pipeline) newStream(ssrc uint32) *stream {
	if len(p.streams) >= maxStreams {
		for old, s := range p.streams {
			if s != p.out.stream {
				delete(p.streams, old)
				break
			}
		}
	}
	s := &stream{ssrc: ssrc, anchors: anchors{rate: p.out.codec.ClockRate(), every: p.cfg.AnchorEvery, beat: beatOf(p.track, p.cfg.KeyframeAt)}}
	p.streams[ssrc] = s
	return s
}

func (p *pipeline) switchCodec(c media.Codec, at time.Time) {
	p.leave()
	p.chain.cut(reasonCodec, reasonCodec, at)
	p.out.codec = c
	if p.vid != nil {
		p.vid.frames = assembler{codec: c}
	}
}

// hear notes that media came, and ends a silence.
func (p *pipeline) hear(at time.Time) {
	if !p.silent.IsZero() {
		p.report(Gap{Track: p.track.ID, From: p.silent, To: at, Cause: CauseStall})
		p.silent = time.Time{}
	}
	p.heard = at
}

// leave brings everything that waits to its end.
func (p *pipeline) leave() {
	p.order.flush(p.inOrder)
	p.clock.flush(p.cutClock, p.place)
}

// restart goes on at e although its number lies behind: the sender began anew.
func (p *pipeline) restart(e entry, s *stream) {
	p.order.flush(p.inOrder)
	e.seq = s.seq.Restart(e.packet.SequenceNumber)
	p.order.restart()
	p.restarts = restarts{}
	e.lost, e.cause = 1, CauseLoss
	p.order.push(e, p.inOrder)
}

// inOrder takes packets as they were sent, with the holes noted.
func (p *pipeline) inOrder(e entry) {
	s := p.out.stream
	if e.lost > 0 {
		p.metrics.lost.Add(float64(e.lost))
		p.lost.lost, p.lost.cause = p.lost.lost+e.lost, e.cause
	}
	if !p.overrun.IsZero() && e.cause == CauseOverrun {
		p.endOverrun(e.arrival)
	}
	if len(e.packet.Payload) == 0 {
		return // padding has its number, and nothing else
	}
	e.lost, e.cause = p.lost.lost, p.lost.cause
	p.lost = entry{}
	began := !s.rtp.Started()
	e.rtp = s.rtp.Unwrap(e.packet.Timestamp)
	if began {
		for _, sr := range s.early {
			s.anchors.senderReport(sr, s.rtp.Near(sr.RTP))
		}
		s.early = nil
	}
	s.anchors.packet(e)
	if id := p.track.CaptureTimeID; id != 0 {
		s.anchors.captureTime(e, e.packet.GetExtension(id))
	}
	p.cutPause(s, e)
	p.clock.push(e, p.cutClock, p.place)
}

// cutPause reports a clock that stood still or jumped while nothing was recorded.
func (p *pipeline) cutPause(s *stream, e entry) {
	before := s.held
	s.held = entry{}
	if before.packet == nil {
		return
	}
	delta, apart := parted(before, e, p.out.codec.ClockRate())
	if !apart {
		return
	}
	p.report(Discontinuity{
		Track: p.track.ID, SSRC: s.ssrc, RTPBefore: before.rtp, RTPAfter: e.rtp, ArrivalDelta: e.arrival.Sub(before.arrival),
	})
	if delta > 0 && e.arrival.Sub(p.since) > stepLimit { // it stood still for longer than the pause
		p.report(Gap{Track: p.track.ID, From: p.since, To: e.arrival, Cause: CauseStall})
	}
}

// place gives a packet to the chain, unless the track has opened too many segments of late to open one for it.
func (p *pipeline) place(e entry) {
	if p.out.seg == nil && !p.out.budget.left(e.arrival) {
		p.metrics.dropped(droppedStorm).Inc()
		if p.storm.since.IsZero() {
			p.storm.since = e.arrival
			p.logger.Warn("a track changes too often to be recorded", "track", p.track.ID)
		}
		if p.vid != nil {
			p.vid.lose(e.arrival, CauseCorrupt)
		}
		return
	}
	p.endStorm(e)
	p.chain.packet(e)
}

// endStorm reports what was dropped before e, and how the sender's clock stands to what was before that.
func (p *pipeline) endStorm(e entry) {
	s := p.storm
	p.storm = storm{}
	if s.parted {
		p.report(Discontinuity{
			Track: p.track.ID, SSRC: p.out.stream.ssrc, RTPBefore: s.before.rtp, RTPAfter: e.rtp,
			ArrivalDelta: e.arrival.Sub(s.before.arrival),
		})
	}
	if !s.since.IsZero() && p.vid == nil { // video does so itself when it has a keyframe again
		p.report(Gap{Track: p.track.ID, From: s.since, To: e.arrival, Cause: CauseCorrupt})
	}
}

// cutClock ends the segment between two packets of different clocks.
func (p *pipeline) cutClock(before, after entry) {
	delta, apart := parted(before, after, p.clock.rate)
	apart = apart || after.rtp < before.rtp
	if !apart && p.out.seg == nil {
		return // both went on while there was silence, which ended the segment
	}
	if !p.out.budget.take(after.arrival) {
		if apart && !p.storm.parted {
			p.storm.parted, p.storm.before = true, before
		}
		p.chain.cut(reasonDiscontinuity, reasonDiscontinuity, after.arrival)
		return
	}
	if apart {
		p.report(Discontinuity{
			Track: p.track.ID, SSRC: p.out.stream.ssrc, RTPBefore: before.rtp, RTPAfter: after.rtp,
			ArrivalDelta: after.arrival.Sub(before.arrival),
		})
	}
	switch {
	case p.out.seg == nil: // the silence was reported
	case apart && delta > 0:
		p.report(Gap{Track: p.track.ID, From: before.arrival, To: after.arrival, Cause: CauseStall})
	case after.lost > 0 && (after.cause != CauseOverrun || p.vid != nil): // audio's overrun was reported
		p.report(Gap{Track: p.track.ID, From: before.arrival, To: after.arrival, Cause: after.cause})
	}
	p.chain.cut(reasonDiscontinuity, reasonDiscontinuity, after.arrival)
}

// senderReport takes a sender report of any SSRC of the track.
func (p *pipeline) senderReport(sr media.SenderReport) {
	if p.paused {
		return
	}
	s := p.streams[sr.SSRC]
	if s == nil {
		s = p.newStream(sr.SSRC)
	}
	if !s.rtp.Started() {
		if len(s.early) < firstReports {
			s.early = append(s.early, sr)
		}
		return
	}
	s.anchors.senderReport(sr, s.rtp.Near(sr.RTP))
}

// overran notes that packets were refused because we did not keep up.
func (p *pipeline) overran(o overrun) {
	if p.paused {
		return
	}
	p.metrics.dropped(droppedOverrun).Add(float64(o.packets))
	p.logger.Error("recorder does not keep up", "track", p.track.ID, "packets", o.packets)
	p.order.flush(p.inOrder)
	p.order.skip = p.order.started
	if p.overrun.IsZero() {
		p.overrun = o.from
	}
	p.heard = o.to
}

// endOverrun reports the time in which packets were refused. Video does so itself when it has a keyframe again.
func (p *pipeline) endOverrun(now time.Time) {
	if !p.overrun.IsZero() && p.vid == nil {
		p.report(Gap{Track: p.track.ID, From: p.overrun, To: now, Cause: CauseOverrun})
	}
	p.overrun = time.Time{}
}

func (p *pipeline) pause(reason string, now time.Time) {
	if p.paused {
		return
	}
	p.leave()
	if p.clock.have {
		p.out.stream.held = p.clock.last
	}
	p.end(reason, "resumed", now)
	p.paused = true
}

func (p *pipeline) resume(reason string, now time.Time) {
	if p.paused {
		p.paused, p.out.reason, p.since = false, reason, now
	}
}

// end writes what is there, seals it, and forgets where the packets were.
func (p *pipeline) end(reason, next string, now time.Time) {
	p.leave()
	p.endOverrun(now)
	if since := p.storm.since; !since.IsZero() && p.vid == nil {
		p.report(Gap{Track: p.track.ID, From: since, To: now, Cause: CauseCorrupt})
	}
	p.storm = storm{}
	p.chain.cut(reason, next, now)
	p.chain.close(now)
	p.forget()
	p.heard, p.silent = time.Time{}, time.Time{}
}

// forget makes the next packet the first one of its clock.
func (p *pipeline) forget() {
	p.order.restart()
	p.clock = clockWatch{rate: p.out.codec.ClockRate()}
	p.restarts, p.lost = restarts{}, entry{}
}

func (p *pipeline) close(reason string, now time.Time) {
	p.end(reason, reason, now)
	if p.out.stream != nil {
		p.out.anchored(now)
	}
	p.closed = true
	if reason != reasonShutdown { // the next process finds at its start what this one leaves
		p.mendUntil = now.Add(mendAtEnd)
	}
}

// tick does what is due at now.
func (p *pipeline) tick(now time.Time) {
	p.out.now = now
	p.out.mend(now)
	p.order.expire(now, p.inOrder)
	p.clock.expire(now, p.cutClock, p.place)
	if !p.heard.IsZero() && now.Sub(p.heard) > p.cfg.Silence {
		p.leave()
		p.chain.cut(reasonSilence, reasonSilence, now)
		p.silent, p.heard = p.heard, time.Time{}
	}
	if s := p.out.stream; s != nil && !p.paused {
		if due := s.anchors.deadline(); !due.IsZero() && !now.Before(due) {
			p.out.anchored(now)
		}
	}
}

// deadline is when tick has something to do next; zero if nothing waits.
func (p *pipeline) deadline() time.Time {
	var next time.Time
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	soonest(p.order.deadline())
	soonest(p.out.mendDeadline())
	soonest(p.clock.deadline())
	if !p.heard.IsZero() {
		soonest(p.heard.Add(p.cfg.Silence + time.Nanosecond))
	}
	if s := p.out.stream; s != nil && !p.paused {
		soonest(s.anchors.deadline())
	}
	return next
}

// restarts notices a sender that began anew with lower sequence numbers: several packets in a row, each one after the
// other, that are newer than all before by their RTP time. Late packets and duplicates are older.
type restarts struct {
	next int64
	run  int
}

// restartRun is how many packets in a row make a restart. All but the last of them are lost.
const restartRun = 4

func (r *restarts) seen(e entry, s *stream) bool {
	if s.rtp.Near(e.packet.Timestamp) <= s.rtp.Newest() || r.run > 0 && e.seq != r.next {
		r.run = 0
		return false
	}
	r.next = e.seq + 1
	r.run++
	return r.run >= restartRun
}
