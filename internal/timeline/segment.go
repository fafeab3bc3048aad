package timeline

import (
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// segment is a segment as the events tell.
type segment struct {
	id        string
	track     *track // nil until segment.opened
	seq       uint64 // of segment.opened
	at        time.Time
	opened    events.SegmentOpened
	sealed    *events.SegmentSealed // by segment.sealed or segment.recovered; the first one counts
	recovered bool
	stored    *events.SegmentStored
	lost      Cause // named by consultation.completed or because its data make no sense; empty otherwise
}

// Reasons of segment.sealed that a timeline knows.
const (
	sealedRecovered = "recovered" // by a process that found no time to say so in an event of its own
	sealedMuted     = "muted"
	sealedPaused    = "paused"
	sealedConsent   = "consent"
	sealedDisk      = "disk"
)

func (g *segment) seal(e events.SegmentSealed) {
	if g.sealed == nil {
		g.sealed = &e
		g.recovered = g.recovered || e.Reason == sealedRecovered
	}
}

func (g *segment) store(e events.SegmentStored) {
	g.stored, g.lost = &e, ""
}

func (g *segment) codec() media.Codec { return media.Codec(g.opened.Codec) }

// clockRate is the RTP clock in Hz: what the event says if that can be, else what the codec has.
func (g *segment) clockRate() uint32 {
	if r := g.opened.ClockRate; r >= 8000 && r <= 192000 {
		return r
	}
	return g.codec().ClockRate()
}

// maxSegment bounds the media time of one file. They rotate after half a minute; more than this is nonsense.
const maxSegment = 24 * int64(time.Hour)

// fault says why the segment cannot become a clip; empty when it can.
func (g *segment) fault() Cause {
	switch {
	case g.lost != "":
		return g.lost
	case g.stored == nil || g.stored.SHA256 == "":
		return Missing
	case g.sealed == nil || !g.plausible():
		return Corrupt
	case g.sealed.SHA256 != "" && g.sealed.SHA256 != g.stored.SHA256:
		return Corrupt
	case g.sealed.Bytes != 0 && g.sealed.Bytes != g.stored.Bytes:
		return Corrupt
	}
	return ""
}

func (g *segment) plausible() bool {
	return g.sealed.Frames > 0 && g.sealed.LastRTP >= g.opened.FirstRTP && g.ticksNS(g.sealed.LastRTP) <= maxSegment
}

// ticksNS is the file time of the RTP time rtp in nanoseconds, by the nominal clock.
func (g *segment) ticksNS(rtp int64) int64 {
	return round(ticks(g.opened.FirstRTP, rtp, g.clockRate()))
}

// Bounds of a frame's duration: what one frame is taken to last when the file tells nothing or nonsense.
const (
	defaultFrame = int64(time.Second) / 30
	minFrame     = int64(time.Second) / 120
	maxFrame     = int64(time.Second) / 5
	packet       = 20 * int64(time.Millisecond) // of Opus
)

// frameNS is how long the last frame stands: the mean distance of the file's frames, or one audio packet.
func (g *segment) frameNS() int64 {
	if g.codec().Kind() == media.Audio {
		return packet
	}
	if g.sealed == nil || g.sealed.Frames < 2 || !g.plausible() {
		return defaultFrame
	}
	return min(max(g.ticksNS(g.sealed.LastRTP)/(g.sealed.Frames-1), minFrame), maxFrame)
}

// contentNS is the length of the file in its own time; 0 while it is unknown.
func (g *segment) contentNS() int64 {
	if g.sealed == nil || !g.plausible() {
		return 0
	}
	last := g.ticksNS(g.sealed.LastRTP)
	if g.codec().Kind() == media.Video {
		return last + g.frameNS()
	}
	if end := g.ticksNS(g.sealed.EndRTP); end > last && end <= maxSegment {
		return end
	}
	return last + packet
}

// endRTP is the RTP time behind the content of an audio segment.
func (g *segment) endRTP() int64 {
	if g.sealed.EndRTP > g.sealed.LastRTP {
		return g.sealed.EndRTP
	}
	return g.sealed.LastRTP + int64(g.clockRate())*packet/int64(time.Second)
}
