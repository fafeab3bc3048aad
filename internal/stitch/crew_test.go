package stitch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/media"
)

// stitcherEnv makes the test program a stitcher of the data folder that it names, until it is killed.
const stitcherEnv = "STITCH_TEST_DATA"

func TestMain(m *testing.M) {
	if dir := os.Getenv(stitcherEnv); dir != "" {
		if err := stitcherProcess(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// stitcherProcess is cmd/stitcher with one processor, on the log and the blobs of another process.
func stitcherProcess(dir string) error {
	ctx := context.Background()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log, err := natslog.Connect(ctx, natslog.Config{DataDir: dir, Name: "stitcher", Logger: logger})
	if err != nil {
		return err
	}
	queue, err := jobs.New(ctx, log.Conn(), logger)
	if err != nil {
		return err
	}
	blobs, err := blob.Open(ctx, "file://"+filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	tool, err := ffmpeg.New(ffmpeg.Config{Path: os.Getenv("STITCH_TEST_FFMPEG"), Nice: 1}, logger)
	if err != nil {
		return err
	}
	w, err := New(Config{Dir: filepath.Join(dir, "stitch"), Node: fmt.Sprint("p", os.Getpid()), Parallel: 1}, Deps{
		Log: log, Appender: appender.New(log, logger, nil), Blobs: blobs, FFmpeg: tool, Queue: queue,
	}, logger)
	if err != nil {
		return err
	}
	logger.Info("ready")
	return w.Run(ctx)
}

// sharedWorld is a world whose log and queue other processes reach.
func sharedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	dir := t.TempDir()
	server, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	log, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	if w.queue, err = jobs.New(t.Context(), log.Conn(), discard()); err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = blob.Open(t.Context(), "file://"+filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.blobs.Close() })
	w.log, w.dir, w.data = log, filepath.Join(dir, "stitch"), dir
	w.appender = appender.New(log, discard(), nil)
	w.begin()
	return w
}

// stitcher is a process that makes archives.
type stitcher struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// lockedBuffer is what a process writes, for when the test has failed.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startStitcher starts a process that ends with the test at the latest. tool is the ffmpeg that it uses, "" the machine's.
// before is the command that starts it, such as one that binds it to a processor.
func (w *world) startStitcher(tool string, before ...string) *stitcher {
	w.t.Helper()
	command := append(before, os.Args[0])
	s := &stitcher{cmd: exec.Command(command[0], command[1:]...), log: &lockedBuffer{}}
	s.cmd.Env = append(os.Environ(), stitcherEnv+"="+w.data, "STITCH_TEST_FFMPEG="+tool)
	s.cmd.Stderr = s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		s.kill()
		if w.t.Failed() {
			w.t.Logf("stitcher %d:\n%s", s.cmd.Process.Pid, s.log)
		}
	})
	return s
}

// awaitReady waits until the process asks for work.
func (s *stitcher) awaitReady(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !strings.Contains(s.log.String(), `"ready"`) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("a stitcher is not ready")
		}
	}
}

// kill is kill -9.
func (s *stitcher) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
}

// queued asks the stitchers for a version.
func (w *world) queued(version int) int {
	w.t.Helper()
	w.publish(jobs.ArchiveJob{Consultation: w.consultation, Version: version})
	return version
}

func (w *world) publish(j jobs.ArchiveJob) {
	w.t.Helper()
	if err := w.queue.Publish(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until a version has a result.
func (w *world) await(version int) {
	w.t.Helper()
	w.awaitFor(version, 6*time.Minute)
}

func (w *world) awaitFor(version int, limit time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	for ev, err := range w.log.Follow(ctx, 0, events.Filter{Consultation: w.consultation}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if isResult(ev.Event, version) {
			return
		}
	}
	w.t.Fatalf("version %d has no result after %s", version, limit)
}

// comings is a consultation in which somebody comes or goes every second, so that it has many chunks.
func (w *world) comings(seconds int, face, other clip, voice []clip) {
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, face)
	a.record(0, a.track(0, media.Opus, media.Microphone, 2), 2, voice[0])
	for i := 1; i < seconds; i += 2 {
		b := w.join(int64(i)*1000, fmt.Sprint("B", i))
		b.record(int64(i)*1000, b.track(int64(i)*1000, media.VP8, media.Camera, uint32(10+i)), uint32(10+i), other)
		b.leave(int64(i)*1000 + 1000)
	}
}

// Whatever the number of stitchers, and whenever one of them is killed, the archive is the one that a single worker
// makes, to the byte, and a killed worker costs no more than what it had in hand.
func TestManyStitchersMakeOneArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel() // most of the time one processor is enough
	kills := 3
	if os.Getenv("STITCH_KILLS") != "" {
		_, _ = fmt.Sscan(os.Getenv("STITCH_KILLS"), &kills)
	}
	const seconds = 4
	face, other, voice := camera(t, "red", "320x180", 30, 30*seconds), camera(t, "blue", "320x180", 30, 30), microphone(t, 1000, 50*seconds)
	alone := newWorld(t)
	alone.comings(seconds, face, other, voice)
	adorned := alone.makes(alone.adorned(seconds * 1000))
	plain := alone.makes(alone.request("fast"))

	check := func(t *testing.T, w *world, version int, want archiveOf) {
		t.Helper()
		got := w.archive(version)
		if diff := cmp.Diff(want.manifest.Chunks, got.manifest.Chunks); diff != "" {
			t.Errorf("chunks (-alone +together):\n%s", diff)
		}
		if len(got.manifest.Failures) > 0 || len(got.manifest.Missing) > 0 {
			t.Errorf("failures %+v, missing %+v", got.manifest.Failures, got.manifest.Missing)
		}
		if diff := cmp.Diff(want.manifest.Sounds, got.manifest.Sounds); diff != "" {
			t.Errorf("sounds (-alone +together):\n%s", diff)
		}
		if diff := cmp.Diff(pieces(want.manifest.Voices), pieces(got.manifest.Voices)); diff != "" {
			t.Errorf("voices (-alone +together):\n%s", diff)
		}
		if !bytes.Equal(videoOf(t, want.content), videoOf(t, got.content)) {
			t.Error("the picture is another one")
		}
	}
	t.Run("four stitchers, who draw nothing until all of them are about to", func(t *testing.T) {
		w := sharedWorld(t)
		w.comings(seconds, face, other, voice)
		version := w.adorned(seconds * 1000)
		tool := w.script(`case "$*" in *libx264*)
	: >"$dir/at-work.$PPID"
	until [ -e "$dir/at-work.all" ]; do
		[ "$(ls "$dir" | grep -c at-work)" -ge 4 ] && : >"$dir/at-work.all"
		sleep 0.1
	done ;;
esac
exec ffmpeg "$@"`)
		var all []*stitcher
		for range 4 {
			all = append(all, w.startStitcher(tool))
		}
		for _, s := range all {
			s.awaitReady(t)
		}
		w.queued(version)
		w.await(version)
		check(t, w, version, adorned)
		c := crewOf(endOf(all))
		total, longest := sum(c.idle())
		t.Logf("%d pieces; while one waited the four were idle for %s, %s at a time", len(c.queued), total, longest)
		if longest > longestIdle {
			t.Errorf("a stitcher was idle for %s while a piece waited:\n%s", longest, c)
		}
	})
	// A kill after the archive is finished would be none, so each round goes on to its end, and rounds are held until there
	// were enough kills in the middle of work.
	for done, round := 0, 1; done < kills; round++ {
		t.Run(fmt.Sprintf("two stitchers, killed at random, round %d", round), func(t *testing.T) {
			w := sharedWorld(t)
			w.comings(seconds, face, other, voice)
			version := w.end(seconds*1000, "fast")
			all := []*stitcher{w.startStitcher(""), w.startStitcher("")}
			var killed []*stitcher
			w.queued(version)
			begun, inRound := time.Now(), 0
			for done < kills && inRound < killsInRound {
				timer := time.NewTimer(time.Duration(rand.IntN(700)+50) * time.Millisecond)
				<-timer.C
				if w.finished(version) {
					break
				}
				i := rand.IntN(len(all))
				all[i].kill()
				if w.finished(version) {
					break // it was too late to count
				}
				killed = append(killed, all[i])
				all[i] = w.startStitcher("")
				done++
				inRound++
				t.Logf("kill %d after %s", done, time.Since(begun).Round(time.Millisecond))
			}
			w.await(version)
			t.Logf("%d kills, took %s", inRound, time.Since(begun).Round(time.Millisecond))
			check(t, w, version, plain)
			c := crewOf(endOf(append(killed, all...)))
			for _, again := range c.again() {
				t.Errorf("a piece that was made was made again: %+v\n%s", again, c)
			}
			for by := range c.size {
				if n := len(c.lost(by)); n > 1 {
					t.Errorf("stitcher %d lost %d pieces\n%s", by, n, c)
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}

// longestIdle bounds how long a stitcher may have nothing in hand while a piece waits. It is told of what is queued, and asks
// for itself every second; the rest is for machines that are late.
const longestIdle = 20 * time.Second

// pieces are what voices are made of; whose they are is another matter in every world.
func pieces(voices []VoiceFile) []Piece {
	var all []Piece
	for _, v := range voices {
		all = append(all, v.Piece)
	}
	return all
}

// endOf ends stitchers and gives their diaries.
func endOf(all []*stitcher) []diary {
	var diaries []diary
	for _, s := range all {
		s.kill()
		diaries = append(diaries, s.diary())
	}
	return diaries
}

// killsInRound is how often stitchers are killed for one archive at most: each costs a chunk at least.
const killsInRound = 5

// finished says whether a version has a result.
func (w *world) finished(version int) bool {
	w.t.Helper()
	all, err := events.ReadAll(w.t.Context(), w.log, w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(ev events.Stored) bool { return isResult(ev.Event, version) })
}

// videoOf are the coded pictures of an archive, without container and sound.
func videoOf(t *testing.T, archive []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), ArchiveFile)
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	video := run_(t, "-i", path, "-map", "0:v", "-c", "copy", "-f", "h264", "pipe:1")
	if len(video) < 1000 {
		t.Fatalf("the archive has %d bytes of picture", len(video))
	}
	return video
}

// runs lets a worker of this process take work until the test ends.
func (w *world) runs(tool ffmpeg.Config) {
	w.t.Helper()
	w.run(w.stitcher(tool))
}

// stitcher makes a worker of this process that has a connection of its own, with a stitcher's rights.
func (w *world) stitcher(tool ffmpeg.Config) *Worker {
	w.t.Helper()
	log, err := natslog.Connect(w.t.Context(), natslog.Config{DataDir: w.data, Name: "stitcher", Logger: discard()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(log.Close)
	worker := w.worker(tool, nil)
	if worker.deps.Queue, err = jobs.New(w.t.Context(), log.Conn(), discard()); err != nil {
		w.t.Fatal(err)
	}
	return worker
}

// A chunk that fails wherever it is tried is given up after three tries; the archive has cards there, and the others wait
// for nothing.
func TestAPoisonedChunkIsGivenUpByAllStitchers(t *testing.T) {
	t.Parallel() // it waits most of the time
	if testing.Short() {
		t.Skip("waits until a job is offered again")
	}
	w := sharedWorld(t)
	face, other, voice := camera(t, "red", "320x180", 30, 90), camera(t, "blue", "320x180", 25, 50), microphone(t, 1000, 150)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, face)
	a.record(0, a.track(0, media.Opus, media.Microphone, 2), 2, voice[0])
	b := w.join(1000, "B")
	b.record(1000, b.track(1000, media.VP8, media.Camera, 3), 3, other)
	version := w.end(3000, "fast")
	w.runs(ffmpeg.Config{Path: w.script(`case "$*" in *libx264*) [ -e t1.ivf ] && { echo 'I will not draw this' >&2; exit 1; } ;; esac
exec ffmpeg "$@"`)})
	w.queued(version)
	w.await(version)
	archive := w.open(version)
	archive.shows(20, "the first one alone", 640, 200, red)
	archive.shows(60, "the card of the second one", 1200, 220, card)
	if f := archive.manifest.Failures; len(f) != 1 || !strings.Contains(string(w.get(f[0].Detail.Key)), "I will not draw this") {
		t.Errorf("failures: %+v", f)
	}
}

// An archive that is called off ends as cancelled, whatever it waits for, and nobody makes what was queued for it.
func TestAnArchiveIsCalledOff(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, test := range map[string]struct{ layout, waits string }{
		"while it waits for its chunks":  {"grid", "libx264"},
		"while it measures who is heard": {"speaker", "libopus"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sharedWorld(t)
			a := w.join(0, "A")
			a.record(0, a.track(0, media.Opus, media.Microphone, 1), 1, microphone(t, 440, 50)[0])
			w.say(1000, "", events.ConsultationEnded{Reason: events.EndedClosed})
			version := w.order(events.ArchiveRequested{Layout: test.layout, Profile: "fast"})
			w.runs(ffmpeg.Config{Path: w.script(`case "$*" in *` + test.waits + `*) : >"$dir/begun"; exec sleep 600 ;; esac
exec ffmpeg "$@"`)})
			w.queued(version)
			if err := w.queue.Cancel(t.Context(), jobs.ArchiveJob{Consultation: w.consultation, Version: version}); err != nil {
				t.Fatal(err)
			}
			w.awaitFor(version, time.Minute)
			if failed, ok := w.result(version).(events.ArchiveFailed); !ok || failed.Code != CodeCancelled {
				t.Errorf("got %+v", w.result(version))
			}
			for info, err := range w.blobs.List(t.Context(), piecesFolder+"/") {
				if err != nil || strings.HasSuffix(info.Key, ".recipe") {
					t.Errorf("%s is still to be made, %v", info.Key, err)
				}
			}
		})
	}
}
