package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// result is what the stages have made so far.
type result struct {
	pieces       []piece // in the order of the archive
	audio        string  // file name
	decodeErrors atomic.Int64
	findings     ffmpeg.Findings
}

// piece is a finished chunk.
type piece struct {
	Key    string `json:"key"` // digest of all that it is made of
	SHA256 string `json:"sha256"`
	name   string // file, relative to the folder of the job
}

// render makes all chunks and the sound, on all processors, longest chunk first.
func (w *Worker) render(ctx context.Context, j *job) error {
	chunks := j.plan.Chunks()
	j.result.pieces = make([]piece, len(chunks))
	over := &overlays{painter: w.painter, plan: j.plan, language: j.sheet.Language}
	order := make([]int, len(chunks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(chunks[b].Frames - chunks[a].Frames) })

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.cfg.Parallel)
	// The sound takes one process from the beginning to the end and is the longest of all jobs.
	group.Go(func() error {
		if err := w.mix(ctx, j); err != nil {
			return fmt.Errorf("mix sound: %w", err)
		}
		return nil
	})
	for _, i := range order {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p, err := w.chunk(ctx, j, over, i, chunks[i])
			if err != nil {
				return fmt.Errorf("chunk %d at frame %d: %w", i, chunks[i].Start, err)
			}
			j.result.pieces[i] = p
			j.meter.finish(i, chunks[i].Frames)
			return nil
		})
	}
	return group.Wait()
}

// overlays draws each scene once. It is safe for concurrent use.
type overlays struct {
	painter  *render.Painter
	plan     *render.Plan
	language string
	scenes   sync.Map // index of the scene → []byte
}

// write puts the overlay of a scene into dir. Where a picture is omitted it has a card that says that it is damaged.
func (o *overlays) write(dir string, scene int, ways []render.Way) error {
	var overlay []byte
	var err error
	if slices.Contains(ways, render.Omit) {
		overlay, err = encodePNG(o.painter, o.plan.Scenes[scene].Without(ways, timeline.Corrupt, o.language))
	} else {
		overlay, err = o.of(scene)
	}
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, render.OverlayFile), overlay)
}

func (o *overlays) of(scene int) ([]byte, error) {
	if b, ok := o.scenes.Load(scene); ok {
		return b.([]byte), nil
	}
	b, err := encodePNG(o.painter, o.plan.Scenes[scene])
	if err == nil {
		o.scenes.Store(scene, b)
	}
	return b, err
}

func encodePNG(p *render.Painter, s render.Scene) ([]byte, error) {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, p.Draw(s)); err != nil {
		return nil, fmt.Errorf("draw overlay: %w", err)
	}
	return b.Bytes(), nil
}

// chunk makes one chunk, or finds it finished.
func (w *Worker) chunk(ctx context.Context, j *job, o *overlays, number int, c render.Chunk) (piece, error) {
	dir := filepath.Join(j.dir, fmt.Sprintf("c%04d", number))
	if err := w.openFolder(dir); err != nil {
		return piece{}, err
	}
	defer os.RemoveAll(dir) // what stays behind goes with the folder of the job

	pictures := j.plan.Scenes[c.Scene].Pictures()
	ways := make([]render.Way, len(pictures))
	for i, pic := range pictures {
		err := j.writeTile(filepath.Join(dir, render.TileFile(i)), pic, c)
		if errors.Is(err, errNoPicture) {
			ways[i] = render.Omit
			j.loseTile(pic, c)
			continue
		}
		if err != nil {
			return piece{}, err
		}
	}
	if err := o.write(dir, c.Scene, ways); err != nil {
		return piece{}, err
	}
	key, err := w.chunkKey(j, dir, c, ways)
	if err != nil {
		return piece{}, err
	}
	p := piece{Key: key, name: filepath.Join(piecesFolder, key+".ts")}
	path := filepath.Join(j.dir, p.name)
	if info, err := w.deps.FFmpeg.Probe(ctx, j.dir, p.name, "mpegts"); err == nil && complete(info, c) {
		w.metrics.reused.Inc()
	} else {
		if err := w.compose(ctx, j, o, dir, number, c, ways); err != nil {
			return piece{}, err
		}
		if err := os.Rename(filepath.Join(dir, render.ChunkFile), path); err != nil {
			return piece{}, err
		}
	}
	p.SHA256, _, err = digestFile(path)
	return p, err
}

// writeTile cuts the picture's clips for one chunk.
func (j *job) writeTile(path string, pic *render.Picture, c render.Chunk) error {
	packets, err := cutTile(pic.Clips, j.footage, j.trackPhases[pic.Track], c.Start, c.Frames)
	if err != nil {
		return err
	}
	f, err := create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := j.bySegment[pic.Clips[0].Segment].ivf.Header
	head.Width, head.Height = pic.Width, pic.Height
	if err := writeTile(f, head, packets, c.Frames); err != nil {
		return err
	}
	return f.Close()
}

// chunkKey is a digest of everything that a chunk is made of. The output is no part of it: encoders give other bytes on
// other processors.
func (w *Worker) chunkKey(j *job, dir string, c render.Chunk, ways []render.Way) (string, error) {
	cmd, err := ffmpeg.Compose(j.plan.Compose(c, ways))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n", j.tool, cmd.Args)
	names := []string{render.OverlayFile}
	for i := range ways {
		names = append(names, render.TileFile(i))
	}
	for _, name := range names {
		digest, _, err := digestFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		fmt.Fprintf(sum, "%s\n", digest)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func complete(info ffmpeg.Info, c render.Chunk) bool {
	v := info.Video()
	return v != nil && v.Packets == c.Frames
}

// compose runs ffmpeg for one chunk. Where a source turns out to be damaged it tries again in a way that keeps the
// damage to its own tile, and leaves out what cannot be decoded at all.
func (w *Worker) compose(ctx context.Context, j *job, o *overlays, dir string, number int, c render.Chunk, ways []render.Way) error {
	res, err := w.runCompose(ctx, j, dir, number, c, ways)
	damaged := res.DecodeErrors > 0 || isToolError(err)
	if damaged && len(ways) > 0 {
		if ways, err = w.examine(ctx, j, dir, c, ways); err != nil {
			return err
		}
		if err := o.write(dir, c.Scene, ways); err != nil {
			return err
		}
		res, err = w.runCompose(ctx, j, dir, number, c, ways)
	}
	if err != nil {
		return err
	}
	j.result.decodeErrors.Add(int64(res.DecodeErrors))
	info, err := w.deps.FFmpeg.Probe(ctx, dir, render.ChunkFile, "mpegts")
	if err != nil {
		return err
	}
	if !complete(info, c) {
		return &failure{CodeRenderFailed, fmt.Errorf("the file holds %+v instead of %d frames", info.Streams, c.Frames)}
	}
	return nil
}

func (w *Worker) runCompose(ctx context.Context, j *job, dir string, number int, c render.Chunk, ways []render.Way) (ffmpeg.Result, error) {
	cmd, err := ffmpeg.Compose(j.plan.Compose(c, ways))
	if err != nil {
		return ffmpeg.Result{}, err
	}
	return w.deps.FFmpeg.Run(ctx, dir, cmd, ffmpeg.Pipes{Frames: func(n int64) { j.meter.part(number, n) }})
}

func isToolError(err error) bool {
	var e *ffmpeg.RunError
	return errors.As(err, &e) && !errors.Is(err, ffmpeg.ErrNoSpace)
}

// examine tries every tile alone. One that decodes without a complaint stays as it is, one that complains is drawn late,
// and one that gives no picture becomes a card that says so.
func (w *Worker) examine(ctx context.Context, j *job, dir string, c render.Chunk, ways []render.Way) ([]render.Way, error) {
	ways = slices.Clone(ways)
	for i, pic := range j.plan.Scenes[c.Scene].Pictures() {
		if ways[i] == render.Omit {
			continue
		}
		alone := make([]render.Way, len(ways))
		for k := range alone {
			alone[k] = render.Omit
		}
		alone[i] = render.Stack
		res, err := w.runCompose(ctx, j, dir, -1, c, alone)
		switch {
		case isToolError(err):
			ways[i] = render.Omit
			j.loseTile(pic, c)
		case err != nil:
			return nil, err
		case res.DecodeErrors > 0:
			ways[i] = render.Late
		}
	}
	return ways, nil
}

// loseTile notes that a chunk does not show the segments of a picture.
func (j *job) loseTile(pic *render.Picture, c render.Chunk) {
	from, to := render.TimeOfFrame(c.Start), render.TimeOfFrame(c.Start+c.Frames)
	for _, clip := range pic.Clips {
		if clip.StartNS < to && clip.EndNS > from {
			j.missing.add(clip.Segment, timeline.Corrupt)
			j.logger.Warn("segment cannot be decoded", "segment", clip.Segment)
		}
	}
}
