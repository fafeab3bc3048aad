package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

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
	if err := j.checkPackets(ctx, in, index.Audio()); err != nil {
		return err
	}
	if !j.plan.Profile.Video {
		return nil
	}
	return j.checkPictures(ctx, in, index.Video())
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

// sampleReader reads the samples of a track one by one.
type sampleReader struct {
	in   *os.File
	next func() (media.MP4Sample, bool)
	buf  []byte
}

// read gives the bytes of the next sample, good until the one after it; none behind the last one.
func (s *sampleReader) read() (media.MP4Sample, []byte, error) {
	sample, ok := s.next()
	if !ok {
		return sample, nil, nil
	}
	s.buf = slices.Grow(s.buf[:0], int(sample.Size))[:sample.Size]
	_, err := s.in.ReadAt(s.buf, sample.Offset)
	return sample, s.buf, err
}

// checkPictures holds the pictures of the finished file against those of the chunks.
func (j *job) checkPictures(ctx context.Context, in *os.File, video *media.MP4Track) error {
	next, stop := iter.Pull(video.Samples())
	defer stop()
	samples := &sampleReader{in: in, next: next}
	for i := range j.result.pictures {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := j.result.pictures[i].checkJoined(samples, video.Sets); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	return nil
}

// checkJoined holds the next pictures of the finished file against those of a chunk.
func (e *encoded) checkJoined(samples *sampleReader, sets [][]byte) error {
	if !slices.EqualFunc(e.Sets, sets, bytes.Equal) {
		return &failure{CodeRenderFailed, errors.New("the file says otherwise than the chunk how it is encoded")}
	}
	sum := sha256.New()
	for n := range e.Frames {
		sample, b, err := samples.read()
		if err != nil {
			return err
		}
		picture, err := media.H264AVC(b)
		if err == nil && picture.Key != sample.Key {
			err = errors.New("what is a keyframe is not called one, or what is none")
		}
		if err != nil {
			return &failure{CodeRenderFailed, fmt.Errorf("frame %d in the finished file: %w", n, err)}
		}
		if err := picture.WriteSlices(sum); err != nil {
			return err
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != e.Slices {
		return &failure{CodeRenderFailed, errors.New("its pictures are others in the finished file")}
	}
	return nil
}

// checkPackets holds the sound of the finished file against its pieces.
func (j *job) checkPackets(ctx context.Context, in *os.File, audio *media.MP4Track) error {
	next, stop := iter.Pull(audio.Samples())
	defer stop()
	samples := &sampleReader{in: in, next: next}
	for i := range j.result.sounds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		raw, err := os.ReadFile(filepath.Join(j.dir, soundFileOf(i)))
		if err != nil {
			return err
		}
		packets, err := ffmpeg.SplitADTS(raw)
		if err != nil {
			return &failure{CodeRenderFailed, err}
		}
		for n, p := range packets {
			_, b, err := samples.read()
			if err != nil {
				return err
			}
			if !bytes.Equal(ffmpeg.BodyADTS(p), b) {
				return &failure{CodeRenderFailed, fmt.Errorf("packet %d of piece %d of the sound is another one in the finished file", n, i)}
			}
		}
	}
	if _, more := next(); more {
		return &failure{CodeRenderFailed, errors.New("the finished file has more sound than its pieces")}
	}
	return nil
}
