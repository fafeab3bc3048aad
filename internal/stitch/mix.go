package stitch

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

const encodedFile = "mix.m4a"

// makeSound makes a piece of the sound, or measures a voice: every run is decoded by a process of its own while it sounds,
// the samples are added up here, each in its exact place, and one more process encodes the sum. So the length is exact and
// nothing is held in memory.
func (w *Worker) makeSound(ctx context.Context, dir string, s *soundWork, files []io.ReaderAt) (made, error) {
	runs, err := s.runs(files)
	if err != nil {
		return made{}, err
	}
	mix := &mixer{tool: w.deps.FFmpeg, dir: dir, runs: runs, mono: s.Mono, lead: s.leadIn(), kept: s.Samples}
	for _, r := range s.Runs {
		mix.gains = append(mix.gains, factor(s.Gains[r.Voice]))
	}
	if s.Measure {
		return measureVoice(ctx, s, mix)
	}
	if err := w.encode(ctx, dir, s, mix); err != nil {
		return made{}, err
	}
	if s.Part != nil {
		return w.makePart(ctx, dir, s, mix)
	}
	m := made{Lost: mix.lostRuns()}
	h, err := w.checkSound(ctx, dir, s.Samples, decibels(mix.squares, mix.channels()*s.Samples))
	if errors.Is(err, errNotListened) {
		w.logger.Warn("the finished sound was not checked", "error", err)
		m.Unverified, err = true, nil
	}
	m.Loudness = h.Loudness
	return m, err
}

// file is the file that the work makes.
func (s *soundWork) file() string {
	if s.Part != nil {
		return partFile
	}
	return encodedFile
}

// encode mixes what the work asks for and lets the tool encode it.
func (w *Worker) encode(ctx context.Context, dir string, s *soundWork, mix *mixer) error {
	cmd, err := (&recipe{Sound: s}).command()
	if err != nil {
		return err
	}
	group, mixing := errgroup.WithContext(ctx)
	read, write := io.Pipe()
	group.Go(func() error {
		_, err := w.deps.FFmpeg.Run(mixing, dir, cmd, ffmpeg.Pipes{Stdin: read})
		_ = read.CloseWithError(errEncoderGone) // it never fails
		return err
	})
	group.Go(func() error {
		err := mix.write(mixing, write, s.mixed())
		_ = write.CloseWithError(err) // it never fails; nil is the end of the sound
		if errors.Is(err, errEncoderGone) {
			return nil // the encoder says why
		}
		return err
	})
	return group.Wait()
}

// runs opens the runs of a recipe.
func (s *soundWork) runs(files []io.ReaderAt) ([]run, error) {
	scans := map[int]media.OggScan{}
	var all []run
	for _, rw := range s.Runs {
		var r run
		for _, n := range rw.Files {
			scan, ok := scans[n]
			if !ok {
				var err error
				if scan, err = media.ScanOgg(io.NewSectionReader(files[n], 0, math.MaxInt64)); err != nil {
					return nil, err
				}
				scans[n] = scan
			}
			r.files = append(r.files, recording{file: files[n], scan: scan})
		}
		for _, k := range rw.Knots {
			r.knots = append(r.knots, knot{at: k[0], file: k[1]})
		}
		all = append(all, r)
	}
	return all, nil
}

// errEncoderGone is what the mixer gets when the encoder ended before the sound did.
var errEncoderGone = errors.New("the encoder has ended")

// mixer adds up runs.
type mixer struct {
	tool *ffmpeg.Tool
	dir  string
	runs []run
	mono bool // both channels become one

	gains   []float32 // factors by run; nil: none
	lead    int64     // samples before those that are noted
	kept    int64     // samples that are noted
	squares float64   // sum of the squares of all samples that were noted
	noted   int64     // samples
	loud    *loudnessMeter
	peaks   []byte // greatest sample of each tenth of a second, 255 is full scale

	mu   sync.Mutex // guards lost
	lost []int      // runs that do not decode to their end; the rest of them is silence
}

// lostRuns are the runs that did not decode to their end, by number.
func (m *mixer) lostRuns() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.lost)
	return slices.Compact(m.lost)
}

// mixBlock is how many samples are mixed at a time: a tenth of a second.
const mixBlock = ffmpeg.SampleRate / 10

// write mixes so many samples and writes them. It ends every decoder that it started.
func (m *mixer) write(ctx context.Context, out io.Writer, total int64) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	limit, drop := newLimiter(), lookAhead-1
	m.loud = newLoudnessMeter()
	put := func(f frame) error {
		if f = limit.next(f); drop > 0 {
			drop--
			return nil
		}
		samples := f[:]
		if m.mono {
			samples = []float32{(f[0] + f[1]) / 2}
		}
		m.note(f, samples)
		return writeSamples(buffered, samples)
	}
	err := m.blocks(ctx, total, func(block []frame) error {
		for _, f := range block {
			if err := put(f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for range lookAhead - 1 {
		if err := put(frame{}); err != nil {
			return err
		}
	}
	m.loud.end()
	return buffered.Flush()
}

// blocks adds up so many samples and gives them out by the tenth of a second. It ends every decoder that it started.
func (m *mixer) blocks(ctx context.Context, total int64, give func([]frame) error) error {
	playing := map[int]*voice{}
	defer func() {
		for _, v := range playing {
			v.stop()
		}
	}()
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
		if err := give(block); err != nil {
			return err
		}
	}
	return nil
}

// channels is how many are written.
func (m *mixer) channels() int64 {
	if m.mono {
		return 1
	}
	return ffmpeg.Channels
}

// note keeps what is to be known of a sample that was mixed, and written in so many channels.
func (m *mixer) note(f frame, written []float32) {
	at := m.noted - m.lead
	m.noted++
	switch {
	case at < 0:
		m.loud.weigh(f)
		return
	case at >= m.kept:
		return
	case at%mixBlock == 0:
		m.peaks = append(m.peaks, 0)
	}
	m.loud.add(f)
	for _, v := range written {
		m.squares += float64(v) * float64(v)
		if p := byte(min(255, math.Round(math.Abs(float64(v))*255))); p > m.peaks[len(m.peaks)-1] {
			m.peaks[len(m.peaks)-1] = p
		}
	}
}

// channels is how many the finished sound has.
func (s *soundWork) channels() int {
	if s.Mono {
		return 1
	}
	return ffmpeg.Channels
}

// writeSamples writes one sample of each channel.
func writeSamples(w io.Writer, f []float32) error {
	var b [frameBytes]byte
	for c, v := range f {
		binary.LittleEndian.PutUint32(b[4*c:], math.Float32bits(v))
	}
	_, err := w.Write(b[:4*len(f)])
	return err
}

// voice is a run that is being decoded.
type voice struct {
	run  run
	in   source
	stop func() // ends the decoder and waits for it
	gain float32
}

// play starts the decoder of a run.
func (m *mixer) play(ctx context.Context, number int, r run) (*voice, error) {
	name := runFile(number)
	path := filepath.Join(m.dir, name)
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	skipped, err := r.writeOgg(f, r.place(max(0, r.begin()))-warmUp)
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
			m.mu.Lock()
			m.lost = append(m.lost, number)
			m.mu.Unlock()
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
	v := &voice{run: r, in: source{r: read, base: skipped}, stop: stop, gain: 1}
	if m.gains != nil {
		v.gain = m.gains[number]
	}
	return v, nil
}

// runFile is the name of the file of a run in the folder of its piece.
func runFile(number int) string { return fmt.Sprintf("v%04d.ogg", number) }

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
		gain := v.gain * float32(min(1, (now-begin)/edge, (end-now)/edge))
		for c := range f {
			block[i][c] += gain * f[c]
		}
	}
	return nil
}
