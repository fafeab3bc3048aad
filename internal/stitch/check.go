package stitch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// A stitcher does not believe its tool. While a chunk is drawn it is watched for stretches in which nothing moves or all is
// black, and each of them has to be explained by the frames that were to be shown, or by the sources, looked at alone; when it
// is drawn its frames are counted and its keyframes decoded; each piece of the sound is listened to and held against what
// was mixed; the finished file must show every frame at its time, and hold nothing but what the pieces hold.

// watch is what was seen while a chunk was drawn.
type watch struct {
	frozen, black time.Duration
}

// explained holds what was seen against what was to be seen. Its error is a *failure.
func (w *Worker) explained(ctx context.Context, dir string, p *pictureWork, ways []render.Way, seen *ffmpeg.Watch) (watch, error) {
	length := float64(p.Composition.Frames) / render.Rate
	var sum watch
	alone := map[int]*ffmpeg.Watch{}
	for _, s := range seen.Frozen(length) {
		sum.frozen += s.Length()
		for i, way := range ways {
			if way == render.Omit || !p.Tiles[i].moves(s) {
				continue
			}
			source, err := w.watchAlone(ctx, dir, p, i, alone)
			if err != nil {
				return watch{}, err
			}
			if !covers(source.Frozen(length), s) {
				return watch{}, &failure{CodeRenderFailed, fmt.Errorf("the picture stands still from %.2f to %.2f s although tile %d moves", s.Start, s.End, i)}
			}
		}
	}
	for _, s := range seen.Black() {
		sum.black += s.Length()
		for i, way := range ways {
			if way == render.Omit {
				continue
			}
			source, err := w.watchAlone(ctx, dir, p, i, alone)
			if err != nil {
				return watch{}, err
			}
			if !covers(source.Black(), s) {
				return watch{}, &failure{CodeRenderFailed, fmt.Errorf("the picture is black from %.2f to %.2f s although tile %d is not", s.Start, s.End, i)}
			}
		}
	}
	return sum, nil
}

// moves says whether the tile was to show more than one picture within a stretch.
func (t tileWork) moves(s ffmpeg.Stretch) bool {
	from, to := int64(math.Round(s.Start*render.Rate)), int64(math.Round(s.End*render.Rate))
	return slices.ContainsFunc(t.Packets, func(p packetPlace) bool { return p[4] == 1 && p[3] > from && p[3] < to })
}

// covers says whether one of all holds s, give or take a quarter of a second: of what the eye of a filter needs to wake
// up, and of a source that does not begin with its first frame.
func covers(all []ffmpeg.Stretch, s ffmpeg.Stretch) bool {
	const slack = 0.25
	return slices.ContainsFunc(all, func(o ffmpeg.Stretch) bool { return o.Start <= s.Start+slack && o.End >= s.End-slack })
}

// watchAlone looks at one tile without the others, once.
func (w *Worker) watchAlone(ctx context.Context, dir string, p *pictureWork, i int, known map[int]*ffmpeg.Watch) (*ffmpeg.Watch, error) {
	if known[i] != nil {
		return known[i], nil
	}
	cmd, err := p.Composition.WatchTile(p.Composition.Tiles[i])
	if err != nil {
		return nil, err
	}
	known[i] = &ffmpeg.Watch{}
	_, err = w.deps.FFmpeg.Run(ctx, dir, cmd, ffmpeg.Pipes{Log: known[i]})
	return known[i], err
}

// The checks of a finished file, as they are called where they could not be made. What a check finds wrong fails the
// archive; that the machine was not able to make it, because it killed the tool or ran out of time, does not: then the
// archive says of itself that it was not verified.
const (
	checkOfSound     = "sound"     // decoding, level and loudness of the sound, or of a voice
	checkOfKeyframes = "keyframes" // every keyframe decodes; they are the thumbnails too
)

// notMade says whether err means that a check was not made, and not that it found anything: what a tool says by ending
// with a code of its own is a finding.
func notMade(ctx context.Context, err error) bool {
	var tool *ffmpeg.RunError
	if ctx.Err() != nil || !errors.As(err, &tool) {
		return false
	}
	var exit *exec.ExitError
	return errors.Is(err, ffmpeg.ErrTimeLimit) || !errors.As(err, &exit) || !exit.Exited()
}

// errNotListened says that the sound could not be checked.
var errNotListened = errors.New("not verified")

// checkSound counts what the encoder wrote, and listens to it. mixed is the mean that was mixed, in dB.
func (w *Worker) checkSound(ctx context.Context, dir string, samples int64, mixed float64) (ffmpeg.Hearing, error) {
	want := media.RTPDuration(samples, ffmpeg.SampleRate)
	if err := checkLength(filepath.Join(dir, encodedFile), want); err != nil {
		return ffmpeg.Hearing{}, err
	}
	h, err := w.deps.FFmpeg.Listen(ctx, dir, encodedFile, want)
	if notMade(ctx, err) {
		return ffmpeg.Hearing{}, fmt.Errorf("%w: %w", errNotListened, err)
	}
	if err != nil {
		return ffmpeg.Hearing{}, err
	}
	if h.DecodeErrors > 0 {
		return h, &failure{CodeRenderFailed, fmt.Errorf("the sound does not decode: %d errors", h.DecodeErrors)}
	}
	if mixed > audible && math.Abs(h.Mean-mixed) > sameLoudness {
		return h, &failure{CodeRenderFailed, fmt.Errorf("the sound has a mean of %.1f dB, mixed were %.1f dB", h.Mean, mixed)}
	}
	return h, nil
}

// checkLength says whether a file holds sound of that length. Its error is a *failure where it does not.
func checkLength(path string, want time.Duration) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	index, err := readIndex(in)
	if err != nil {
		return err
	}
	if a := index.Audio(); a == nil || (a.Length-want).Abs() > lengthTolerance {
		return &failure{CodeRenderFailed, fmt.Errorf("the sound is %s instead of %s", aboutTrack(a), want)}
	}
	return nil
}

const (
	audible      = -60.0 // dB; below, 16 bits and the encoder's own noise count
	sameLoudness = 1.5   // dB
)

// decibels is the mean of a sum of squares.
func decibels(squares float64, count int64) float64 {
	if count == 0 || squares == 0 {
		return math.Inf(-1)
	}
	return 10 * math.Log10(squares/float64(count))
}

// timeTolerance is by how much a frame of the finished file may be off: MP4 counts in ticks of 1/90000 s and less.
const timeTolerance = time.Millisecond

// inspect holds the finished file against the plan and its pieces, and puts the thumbnails on their sheet.
func (w *Worker) inspect(ctx context.Context, j *job) error {
	free, err := w.busy(ctx)
	if err != nil {
		return err
	}
	defer free()
	if err := j.checkJoined(ctx); err != nil || !j.plan.Profile.Video {
		return err
	}
	if err := checkLips(j.offsets); err != nil {
		return err
	}
	if err := w.see(ctx, j); err != nil || !j.hasThumbnails() {
		return err
	}
	return j.writeThumbnails()
}

// lipSync is how far a camera's frames may be off the sound of the same person: sound that is 45 ms early is noticed (ITU-R
// BT.1359). A camera that keeps no rate is off by half a frame at most, so nobody comes near it unless the plan is wrong.
const lipSync = 45.0 // ms

// checkLips holds where pictures were put against where their sound was. Its error is a *failure.
func checkLips(offsets []float64) error {
	if off := percentile(offsets); off > lipSync {
		return &failure{CodeRenderFailed, fmt.Errorf("pictures are %.1f ms off their sound, by the clocks", off)}
	}
	return nil
}

// unverified notes a check that was not made.
func (j *job) unverified(check string, err error) {
	j.logger.Warn("a check of the archive was not made", "check", check, "error", err)
	j.result.mu.Lock()
	defer j.result.mu.Unlock()
	j.result.notVerifiedLocked(check)
}
