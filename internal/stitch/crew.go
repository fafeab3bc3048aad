package stitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/jobs"
)

// Many stitchers make one archive: the one that has the archive's job plans it, lays the recipes of what is missing into
// the blob store and queues a job for each; every stitcher, this one too, makes what is next in the queue; the first one
// puts the archive together when all is there. Nobody waits for a particular worker: what is there is what lies in the
// blob store, and news on the way only save looking there.

const (
	// archivesAtOnce is how many archives a process has in hand. While one waits for its last chunks the next one is
	// planned, so that no processor waits for a plan.
	archivesAtOnce = 4
	// nightlyAtOnce is how many of them may be such that nobody waits for: the others are for those who do.
	nightlyAtOnce = 2
	// failuresUntilIsolated is how often a chunk may fail, on any machines.
	failuresUntilIsolated = 3
	// offersUntilIsolated is how often a chunk is offered at all: one that kills its workers fails nowhere.
	offersUntilIsolated = 8
	// lookEvery is how often the one that waits looks for itself.
	lookEvery = 5 * time.Second
	// forgetLimit bounds how long it may take to remove the recipes of an archive; what stays goes when it is old.
	forgetLimit = 30 * time.Second
	// silentFor is how long nothing is heard of a piece before it is asked whether it is queued at all.
	silentFor = 10 * time.Second
)

// Run takes archives and chunks from the queue and makes them, as many chunks at a time as there are processors, until
// ctx ends. What is stopped in the middle goes back to the queue.
func (w *Worker) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range archivesAtOnce {
		group.Go(func() error { return w.deps.Queue.Work(ctx, w.archiveJob) })
	}
	for range w.cfg.Parallel {
		group.Go(func() error {
			return w.deps.Queue.WorkChunks(ctx, jobs.ChunkWork{Tool: w.mark, Ready: w.busy, Do: w.chunkJob, Spare: w.takeSpare})
		})
	}
	if w.cfg.Early {
		group.Go(func() error {
			w.spare.watch(ctx)
			return nil
		})
		group.Go(func() error { return w.early(ctx) })
	}
	if w.cfg.Keep > 0 {
		group.Go(func() error { return w.tidy(ctx) })
	}
	return group.Wait()
}

func (w *Worker) archiveJob(ctx context.Context, j jobs.ArchiveJob) error {
	if j.Nightly {
		select {
		case w.nightly <- struct{}{}:
			defer func() { <-w.nightly }()
		default:
			return jobs.ErrPutBack
		}
	}
	err := w.Make(ctx, j.Consultation, j.Version)
	if errors.Is(err, ErrNoRequest) {
		w.logger.Error("job dropped", "consultation", j.Consultation, "version", j.Version, "error", err)
		return nil
	}
	return err
}

func recipeKey(key string) string { return pieceKey(key, ".recipe") }

// chunkJob makes one piece, whoever asked for it.
func (w *Worker) chunkJob(ctx context.Context, j jobs.ChunkJob, try int) error {
	if j.Priority == jobs.Live {
		return w.liveJob(ctx, j, try)
	}
	if try > offersUntilIsolated {
		return w.giveUp(ctx, j, &failure{CodeInternal, fmt.Errorf("%d workers did not come back from it", try-1)})
	}
	in, err := w.deps.Blobs.Get(ctx, recipeKey(j.Key))
	if errors.Is(err, blob.ErrNotFound) {
		return nil // the archive that asked for it is done
	}
	if err != nil {
		return err
	}
	r, err := decodeRecipe(in, j.Key)
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	_, err = w.piece(ctx, r, j.Key, func(frames int64) { w.tellNews(jobs.ChunkNews{Key: j.Key, Frames: frames}) })
	var f *failure
	switch {
	case err == nil:
		w.tellNews(jobs.ChunkNews{Key: j.Key, Done: true})
		return nil
	case errors.As(err, &f) && try >= failuresUntilIsolated:
		return w.giveUp(ctx, j, f)
	}
	return err
}

// giveUp leaves word that a piece cannot be made, where the archive's worker finds it.
func (w *Worker) giveUp(ctx context.Context, j jobs.ChunkJob, f *failure) error {
	key := fmt.Sprintf("c/%s/archives/%d/%s", j.Consultation, j.Version, failedPieceFile(j.Key))
	if _, err := w.deps.Blobs.Put(ctx, key, strings.NewReader(detail(f))); err != nil {
		return err
	}
	w.tellNews(jobs.ChunkNews{Key: j.Key, Failed: true})
	return nil
}

// failedPieceFile holds what is known of a piece that was given up: its first line begins with the code.
func failedPieceFile(key string) string { return "chunk-" + key + ".txt" }

func (w *Worker) tellNews(n jobs.ChunkNews) {
	if err := w.deps.Queue.PublishChunkNews(n); err != nil {
		w.logger.Debug("news not told", "error", err)
	}
}

// shared is an archive whose pieces many workers make.
type shared struct {
	w      *Worker
	j      *job
	keys   []string            // of all pieces
	open   map[string][]*order // by key: alike chunks are one piece
	last   map[string]time.Time
	news   chan jobs.ChunkNews
	gained chan error // tells once that the gains of all voices are known; nil when they are
	// made are finished pieces that are brought into the folder when all others are queued, in their order: nobody who
	// could make one should wait for that.
	made []made
}

// together has the pieces made by whoever is free, and brings them into the job's folder. Chunks are queued one by one as
// they are planned. Voices are measured beside that, because nothing but the sound needs to know how loud they are; single
// voices, which take one process from the beginning to the end, come before everything else.
func (w *Worker) together(ctx context.Context, j *job) (err error) {
	voices := j.voices
	var measuring sync.WaitGroup
	defer measuring.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &shared{w: w, j: j, open: map[string][]*order{}, last: map[string]time.Time{}, news: make(chan jobs.ChunkNews, 256)}
	defer func() {
		var f *failure
		if err == nil || errors.As(err, &f) || calledOff(ctx) != nil {
			s.forgetRecipes(context.WithoutCancel(ctx))
		}
	}()
	stop, err := w.deps.Queue.OnChunkNews(func(n jobs.ChunkNews) {
		select {
		case s.news <- n:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	if j.gains == nil {
		s.gained = make(chan error, 1)
		measuring.Go(func() { s.gained <- w.findGains(ctx, j, voices) })
	}
	singles := j.voiceOrders(voices)
	j.expectVoices(singles)
	if err := s.addSounds(ctx, singles); err != nil {
		return err
	}
	if err := w.eachPicture(j, func(o *order) error { return s.add(ctx, o) }); err != nil {
		return err
	}
	if err := s.takeMade(ctx); err != nil {
		return err
	}
	return s.wait(ctx, voices)
}

// forgetRecipes takes the recipes away when the archive is as finished as it will be, so that nobody makes what is still queued.
// Another archive that waits for such a piece asks for it again.
func (s *shared) forgetRecipes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, forgetLimit)
	defer cancel()
	for _, key := range s.keys {
		if err := s.w.deps.Blobs.Delete(ctx, recipeKey(key)); err != nil {
			s.j.logger.Warn("recipes not removed", "error", err)
			return
		}
	}
}

// add takes an order in: its piece is there, or it is queued.
func (s *shared) add(ctx context.Context, o *order) error {
	alike := s.open[o.key]
	s.open[o.key] = append(alike, o)
	if alike != nil {
		return nil
	}
	s.keys = append(s.keys, o.key)
	m, ok, err := s.w.finished(ctx, o.key, o.recipe.extension())
	if err != nil {
		return err
	}
	if ok {
		s.made = append(s.made, m)
		return nil
	}
	return s.ask(ctx, o.key)
}

// takeMade takes the finished pieces of orders that were taken in.
func (s *shared) takeMade(ctx context.Context) error {
	for _, m := range s.made {
		if err := s.take(ctx, m.Key, m); err != nil {
			return err
		}
	}
	s.made = nil
	return nil
}

// addSounds takes orders of sound in.
func (s *shared) addSounds(ctx context.Context, orders []*order) error {
	err := nameAll(orders)
	if err == nil {
		err = s.w.forgetUnverified(ctx, orders)
	}
	for i := 0; err == nil && i < len(orders); i++ {
		err = s.add(ctx, orders[i])
	}
	if err != nil {
		return err
	}
	return s.takeMade(ctx)
}

// wait adds the sound of the voices when their gains are known, and goes on until nothing is open.
func (s *shared) wait(ctx context.Context, voices []voiceRuns) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	sound := func() error { return s.addSounds(ctx, s.j.soundPieces(voices, math.MaxInt64)) }
	if s.gained == nil {
		if err := sound(); err != nil {
			return err
		}
	}
	for len(s.open) > 0 || s.gained != nil {
		var err error
		select {
		case err = <-s.gained:
			s.gained = nil
			if err == nil {
				err = sound()
			}
		case <-ctx.Done():
			err = ctx.Err()
		case n := <-s.news:
			err = s.hear(ctx, n)
		case <-tick.C:
			err = s.lookForAll(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hear takes news of a piece, ours or not.
func (s *shared) hear(ctx context.Context, n jobs.ChunkNews) error {
	orders := s.open[n.Key]
	if orders == nil {
		return nil
	}
	s.last[n.Key] = time.Now()
	switch {
	case n.Done:
		return s.look(ctx, n.Key)
	case n.Failed:
		return s.askAgain(ctx, n.Key)
	}
	s.j.meter.part(orders[0].chunk, n.Frames)
	return nil
}

func (s *shared) lookForAll(ctx context.Context) error {
	if now, err := s.w.tool(ctx); err != nil {
		return judge(ctx, err, true)
	} else if now != s.j.tool {
		return errOtherTool // another one was installed: nobody may have what the pieces were to be made with
	}
	for key := range s.open {
		if time.Since(s.last[key]) < lookEvery {
			continue
		}
		if err := s.look(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// look takes a piece that is there, and asks for one that is not.
func (s *shared) look(ctx context.Context, key string) error {
	o := s.open[key][0]
	m, ok, err := s.w.finished(ctx, key, o.recipe.extension())
	if err != nil {
		return err
	}
	if ok {
		return s.take(ctx, key, m)
	}
	return s.ask(ctx, key)
}

// ask asks for a piece that is not there and of which nothing was heard for long.
func (s *shared) ask(ctx context.Context, key string) error {
	if _, made := s.w.making.Load(key); made { // it was begun during the call, and there will be news of it
		s.last[key] = time.Now()
		return nil
	}
	if time.Since(s.last[key]) < silentFor {
		return nil
	}
	return s.askAgain(ctx, key)
}

// askAgain puts cards in the place of a piece that was given up, and sees to it that any other one is queued.
func (s *shared) askAgain(ctx context.Context, key string) error {
	why, err := s.givenUp(ctx, key)
	if err != nil {
		return err
	}
	if why != nil {
		return s.replace(ctx, key, why)
	}
	return s.announce(ctx, key)
}

// announce queues a piece, if it is not queued.
func (s *shared) announce(ctx context.Context, key string) error {
	packed, err := s.open[key][0].recipe.encode()
	if err != nil {
		return err
	}
	if _, err := s.w.deps.Blobs.Put(ctx, recipeKey(key), bytes.NewReader(packed)); err != nil {
		return err
	}
	s.last[key] = time.Now()
	s.j.logger.Debug("piece queued", "key", key)
	return s.w.deps.Queue.PublishChunk(ctx, jobs.ChunkJob{
		Key: key, Priority: s.j.priority, Consultation: s.j.consultation, Version: s.j.request.Version,
		Tool: s.j.tool.mark(),
	})
}

// take brings a finished piece into the folder of the job, for every chunk that is this piece.
func (s *shared) take(ctx context.Context, key string, m made) error {
	for _, o := range s.open[key] {
		err := s.w.collect(ctx, s.j, o, m)
		if errors.Is(err, errPieceGone) {
			s.j.logger.Warn("a piece is made once more", "chunk", o.chunk, "error", err)
			if err := s.w.deps.Blobs.Delete(ctx, pieceKey(key, ".json")); err != nil {
				return err
			}
			return s.announce(ctx, key)
		}
		if err != nil {
			return o.explain(err)
		}
	}
	for _, o := range s.open[key] {
		s.j.account(o, m)
		s.j.meter.finish(o)
	}
	delete(s.open, key)
	return nil
}

// givenUp says why the workers gave up a piece; nil when they did not.
func (s *shared) givenUp(ctx context.Context, key string) (*failure, error) {
	in, err := s.w.deps.Blobs.Get(ctx, s.j.key(failedPieceFile(key)))
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return nil, err
	}
	code, rest, _ := strings.Cut(string(text), ":")
	return &failure{code, errors.New(strings.TrimSpace(rest))}, nil
}

// replace makes a piece of cards where the workers gave up.
func (s *shared) replace(ctx context.Context, key string, why *failure) error {
	for _, o := range s.open[key] {
		if !poisoned(why) || !o.canBeIsolated() {
			return o.explain(why)
		}
		bare, err := s.w.isolate(ctx, s.j, o, why)
		if err != nil {
			return err
		}
		free, err := s.w.busy(ctx)
		if err != nil {
			return err
		}
		m, err := s.w.attempt(ctx, s.j, bare)
		free()
		if err != nil {
			return bare.explain(err)
		}
		s.j.account(bare, m)
		s.j.meter.finish(bare)
	}
	delete(s.open, key)
	return nil
}
