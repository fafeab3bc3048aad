package recorder

import (
	"errors"
	"time"

	"consilium/internal/media"
)

// video writes whole frames of one codec. After anything that is missing the key gate is closed: until the next keyframe
// nothing is written, because nothing could be decoded.
type video struct {
	cfg    Config
	track  Track
	out    *output
	report func(Report)
	ask    func() // for a keyframe
	beat   beat
	frames assembler

	open     bool      // the key gate
	written  time.Time // arrival of the frame written last; zero before the first one and behind a cut
	gapFrom  time.Time // since when media is missing; zero if none is
	gapCause string
	asked    time.Time // when a keyframe was asked for last
}

func (v *video) packet(e entry) {
	if e.lost > 0 {
		v.lose(e.arrival, e.cause)
	}
	f, what := v.frames.push(e)
	switch what {
	case partOfFrame:
	case brokenFrame:
		v.out.metrics.dropped(droppedInvalid).Inc()
		v.lose(e.arrival, CauseCorrupt)
	case strayPacket:
		v.lose(e.arrival, CauseLoss)
	case wholeFrame:
		v.frame(f)
	}
}

// lose closes the key gate.
func (v *video) lose(at time.Time, cause string) {
	v.frames.reset()
	v.open = false
	if v.gapFrom.IsZero() {
		v.gapFrom, v.gapCause = at, cause
		if !v.written.IsZero() {
			v.gapFrom = v.written
		}
	}
	v.wantKeyframe(v.cfg.KeyframeEvery)
}

// unwritten takes back what the disk did not take in the end. What it failed at may have been written long ago, or may
// be the frame that is being written.
func (v *video) unwritten(since time.Time) {
	v.lose(since, CauseOverrun)
	if since.Before(v.gapFrom) {
		v.gapFrom, v.gapCause = since, CauseOverrun
	}
}

// wantKeyframe asks the sender for a keyframe, unless it was asked less than apart ago.
func (v *video) wantKeyframe(apart time.Duration) {
	if now := v.out.now; v.asked.IsZero() || now.Sub(v.asked) >= apart {
		v.asked = now
		v.out.metrics.keyframes.Inc()
		v.ask()
	}
}

func (v *video) frame(f frame) {
	switch {
	case f.key && (f.width == 0 || f.height == 0 || f.width*f.height > media.MaxPixels):
		v.out.metrics.dropped(droppedInvalid).Inc()
		v.lose(f.arrival, CauseCorrupt)
		return
	case !v.open && !f.key:
		v.lose(f.arrival, CauseLoss)
		return
	}
	if !v.rotate(f) {
		return
	}
	if err := v.out.write(f); err != nil {
		cause := CauseOverrun
		if errors.Is(err, errTooMany) {
			cause = CauseCorrupt
		}
		v.lose(f.arrival, cause)
		return
	}
	v.open = true
	v.endGap(f.arrival)
	v.written = f.arrival
}

// rotate closes the open segment before a frame that must not be in it. It returns false when f cannot be written.
func (v *video) rotate(f frame) bool {
	seg := v.out.seg
	if seg == nil {
		return true
	}
	age := media.RTPDuration(f.rtp-seg.FirstRTP, seg.ClockRate)
	due := age >= v.beat.cut(seg.Arrival)
	switch {
	case f.key && (f.width != seg.Width || f.height != seg.Height):
		v.out.seal(f.arrival, reasonResolution, reasonResolution)
	case f.key && due:
		v.out.seal(f.arrival, reasonRotation, reasonRotation)
	case f.rtp <= seg.LastRTP:
		v.lose(f.arrival, CauseCorrupt)
		return false
	case age >= v.cfg.HardCut:
		v.out.seal(f.arrival, reasonRotation, reasonRotation)
		v.lose(f.arrival, CauseLoss)
		return false
	case due:
		v.wantKeyframe(v.cfg.RotateEvery)
	}
	return true
}

// endGap reports what was missing until now.
func (v *video) endGap(now time.Time) {
	if v.gapFrom.IsZero() {
		return
	}
	if now.After(v.gapFrom) {
		v.report(Gap{Track: v.track.ID, From: v.gapFrom, To: now, Cause: v.gapCause})
	}
	v.gapFrom = time.Time{}
}

// cut ends the segment; the next one begins at a keyframe, which is asked for when packets come.
func (v *video) cut(reason, next string, now time.Time) {
	v.out.seal(now, reason, next)
	v.frames.reset()
	v.open, v.written = false, time.Time{}
}

// close ends a gap that is still open.
func (v *video) close(now time.Time) {
	v.endGap(now)
}
