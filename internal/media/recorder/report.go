package recorder

import (
	"time"

	"consilium/internal/media"
)

// Report is what a recorder tells about its track. The interface is sealed: Opened, Sealed, Anchored, Gap and
// Discontinuity are all there are.
type Report interface{ report() }

// Opened says that the first whole frame of a new segment is in its file.
type Opened struct{ media.Segment }

// Sealed says that a segment's file and sidecar are complete and synced under their final names.
type Sealed struct {
	media.Segment
	Path string // of the file, <room>/<segment>.ivf.sealed or .ogg.sealed in the recorder's folder
}

// Anchored carries the observations of one SSRC's clock since the last such report. At most one has kind arrival: the
// packet that came with the least delay in that time.
type Anchored struct {
	Track   string
	SSRC    uint32
	Anchors []media.Anchor
}

// Causes of a Gap.
const (
	CauseLoss    = "loss"    // packets did not arrive, or frames could not be decoded without them
	CauseStall   = "stall"   // nothing was sent, or nothing came through
	CauseOverrun = "overrun" // we could not take or write what came
	CauseCorrupt = "corrupt" // what came was no valid media
)

// Gap is a stretch of the track, by arrival on the conference clock, for which there is no media. In an audio segment
// silence stands in its place, so that the time goes on. Holes in audio below 200 ms are not reported but counted.
type Gap struct {
	Track    string
	From, To time.Time
	Cause    string
}

// Discontinuity says that the RTP time of the track and its arrival went apart, for good, between two packets: the
// sender's clock stood still or jumped. A segment never goes across one.
type Discontinuity struct {
	Track               string
	SSRC                uint32
	RTPBefore, RTPAfter int64 // unwrapped
	ArrivalDelta        time.Duration
}

func (Opened) report()        {}
func (Sealed) report()        {}
func (Anchored) report()      {}
func (Gap) report()           {}
func (Discontinuity) report() {}
