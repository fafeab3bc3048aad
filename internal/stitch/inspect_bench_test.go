package stitch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// inspectSeconds is how long the archives of TestBenchInspect are, separated by spaces; unset, the test does nothing.
// ./task bench:inspect sets it.
const inspectSeconds = "STITCH_INSPECT_SECONDS"

// TestBenchInspect measures what gathering the pieces of an archive, joining them, looking at the file and storing it take when
// all of its pieces are there, as they are after a call, and beside that what tools take: ffmpeg that joins the same pieces in two
// passes, two runs of ffprobe that read every packet, and one of ffmpeg that decodes every keyframe. Half a minute of two people
// comes again and again, so that only the sound has to be made anew.
func TestBenchInspect(t *testing.T) {
	lengths := strings.Fields(os.Getenv(inspectSeconds))
	if len(lengths) == 0 {
		t.Skip("a measurement: ./task bench:inspect")
	}
	fmt.Printf("load_before=%s\n", load(t))
	head, voice := talkingHead(t, 1, 30), speech(t, 1, 30)
	for _, text := range lengths {
		length, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.sameAgain(length, head, voice)
		worker, j := w.rendered(w.end(int64(length)*1000, "standard"))
		mib := 0.0
		stage := func(name string, run func() error) {
			before, begun := cpuTime(t), time.Now()
			if err := run(); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%s_%d_wall_s=%.2f\n%s_%d_cpu_s=%.2f\n", name, length, time.Since(begun).Seconds(), name, length, cpuTime(t)-before)
		}
		stage("gather", func() error { return worker.render(t.Context(), j) })
		stage("mux", func() error { return worker.mux(t.Context(), j) })
		if info, err := os.Stat(filepath.Join(j.dir, ArchiveFile)); err == nil {
			mib = float64(info.Size()) / (1 << 20)
		}
		fmt.Printf("archive_%d_mib=%.0f\n", length, mib)
		stage("inspect", func() error { return worker.inspect(t.Context(), j) })
		stage("store", func() error { return worker.store(t.Context(), j) })
		w.bringChunks(j)
		stage("tools_mux", func() error { return joinedByTools(j) })
		stage("tools_inspect", func() error { return lookedAtByTools(j.dir) })
		j.closeSegments()
	}
	fmt.Printf("load_after=%s\n", load(t))
}

// sameAgain is a consultation of two people who do the same for half a minute again and again.
func (w *world) sameAgain(seconds int, head recorded, voice clip) {
	for i := range 2 {
		p := w.join(0, fmt.Sprint("Person ", i+1))
		camera := p.track(0, media.VP8, media.Camera, uint32(2*i+1))
		mic := p.track(0, media.Opus, media.Microphone, uint32(2*i+2))
		for n := int64(0); n*int64(head.seconds) < int64(seconds); n++ {
			picture, sound := head.segment, voice
			picture.reason, sound.reason = "rotation", "rotation"
			at := n * int64(head.seconds)
			p.recordFrom(at*90000, camera, uint32(2*i+1), picture)
			p.recordFrom(at*48000, mic, uint32(2*i+2), sound)
		}
	}
}

// rendered makes the pieces of a version, and brings them into the folder of its job.
func (w *world) rendered(version int) (*Worker, *job) {
	w.t.Helper()
	worker := w.worker(ffmpeg.Config{}, nil)
	j, err := worker.take(w.t.Context(), w.consultation, version)
	if err != nil {
		w.t.Fatal(err)
	}
	if j.dir, err = worker.makeFolder("a"); err != nil {
		w.t.Fatal(err)
	}
	for _, run := range []func(context.Context, *job) error{worker.begin, worker.prepare, worker.render} {
		if err := run(w.t.Context(), j); err != nil {
			w.t.Fatal(err)
		}
	}
	return worker, j
}

// bringChunks lays the chunks and the sound of an archive into the folder of its job as tools can read them.
func (w *world) bringChunks(j *job) {
	w.t.Helper()
	list, sound := "ffconcat version 1.0\n", []byte{}
	for i, c := range j.result.chunks {
		name := fmt.Sprintf("c%04d.ts", i)
		list += "file " + name + "\n"
		if err := os.WriteFile(filepath.Join(j.dir, name), w.get(pieceKey(c.Key, chunkExtension)), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, s := range j.result.sounds {
		sound = append(sound, w.get(pieceKey(s.Key, ".aac"))...)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(j.dir, "pieces.txt"), []byte(list), 0o600), os.WriteFile(filepath.Join(j.dir, "sound.aac"), sound, 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// joinedByTools lets ffmpeg join what bringChunks has brought, and then put the index in front.
func joinedByTools(j *job) error {
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "concat", "-i", "pieces.txt", "-itsoffset", "-0.021333333", "-f", "aac",
		"-i", "sound.aac", "-map", "0:v", "-map", "1:a", "-c", "copy", "-copypriorss", "1", "-movflags", "+faststart", "-f", "mp4", "tools.mp4")
	cmd.Dir = j.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// lookedAtByTools counts the packets of a finished file, lists their times, and decodes its keyframes.
func lookedAtByTools(dir string) error {
	for _, args := range [][]string{
		{"ffprobe", "-v", "error", "-f", "mp4", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv", "-i", ArchiveFile},
		{"ffprobe", "-v", "error", "-f", "mp4", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", "-i", ArchiveFile},
		{
			"ffmpeg", "-v", "error", "-nostdin", "-skip_frame", "nokey", "-threads", "1", "-f", "mp4", "-i", ArchiveFile,
			"-an", "-vf", "scale=160:90:flags=bilinear+accurate_rnd+full_chroma_int+bitexact", "-f", "null", "-",
		},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}
