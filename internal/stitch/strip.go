package stitch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"consilium/internal/media"
	"consilium/internal/render"
)

// strip is a chunk of the picture as it goes into the archive. Its samples lie one right behind the other in a file in the folder of
// the job, so that joining is nothing but copying: they are taken out of the chunk on its way there, while other pieces are
// still being made.
type strip struct {
	sets    [][]byte // parameter sets of H.264
	samples []media.MP4Picture
}

// stripFile is the name of the samples of a chunk in the folder of a job.
func stripFile(i int) string { return fmt.Sprintf("c%04d.avc", i) }

// cutStrip takes the samples of a chunk out of its transport stream. The error is one of media.ErrNotTS, of in or of out.
func cutStrip(in io.Reader, out io.Writer) (strip, error) {
	var s strip
	var shown []int64
	var sample []byte
	to := bufio.NewWriterSize(out, copyBuffer)
	r := media.NewTSReader(in)
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		picture := media.H264AnnexB(p.Data)
		if s.sets == nil {
			for _, set := range picture.Sets {
				s.sets = append(s.sets, bytes.Clone(set))
			}
		}
		sample = media.AppendAVC(sample[:0], p.Data)
		if _, err := to.Write(sample); err != nil {
			return s, err
		}
		s.samples = append(s.samples, media.MP4Picture{Size: uint32(len(sample)), Key: picture.Key}) //nolint:gosec // bounded by the reader
		shown = append(shown, p.PTS)
	}
	if len(shown) > 0 {
		first := slices.Min(shown)
		for i, at := range shown {
			s.samples[i].Place = int32((at - first) * render.Rate / tsClock) //nolint:gosec // a chunk has no more than minutes
		}
	}
	return s, to.Flush()
}

// copyBuffer is how much of a file is copied at a time.
const copyBuffer = 256 << 10

// collectStrip puts the samples of a chunk into the folder of the job, and keeps what is known of them.
func (j *job) collectStrip(chunk int, in io.Reader) error {
	out, err := create(filepath.Join(j.dir, stripFile(chunk)))
	if err != nil {
		return err
	}
	defer out.Close()
	s, err := cutStrip(in, out)
	if err != nil {
		return err
	}
	j.result.mu.Lock()
	j.result.strips[chunk] = s
	j.result.mu.Unlock()
	return out.Close()
}

// pictures are the strips as one track. A *failure says that they do not fit together.
func (j *job) pictures() (*media.MP4Pictures, error) {
	all := &media.MP4Pictures{PerSecond: render.Rate, Colour: media.BT601}
	for i, s := range j.result.strips {
		if i == 0 {
			all.Sets = s.sets
		} else if !slices.EqualFunc(s.sets, all.Sets, bytes.Equal) {
			return nil, &failure{CodeRenderFailed, fmt.Errorf("chunk %d is encoded otherwise than the first", i)}
		}
		first := int32(len(all.Samples)) //nolint:gosec // weeks of pictures
		for _, sample := range s.samples {
			sample.Place += first
			all.Samples = append(all.Samples, sample)
		}
	}
	return all, nil
}

// inTurn reads parts one behind the other, each opened when the one before it is over. It ends with ctx.
type inTurn struct {
	ctx  context.Context
	open func(i int) (io.ReadCloser, error)
	left []int // numbers of the parts that are still to come
	now  io.ReadCloser
}

func newInTurn(ctx context.Context, count int, open func(i int) (io.ReadCloser, error)) *inTurn {
	r := &inTurn{ctx: ctx, open: open}
	for i := range count {
		r.left = append(r.left, i)
	}
	return r
}

func (r *inTurn) Read(b []byte) (int, error) {
	for {
		if r.now == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			if err := r.ctx.Err(); err != nil {
				return 0, err
			}
			var err error
			if r.now, err = r.open(r.left[0]); err != nil {
				return 0, err
			}
			r.left = r.left[1:]
		}
		n, err := r.now.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := r.Close(); err != nil || n > 0 {
			return n, err
		}
	}
}

// Close closes the part that is open.
func (r *inTurn) Close() error {
	if r.now == nil {
		return nil
	}
	was := r.now
	r.now = nil
	return was.Close()
}

// openIn opens a file in the folder of the job.
func (j *job) openIn(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(j.dir, name)) }
