package timeline

import (
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// track is a track as the events tell.
type track struct {
	id         string
	owner      *person // nil until an event names one; such a track is not shown
	connection *connection
	kind       media.Kind
	source     media.Source
	startedAt  time.Time // zero when no track.started was seen
	endedAt    time.Time // zero while it lives
	endReason  string    // of track.ended, empty when the end is implied
	hostLost   bool      // a new process took over while it lived
	mute       gate
	stalls     []stretch
	gaps       []events.SegmentGap
	segments   []*segment // as opened
	clocks     map[uint32]*clock
	ssrcs      []uint32 // the keys of clocks as first seen
	cuts       []cut    // where the sender's RTP clock froze or jumped
}

// stretch is a stretch on the conference clock; to is zero while it lasts.
type stretch struct {
	from, to time.Time
}

// cut separates two epochs of a track's RTP clocks: anchors and segments that arrived at or after at are of the next one.
// It becomes known by two events in either order.
type cut struct {
	at      time.Time
	told    bool // by segment.discontinuity
	resumed bool // by the segment that begins behind it
}

func (t *track) start(at time.Time, e events.TrackStarted, c *connection) {
	if t.startedAt.IsZero() {
		t.startedAt = at
	}
	t.endedAt, t.endReason, t.hostLost = time.Time{}, "", false
	t.connection = c
	t.kind, t.source = media.Kind(e.Kind), media.Source(e.Source)
	if t.kind != media.Audio && t.kind != media.Video {
		t.kind = media.Codec(e.Codec).Kind()
	}
}

func (t *track) end(at time.Time, reason string) {
	t.endReason = reason
	t.endImplied(at)
}

// endImplied ends the track where its connection, its owner's presence, its process or the consultation ended. The first
// end counts.
func (t *track) endImplied(at time.Time) {
	if t.endedAt.IsZero() {
		t.endedAt = at
	}
}

func (t *track) stall(at time.Time, afterMS int64) {
	t.stalls = append(t.stalls, stretch{from: at.Add(-millis(afterMS))})
}

func (t *track) resume(at time.Time, afterMS int64) {
	if n := len(t.stalls); n > 0 && t.stalls[n-1].to.IsZero() {
		t.stalls[n-1].to = at
		return
	}
	t.stalls = append(t.stalls, stretch{from: at.Add(-millis(afterMS)), to: at})
}

// millis is ms as a duration, bounded so that nonsense cannot overflow.
func millis(ms int64) time.Duration {
	const limit = int64(maxSpan / time.Millisecond)
	return time.Duration(min(max(ms, 0), limit)) * time.Millisecond
}

func (t *track) clock(ssrc uint32) *clock {
	c := t.clocks[ssrc]
	if c == nil {
		c = &clock{}
		t.clocks[ssrc] = c
		t.ssrcs = append(t.ssrcs, ssrc)
	}
	return c
}

// reopenSlack is how long after the end of a track a segment of it may still begin without reviving it: events of one
// track are in order, but the last packets of a closing track are not.
const reopenSlack = time.Second

func (t *track) open(g *segment, ev events.Stored, e events.SegmentOpened) {
	g.track, g.opened, g.seq, g.at = t, e, ev.Seq, ev.Time
	t.segments = append(t.segments, g)
	t.clock(e.SSRC)
	if t.kind == "" {
		t.kind = media.Codec(e.Codec).Kind()
	}
	if t.endReason == "" && !t.endedAt.IsZero() && e.Arrival.Sub(t.endedAt) > reopenSlack {
		t.endedAt, t.hostLost = time.Time{}, false
	}
	t.resumeCut(e)
}

// reasonDiscontinuity is the segment.opened reason that belongs to a segment.discontinuity.
const reasonDiscontinuity = "discontinuity"

// tellCut is segment.discontinuity.
func (t *track) tellCut(at time.Time) {
	if n := len(t.cuts); n > 0 && !t.cuts[n-1].told {
		t.cuts[n-1].told = true
		t.cuts[n-1].at = earlier(t.cuts[n-1].at, at)
		return
	}
	t.cuts = append(t.cuts, cut{at: at, told: true})
}

// resumeCut is the first segment after a discontinuity.
func (t *track) resumeCut(e events.SegmentOpened) {
	switch n := len(t.cuts); {
	case n > 0 && !t.cuts[n-1].resumed:
		t.cuts[n-1].resumed = true
		t.cuts[n-1].at = earlier(t.cuts[n-1].at, e.Arrival)
	case e.Reason == reasonDiscontinuity:
		t.cuts = append(t.cuts, cut{at: e.Arrival, resumed: true})
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
