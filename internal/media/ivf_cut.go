package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrNoKeyframe says that there is no keyframe to begin at.
var ErrNoKeyframe = errors.New("no keyframe")

// IVFCut is what CutIVF wrote.
type IVFCut struct {
	FirstPTS int64 // in the source; it is pts 0 of the cut
	Frames   int
}

// CutIVF writes the frames of [start, end) (pts of the source) as an IVF file of its own, with the frames from the last
// keyframe at or before start in front, so that it decodes. Where no keyframe is at or before start, it begins with
// the first keyframe before end; without one it returns ErrNoKeyframe and writes nothing. The pts count from the
// first frame written. scan is what ScanIVF found in src.
func CutIVF(dst io.Writer, src io.ReaderAt, scan IVFScan, start, end int64) (IVFCut, error) {
	frames := cutFrames(scan.Frames, start, end)
	if len(frames) == 0 {
		return IVFCut{}, fmt.Errorf("cut IVF from pts %d to %d: %w", start, end, ErrNoKeyframe)
	}
	h := scan.Header
	h.Frames = uint32(len(frames))
	if w, ht := frames[0].Width, frames[0].Height; w > 0 && ht > 0 {
		h.Width, h.Height = w, ht
	}
	out := bufio.NewWriterSize(dst, 64<<10)
	if _, err := out.Write(AppendIVFHeader(nil, h)); err != nil {
		return IVFCut{}, fmt.Errorf("cut IVF: write header: %w", err)
	}
	cut := IVFCut{FirstPTS: frames[0].PTS, Frames: len(frames)}
	var head []byte
	for _, f := range frames {
		head = AppendIVFFrameHeader(head[:0], f.Length, f.PTS-cut.FirstPTS)
		if _, err := out.Write(head); err != nil {
			return IVFCut{}, fmt.Errorf("cut IVF: write frame at pts %d: %w", f.PTS, err)
		}
		n, err := io.Copy(out, io.NewSectionReader(src, f.Offset, int64(f.Length)))
		if err == nil && n != int64(f.Length) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return IVFCut{}, fmt.Errorf("cut IVF: copy frame at pts %d: %w", f.PTS, err)
		}
	}
	if err := out.Flush(); err != nil {
		return IVFCut{}, fmt.Errorf("cut IVF: %w", err)
	}
	return cut, nil
}

// cutFrames picks the frames of a cut; none if there is no keyframe to begin at.
func cutFrames(frames []IVFFrame, start, end int64) []IVFFrame {
	first, stop := -1, 0
	for i, f := range frames {
		if f.PTS >= end {
			break
		}
		stop = i + 1
		if f.Key && (f.PTS <= start || first < 0) {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	return frames[first:stop]
}
