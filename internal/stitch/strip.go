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
		s.samples = append(s.samples, media.MP4Picture{Size: uint32(len(sample)), Key: picture.Key})
		shown = append(shown, p.PTS)
	}
	if len(shown) > 0 {
		first := slices.Min(shown)
		for i, at := range shown {
			s.samples[i].Place = int32((at - first) * render.Rate / tsClock)
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
		first := int32(len(all.Samples))
		for _, sample := range s.samples {
			sample.Place += first
			all.Samples = append(all.Samples, sample)
		}
	}
	return all, nil
}

// inTurn reads parts one behind the other, each opened when the one before it is over.
type inTurn struct {
	open  func(i int) (io.ReadCloser, error)
	count int
	next  int // number of the part behind now
	now   io.ReadCloser
}

// newInTurn reads so many parts. When ctx ends no other is opened, and its error comes instead.
func newInTurn(ctx context.Context, count int, open func(i int) (io.ReadCloser, error)) *inTurn {
	return &inTurn{count: count, open: func(i int) (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return open(i)
	}}
}

func (r *inTurn) Read(b []byte) (int, error) {
	for {
		if r.now == nil {
			if r.next == r.count {
				return 0, io.EOF
			}
			part, err := r.open(r.next)
			if err != nil {
				return 0, err
			}
			r.now, r.next = part, r.next+1
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
