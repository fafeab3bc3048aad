package stitch

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/timeline"
)

// mix makes the sound of the archive: every run is decoded by a process of its own while it sounds, the samples are
// added up here, each in its exact place, and one more process encodes the sum. So the length is exact and nothing is
// held in memory.
func (w *Worker) mix(ctx context.Context, j *job) error {
	var runs []run
	for _, v := range j.plan.Voices {
		runs = append(runs, runsOf(v.Clips, j.recording, j.voicePhases[v.Participant])...)
	}
	key, err := audioKey(j, runs)
	if err != nil {
		return err
	}
	j.result.audio = "audio-" + key + ".m4a"
	if info, err := w.deps.FFmpeg.Probe(ctx, j.dir, j.result.audio, "mp4"); err == nil && info.Audio() != nil {
		return nil
	}
	dir := filepath.Join(j.dir, "audio")
	if err := w.openFolder(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := w.encodeMix(ctx, j, dir, runs); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, encodedFile), filepath.Join(j.dir, j.result.audio))
}

const encodedFile = "mix.m4a"

// audioKey is a digest of all that the sound is made of.
func audioKey(j *job, runs []run) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%d\n%d\n", j.tool, j.plan.Samples(), j.plan.Profile.AudioBitRate)
	for _, r := range runs {
		fmt.Fprintf(sum, "%v\n", r.knots)
	}
	if err := json.NewEncoder(sum).Encode(j.plan.Voices); err != nil { // with the digests of the segments
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (w *Worker) encodeMix(ctx context.Context, j *job, dir string, runs []run) error {
	cmd, err := ffmpeg.EncodeAudio(encodedFile, j.plan.Profile.AudioBitRate)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	read, write := io.Pipe()
	group.Go(func() error {
		_, err := w.deps.FFmpeg.Run(ctx, dir, cmd, ffmpeg.Pipes{Stdin: read})
		_ = read.CloseWithError(errEncoderGone) // it never fails
		return err
	})
	group.Go(func() error {
		m := mixer{tool: w.deps.FFmpeg, dir: dir, runs: runs, lost: func(r run) {
			for _, rec := range r.files {
				j.missing.add(rec.segment, timeline.Corrupt)
			}
		}}
		err := m.write(ctx, write, j.plan.Samples())
		_ = write.CloseWithError(err) // it never fails; nil is the end of the sound
		if errors.Is(err, errEncoderGone) {
			return nil // the encoder says why
		}
		return err
	})
	return group.Wait()
}

// errEncoderGone is what the mixer gets when the encoder ended before the sound did.
var errEncoderGone = errors.New("the encoder has ended")

// mixer adds up runs.
type mixer struct {
	tool *ffmpeg.Tool
	dir  string
	runs []run
	lost func(run) // is told of a run that does not decode to its end; the rest of it is silence
}

// mixBlock is how many samples are mixed at a time: a tenth of a second.
const mixBlock = ffmpeg.SampleRate / 10

// write mixes so many samples and writes them. It ends every decoder that it started.
func (m *mixer) write(ctx context.Context, out io.Writer, total int64) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	limit, drop := newLimiter(), lookAhead-1
	playing := map[int]*voice{}
	defer func() {
		for _, v := range playing {
			v.stop()
		}
	}()
	put := func(f frame) error {
		if f = limit.next(f); drop > 0 {
			drop--
			return nil
		}
		return writeFrame(buffered, f)
	}
	for at := int64(0); at < total; at += mixBlock {
		block := make([]frame, min(mixBlock, total-at))
		for i, r := range m.runs {
			if float64(at+int64(len(block))) <= r.begin() || float64(at) >= r.end() {
				continue
			}
			if playing[i] == nil {
				v, err := m.play(ctx, i, r)
				if err != nil {
					return err
				}
				playing[i] = v
			}
			if err := playing[i].add(block, at); err != nil {
				return err
			}
			if r.end() <= float64(at+int64(len(block))) {
				playing[i].stop()
				delete(playing, i)
			}
		}
		for _, f := range block {
			if err := put(f); err != nil {
				return err
			}
		}
	}
	for range lookAhead - 1 {
		if err := put(frame{}); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func writeFrame(w io.Writer, f frame) error {
	var b [frameBytes]byte
	for c, v := range f {
		binary.LittleEndian.PutUint32(b[4*c:], math.Float32bits(v))
	}
	_, err := w.Write(b[:])
	return err
}

// voice is a run that is being decoded.
type voice struct {
	run  run
	in   source
	stop func() // ends the decoder and waits for it
}

// play starts the decoder of a run.
func (m *mixer) play(ctx context.Context, number int, r run) (*voice, error) {
	name := fmt.Sprintf("v%04d.ogg", number)
	path := filepath.Join(m.dir, name)
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	err = r.writeOgg(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("join the files of a voice: %w", err)
	}
	cmd, err := ffmpeg.DecodeVoice(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	read, write := io.Pipe()
	var decoder errgroup.Group
	decoder.Go(func() error {
		_, err := m.tool.Run(ctx, m.dir, cmd, ffmpeg.Pipes{Stdout: write})
		if isToolError(err) {
			m.lost(r)
			err = nil
		}
		_ = write.CloseWithError(err) // it never fails; nil is the end of the file
		return err
	})
	stop := func() {
		cancel()
		_ = read.Close()    // it never fails
		_ = decoder.Wait()  // its error has reached the reader, or nobody needs the rest
		_ = os.Remove(path) // otherwise it goes with the folder
	}
	return &voice{run: r, in: source{r: read}, stop: stop}, nil
}

// edge is over how many samples a run comes and goes, so that it does not click: one millisecond.
const edge = ffmpeg.SampleRate / 1000

// add adds the voice to a block that begins at sample at of the archive.
func (v *voice) add(block []frame, at int64) error {
	begin, end := v.run.begin(), v.run.end()
	first := max(0, int64(math.Ceil(begin))-at)
	last := min(int64(len(block)), int64(math.Ceil(end))-at)
	for i := first; i < last; i++ {
		now := float64(at + i)
		f, err := v.in.at(v.run.place(now))
		if err != nil {
			return fmt.Errorf("decode voice: %w", err)
		}
		gain := float32(min(1, (now-begin)/edge, (end-now)/edge))
		for c := range f {
			block[i][c] += gain * f[c]
		}
	}
	return nil
}
