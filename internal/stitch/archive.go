package stitch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/media"
)

// Names of the files of an archive, in the work folder and in the blob store.
const (
	ArchiveFile  = "archive.mp4"
	ManifestFile = "manifest.json"
	ChaptersFile = "chapters.vtt"
	EventsFile   = "events.vtt"

	PeaksFile         = "peaks.json"     // the sound as a curve
	ThumbnailsFile    = "thumbnails.jpg" // of a video: small pictures on one sheet
	ThumbnailsVTTFile = "thumbnails.vtt" // which of them belongs to which moment
)

// lengthTolerance is by how much a file's length may differ from the plan's: the last packet of AAC is longer than what
// is in it.
const lengthTolerance = 50 * time.Millisecond

// mux puts pieces, sound and chapters together: it lays the index out and copies the samples behind it, in one pass.
func (w *Worker) mux(ctx context.Context, j *job) error {
	sound, err := j.joinSound()
	if err != nil {
		return err
	}
	content := media.MP4Content{Title: j.plan.Title, Chapters: j.plan.Chapters, Sound: sound}
	if j.plan.Profile.Video {
		if content.Pictures, err = j.pictures(); err != nil {
			return err
		}
	}
	out, err := create(filepath.Join(j.dir, ArchiveFile))
	if err != nil {
		return err
	}
	defer out.Close()
	packets := j.soundSamples(ctx)
	defer packets.Close()
	pictures := newInTurn(ctx, len(j.result.strips), func(i int) (io.ReadCloser, error) { return j.openIn(stripFile(i)) })
	defer pictures.Close()
	to := bufio.NewWriterSize(out, copyBuffer)
	_, err = media.WriteMP4(to, content, pictures, packets)
	if errors.Is(err, media.ErrMP4Content) {
		return &failure{CodeRenderFailed, err}
	}
	if err := errors.Join(err, to.Flush()); err != nil {
		return err
	}
	beginToSettle(out)
	return out.Close()
}

// media are the names of the archive's files that lie in the folder of the job.
func (j *job) media() []string {
	all := []string{ArchiveFile}
	if j.hasThumbnails() {
		all = append(all, ThumbnailsFile)
	}
	for _, v := range j.result.voices {
		all = append(all, v.File)
	}
	return all
}

// hasThumbnails says whether there is a sheet of thumbnails: the keyframes, where they were decoded.
func (j *job) hasThumbnails() bool {
	return j.plan.Profile.Video && !slices.Contains(j.result.unverified, checkOfKeyframes)
}

// texts are the archive's other files, without the manifest.
func (j *job) texts() map[string][]byte {
	all := map[string][]byte{ChaptersFile: []byte(j.plan.ChaptersVTT()), EventsFile: []byte(j.plan.EventsVTT())}
	all[PeaksFile] = j.peaks()
	if j.hasThumbnails() {
		all[ThumbnailsVTTFile] = []byte(j.thumbnailsVTT())
	}
	return all
}

// peaks is the sound as a curve: the greatest sample of each tenth of a second, 255 is full scale.
func (j *job) peaks() []byte {
	var b bytes.Buffer
	b.WriteString(`{"perSecond":10,"max":255,"peaks":[`)
	for i, p := range j.result.peaks {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, p)
	}
	b.WriteString("]}\n")
	return b.Bytes()
}

// store puts the files into the blob store and announces them, in this order.
func (w *Worker) store(ctx context.Context, j *job) error {
	manifest, err := json.MarshalIndent(j.manifest(), "", "  ")
	if err != nil {
		return err
	}
	var video blob.Info
	for _, name := range j.media() {
		path := filepath.Join(j.dir, name)
		if name != ArchiveFile {
			_, err = w.deps.Blobs.PutFile(ctx, j.key(name), path)
		} else {
			video, err = w.deps.Blobs.Give(ctx, j.key(name), path, j.result.digest)
		}
		if err != nil {
			return err
		}
	}
	for name, content := range j.texts() {
		if _, err := w.deps.Blobs.Put(ctx, j.key(name), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	about, err := w.deps.Blobs.Put(ctx, j.key(ManifestFile), bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	err = w.conclude(ctx, j, events.ArchiveRendered{
		Version: j.request.Version, Key: video.Key, Bytes: video.Bytes, SHA256: video.SHA256,
		ManifestSHA256: about.SHA256, DurationMS: j.plan.Duration().Milliseconds(),
		Unverified: j.result.unverified,
	})
	if err != nil {
		return err
	}
	if err := w.settleEarly(ctx, j); err != nil {
		j.logger.Warn("what was made during the call and is not used stays until it is old", "error", err)
	}
	return nil
}
