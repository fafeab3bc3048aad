// Package recorder turns the packets of one track into segment files, each complete and synced before it is named.
//
// In come RTP packets and sender reports, as the network gave them: late, twice, out of order. Out go IVF and Ogg files
// with a sidecar each, and reports: what was opened and sealed, what is missing and why, what was seen of the sender's
// clock. The place of a frame in its file is its RTP time; nothing is decided here about any other clock. The package never
// decodes, knows nothing of consultations, and never makes the caller wait for the disk. docs/segment-format.md
// describes the files.
package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/media"
)

// Config of a Recorder. Dir is needed; the zero value of everything else means its default.
type Config struct {
	Dir string // folder of the segments; each room has a folder in it

	Rotate        time.Duration // audio is cut after this time of RTP; default 30 s
	KeyframeAt    time.Duration // from this age on, or up to a seventh later, a keyframe is asked for and video cut at the next one; default 5/6 of Rotate
	HardCut       time.Duration // video is cut without a keyframe and waits for one; default 4/3 of Rotate
	RotateEvery   time.Duration // between requests for the keyframe to cut at; default 2 s
	KeyframeEvery time.Duration // between requests for a keyframe after a loss; default 500 ms
	ReorderVideo  time.Duration // how long a missing packet is waited for; default 600 ms
	ReorderAudio  time.Duration // the same for audio; default 200 ms
	AudioGap      time.Duration // holes in audio below are filled and counted, but not reported; default 200 ms
	Silence       time.Duration // a segment is sealed when no packet came for this long; default 2 s
	AnchorEvery   time.Duration // between batches of anchors; default 15 s
	Sync          time.Duration // between syncs of open files, where Syncer is nil; default 1 s
	Queue         int           // packets that may wait for the recorder's goroutine; default 2048

	// Syncer makes open files durable. Recorders that write to one disk should share one; nil: the recorder has its own.
	Syncer *Syncer

	Now        func() time.Time      // the clock of all arrivals; default time.Now
	Registerer prometheus.Registerer // nil: metrics are counted and shown nowhere
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Rotate, 30*time.Second)
	set(&c.KeyframeAt, c.Rotate*5/6)
	set(&c.HardCut, c.Rotate*4/3)
	set(&c.RotateEvery, 2*time.Second)
	set(&c.KeyframeEvery, 500*time.Millisecond)
	set(&c.ReorderVideo, 600*time.Millisecond)
	set(&c.ReorderAudio, 200*time.Millisecond)
	set(&c.AudioGap, 200*time.Millisecond)
	set(&c.Silence, 2*time.Second)
	set(&c.AnchorEvery, 15*time.Second)
	set(&c.Sync, time.Second)
	if c.Queue == 0 {
		c.Queue = 2048
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Track is what is recorded. Room, Owner and ID are opaque; Room becomes a folder name.
type Track struct {
	Room, Owner, ID string
	Connection      string       // that the track came over, opaque
	Source          media.Source // what the track shows
	Codec           media.Codec
	// PayloadTypes names the codec of each RTP payload type, where it may change in mid-call; packets of other types are
	// dropped. Nil means that every packet is of Codec.
	PayloadTypes map[uint8]media.Codec
	// CaptureTimeID is the id of the abs-capture-time header extension, 0 if it was not negotiated.
	CaptureTimeID uint8
	// Since is when recording was allowed. Packets that arrived before are never written; what was lost before and comes
	// later, as redundancy of a packet behind it, carries an arrival from then.
	Since time.Time
}

// Recorder records one track. RTP and SenderReport are for the one goroutine that reads the track; the other methods may be
// called from anywhere. Close ends its goroutine.
type Recorder struct {
	queue  *queue
	now    func() time.Time
	syncer *Syncer // its own, or nil
	held   atomic.Bool
	bytes  atomic.Int64
	done   chan struct{} // closed by the goroutine when it ends
}

// New starts a recorder. Nothing is written before a whole frame is there.
//
// requestKeyframe asks the sender for a keyframe; report takes what happened, in order. Both are called from the recorder's
// goroutine and must not wait for anything that waits for the recorder. report is not called after Close has returned.
func New(cfg Config, track Track, requestKeyframe func(), report func(Report), logger *slog.Logger) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := check(cfg, track); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	if requestKeyframe == nil || report == nil || logger == nil {
		return nil, errors.New("recorder: requestKeyframe, report or logger is missing")
	}
	m, err := newMetrics(cfg.Registerer, track.Codec.Kind())
	if err != nil {
		return nil, fmt.Errorf("recorder: register metrics: %w", err)
	}
	r := &Recorder{queue: newQueue(cfg.Queue), now: cfg.Now, done: make(chan struct{})}
	if cfg.Syncer == nil {
		r.syncer = NewSyncer(cfg.Sync)
		cfg.Syncer = r.syncer
	}
	p := newPipeline(cfg, track, requestKeyframe, report, logger, m, &r.bytes)
	p.out.later = func(do func(*pipeline)) { r.queue.order(do, false) }
	go r.run(p)
	return r, nil
}

// maxName is how long the name of a folder may be, in bytes, on every file system.
const maxName = 255

func check(cfg Config, track Track) error {
	switch {
	case cfg.Dir == "":
		return errors.New("no Config.Dir")
	case cfg.KeyframeAt > cfg.HardCut:
		return fmt.Errorf("asks for a keyframe at %v, behind the hard cut at %v", cfg.KeyframeAt, cfg.HardCut)
	case track.ID == "":
		return errors.New("no Track.ID")
	case track.Room == "" || len(track.Room) > maxName || strings.HasPrefix(track.Room, ".") || strings.ContainsAny(track.Room, "/\\\x00"):
		return fmt.Errorf("room %q cannot be a folder", track.Room)
	}
	switch track.Codec {
	case media.VP8, media.VP9, media.AV1, media.H264, media.Opus:
		return nil
	}
	return fmt.Errorf("codec %q cannot be recorded", track.Codec)
}

// RTP takes one packet that came at arrival. It keeps p and never blocks: a packet for which there is no room is dropped,
// counted, and reported as a gap. While the recorder is paused packets are dropped.
func (r *Recorder) RTP(p *rtp.Packet, arrival time.Time) {
	if !r.held.Load() {
		r.queue.push(p, arrival)
	}
}

// SenderReport takes one sender report of the track. It never blocks.
func (r *Recorder) SenderReport(sr media.SenderReport) {
	if !r.held.Load() {
		r.queue.note(func(p *pipeline) { p.senderReport(sr) })
	}
}

// Pause ends the segment and keeps everything that comes from now on from being written. What came before is written and
// sealed in the moments after. It does not wait. A second Pause changes nothing, whatever its reason: who pauses for
// several reasons resumes when the last one is gone.
func (r *Recorder) Pause(reason string) {
	r.held.Store(true)
	now := r.now()
	r.queue.order(func(p *pipeline) { p.pause(reason, now) }, false)
}

// Resume lets the recorder write again; reason is why the next segment opens.
func (r *Recorder) Resume(reason string) {
	now := r.now()
	r.queue.order(func(p *pipeline) { p.resume(reason, now) }, false)
	r.held.Store(false)
}

// Close writes what came so far, seals the segment that is open, and waits until that is done. A second Close only waits.
func (r *Recorder) Close(reason string) {
	r.held.Store(true)
	now := r.now()
	r.queue.order(func(p *pipeline) { p.close(reason, now) }, true)
	<-r.done
}

// Bytes is how many bytes of all segments together are durable: synced, not merely written.
func (r *Recorder) Bytes() int64 {
	return r.bytes.Load()
}

// finish waits, after the last order, until what is left is sealed, or for a while.
func (r *Recorder) finish(p *pipeline) {
	for {
		now, due := r.now(), p.out.mendDeadline()
		if due.IsZero() || !now.Before(p.mendUntil) {
			return
		}
		time.Sleep(due.Sub(now))
		p.out.mend(r.now())
	}
}

// run looks at what is queued and at what is due until the last order was carried out. It is ended by Close.
func (r *Recorder) run(p *pipeline) {
	defer close(r.done)
	if r.syncer != nil {
		defer r.syncer.Close()
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var items []item
	var soon bool
	for {
		items = r.queue.take(items)
		for _, it := range items {
			if it.packet != nil {
				p.packet(it.packet, it.at)
			} else {
				it.order(p)
			}
		}
		if p.closed {
			r.finish(p)
			return
		}
		if len(items) > 0 {
			continue // what is due is judged when nothing waits any more
		}
		now := r.now()
		p.tick(now)
		p.flush(now)
		if p.waits() != soon {
			soon = !soon
			r.queue.hurry(soon)
		}
		timer.Stop()
		if due := p.deadline(); !due.IsZero() {
			timer.Reset(due.Sub(now))
		}
		select {
		case <-r.queue.wake:
		case <-r.queue.batch.C:
		case <-timer.C:
		}
	}
}
