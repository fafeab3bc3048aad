package stitch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// result is what the stages have made so far.
type result struct {
	mu           sync.Mutex  // guards what follows while pieces are made
	chunks       []Piece     // in the order of the archive
	strips       []strip     // their samples
	pictures     []encoded   // what is in them, of the keyframes only what was not decoded
	thumbnails   []candidate // in the order of the archive
	sound        Piece       // all of it, from what it was joined
	sounds       []soundDone // its pieces, in the order of the archive
	failures     []PieceFailure
	decodeErrors int64
	frozenMS     int64
	blackMS      int64
	voices       []VoiceFile // in the order of the participants
	unverified   []string    // checks of the finished files that were not made
	loudness     float64     // LUFS
	peaks        []byte
	digest       string // SHA-256 of the finished file, as it was read when it was looked at
}

// voiceFile is the name of the sound of one participant.
func voiceFile(participant string) string { return "voice-" + participant + ".m4a" }

// render sees to it that all chunks and the sound are there, the longest first, and brings them into the job's folder.
func (w *Worker) render(ctx context.Context, j *job) error {
	j.result.chunks = make([]Piece, len(j.plan.Chunks()))
	j.result.pictures = make([]encoded, len(j.result.chunks))
	j.result.strips = make([]strip, len(j.result.chunks))
	j.result.sounds = make([]soundDone, (j.plan.Samples()+pieceSamples-1)/pieceSamples)
	if j.shared {
		return w.together(ctx, j)
	}
	orders, err := w.orders(j)
	if err != nil {
		return err
	}
	j.expectVoices(orders)
	if err := w.forgetUnverified(ctx, orders); err != nil {
		return err
	}
	return w.alone(ctx, j, orders)
}

// expectVoices makes room for the single voices that were ordered.
func (j *job) expectVoices(orders []*order) {
	for _, o := range orders {
		if o.voice != "" {
			j.result.voices = append(j.result.voices, VoiceFile{Participant: o.voice, File: voiceFile(o.voice)})
		}
	}
}

// forgetUnverified lets the sounds be made once more that nobody could listen to when they were made.
func (w *Worker) forgetUnverified(ctx context.Context, orders []*order) error {
	for _, o := range orders {
		if !o.isSound() {
			continue
		}
		m, ok, err := w.finished(ctx, o.key, o.recipe.extension())
		if err == nil && ok && m.Unverified {
			err = w.deps.Blobs.Delete(ctx, pieceKey(o.key, ".json"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// alone makes all pieces in this process.
func (w *Worker) alone(ctx context.Context, j *job, orders []*order) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, o := range orders {
		free, err := w.busy(ctx)
		if err != nil {
			break // the group says why
		}
		group.Go(func() error {
			defer free()
			return w.fulfil(ctx, j, o)
		})
	}
	return group.Wait()
}

// fulfil makes the piece of an order, or finds it made, and brings it into the job's folder. A chunk that cannot be made
// becomes one of cards.
func (w *Worker) fulfil(ctx context.Context, j *job, o *order) error {
	m, err := w.attempt(ctx, j, o)
	if poisoned(err) && o.canBeIsolated() {
		if o, err = w.isolate(ctx, j, o, err); err != nil {
			return err
		}
		m, err = w.attempt(ctx, j, o)
	}
	if err != nil {
		return o.explain(err)
	}
	j.account(o, m)
	j.meter.finish(o)
	return nil
}

// canBeIsolated says whether cards may stand in for a piece: for a chunk with pictures. A chunk of cards that cannot be
// made, or the sound, costs the archive.
func (o *order) canBeIsolated() bool { return !o.isSound() && len(o.shown) > 0 }

// file is the name of a piece of the sound, or of a single voice, in the folder of the job.
func (o *order) file() string {
	if o.voice != "" {
		return voiceFile(o.voice)
	}
	return soundFileOf(o.part)
}

// explain says of which piece an error is.
func (o *order) explain(err error) error {
	if o.isSound() {
		return fmt.Errorf("sound: %w", err)
	}
	return fmt.Errorf("chunk %d at frame %d: %w", o.chunk, o.at.Start, err)
}

// tries is how often a piece is made before it is given up.
const tries = 2

// attempt makes the piece of an order and brings it into the job's folder.
func (w *Worker) attempt(ctx context.Context, j *job, o *order) (made, error) {
	for n := 1; ; n++ {
		m, err := w.piece(ctx, o.recipe, o.key, func(frames int64) { j.meter.part(o.chunk, frames) })
		if err == nil {
			err = w.collect(ctx, j, o, m)
		}
		switch {
		case err == nil:
			return m, nil
		case n == tries, ctx.Err() != nil, errors.Is(err, ffmpeg.ErrTimeLimit):
			return made{}, err
		case errors.Is(err, errPieceGone):
			// What the blob store has is not what it says: away with it.
			if err := w.deps.Blobs.Delete(ctx, pieceKey(o.key, ".json")); err != nil {
				return made{}, err
			}
		case !poisoned(err):
			return made{}, err
		}
		j.logger.Warn("a piece is made once more", "chunk", o.chunk, "error", err)
	}
}

// poisoned says whether a piece cannot be made for a reason of its own: neither the machine nor the blob store is at fault.
func poisoned(err error) bool {
	var f *failure
	return errors.As(err, &f) && (f.code == CodeRenderFailed || f.code == CodeInternal)
}

// errPieceGone says that the media of a finished piece are not there or are others.
var errPieceGone = errors.New("the finished piece is not what it was")

// collect brings a finished piece from the blob store into the folder of the job.
func (w *Worker) collect(ctx context.Context, j *job, o *order, m made) error {
	err := w.readPiece(ctx, pieceKey(o.key, o.recipe.extension()), m.SHA256, func(in io.Reader) error {
		if o.isSound() {
			return saveAs(filepath.Join(j.dir, o.file()), in)
		}
		return j.collectStrip(o.chunk, in)
	})
	if errors.Is(err, media.ErrNotTS) { // it was no stream when it was made
		return &failure{CodeRenderFailed, err}
	}
	if err != nil {
		return err
	}
	return w.touch(ctx, m)
}

// readPiece gives the media of a finished piece to take. errPieceGone says that they are not there or have another digest; of
// those that are the right ones and no stream the error is media.ErrNotTS.
func (w *Worker) readPiece(ctx context.Context, key, digest string, take func(io.Reader) error) error {
	in, err := w.deps.Blobs.Get(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return errPieceGone
	}
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	bytes := io.TeeReader(in, sum)
	if err = take(bytes); err != nil && !errors.Is(err, media.ErrNotTS) {
		return err
	}
	if _, rest := io.Copy(io.Discard, bytes); rest != nil {
		return rest
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		return errPieceGone
	}
	return err
}

// saveAs writes a new file.
func saveAs(path string, in io.Reader) error {
	out, err := create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// account puts a finished piece into the result.
func (j *job) account(o *order, m made) {
	r := &j.result
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Unverified {
		r.notVerifiedLocked(checkOfSound)
	}
	if o.voice != "" {
		for i := range r.voices {
			if v := &r.voices[i]; v.Participant == o.voice {
				v.Piece, v.Bytes, v.Loudness = Piece{m.Key, m.SHA256}, m.Bytes, m.Loudness
			}
		}
	} else if o.isSound() {
		r.sounds[o.part] = soundDone{Piece{m.Key, m.SHA256}, m}
	} else {
		r.chunks[o.chunk], r.pictures[o.chunk] = Piece{m.Key, m.SHA256}, *m.Picture
		r.offer(j.storyboard(), o.at, m.Picture.Keyframes)
		if m.Picture.seen() {
			r.pictures[o.chunk].Keyframes = nil
		}
	}
	r.decodeErrors += int64(m.DecodeErrors)
	r.frozenMS += m.FrozenMS
	r.blackMS += m.BlackMS
	for _, i := range slices.Concat(m.Omitted, m.Damaged, m.Lost) {
		if i < len(o.shown) {
			j.lose(o.shown[i]...)
		}
	}
	for _, i := range m.Omitted {
		if i < len(o.shown) {
			j.blankLocked(o.at, o.shown[i])
		}
	}
}

// blankLocked notes in the timeline that nothing of the segments is to be seen in a chunk. result.mu is held.
func (j *job) blankLocked(c render.Chunk, segments []string) {
	stretch := timeline.Interval{StartNS: render.TimeOfFrame(c.Start), EndNS: render.TimeOfFrame(c.Start + c.Frames)}
	for _, s := range segments {
		j.timeline.LoseBetween(s, stretch, timeline.Corrupt)
	}
}

// notVerifiedLocked notes a check that was not made.
func (r *result) notVerifiedLocked(check string) {
	if !slices.Contains(r.unverified, check) {
		r.unverified = append(r.unverified, check)
		slices.Sort(r.unverified)
	}
}

// lose notes that segments are not, or not wholly, in the archive.
func (j *job) lose(segments ...string) {
	for _, s := range segments {
		j.missing.add(s, timeline.Corrupt)
		j.logger.Warn("segment cannot be decoded", "segment", s)
	}
}

// isolate gives up a chunk that the tool cannot make: what it said is kept, its segments are listed as damaged, and
// cards that say so stand in its place.
func (w *Worker) isolate(ctx context.Context, j *job, o *order, cause error) (*order, error) {
	bare, err := j.without(newOverlays(w.painter, j.plan, j.sheet.Language), o)
	if err != nil {
		return nil, err
	}
	var why *failure
	if !errors.As(cause, &why) {
		why = &failure{CodeRenderFailed, cause}
	}
	f := PieceFailure{Key: o.key, StartMS: msOf(o.at.Start), EndMS: msOf(o.at.Start + o.at.Frames), Code: why.code}
	key := j.key(failedPieceFile(o.key))
	info, err := w.deps.Blobs.Put(ctx, key, strings.NewReader(detail(why)))
	if err != nil {
		return nil, err
	}
	f.Detail = &events.Blob{Key: key, SHA256: info.SHA256}
	j.logger.Error("chunk cannot be made: cards stand in its place", "chunk", o.chunk, "error", cause)
	w.metrics.isolated.Inc()
	j.result.mu.Lock()
	j.result.failures = append(j.result.failures, f)
	for _, segments := range o.shown {
		j.blankLocked(o.at, segments)
	}
	j.result.mu.Unlock()
	for _, segments := range o.shown {
		j.lose(segments...)
	}
	return bare, nil
}

// msOf is when an output frame is shown, in milliseconds.
func msOf(frame int64) int64 { return render.TimeOfFrame(frame) / 1e6 }
