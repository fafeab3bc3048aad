package stitch

import (
	"fmt"
	"time"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
)

const (
	// mostThumbnails is about how many thumbnails a long archive has; a short one has one for every keyframe.
	mostThumbnails   = 360
	thumbnailColumns = 10
	thumbnailWidth   = 160
	thumbnailHeight  = 90
)

// storyboard is the sheet of thumbnails of an archive.
func (j *job) storyboard() ffmpeg.Storyboard {
	length := j.plan.Duration()
	every := max(2*time.Second, (length/mostThumbnails + time.Second - 1).Truncate(time.Second))
	return ffmpeg.Storyboard{
		File: ArchiveFile, Length: length, Every: every, Width: thumbnailWidth, Height: thumbnailHeight,
		Columns: thumbnailColumns, Out: ThumbnailsFile,
	}
}

// thumbnailsVTT says which part of the sheet belongs to which moment, as players' seek bars expect it: a cue for each
// thumbnail, whose text is the sheet's name and a place on it (media fragments, xywh).
func (j *job) thumbnailsVTT() string {
	s := j.storyboard()
	var cues []render.Cue
	for i := range s.Count() {
		from := time.Duration(i) * s.Every
		cues = append(cues, render.Cue{
			Start: from, End: min(s.Length, from+s.Every),
			Text: fmt.Sprintf("%s#xywh=%d,%d,%d,%d", ThumbnailsFile, i%s.Columns*s.Width, i/s.Columns*s.Height, s.Width, s.Height),
		})
	}
	return render.VTT(cues)
}
