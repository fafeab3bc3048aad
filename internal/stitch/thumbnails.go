package stitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/render"
)

// The keyframes of each chunk are decoded when it is made, which shows that they decode, and kept small beside it. What is
// left to do for an archive is to put some of them on one sheet.

const (
	// mostThumbnails is about how many thumbnails a long archive has; a short one has one for every two seconds.
	mostThumbnails   = 360
	thumbnailColumns = 10
	thumbnailWidth   = 160
	thumbnailHeight  = 90
	// smallQuality is that of a small picture that is kept, which is decoded once more, sheetQuality that of the sheet.
	smallQuality, sheetQuality = 90, 80
)

// storyboard says which moments of an archive have a thumbnail.
type storyboard struct {
	length, every time.Duration
}

func (j *job) storyboard() storyboard {
	length := j.plan.Duration()
	return storyboard{length, max(2*time.Second, (length/mostThumbnails + time.Second - 1).Truncate(time.Second))}
}

// count is how many thumbnails there are.
func (s storyboard) count() int { return max(1, int((s.length+s.every-1)/s.every)) }

// candidate is the keyframe that is seen for the longest time in the moment of a thumbnail, until the next one comes.
type candidate struct {
	frame int64 // of the archive
	seen  time.Duration
	small []byte
}

// better says whether c should take the place of another one; the same one may, with a picture at last.
func (c candidate) better(than candidate) bool {
	return c.seen > than.seen || c.seen == than.seen && c.frame <= than.frame
}

// offer lets the keyframes of a chunk become thumbnails. result.mu is held.
func (r *result) offer(s storyboard, c render.Chunk, all []keyframe) {
	if r.thumbnails == nil {
		r.thumbnails = make([]candidate, s.count())
	}
	for i, k := range all {
		next := c.Frames
		if i+1 < len(all) {
			next = all[i+1].Frame
		}
		from, until := time.Duration(render.TimeOfFrame(c.Start+k.Frame)), time.Duration(render.TimeOfFrame(c.Start+next))
		for cue := int(from / s.every); cue < len(r.thumbnails) && time.Duration(cue)*s.every < until; cue++ {
			begin := time.Duration(cue) * s.every
			offered := candidate{c.Start + k.Frame, min(until, begin+s.every) - max(from, begin), k.Small}
			if offered.better(r.thumbnails[cue]) {
				r.thumbnails[cue] = offered
			}
		}
	}
}

// see has the keyframes decoded that were not when their chunk was made. What still is not stays unknown.
func (w *Worker) see(ctx context.Context, j *job) error {
	for i, c := range j.plan.Chunks() {
		if len(j.result.pictures[i].Keyframes) == 0 {
			continue
		}
		e, unseen, err := w.lookAgain(ctx, j, i, c.Frames)
		if poisoned(err) { // the next version is to make it again
			err = errors.Join(err, w.deps.Blobs.Delete(ctx, pieceKey(j.result.chunks[i].Key, ".json")))
		}
		if err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		if unseen != nil {
			j.unverified(checkOfKeyframes, unseen)
			return nil
		}
		j.result.mu.Lock()
		j.result.offer(j.storyboard(), c, e.Keyframes)
		j.result.mu.Unlock()
	}
	return nil
}

// lookAgain is look for a finished chunk, of which the job's folder has nothing but the samples.
func (w *Worker) lookAgain(ctx context.Context, j *job, chunk int, frames int64) (e *encoded, unseen, err error) {
	name := filepath.Join(j.dir, render.ChunkFile)
	defer os.Remove(name) // else it goes with the folder
	piece := j.result.chunks[chunk]
	err = w.readPiece(ctx, pieceKey(piece.Key, chunkExtension), piece.SHA256, func(in io.Reader) error { return saveAs(name, in) })
	if errors.Is(err, errPieceGone) { // the archive has it, but it cannot be looked at
		return nil, err, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return w.look(ctx, j.dir, name, frames)
}

// writeThumbnails puts the thumbnails on one sheet.
func (j *job) writeThumbnails() error {
	all := j.result.thumbnails
	rows := (len(all) + thumbnailColumns - 1) / thumbnailColumns
	sheet := image.NewYCbCr(image.Rect(0, 0, thumbnailColumns*thumbnailWidth, rows*thumbnailHeight), image.YCbCrSubsampleRatio420)
	for i := range sheet.Cb { // black, where nothing is
		sheet.Cb[i], sheet.Cr[i] = 128, 128
	}
	for i, t := range all {
		if err := paste(sheet, i%thumbnailColumns*thumbnailWidth, i/thumbnailColumns*thumbnailHeight, t.small); err != nil {
			return fmt.Errorf("thumbnail %d: %w", i, err)
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, sheet, &jpeg.Options{Quality: sheetQuality}); err != nil {
		return fmt.Errorf("encode the thumbnails: %w", err)
	}
	return writeFile(filepath.Join(j.dir, ThumbnailsFile), out.Bytes())
}

// paste puts a small picture on the sheet.
func paste(sheet *image.YCbCr, x, y int, small []byte) error {
	decoded, err := jpeg.Decode(bytes.NewReader(small))
	if err != nil {
		return err
	}
	from, ok := decoded.(*image.YCbCr)
	if !ok || from.Bounds() != image.Rect(0, 0, thumbnailWidth, thumbnailHeight) || from.SubsampleRatio != sheet.SubsampleRatio {
		return errors.New("it has another size or form")
	}
	for row := range thumbnailHeight {
		copy(sheet.Y[sheet.YOffset(x, y+row):][:thumbnailWidth], from.Y[from.YOffset(0, row):])
	}
	for row := 0; row < thumbnailHeight; row += 2 {
		to, at := sheet.COffset(x, y+row), from.COffset(0, row)
		copy(sheet.Cb[to:][:thumbnailWidth/2], from.Cb[at:])
		copy(sheet.Cr[to:][:thumbnailWidth/2], from.Cr[at:])
	}
	return nil
}

// packThumbnail packs planes of 4:2:0 as JPEG.
func packThumbnail(planes []byte) ([]byte, error) {
	const luma, chroma = thumbnailWidth * thumbnailHeight, thumbnailWidth * thumbnailHeight / 4
	var out bytes.Buffer
	err := jpeg.Encode(&out, &image.YCbCr{
		Y: planes[:luma], Cb: planes[luma : luma+chroma], Cr: planes[luma+chroma:],
		YStride: thumbnailWidth, CStride: thumbnailWidth / 2, SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect: image.Rect(0, 0, thumbnailWidth, thumbnailHeight),
	}, &jpeg.Options{Quality: smallQuality})
	if err != nil {
		return nil, fmt.Errorf("encode a thumbnail: %w", err)
	}
	return out.Bytes(), nil
}

// thumbnailsVTT says which part of the sheet belongs to which moment, as players' seek bars expect it: a cue for each
// thumbnail, whose text is the sheet's name and a place on it (media fragments, xywh).
func (j *job) thumbnailsVTT() string {
	s := j.storyboard()
	var cues []render.Cue
	for i := range s.count() {
		from := time.Duration(i) * s.every
		cues = append(cues, render.Cue{
			Start: from, End: min(s.length, from+s.every),
			Text: fmt.Sprintf("%s#xywh=%d,%d,%d,%d", ThumbnailsFile, i%thumbnailColumns*thumbnailWidth, i/thumbnailColumns*thumbnailHeight, thumbnailWidth, thumbnailHeight),
		})
	}
	return render.VTT(cues)
}
