package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/media"
)

// hangupSeconds is how long the call of TestBenchHangup is; unset, the test does nothing. hangupSpeed is how much faster than
// time it goes on, and hangupAnyway has chunks made whether the machine has time or not. ./task bench:hangup sets all three.
const (
	hangupSeconds = "STITCH_HANGUP_SECONDS"
	hangupSpeed   = "STITCH_HANGUP_SPEED"
	hangupAnyway  = "STITCH_HANGUP_ANYWAY"
)

// feed is a track of a call that goes on: what it recorded comes again and again, each time as a file of its own.
type feed struct {
	p      person
	track  string
	ssrc   uint32
	clip   clip
	length int // seconds of a file
	n      int // files begun
	open   string
	since  int
}

// begin opens a file at a second of the call.
func (f *feed) begin(at int) {
	f.open, f.since = events.NewID(), at
	f.n++
	reason := "rotation"
	if f.n == 1 {
		reason = "started"
	}
	f.p.w.say(int64(at)*1000+pathDelay, f.p.id, events.SegmentOpened{
		Segment: f.open, Track: f.track, SSRC: f.ssrc, Codec: string(f.clip.codec), ClockRate: f.clip.codec.ClockRate(),
		FirstRTP: int64(at) * int64(f.clip.codec.ClockRate()), Arrival: f.p.w.at(int64(at)*1000 + pathDelay), Reason: reason,
	})
}

// end closes the file at a second of the call, and stores it.
func (f *feed) end(at int) {
	w, c := f.p.w, f.clip
	if c.codec == media.VP8 {
		c = c.numbered(int64(f.n))
	}
	c = c.first(w.t, at-f.since)
	sum := sha256.Sum256(c.content)
	digest, rtp := hex.EncodeToString(sum[:]), int64(f.since)*int64(c.codec.ClockRate())
	now := int64(at)*1000 + pathDelay
	w.say(now, f.p.id, events.SegmentSealed{
		Segment: f.open, LastRTP: rtp + c.ticks, EndRTP: rtp + c.ticks, Frames: c.frames, Bytes: int64(len(c.content)), SHA256: digest, Reason: "rotation",
	})
	key := w.segmentKey(f.open, c.codec)
	if _, err := w.blobs.Put(w.t.Context(), key, bytes.NewReader(c.content)); err != nil {
		w.t.Fatal(err)
	}
	w.say(now, f.p.id, events.SegmentStored{Segment: f.open, Key: key, Bytes: int64(len(c.content)), SHA256: digest})
}

// first is the clip's first seconds.
func (c clip) first(t *testing.T, seconds int) clip {
	t.Helper()
	if c.codec == media.Opus {
		return oggClip(t, oggPackets(c.content)[2:][:min(int64(seconds)*50, c.frames)])
	}
	scan, err := media.ScanIVF(bytes.NewReader(c.content))
	if err != nil {
		t.Fatal(err)
	}
	frames := scan.Frames[:min(seconds*30, len(scan.Frames))]
	last := frames[len(frames)-1]
	c.content, c.frames, c.ticks = c.content[:last.Offset+int64(last.Length)], int64(len(frames)), last.PTS
	return c
}

// report says what the sender's clock showed in the last so many seconds.
func (f *feed) report(at, seconds int) {
	var anchors []events.Anchor
	for s := max(0, at-seconds); s < at; s += 2 {
		ntp := f.p.w.at(int64(s) * 1000)
		anchors = append(anchors, events.Anchor{
			Kind: events.AnchorSR, RTP: int64(s) * int64(f.clip.codec.ClockRate()), NTP: &ntp, Arrival: f.p.w.at(int64(s)*1000 + pathDelay),
		})
	}
	f.p.w.say(int64(at)*1000, f.p.id, events.SegmentAnchored{Track: f.track, SSRC: f.ssrc, Anchors: anchors})
}

// TestBenchHangup measures how soon after a call its archive is there when a stitcher has made what it could while the call
// went on, and what that took. Files, reports and questions come as a server writes them: a file is closed after half a
// minute, reports come every fifteen seconds, and the archive is ordered when everything is stored.
func TestBenchHangup(t *testing.T) {
	length, _ := strconv.Atoi(os.Getenv(hangupSeconds))
	if length == 0 {
		t.Skip("a measurement: ./task bench:hangup")
	}
	speed, err := strconv.ParseFloat(os.Getenv(hangupSpeed), 64)
	if err != nil || speed <= 0 {
		speed = 1
	}
	say := func(key string, format string, value any) { fmt.Printf("%s="+format+"\n", key, value) }
	say("load_before", "%s", load(t))
	say("call_s", "%d", length)
	say("call_speed", "%g", speed)
	heads, voices := benchSources(t)
	w := sharedWorld(t)
	stages := newStageClock()
	worker := w.hangupWorker(stages.note)
	say("budget", "%v", os.Getenv(hangupAnyway) == "")

	var feeds []*feed
	for i, head := range heads {
		p := w.join(0, fmt.Sprint("Person ", i+1))
		for k, c := range []clip{head.segment, voices[i]} {
			id, ssrc := events.NewID(), uint32(2*i+k+1)
			source := []media.Source{media.Camera, media.Microphone}[k]
			w.say(0, p.id, events.TrackStarted{
				Connection: p.connection, Track: id, Kind: string(c.codec.Kind()), Source: string(source), Codec: string(c.codec), SSRC: ssrc,
			})
			feeds = append(feeds, &feed{p: p, track: id, ssrc: ssrc, clip: c, length: head.seconds})
		}
	}
	before, begun := cpuTime(t), time.Now()
	for at := range length {
		waitUntil(t.Context(), begun.Add(time.Duration(float64(at)/speed*float64(time.Second))))
		stored := false
		for i, f := range feeds {
			if at%f.length == 0 {
				if at > 0 {
					f.end(at)
					stored = true
				}
				f.begin(at)
			}
			if at > 0 && (at+i)%15 == 0 {
				f.report(at, 15+i)
			}
		}
		if stored {
			w.askFor("standard")
		}
	}
	waitUntil(t.Context(), begun.Add(time.Duration(float64(length)/speed*float64(time.Second))))
	spent := cpuTime(t) - before
	early := map[string]float64{}
	for _, what := range []string{earlyQueued, earlyMade, earlyFailed, earlyHeld} {
		early[what] = testutil.ToFloat64(worker.metrics.early.WithLabelValues(what))
	}
	hungUp := time.Now()
	w.say(int64(length)*1000, "", events.ConsultationEnded{Reason: events.EndedClosed})
	for _, f := range feeds {
		f.end(length)
	}
	version := w.queued(w.request("standard"))
	w.awaitFor(version, time.Hour)
	after := time.Since(hungUp).Seconds()
	w.until("what was early is settled", func() bool { return len(w.noted()) == 0 })

	var archive Manifest
	if err := json.Unmarshal(w.get(fmt.Sprintf("c/%s/archives/%d/%s", w.consultation, version, ManifestFile)), &archive); err != nil {
		t.Fatal(err)
	}
	keys := w.keysAfterwards(version)
	same := 0
	for _, piece := range slices.Concat(archive.Chunks, archive.Sounds) {
		if slices.Contains(keys, piece.Key) {
			same++
		}
	}
	say("after_hangup_s", "%.2f", after)
	for _, s := range stages.lengths() {
		say("after_hangup_"+s.name+"_s", "%.2f", s.length.Seconds())
	}
	say("live_core_average", "%.3f", spent/float64(length))
	say("live_cpu_s", "%.1f", spent)
	for what, n := range early {
		say("live_chunks_"+what, "%.0f", n)
	}
	used := testutil.ToFloat64(worker.metrics.early.WithLabelValues(earlyUsed))
	unused := testutil.ToFloat64(worker.metrics.early.WithLabelValues(earlyUnused))
	say("live_chunks_used", "%.0f", used)
	say("live_chunks_unused", "%.0f", unused)
	say("archive_pieces", "%d", len(archive.Chunks)+len(archive.Sounds))
	say("live_chunks_same_keys", "%v", same == len(archive.Chunks)+len(archive.Sounds) && used > 0 && unused == 0) // none says nothing
	say("load_after", "%s", load(t))
}

// waitUntil waits for a moment.
func waitUntil(ctx context.Context, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hangupWorker runs a stitcher as it runs in the product, with its own eye on the machine, until the test ends.
func (w *world) hangupWorker(progress func(Progress)) *Worker {
	w.t.Helper()
	log, err := natslog.Connect(w.t.Context(), natslog.Config{DataDir: w.data, Name: "stitcher", Logger: discard()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(log.Close)
	queue, err := jobs.New(w.t.Context(), log.Conn(), discard())
	if err != nil {
		w.t.Fatal(err)
	}
	tool, err := ffmpeg.New(ffmpeg.Config{}, discard())
	if err != nil {
		w.t.Fatal(err)
	}
	worker, err := New(Config{Dir: w.dir, Node: "b", Early: true}, Deps{
		Log: w.log, Appender: w.appender, Blobs: w.blobs, FFmpeg: tool, Queue: queue,
		Progress: func(_ context.Context, p Progress) { progress(p) },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	if os.Getenv(hangupAnyway) != "" {
		worker.calm = func() bool { return true }
		worker.takeSpare = func() (func(bool), bool) { return func(bool) {}, true }
	}
	w.t.Cleanup(func() { // behind the end of its work
		if err := worker.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.run(worker)
	return worker
}

// keysAfterwards are the keys of all pieces of a version as somebody plans them who has seen nothing of the call.
func (w *world) keysAfterwards(version int) []string {
	w.t.Helper()
	worker := w.worker(ffmpeg.Config{}, nil)
	j := w.prepared(worker, version)
	defer j.closeSegments()
	orders, err := worker.orders(j)
	if err != nil {
		w.t.Fatal(err)
	}
	var keys []string
	for _, o := range orders {
		keys = append(keys, o.key)
	}
	return keys
}

// stageClock notes when the stages of a job begin.
type stageClock struct {
	mu     sync.Mutex
	stages []stageLength
	begun  time.Time
}

type stageLength struct {
	name   string
	length time.Duration
}

func newStageClock() *stageClock { return &stageClock{} }

func (c *stageClock) note(p Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if n := len(c.stages); n > 0 {
		c.stages[n-1].length = now.Sub(c.begun)
		if c.stages[n-1].name == p.Stage {
			return
		}
	}
	c.begun = now
	c.stages = append(c.stages, stageLength{name: p.Stage})
}

func (c *stageClock) lengths() []stageLength {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.stages)
}
