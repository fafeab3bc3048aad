package stitch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

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
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for the sound: %w", err)
	}
	group, mixing := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer read.Close() // the encoder has its own
		_, err := w.deps.FFmpeg.Run(mixing, dir, cmd, ffmpeg.Pipes{Stdin: read})
		return err
	})
	group.Go(func() error {
		defer write.Close() // the end of the sound
		err := mix.write(mixing, write, s.mixed())
		if errors.Is(err, syscall.EPIPE) {
			return nil // the encoder has ended, and says why
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
	folded  *block // room for both channels as one
	raw     []byte // room for what is written

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
	limit, drop := newLimiter(), lookAhead-1
	m.loud, m.folded = newLoudnessMeter(), newBlock(mixBlock)
	put := func(b *block) error {
		limit.next(b)
		late := min(drop, b.len())
		drop -= late
		return m.put(out, b.part(late, b.len()))
	}
	if err := m.blocks(ctx, total, put); err != nil {
		return err
	}
	if err := put(newBlock(lookAhead - 1)); err != nil {
		return err
	}
	m.loud.end()
	return nil
}

// put writes a block that was mixed.
func (m *mixer) put(out io.Writer, b *block) error {
	written := b
	if m.mono {
		written = b.mono(m.folded)
	}
	m.note(b, written)
	m.raw = written.append(m.raw[:0], int(m.channels()))
	_, err := out.Write(m.raw)
	return err
}

// blocks adds up so many samples and gives them out by the tenth of a second; a block is good until the next one. It ends
// every decoder that it started.
func (m *mixer) blocks(ctx context.Context, total int64, give func(*block) error) error {
	playing := map[int]*voice{}
	defer func() {
		for _, v := range playing {
			v.stop()
		}
	}()
	room := newBlock(mixBlock)
	for at := int64(0); at < total; at += mixBlock {
		b := room.silent(int(min(mixBlock, total-at)))
		end := at + int64(b.len())
		for i, r := range m.runs {
			if float64(end) <= r.begin() || float64(at) >= r.end() {
				continue
			}
			if playing[i] == nil {
				v, err := m.play(ctx, i, r)
				if err != nil {
					return err
				}
				playing[i] = v
			}
			if err := playing[i].add(b, at); err != nil {
				return err
			}
			if r.end() <= float64(end) {
				playing[i].stop()
				delete(playing, i)
			}
		}
		if err := give(b); err != nil {
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

// note keeps what is to be known of a block that was mixed, and written in this form.
func (m *mixer) note(b, written *block) {
	for from := 0; from < b.len(); {
		at := m.noted - m.lead
		count := int64(b.len() - from)
		switch {
		case at < 0:
			count = min(count, -at)
			m.loud.weigh(b.part(from, from+int(count)))
		case at < m.kept:
			count = min(count, m.kept-at, mixBlock-at%mixBlock)
			m.loud.add(b.part(from, from+int(count)))
			m.level(written.part(from, from+int(count)), at%mixBlock == 0)
		}
		from += int(count)
		m.noted += count
	}
}

// level keeps how loud a part of a tenth of a second is; begins says that it is the first one of it.
func (m *mixer) level(b *block, begins bool) {
	if begins {
		m.peaks = append(m.peaks, 0)
	}
	last := &m.peaks[len(m.peaks)-1]
	channels := b.different()
	for _, c := range channels {
		squares, peak := 0.0, float32(0)
		for _, v := range c {
			squares += float64(v) * float64(v)
			if v < 0 {
				v = -v
			}
			if v > peak {
				peak = v
			}
		}
		m.squares += squares * float64(m.channels()) / float64(len(channels))
		*last = max(*last, byte(min(255, math.Round(float64(peak)*255))))
	}
}

// channels is how many the finished sound has.
func (s *soundWork) channels() int {
	if s.Mono {
		return 1
	}
	return ffmpeg.Channels
}

// voice is a run that is being decoded.
type voice struct {
	run  run
	in   *source
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
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for a voice: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var decoder errgroup.Group
	decoder.Go(func() error {
		defer write.Close() // the decoder has its own
		_, err := m.tool.Run(ctx, m.dir, cmd, ffmpeg.Pipes{Stdout: write})
		if isToolError(err) {
			m.mu.Lock()
			m.lost = append(m.lost, number)
			m.mu.Unlock()
			err = nil
		}
		return err
	})
	stop := func() {
		cancel()
		_ = read.Close()    // it was only read
		_ = decoder.Wait()  // its error has reached the reader, or nobody needs the rest
		_ = os.Remove(path) // otherwise it goes with the folder
	}
	v := &voice{run: r, in: newSource(decoded{read, decoder.Wait}, skipped), stop: stop, gain: 1}
	if m.gains != nil {
		v.gain = m.gains[number]
	}
	return v, nil
}

// decoded is what a decoder writes. The end of it is only one if the decoder says so too.
type decoded struct {
	*os.File
	ended func() error // waits for the decoder
}

func (d decoded) Read(p []byte) (int, error) {
	n, err := d.File.Read(p)
	if errors.Is(err, io.EOF) {
		err = cmp.Or(d.ended(), err)
	}
	return n, err
}

// runFile is the name of the file of a run in the folder of its piece.
func runFile(number int) string { return fmt.Sprintf("v%04d.ogg", number) }

// edge is over how many samples a run comes and goes, so that it does not click: one millisecond.
const edge = ffmpeg.SampleRate / 1000

// add adds the voice to a block that begins at sample at of the archive.
func (v *voice) add(b *block, at int64) error {
	first := max(0, int64(math.Ceil(v.run.begin()))-at)
	last := min(int64(b.len()), int64(math.Ceil(v.run.end()))-at)
	for first < last {
		l := v.run.line(float64(at + first))
		end := last
		if l.end < float64(at+last) {
			end = int64(math.Ceil(l.end)) - at
		}
		sound, err := v.in.read(l.place, l.step, int(end-first))
		if err != nil {
			return fmt.Errorf("decode voice: %w", err)
		}
		v.fade(sound, at+first)
		if !sound.single {
			b.separate()
		}
		for c, out := range b.part(int(first), int(end)).different() {
			for i, s := range sound.channel(c)[:len(out)] {
				out[i] += v.gain * s
			}
		}
		first = end
	}
	return nil
}

// fade lets sound that begins at sample at of the archive come and go where the run does.
func (v *voice) fade(sound *block, at int64) {
	begin, end := v.run.begin(), v.run.end()
	if float64(at)-begin >= edge && end-float64(at+int64(sound.len())) >= edge {
		return
	}
	for i := range sound.len() {
		now := float64(at + int64(i))
		share := float32(min(1, (now-begin)/edge, (end-now)/edge))
		for _, c := range sound.different() {
			c[i] *= share
		}
	}
}
