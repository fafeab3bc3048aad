package recorder

import (
	"time"

	"consilium/internal/media"
)

// audio writes Opus packets so that the place of each in the file is its RTP time: what is missing before it, lost or
// never sent (DTX), is filled with silent packets. A difference below 2.5 ms, the shortest silence there is, stays until it
// has grown.
type audio struct {
	cfg    Config
	track  Track
	out    *output
	report func(Report)
	pos    int64     // RTP time at the end of what is written
	placed bool      // pos is known
	failed time.Time // since when nothing could be written; zero when that works
}

func (a *audio) packet(e entry) {
	samples, err := media.OpusDuration(e.packet.Payload)
	if err != nil {
		a.out.metrics.dropped(droppedInvalid).Inc()
		return
	}
	if !a.placed {
		a.pos, a.placed = e.rtp, true
	}
	if a.pos-e.rtp >= media.OpusSilenceShortest {
		a.out.metrics.dropped(droppedOverlap).Inc()
		return
	}
	if a.out.seg != nil {
		a.fill(e)
	}
	if seg := a.out.seg; seg != nil && media.RTPDuration(e.rtp-seg.FirstRTP, seg.ClockRate) >= a.cfg.Rotate {
		a.out.seal(e.arrival, reasonRotation, reasonRotation)
	}
	if a.out.seg == nil {
		a.pos = e.rtp
	}
	a.write(e.packet.Payload, samples, e.arrival)
}

// fill writes silence up to the RTP time of e and reports a hole that is long enough to be heard.
func (a *audio) fill(e entry) {
	missing := e.rtp - a.pos
	why := filledDTX
	if e.lost > 0 {
		why = filledLoss
	}
	for {
		packet, n := media.OpusSilence(e.rtp - a.pos)
		if packet == nil || a.out.seg == nil {
			break
		}
		a.write(packet, n, e.arrival)
		a.out.metrics.filled(why).Add(float64(n) / media.OpusRate)
	}
	if hole := media.RTPDuration(missing, media.OpusRate); e.cause == CauseLoss && hole >= a.cfg.AudioGap {
		a.report(Gap{Track: a.track.ID, From: e.arrival.Add(-hole), To: e.arrival, Cause: e.cause})
	}
}

func (a *audio) write(payload []byte, samples int, arrival time.Time) {
	err := a.out.write(frame{rtp: a.pos, arrival: arrival, payload: payload, samples: samples})
	a.pos += int64(samples)
	switch {
	case err == nil:
		a.close(arrival)
	case a.failed.IsZero():
		a.failed = arrival
	}
}

func (a *audio) cut(reason, next string, now time.Time) {
	a.out.seal(now, reason, next)
	a.placed = false
}

// unwritten takes back what the disk did not take in the end.
func (a *audio) unwritten(since time.Time) {
	if a.failed.IsZero() || since.Before(a.failed) {
		a.failed = since
	}
}

// close reports the time in which nothing could be written.
func (a *audio) close(now time.Time) {
	if !a.failed.IsZero() {
		a.report(Gap{Track: a.track.ID, From: a.failed, To: now, Cause: CauseOverrun})
		a.failed = time.Time{}
	}
}
