package stitch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// The finished file is held against its pieces, which were looked at and listened to when each was made: that its index
// shows every picture and every packet of sound at its time, and that their bytes are those of the pieces, in their order. So
// nothing of it has to be decoded, and what is to be done after a call grows no faster than a copy of the file.

// checkJoined reads the finished file. A *failure says what is wrong with it.
func (j *job) checkJoined(ctx context.Context) error {
	in, err := os.Open(filepath.Join(j.dir, ArchiveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{CodeRenderFailed, fmt.Errorf("nothing was joined: %w", err)}
	}
	if err != nil {
		return err
	}
	defer in.Close()
	index, err := readIndex(in)
	if err != nil {
		return err
	}
	if err := j.check(index); err != nil {
		return &failure{CodeRenderFailed, err}
	}
	var digesting errgroup.Group // beside the check: both read the same
	digesting.Go(func() (err error) {
		j.result.digest, err = digestOfFile(in.Name())
		return err
	})
	err = j.checkSamples(ctx, in, index)
	return errors.Join(err, digesting.Wait())
}

// digestOfFile is the SHA-256 of a file.
func digestOfFile(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	_, err = io.CopyBuffer(sum, struct{ io.Reader }{in}, make([]byte, copyBuffer))
	return hex.EncodeToString(sum.Sum(nil)), err
}

// readIndex reads the index of an MP4 file.
func readIndex(in *os.File) (*media.MP4, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	index, err := media.ReadMP4(in, info.Size())
	if errors.Is(err, media.ErrNotMP4) {
		return nil, &failure{CodeRenderFailed, fmt.Errorf("read the index of the file: %w", err)}
	}
	return index, err
}

// check holds the index of the finished file against the plan. That ffmpeg is content means nothing.
func (j *job) check(index *media.MP4) error {
	want := j.plan.Duration()
	if d := (index.Length - want).Abs(); d > lengthTolerance {
		return fmt.Errorf("the archive lasts %s instead of %s", index.Length, want)
	}
	audio, video := index.Audio(), index.Video()
	if audio == nil || (audio.Length-want).Abs() > lengthTolerance {
		return fmt.Errorf("the sound is %s instead of %s", aboutTrack(audio), want)
	}
	if err := checkSoundTimes(audio); err != nil {
		return err
	}
	if !j.plan.Profile.Video {
		return nil
	}
	if video == nil || int64(video.Count) != j.plan.Frames {
		return fmt.Errorf("the picture is %s instead of %d frames", aboutTrack(video), j.plan.Frames)
	}
	times := make([]time.Duration, 0, video.Count)
	for s := range video.Samples() {
		if s.Hidden {
			return fmt.Errorf("the frame at %s is not shown", video.Time(s))
		}
		times = append(times, video.Time(s))
	}
	return j.checkTimes(times)
}

func aboutTrack(t *media.MP4Track) string {
	if t == nil {
		return "not there"
	}
	return fmt.Sprintf("%d packets of %s in %s", t.Count, t.Codec, t.Length)
}

// checkTimes holds the moments of all pictures of the finished file against the plan.
func (j *job) checkTimes(times []time.Duration) error {
	if int64(len(times)) != j.plan.Frames {
		return fmt.Errorf("the file shows %d frames instead of %d", len(times), j.plan.Frames)
	}
	slices.Sort(times)
	for i, at := range times {
		if want := time.Duration(render.TimeOfFrame(int64(i))); (at - want).Abs() > timeTolerance {
			return fmt.Errorf("frame %d is shown at %s instead of %s", i, at, want)
		}
	}
	return nil
}

// checkSoundTimes says whether every packet of sound comes at its time; the first one stands before the beginning.
func checkSoundTimes(audio *media.MP4Track) error {
	n := int64(-1)
	for s := range audio.Samples() {
		want := media.RTPDuration(n*ffmpeg.AACFrame, ffmpeg.SampleRate)
		if at := audio.Time(s); (at - want).Abs() > timeTolerance {
			return fmt.Errorf("packet %d of the sound is heard at %s instead of %s", n, at, want)
		}
		n++
	}
	return nil
}

// heldSamples are the samples of a track while they are held against the pieces, one by one.
type heldSamples struct {
	next  func() (media.MP4Sample, bool)
	now   media.MP4Sample
	more  bool
	check func(s media.MP4Sample, b []byte) error // a *failure says what is wrong with a sample
	end   func() error                            // called behind the last one
}

// checkSamples reads all samples in the order of the file, so that it is read once from its beginning to its end, and holds those of
// each track against its pieces.
func (j *job) checkSamples(ctx context.Context, in io.ReaderAt, index *media.MP4) error {
	sound := &soundCheck{job: j}
	tracks := []*heldSamples{{check: sound.check, end: sound.end}}
	list := []*media.MP4Track{index.Audio()}
	if j.plan.Profile.Video {
		pictures, err := newPictureCheck(j, index.Video().Sets)
		if err != nil {
			return err
		}
		tracks = append(tracks, &heldSamples{check: pictures.check, end: pictures.end})
		list = append(list, index.Video())
	}
	for i, t := range tracks {
		next, stop := iter.Pull(list[i].Samples())
		defer stop()
		t.next = next
		t.now, t.more = next()
	}
	file := &pieceOfFile{in: in}
	for n := 0; ; n++ {
		t := earliest(tracks)
		if t == nil {
			break
		}
		if n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		b, err := file.bytes(t.now)
		if err == nil {
			err = t.check(t.now, b)
		}
		if err != nil {
			return err
		}
		t.now, t.more = t.next()
	}
	for _, t := range tracks {
		if err := t.end(); err != nil {
			return err
		}
	}
	return nil
}

// earliest is the track whose next sample comes first in the file; nil when there is none.
func earliest(all []*heldSamples) (first *heldSamples) {
	for _, t := range all {
		if t.more && (first == nil || t.now.Offset < first.now.Offset) {
			first = t
		}
	}
	return first
}

// pieceOfFile reads samples that stand one behind the other a piece of the file at a time, and any others by themselves.
type pieceOfFile struct {
	in  io.ReaderAt
	buf []byte // what the file has from at on
	at  int64
}

// bytes are those of a sample, good until the next one.
func (r *pieceOfFile) bytes(s media.MP4Sample) ([]byte, error) {
	if end := r.at + int64(len(r.buf)); s.Offset < r.at || s.Offset+s.Size > end {
		size := s.Size
		if ahead := s.Offset - end; ahead <= copyBuffer && s.Offset >= r.at {
			size = max(size, 4*copyBuffer)
		}
		r.buf, r.at = slices.Grow(r.buf[:0], int(size))[:size], s.Offset
		n, err := r.in.ReadAt(r.buf, r.at)
		if r.buf = r.buf[:n]; int64(n) < s.Size {
			return nil, fmt.Errorf("read a sample of the finished file: %w", err)
		}
	}
	return r.buf[s.Offset-r.at:][:s.Size], nil
}

// pictureCheck holds the pictures of the finished file against those of the chunks.
type pictureCheck struct {
	job   *job
	sets  [][]byte // as the file has them
	chunk int
	frame int64 // of the chunk
	sum   hash.Hash
	order *media.H264Order
	group []shown // the pictures since the last keyframe, in the order of decoding
	last  int64   // when the last picture before them is shown
}

// shown is when a picture is shown: by what it says itself, and by the file.
type shown struct{ place, at int64 }

// closeGroup says whether the file shows the pictures since the last keyframe in the order that they name themselves, behind
// all that came before.
func (c *pictureCheck) closeGroup() error {
	slices.SortFunc(c.group, func(a, b shown) int { return cmp.Compare(a.place, b.place) })
	for _, s := range c.group {
		if s.at <= c.last {
			return c.fails(errors.New("its pictures are shown in another order in the finished file"))
		}
		c.last = s.at
	}
	c.group = c.group[:0]
	return nil
}

// note takes down when a picture is shown.
func (c *pictureCheck) note(s media.MP4Sample, p media.H264Picture) error {
	if s.Key {
		if err := c.closeGroup(); err != nil {
			return err
		}
	}
	place, err := c.order.Next(p)
	if err != nil {
		return c.fails(err)
	}
	c.group = append(c.group, shown{place, s.At})
	return nil
}

func newPictureCheck(j *job, sets [][]byte) (*pictureCheck, error) {
	c := &pictureCheck{job: j, sets: sets, last: -1}
	if len(sets) == 0 {
		return nil, c.fails(errors.New("nothing says how it is encoded"))
	}
	var err error
	if c.order, err = media.NewH264Order(sets[0]); err != nil {
		return nil, c.fails(err)
	}
	return c, nil
}

func (c *pictureCheck) check(s media.MP4Sample, b []byte) error {
	if c.chunk == len(c.job.result.pictures) {
		return &failure{CodeRenderFailed, errors.New("the finished file has more pictures than its chunks")}
	}
	e := &c.job.result.pictures[c.chunk]
	if c.frame == 0 {
		if c.sum = sha256.New(); !slices.EqualFunc(e.Sets, c.sets, bytes.Equal) {
			return c.fails(errors.New("the file says otherwise than the chunk how it is encoded"))
		}
	}
	picture, err := media.H264AVC(b)
	if err == nil && picture.Key != s.Key {
		err = errors.New("what is a keyframe is not called one, or what is none")
	}
	if err != nil {
		return c.fails(fmt.Errorf("frame %d in the finished file: %w", c.frame, err))
	}
	if err := errors.Join(c.note(s, picture), picture.WriteSlices(c.sum)); err != nil {
		return err
	}
	if c.frame++; c.frame < e.Frames {
		return nil
	}
	if hex.EncodeToString(c.sum.Sum(nil)) != e.Slices {
		return c.fails(errors.New("its pictures are others in the finished file"))
	}
	c.chunk, c.frame = c.chunk+1, 0
	return nil
}

func (c *pictureCheck) end() error {
	if n := len(c.job.result.pictures); c.chunk < n {
		return c.fails(fmt.Errorf("the finished file ends at its frame %d", c.frame))
	}
	return c.closeGroup()
}

func (c *pictureCheck) fails(err error) error {
	return &failure{CodeRenderFailed, fmt.Errorf("chunk %d: %w", c.chunk, err)}
}

// soundCheck holds the sound of the finished file against its pieces.
type soundCheck struct {
	job     *job
	piece   int      // the one after that of packets
	packets [][]byte // that are still to come of a piece
}

// expect opens the next piece when the one before it is over. It leaves no packets when there is none.
func (c *soundCheck) expect() (err error) {
	for len(c.packets) == 0 && c.piece < len(c.job.result.sounds) && err == nil {
		_, c.packets, err = c.job.packets(c.piece)
		c.piece++
	}
	return err
}

func (c *soundCheck) check(_ media.MP4Sample, b []byte) error {
	if err := c.expect(); err != nil {
		return err
	}
	if len(c.packets) == 0 {
		return &failure{CodeRenderFailed, errors.New("the finished file has more sound than its pieces")}
	}
	if !bytes.Equal(ffmpeg.BodyADTS(c.packets[0]), b) {
		return &failure{CodeRenderFailed, fmt.Errorf("a packet of piece %d of the sound, with %d behind it, is another one in the finished file", c.piece-1, len(c.packets)-1)}
	}
	c.packets = c.packets[1:]
	return nil
}

func (c *soundCheck) end() error {
	if err := c.expect(); err != nil {
		return err
	}
	if len(c.packets) > 0 {
		return &failure{CodeRenderFailed, errors.New("the finished file has less sound than its pieces")}
	}
	return nil
}
