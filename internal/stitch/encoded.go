package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// encoded is what a chunk of the picture holds, as it was read from the file that the tool had written. The finished archive
// is held against it.
type encoded struct {
	Frames    int64      `json:"frames"`
	Slices    string     `json:"slices"`    // SHA-256 of all pictures in the order of the file, whatever contains them
	Sets      [][]byte   `json:"sets"`      // parameter sets of H.264
	Keyframes []keyframe `json:"keyframes"` // in their order
}

// keyframe is a picture that needs no other.
type keyframe struct {
	Frame int64  `json:"frame"`           // from the beginning of the chunk
	Small []byte `json:"small,omitempty"` // JPEG of thumbnailWidth by thumbnailHeight; none while it was not decoded
}

// tsClock counts the times of a chunk.
const tsClock = 90000

// readChunk reads a chunk that the tool has just written, and gives its keyframes as a stream too. A *failure says what is
// wrong with it: it must have so many pictures, each a frame's time behind the one before, and begin with a keyframe.
func readChunk(path string, frames int64) (e encoded, keys []byte, err error) {
	in, err := os.Open(path)
	if err != nil {
		return e, nil, err
	}
	defer in.Close()
	sum := sha256.New()
	var times, keyTimes []int64
	r := media.NewTSReader(in)
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, media.ErrNotTS) {
			return e, nil, &failure{CodeRenderFailed, fmt.Errorf("the chunk holds %d frames, then: %w", len(times), err)}
		}
		if err != nil {
			return e, nil, err
		}
		picture := media.H264AnnexB(p.Data)
		if picture.Key {
			keyTimes = append(keyTimes, p.PTS)
			keys = append(keys, p.Data...)
		}
		if err := e.add(picture); err != nil {
			return e, nil, &failure{CodeRenderFailed, fmt.Errorf("frame %d of the chunk: %w", len(times), err)}
		}
		if err := picture.WriteSlices(sum); err != nil {
			return e, nil, err
		}
		times = append(times, p.PTS)
	}
	e.Frames, e.Slices = int64(len(times)), hex.EncodeToString(sum.Sum(nil))
	if err := e.place(times, keyTimes, frames); err != nil {
		return e, nil, &failure{CodeRenderFailed, err}
	}
	return e, keys, nil
}

// add takes notice of a picture.
func (e *encoded) add(p media.H264Picture) error {
	switch {
	case len(p.Slices) == 0:
		return errors.New("there is no picture in it")
	case len(p.Sets) == 0:
		return nil
	case e.Sets == nil:
		for _, s := range p.Sets {
			e.Sets = append(e.Sets, bytes.Clone(s))
		}
	case !slices.EqualFunc(e.Sets, p.Sets, bytes.Equal):
		return errors.New("it is encoded otherwise than those before")
	}
	return nil
}

// place holds the times of the pictures against what was to be made, and numbers the keyframes.
func (e *encoded) place(times, keyTimes []int64, frames int64) error {
	if e.Frames != frames {
		return fmt.Errorf("the chunk holds %d frames instead of %d", e.Frames, frames)
	}
	slices.Sort(times)
	for i, at := range times {
		if want := times[0] + int64(i)*tsClock/render.Rate; at != want {
			return fmt.Errorf("frame %d of the chunk is shown %d ticks too late", i, at-want)
		}
	}
	for _, at := range keyTimes {
		e.Keyframes = append(e.Keyframes, keyframe{Frame: (at - times[0]) * render.Rate / tsClock})
	}
	if len(e.Keyframes) == 0 || e.Keyframes[0].Frame != 0 {
		return errors.New("the chunk does not begin with a keyframe")
	}
	return nil
}

// seen says whether every keyframe was decoded.
func (e *encoded) seen() bool {
	return !slices.ContainsFunc(e.Keyframes, func(k keyframe) bool { return k.Small == nil })
}

// decode decodes the keyframes, and keeps each one small. An error of which notMade knows says that nobody knows whether
// they decode.
func (w *Worker) decode(ctx context.Context, dir string, e *encoded, keys []byte) error {
	board := ffmpeg.Storyboard{Count: int64(len(e.Keyframes)), Width: thumbnailWidth, Height: thumbnailHeight}
	cmd, err := board.Command()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	res, err := w.deps.FFmpeg.Run(ctx, dir, cmd, ffmpeg.Pipes{Stdin: bytes.NewReader(keys), Stdout: &out})
	if err != nil {
		return fmt.Errorf("decode the keyframes: %w", err)
	}
	if res.DecodeErrors > 0 || out.Len() != board.Bytes()*len(e.Keyframes) {
		return &failure{CodeRenderFailed, fmt.Errorf("of %d keyframes not all decode: %d errors, %d bytes of small pictures\n%s",
			len(e.Keyframes), res.DecodeErrors, out.Len(), res.Log)}
	}
	for i := range e.Keyframes {
		if e.Keyframes[i].Small, err = packThumbnail(out.Next(board.Bytes())); err != nil {
			return err
		}
	}
	return nil
}

// look reads the chunk that was made in dir and decodes its keyframes. unseen says that they could not be decoded for a
// reason that is not theirs.
func (w *Worker) look(ctx context.Context, dir, name string, frames int64) (e *encoded, unseen, err error) {
	read, keys, err := readChunk(name, frames)
	if err != nil {
		return nil, nil, err
	}
	err = w.decode(ctx, dir, &read, keys)
	if notMade(ctx, err) {
		return &read, err, nil
	}
	return &read, nil, err
}
