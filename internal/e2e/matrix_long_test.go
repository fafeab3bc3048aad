package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/logtest"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/simpeer"
	"consilium/internal/stitch"
	"consilium/internal/timeline"
)

var longCall = flag.Duration("long", 10*time.Minute, "how long TestLongCall's call is; from an hour on its last minute is rendered")

// The bars of a long call.
const (
	barLong   = 40 * time.Millisecond
	barGrowth = 512 << 10 // bytes of heap, from the first hour, or third, to the end
	lastPart  = time.Minute
)

// newLongTest makes a call of somebody who has consented.
func newLongTest(t *testing.T, length time.Duration, o simpeer.Options) *longTest {
	t.Helper()
	l := &longTest{
		dir: t.TempDir(), length: length, consultation: events.NewID(), who: events.NewID(), first: map[media.Kind]simpeer.SentFrame{}, options: o,
	}
	if l.options.OnSend == nil {
		l.options.OnSend = l.onSend
	}
	l.open(t)
	return l
}

// TestLongCall lets a participant whose microphone is 200 ppm fast and whose camera is 200 ppm slow talk for hours, faster
// than time: the packets of a tape go to real recorders on a clock of their own, what those report becomes the events of
// a conference, and the real timeline is built of them. Every second of it must be where it was captured. The last
// minute is rendered by the real stitcher, from the same events with a joining that late, and measured.
func TestLongCall(t *testing.T) {
	l := newLongTest(t, *longCall, simpeer.Options{
		Media:   made(t, small(0)),
		Clocks:  simpeer.Clocks{WallError: 700 * time.Millisecond, AudioPPM: 200, VideoPPM: -200, WrapAt: *longCall / 3},
		Network: simpeer.Network{AudioDelay: 25 * time.Millisecond, VideoDelay: 25 * time.Millisecond, Jitter: 5 * time.Millisecond},
	})
	began := time.Now()
	synctest.Test(t, l.talk)
	if t.Failed() {
		return
	}
	took := time.Since(began)
	all := l.read(t)
	tl, err := timeline.Build(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	placed, clips := l.placed(t, tl)
	line := fmt.Sprintf("long_call_s=%.0f long_took_s=%.0f long_clips=%d long_placed_max_ms=%.2f long_heap_kb=%d..%d",
		l.length.Seconds(), took.Seconds(), clips, ms(placed), l.heap[0]/1024, l.heap[1]/1024)
	if placed > barLong {
		t.Errorf("a clip is %s from where it was captured, want at most %s", placed, barLong)
	}
	if grown := l.heap[1] - l.heap[0]; grown > barGrowth {
		t.Errorf("the heap grew by %d bytes, from %d to %d", grown, l.heap[0], l.heap[1])
	}
	if l.length >= time.Hour {
		r := l.render(t, all)
		line += fmt.Sprintf(" long_last_minute_av_max_ms=%.1f long_last_minute_placed_max_ms=%.1f", ms(largest(r.AV)), ms(largest(r.Placement)))
		if largest(r.AV) > barLong || largest(r.Placement) > barLong || len(r.AV) < 50 || len(r.MissingFlashes)+len(r.MissingBeeps) > 0 {
			t.Errorf("the last minute: %d seconds measured, beep after flash at most %s, flash after its capture at most %s; missing %v %v",
				len(r.AV), largest(r.AV), largest(r.Placement), r.MissingFlashes, r.MissingBeeps)
		}
	}
	t.Logf("\n%s", line)
}

// longTest is a call of one participant on a clock of its own.
type longTest struct {
	dir               string
	length            time.Duration
	options           simpeer.Options
	consultation, who string
	zero, end         time.Time
	heap              [2]int64 // bytes in use, early and at the end
	tape              *simpeer.Tape
	sent              simpeer.Sent // of the last part
	first             map[media.Kind]simpeer.SentFrame

	mu  sync.Mutex // guards what follows: reports come from the recorders' goroutines
	log *bufio.Writer
	out *os.File
	at  events.Version
	err error
}

// onSend keeps the first frame of each track, by which all others are known.
func (l *longTest) onSend(f simpeer.SentFrame) {
	if _, ok := l.first[kindOf(f.Source)]; !ok {
		l.first[kindOf(f.Source)] = f
	}
}

// open makes the log: a file, so that the heap does not hold it.
func (l *longTest) open(t *testing.T) {
	t.Helper()
	var err error
	if l.out, err = os.Create(filepath.Join(l.dir, "events.jsonl")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.out.Close() })
	l.log = bufio.NewWriter(l.out)
}

// say appends an event.
func (l *longTest) say(at time.Time, who string, e events.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := events.NewDraft("/live/a", at, e)
	d.Participant = who
	raw, next, err := events.Seal(l.consultation, l.at, d)
	if err == nil {
		l.at = next
		_, err = l.log.Write(append(raw, '\n'))
	}
	if err != nil && l.err == nil {
		l.err = err
	}
}

// talk is the call. It runs in a bubble, where time passes when nothing else is to be done.
func (l *longTest) talk(t *testing.T) {
	l.zero = time.Now()
	l.end = l.zero.Add(l.length)
	l.options.Clocks.Began = l.zero
	var err error
	if l.tape, err = simpeer.NewTape(l.options); err != nil {
		t.Fatal(err)
	}
	connection := events.NewID()
	l.say(l.zero, "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "en"})
	l.say(l.zero, "", events.ConferenceHosted{Epoch: 1, Wall: l.zero, Node: "a", URL: "http://127.0.0.1"})
	l.say(l.zero, l.who, events.ParticipantInvited{Role: "patient"})
	l.say(l.zero, l.who, events.ConsentGiven{Consent: events.Consent{TextSHA256: events.NoHash, Language: "en", By: events.BySelf}})
	l.say(l.zero, l.who, events.ParticipantJoined{Role: "patient"})
	l.say(l.zero, l.who, events.ConnectionOpened{Connection: connection, Via: "websocket"})
	l.say(l.zero, l.who, events.ConnectionICEChanged{Connection: connection, State: "connected"})
	recorders := map[media.Kind]*recorder.Recorder{}
	for _, codec := range []media.Codec{media.Opus, media.VP8} {
		source := media.Camera
		if codec == media.Opus {
			source = media.Microphone
		}
		id := events.NewID()
		l.say(l.zero, l.who, events.TrackStarted{
			Connection: connection, Track: id, Kind: string(codec.Kind()), Source: string(source), Codec: string(codec),
		})
		recorders[codec.Kind()], err = recorder.New(recorder.Config{Dir: l.dir},
			recorder.Track{Room: l.consultation, Owner: l.who, ID: id, Codec: codec}, l.tape.WantKeyframe, l.report, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
	}
	l.play(recorders)
	for _, r := range recorders {
		r.Close("ended")
	}
	l.sent = l.tape.Sent()
	l.say(l.end, "", events.ConsultationEnded{Reason: events.EndedClosed})
	if l.err != nil {
		t.Fatal(l.err)
	}
}

// play hands over what arrives until the end of the call, and looks at the heap on the way.
func (l *longTest) play(recorders map[media.Kind]*recorder.Recorder) {
	weigh := []time.Time{l.zero.Add(l.length / 3), l.end.Add(-lastPart - 5*time.Second)}
	for weighed := 0; ; {
		a := l.tape.Next()
		if a.At.After(l.end) {
			return
		}
		if wait := time.Until(a.At); wait > 0 {
			time.Sleep(wait)
		}
		if a.Packet != nil {
			recorders[a.Kind].RTP(a.Packet, a.At)
		} else {
			recorders[a.Kind].SenderReport(*a.Report)
		}
		if weighed < len(weigh) && a.At.After(weigh[weighed]) {
			l.tape.Forget()
			l.heap[weighed] = heapInUse()
			weighed++
		}
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// report makes events of what a recorder did, and stores what it sealed, or throws it away when it is long ago.
func (l *longTest) report(r recorder.Report) {
	at := time.Now()
	for _, e := range conference.FactsOf(r) {
		l.say(at, l.who, e)
	}
	sealed, ok := r.(recorder.Sealed)
	if !ok {
		return
	}
	if l.end.Sub(at) > lastPart+time.Minute {
		l.mu.Lock()
		l.err = errorsFirst(l.err, os.Remove(sealed.Path), os.Remove(filepath.Join(filepath.Dir(sealed.Path), sealed.ID+".json")))
		l.mu.Unlock()
	}
	l.say(at, l.who, events.SegmentStored{Segment: sealed.ID, Key: l.key(sealed.FileName()), Bytes: sealed.Bytes, SHA256: sealed.SHA256})
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *longTest) key(file string) string { return "c/" + l.consultation + "/segments/" + file }

// read gives the events that were written.
func (l *longTest) read(t *testing.T) []events.Stored {
	t.Helper()
	if err := l.log.Flush(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(l.out.Name())
	if err != nil {
		t.Fatal(err)
	}
	var all []events.Stored
	for line := range bytes.Lines(raw) {
		e, err := events.Open(bytes.TrimSpace(line), uint64(len(all)+1))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// placed is by how much the beginning and the end of a clip are at most from where they were captured, of all clips.
func (l *longTest) placed(t *testing.T, tl *timeline.Timeline) (worst time.Duration, clips int) {
	t.Helper()
	firstRTP := map[string]int64{}
	for _, e := range l.read(t) {
		if o, ok := e.Event.(events.SegmentOpened); ok {
			firstRTP[o.Segment] = o.FirstRTP
		}
	}
	for _, track := range tl.Participants[0].Tracks {
		covered := time.Duration(0)
		for _, c := range track.Clips {
			for _, at := range []int64{c.StartNS, c.EndNS} {
				file := float64(c.FileStartNS) + float64(at-c.StartNS)*c.Rate
				rtp := firstRTP[c.Segment] + int64(file/1e9*float64(c.ClockRate))
				off := l.zero.Add(time.Duration(at)).Sub(l.captured(track.Kind, rtp))
				if track.Kind == media.Audio {
					off += media.OpusLookAhead * time.Second / 48000
				}
				if at == c.EndNS && (at == track.EndNS || track.Kind == media.Video) {
					continue // what stands until the next one comes is not captured then
				}
				if off.Abs() > worst.Abs() {
					worst = off.Abs()
				}
			}
			clips++
			covered += time.Duration(c.EndNS - c.StartNS)
		}
		if len(track.Gaps) > 0 || l.length-covered > 100*time.Millisecond {
			t.Errorf("%s: %s of %s are covered, gaps %v", track.Kind, covered, l.length, track.Gaps)
		}
	}
	return worst, clips
}

// captured is the true time of an RTP time, counted from the first frame of the track by its clock's true rate.
func (l *longTest) captured(k media.Kind, rtp int64) time.Time {
	first, rate, ppm := l.first[k], 90000.0, l.options.Clocks.VideoPPM
	if k == media.Audio {
		rate, ppm = 48000, l.options.Clocks.AudioPPM
	}
	return first.Captured.Add(time.Duration(float64(rtp-int64(first.RTP)) / rate / (1 + ppm*1e-6) * 1e9))
}

// render makes an archive of the last part of the call: of the same events, but that the joining, with which archive
// time begins, comes then. It measures what it shows.
func (l *longTest) render(t *testing.T, all []events.Stored) simpeer.Report {
	t.Helper()
	joined := l.end.Add(-lastPart)
	log, blobs := logtest.NewMemory(), l.store(t)
	var drafts []events.Draft
	add := func(at time.Time, who string, e events.Event) {
		d := events.NewDraft("/live/a", at, e)
		d.Participant = who
		drafts = append(drafts, d)
	}
	here := false
	for _, e := range all {
		if _, ok := e.Event.(events.ParticipantJoined); ok {
			continue
		}
		if !here && !e.Time.Before(joined) {
			add(joined, l.who, events.ParticipantJoined{Role: "patient"})
			here = true
		}
		add(e.Time, e.Participant, e.Event)
	}
	add(l.end, "", events.ArchiveRequested{
		Version: 1, ThroughSeq: uint64(len(drafts)), Layout: "grid", Profile: "fast", Sheet: events.Blob{Key: "sheets/none", SHA256: events.NoHash},
	})
	if _, err := log.Append(t.Context(), l.consultation, events.Version{}, drafts...); err != nil {
		t.Fatal(err)
	}
	tool, err := ffmpeg.New(ffmpeg.Config{Nice: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	deps := stitch.Deps{Log: log, Appender: appender.New(log, slog.New(slog.DiscardHandler), nil), Blobs: blobs, FFmpeg: tool}
	worker, err := stitch.New(stitch.Config{Dir: filepath.Join(l.dir, "stitch")}, deps, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Make(t.Context(), l.consultation, 1); err != nil {
		t.Fatal(err)
	}
	video := filepath.Join(l.dir, "archive.mp4")
	l.fetch(t, blobs, fmt.Sprintf("c/%s/archives/1/archive.mp4", l.consultation), video)
	spec := l.options.Media.Spec
	shots, err := simpeer.ReadVideo(t.Context(), video, everywhere(1, spec))
	if err != nil {
		t.Fatal(err)
	}
	beeps, err := simpeer.ReadBeeps(t.Context(), video, spec.Tone)
	if err != nil {
		t.Fatal(err)
	}
	late := func(m simpeer.Moment) bool { return m.At.Before(joined) }
	sent := before(l.sent, l.end)
	sent.Flashes, sent.Beeps = drop(sent.Flashes, late), drop(sent.Beeps, late)
	return simpeer.Measure(joined, []simpeer.Sent{sent}, shots, beeps)
}

func drop(all []simpeer.Moment, is func(simpeer.Moment) bool) []simpeer.Moment {
	var rest []simpeer.Moment
	for _, m := range all {
		if !is(m) {
			rest = append(rest, m)
		}
	}
	return rest
}

// store puts what the recorders sealed last into a blob store.
func (l *longTest) store(t *testing.T) *blob.Store {
	t.Helper()
	blobs, err := blob.Open(t.Context(), "file://"+filepath.Join(l.dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	sealed, err := filepath.Glob(filepath.Join(l.dir, l.consultation, "*.sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sealed {
		name := filepath.Base(path)
		if _, err := blobs.PutFile(t.Context(), l.key(name[:len(name)-len(".sealed")]), path); err != nil {
			t.Fatal(err)
		}
	}
	return blobs
}

func (l *longTest) fetch(t *testing.T, blobs *blob.Store, key, path string) {
	t.Helper()
	in, err := blobs.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("%v; failure: %s", err, l.failure(t, blobs))
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errorsFirst(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

// failure is what a failed archive left.
func (l *longTest) failure(t *testing.T, blobs *blob.Store) string {
	in, err := blobs.Get(t.Context(), fmt.Sprintf("c/%s/archives/1/failure.txt", l.consultation))
	if err != nil {
		return err.Error()
	}
	defer in.Close()
	raw, _ := io.ReadAll(in)
	return string(raw)
}
