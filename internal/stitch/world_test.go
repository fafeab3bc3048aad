package stitch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/logtest"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/sheet"
)

// world is a consultation that was recorded, with the log and the blob store that hold it. Its clock is that of the
// conference: every moment is given in milliseconds from the first one to join.
type world struct {
	t            *testing.T
	consultation string
	zero         time.Time
	log          events.Log
	queue        *jobs.Queue // nil: a worker does everything itself
	appender     *appender.Appender
	blobs        *blob.Store
	dir          string // work folder of the stitcher
	data         string // data folder of other processes, see sharedWorld
	sheet        sheet.Sheet
	requests     int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v; ./task setup installs what the tests need", err)
		}
	}
	dir := t.TempDir()
	blobs, err := blob.Open(t.Context(), "file://"+filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	w := &world{
		t: t, consultation: events.NewID(), zero: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), log: logtest.NewMemory(),
		blobs: blobs, dir: filepath.Join(dir, "stitch"),
	}
	w.appender = appender.New(w.log, discard(), nil)
	w.sheet = sheet.Sheet{Consultation: w.consultation, Title: "Second opinion", Language: "en", TimeZone: "Europe/Berlin"}
	w.begin()
	return w
}

// begin writes what every log begins with.
func (w *world) begin() {
	w.say(-1000, "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "en"})
	w.say(-10, "", events.ConferenceHosted{Epoch: 1, Wall: w.zero, Node: "a", URL: "http://127.0.0.1"})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (w *world) at(ms int64) time.Time { return w.zero.Add(time.Duration(ms) * time.Millisecond) }

// say appends an event.
func (w *world) say(ms int64, participant string, e events.Event) {
	w.t.Helper()
	d := events.NewDraft("/live/a", w.at(ms), e)
	d.Participant = participant
	if _, err := w.appender.Fact(w.t.Context(), w.consultation, d); err != nil {
		w.t.Fatal(err)
	}
}

// person is a participant with a connection.
type person struct {
	w          *world
	id         string
	connection string
}

// join lets somebody come who has consented.
func (w *world) join(ms int64, name string) person {
	p := person{w: w, id: events.NewID(), connection: events.NewID()}
	w.sheet.Participants = append(w.sheet.Participants, sheet.Participant{ID: p.id, Name: name, Role: "patient"})
	w.say(ms-5, p.id, events.ParticipantInvited{Role: "patient"})
	w.say(ms, p.id, events.ParticipantJoined{Role: "patient"})
	w.say(ms, p.id, events.ConsentGiven{Consent: events.Consent{TextSHA256: "0", Language: "en", By: events.BySelf}})
	w.say(ms, p.id, events.ConnectionOpened{Connection: p.connection, Via: "websocket"})
	w.say(ms, p.id, events.ConnectionICEChanged{Connection: p.connection, State: "connected"})
	return p
}

func (p person) leave(ms int64) {
	p.w.say(ms, p.id, events.ParticipantLeft{Reason: events.LeftLeft})
}

// pathDelay is how long packets are on their way.
const pathDelay = 20

// track starts a track and says what its sender's clock showed, which is what the conference's does.
func (p person) track(ms int64, codec media.Codec, source media.Source, ssrc uint32) string {
	id := events.NewID()
	p.w.say(ms, p.id, events.TrackStarted{
		Connection: p.connection, Track: id, Kind: string(codec.Kind()), Source: string(source), Codec: string(codec), SSRC: ssrc,
	})
	var anchors []events.Anchor
	for at := ms; at < ms+60_000; at += 2_000 {
		ntp := p.w.at(at)
		anchors = append(anchors, events.Anchor{
			Kind: events.AnchorSR, RTP: at * int64(codec.ClockRate()) / 1000, NTP: &ntp, Arrival: p.w.at(at + pathDelay),
		})
	}
	p.w.say(ms, p.id, events.SegmentAnchored{Track: id, SSRC: ssrc, Anchors: anchors})
	return id
}

// clip is one segment file, captured from a moment on.
type clip struct {
	codec   media.Codec
	content []byte
	frames  int64
	ticks   int64  // from the first to the end of the last frame; for video to the start of it
	reason  string // for which it was begun; empty: started
	closed  string // for which it was closed; empty: ended
}

// record announces and stores a segment whose first frame was captured at ms. It returns its id.
func (p person) record(ms int64, track string, ssrc uint32, c clip) string {
	return p.recordFrom(ms*int64(c.codec.ClockRate())/1000, track, ssrc, c)
}

func (p person) recordFrom(rtp int64, track string, ssrc uint32, c clip) string {
	p.w.t.Helper()
	ms := rtp * 1000 / int64(c.codec.ClockRate())
	id := events.NewID()
	c.reason, c.closed = cmp.Or(c.reason, "started"), cmp.Or(c.closed, "ended")
	p.w.say(ms+pathDelay, p.id, events.SegmentOpened{
		Segment: id, Track: track, SSRC: ssrc, Codec: string(c.codec), ClockRate: c.codec.ClockRate(), FirstRTP: rtp,
		Arrival: p.w.at(ms + pathDelay), Reason: c.reason,
	})
	sum := sha256.Sum256(c.content)
	digest := hex.EncodeToString(sum[:])
	end := ms + c.ticks*1000/int64(c.codec.ClockRate()) + pathDelay
	p.w.say(end, p.id, events.SegmentSealed{
		Segment: id, LastRTP: rtp + c.ticks, EndRTP: rtp + c.ticks, Frames: c.frames, Bytes: int64(len(c.content)), SHA256: digest, Reason: c.closed,
	})
	key := p.w.segmentKey(id, c.codec)
	if _, err := p.w.blobs.Put(p.w.t.Context(), key, bytes.NewReader(c.content)); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.say(end, p.id, events.SegmentStored{Segment: id, Key: key, Bytes: int64(len(c.content)), SHA256: digest})
	return id
}

func (w *world) segmentKey(id string, codec media.Codec) string {
	return "c/" + w.consultation + "/segments/" + id + codec.Extension()
}

// end ends the consultation and asks for its archive.
func (w *world) end(ms int64, profile string) int {
	w.t.Helper()
	w.say(ms, "", events.ConsultationEnded{Reason: events.EndedClosed})
	return w.request(profile)
}

// request asks for one more archive.
func (w *world) request(profile string) int {
	w.t.Helper()
	return w.order(events.ArchiveRequested{Layout: "grid", Profile: profile})
}

// order asks for one more archive of which the given fields are as r has them.
func (w *world) order(r events.ArchiveRequested) int {
	w.t.Helper()
	last, err := w.log.Last(w.t.Context(), w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(w.sheet)
	if err != nil {
		w.t.Fatal(err)
	}
	key := "sheets/" + w.consultation + "/" + events.HashOf(raw) + ".json"
	info, err := w.blobs.Put(w.t.Context(), key, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	w.requests++
	r.Version, r.ThroughSeq, r.Sheet = w.requests, last.Seq, events.Blob{Key: key, SHA256: info.SHA256}
	w.say(100_000, "", r)
	return w.requests
}

// run runs a stitcher until the test ends.
func (w *world) run(worker *Worker) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }() // ends with ctx
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// worker makes a worker of this world.
func (w *world) worker(tool ffmpeg.Config, progress func(Progress)) *Worker {
	w.t.Helper()
	tool.Nice = 1 // tests do not wait for everything else on the machine
	ff, err := ffmpeg.New(tool, discard())
	if err != nil {
		w.t.Fatal(err)
	}
	deps := Deps{Log: w.log, Appender: w.appender, Blobs: w.blobs, FFmpeg: ff, Queue: w.queue}
	if progress != nil {
		deps.Progress = func(_ context.Context, p Progress) { progress(p) }
	}
	worker, err := New(Config{Dir: w.dir, Node: "b"}, deps, slog.New(slog.NewTextHandler(testWriter{w.t}, nil)))
	if err != nil {
		w.t.Fatal(err)
	}
	worker.painter = paints() // whose fonts are read once
	w.t.Cleanup(func() {
		if err := worker.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return worker
}

var paints = sync.OnceValue(func() *render.Painter { return render.NewPainter(SystemFonts(nil)) })

// script makes a shell script that stands where ffmpeg is expected. $dir is a folder that it can write to. What tells a tool from
// others is the machine's ffmpeg.
func (w *world) script(text string) string {
	w.t.Helper()
	return w.bareScript(`case "$*" in *` + probeFile + `*) exec ffmpeg "$@" ;; esac` + "\n" + text)
}

// bareScript is a script that answers everything itself.
func (w *world) bareScript(text string) string {
	w.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "stitch-test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "ffmpeg")
	// No process may begin while the script is open for writing: it would inherit that, and the script could not be run.
	syscall.ForkLock.RLock()
	err = errors.Join(os.WriteFile(path, []byte("#!/bin/sh\ndir="+dir+"\n"+text+"\n"), 0o755), os.Chmod(path, 0o755), os.Chmod(dir, 0o777))
	syscall.ForkLock.RUnlock()
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

// testWriter shows the worker's log beside a failed test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// result finds the event that ended a version.
func (w *world) result(version int) events.Event {
	w.t.Helper()
	all, err := events.ReadAll(w.t.Context(), w.log, w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	var found events.Event
	for _, ev := range all {
		if isResult(ev.Event, version) {
			if found != nil {
				w.t.Errorf("version %d has two results", version)
			}
			found = ev.Event
		}
	}
	return found
}

// get reads a blob.
func (w *world) get(key string) []byte {
	w.t.Helper()
	r, err := w.blobs.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// run runs the machine's ffmpeg and gives what it writes.
func run_(t testing.TB, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", args, err, stderr.String())
	}
	return out
}

// camera makes video of one colour that flashes white for the first 100 ms of each second of its own time, with frames
// every 1/rate s.
func camera(t *testing.T, colour, size string, rate, frames int) clip {
	t.Helper()
	raw := run_(t, "-f", "lavfi", "-i", fmt.Sprintf("color=c=%s:s=%s:r=%d,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.1)'", colour, size, rate),
		"-frames:v", fmt.Sprint(frames), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "1000", "-f", "ivf", "pipe:1")
	var w, h int
	fmt.Sscanf(size, "%dx%d", &w, &h)
	out := media.AppendIVFHeader(nil, media.IVFHeader{Codec: media.VP8, Width: w, Height: h, Den: 90000, Num: 1, Frames: uint32(frames)})
	n := int64(0)
	for at := 32; at < len(raw); n++ {
		length := int(binary.LittleEndian.Uint32(raw[at:]))
		out = media.AppendIVFFrameHeader(out, length, n*90000/int64(rate))
		out = append(out, raw[at+12:at+12+length]...)
		at += 12 + length
	}
	return clip{codec: media.VP8, content: out, frames: n, ticks: (n - 1) * 90000 / int64(rate)}
}

// microphone makes sound that beeps for the first 100 ms of each second of its own time, in files of so many packets of
// 20 ms.
func microphone(t *testing.T, hz int, packets ...int) []clip {
	t.Helper()
	total := 0
	for _, n := range packets {
		total += n
	}
	raw := run_(t, "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='if(lt(mod(t,1),0.1),0.4*sin(2*PI*%d*t),0)':s=48000:d=%g", hz, float64(total)*0.02+0.1),
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
	all := oggPackets(raw)[2:]
	var clips []clip
	for _, n := range packets {
		var b bytes.Buffer
		o, err := media.NewOggWriter(&b, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, packet := range all[:n] {
			if err := o.WritePacket(packet, 960); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
		clips = append(clips, clip{codec: media.Opus, content: b.Bytes(), frames: int64(n), ticks: int64(n) * 960, reason: "rotation"})
	}
	return clips
}

// oggClip puts packets of 20 ms into one file.
func oggClip(t testing.TB, packets [][]byte) clip {
	t.Helper()
	var b bytes.Buffer
	o, err := media.NewOggWriter(&b, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, packet := range packets {
		if err := o.WritePacket(packet, 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return clip{codec: media.Opus, content: b.Bytes(), frames: int64(len(packets)), ticks: int64(len(packets)) * 960}
}

// oggPackets takes an Ogg file apart (RFC 3533).
func oggPackets(b []byte) [][]byte {
	var all [][]byte
	var packet []byte
	for len(b) >= 27 {
		lacing := b[27 : 27+int(b[26])]
		body := b[27+len(lacing):]
		for _, n := range lacing {
			packet, body = append(packet, body[:n]...), body[n:]
			if n < 255 {
				all, packet = append(all, packet), nil
			}
		}
		b = body
	}
	return all
}
