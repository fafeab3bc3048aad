package recorder

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"consilium/internal/media"
)

// output turns the frames of a track into segment files, one open at a time, and tells what became of them. A failing
// disk ends the segment; a new one is tried a second later.
type output struct {
	cfg     Config
	track   Track
	report  func(Report)
	logger  *slog.Logger
	metrics *metrics
	bytes   *atomic.Int64

	later     func(func(*pipeline)) // has something done by the recorder's goroutine; nil where there is none
	unwritten func(since time.Time) // is told that the disk did not take what was written since then

	now     time.Time // of what is being done; packets that waited are older
	stream  *stream   // whose frames come
	codec   media.Codec
	reason  string // why the next segment is opened
	seg     *segment
	retryAt time.Time // after a failure: when to try again
	left    []leftover
	mendAt  time.Time // when to try what is left
	budget  budget    // of segments to open
}

// errTooMany says that a frame was not written because the track has opened too many segments of late.
var errTooMany = errors.New("too many segments of late")

// errNoDisk says that a frame was not written because the disk failed a moment ago.
var errNoDisk = errors.New("the disk failed a moment ago")

// write appends a frame to the open segment, or opens one with it.
func (o *output) write(f frame) error {
	if o.seg == nil {
		return o.open(f)
	}
	if err := o.seg.write(f); err != nil {
		o.fail("write segment", err, f.arrival)
		return err
	}
	if o.seg.out.full() {
		return o.flush(f.arrival)
	}
	return nil
}

// flush hands to the file system what was gathered since the last time, and says once that the segment is open.
func (o *output) flush(now time.Time) error {
	if o.seg == nil || o.seg.out.waiting() == 0 {
		return nil
	}
	if err := o.seg.flush(); err != nil {
		o.fail("write segment", err, now)
		return err
	}
	o.landed()
	return nil
}

// landed counts what is in the file.
func (o *output) landed() {
	seg := o.seg
	o.metrics.frames.Add(float64(seg.Frames - seg.counted))
	seg.counted = seg.Frames
	if o.cfg.Syncer != nil {
		o.cfg.Syncer.grew(seg.growing)
	}
	if !seg.opened && seg.landed() {
		seg.opened = true
		o.report(Opened{seg.Segment})
	}
}

func (o *output) open(f frame) error {
	if f.arrival.Before(o.retryAt) {
		return errNoDisk
	}
	if o.reason != reasonRotation && !o.budget.take(f.arrival) {
		return errTooMany
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	seg, err := openSegment(o.cfg.Dir, media.Segment{
		ID: id.String(), Room: o.track.Room, Owner: o.track.Owner, Track: o.track.ID,
		Connection: o.track.Connection, Source: o.track.Source,
		SSRC: o.stream.ssrc, Codec: o.codec, ClockRate: o.codec.ClockRate(),
		FirstRTP: f.rtp, LastRTP: f.rtp, EndRTP: f.rtp + int64(f.samples), Arrival: f.arrival,
		Width: f.width, Height: f.height, OpenReason: o.reason,
	}, f)
	if err != nil {
		o.fail("open segment", err, f.arrival)
		return err
	}
	o.seg = seg
	seg.durable = &durable{bytes: o.bytes, metrics: o.metrics}
	seg.growing = &growing{file: seg.file, synced: func(length int64, took time.Duration, err error) {
		o.synced(seg, length, took, err)
	}}
	o.landed()
	return nil
}

// seal closes the open segment, if there is one. next is why another one will be opened.
func (o *output) seal(now time.Time, reason, next string) {
	o.reason = next
	if o.seg == nil {
		return
	}
	seg := o.seg
	o.seg = nil
	if !o.stream.anchors.first {
		o.anchored(now)
	}
	seg.CloseReason = reason
	seg.Anchors = o.stream.anchors.known()
	path, err := seg.seal()
	if err != nil {
		o.failed("seal segment", err, now)
		if seg.out.err != nil {
			o.unwritten(seg.written)
		}
		if seg.Segment, path, err = salvage(seg.Segment, seg.dir); err != nil {
			o.failed("salvage segment", err, now)
			o.leave(seg)
			return
		}
		if seg.Frames == 0 {
			return
		}
	}
	o.metrics.frames.Add(float64(max(0, seg.Frames-seg.counted)))
	o.sealed(seg.Segment, path, seg.opened, seg.durable)
}

// sealed tells of a segment that is complete.
func (o *output) sealed(s media.Segment, path string, opened bool, d *durable) {
	if !opened {
		o.report(Opened{s})
	}
	d.reached(s.Bytes)
	o.metrics.segments(s.CloseReason).Inc()
	o.report(Sealed{Segment: s, Path: path})
}

// anchored gives out a batch of anchors, unless there are none.
func (o *output) anchored(now time.Time) {
	if batch := o.stream.anchors.batch(now); len(batch) > 0 {
		o.report(Anchored{Track: o.track.ID, SSRC: o.stream.ssrc, Anchors: batch})
	}
}

// synced takes what the Syncer says about a segment, from its goroutine.
func (o *output) synced(seg *segment, length int64, took time.Duration, err error) {
	if err == nil {
		o.metrics.syncs.Observe(took.Seconds())
		seg.durable.reached(length)
		return
	}
	if o.later == nil {
		return
	}
	o.later(func(p *pipeline) {
		if p.out.seg == seg { // otherwise it was sealed, and synced for that, or has failed already
			p.out.fail("sync segment", err, p.out.now)
		}
	})
}

// durable counts the bytes of one segment that would survive a loss of power.
type durable struct {
	bytes   *atomic.Int64 // of all segments of the recorder
	metrics *metrics

	mu      sync.Mutex // guards counted
	counted int64
}

// reached says that the first n bytes are durable.
func (d *durable) reached(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > d.counted {
		d.metrics.bytes.Add(float64(n - d.counted))
		d.bytes.Add(n - d.counted)
		d.counted = n
	}
}

// fail ends a segment that cannot be written. Its whole frames are sealed if that works now; if not, it is left for later.
func (o *output) fail(step string, err error, now time.Time) {
	o.failed(step, err, now)
	o.seal(now, reasonDisk, reasonDisk)
}

func (o *output) failed(step string, err error, now time.Time) {
	o.metrics.failures.Inc()
	o.retryAt = now.Add(diskRetry)
	o.logger.Error("recording failed", "step", step, "track", o.track.ID, "error", err)
}

// diskRetry is how long nothing is tried after the disk failed.
const diskRetry = time.Second
