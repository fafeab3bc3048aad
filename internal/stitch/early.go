package stitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/render"
)

// While a call goes on, what nothing can change any more is made already: the consultation so far is planned as if its
// archive were ordered now, and those pieces that lie far enough back are queued with the lowest priority. The archive's
// own job knows nothing of it. It plans everything when the call is over, as always, and finds finished what has the same
// key: so a piece that was made early can be of no use, but never wrong.
//
// Which pieces of a consultation were queued early is noted beside its segments, so that those that turn out to be of no use
// go when the archive is finished, and whoever erases the consultation finds them:
//
//	c/<consultation>/early/<key>   empty

const (
	// placing is how much of the future a place depends on (package timeline), reporting how long anchors wait at most until
	// they are in the log, and deciding what the choice of the speaker and the calm of scenes look ahead.
	placing, reporting, deciding = 30 * time.Second, 16 * time.Second, 2 * time.Second
	// telling is how long it takes at most from a batch of anchors to the time that its event has.
	telling = time.Second
	// following is how long a file may last: how fast a recording is played is known for good when the next file has begun.
	following = 32 * time.Second
	// forgotten is how old a segment may be that was begun and is not stored before nobody waits for it: files are closed
	// after half a minute. Where one comes later than that, its pieces are made once more.
	forgotten = 2 * time.Minute
	// earlyAtOnce bounds how many consultations are in hand.
	earlyAtOnce = 256
	// earlyEvery is how often a consultation is planned, and earlyUntil for how long after the last question.
	earlyEvery, earlyUntil = 8 * time.Second, 90 * time.Second
	// earlyTries is how often a piece is tried during the call. What fails then is tried again for the archive.
	earlyTries = 2
)

// errNotEarly says that nothing can be made early of a consultation: it is over, or nobody knows what people are called.
var errNotEarly = errors.New("nothing to make early")

// earlyCall is a consultation that is going on.
type earlyCall struct {
	question jobs.Early
	asked    time.Time
	queued   map[string]bool // keys of the pieces that were queued or found finished
	plan     jobs.Early      // the question that the newest plan answers and
	settled  int64           // the output frame that was settled for it
	planned  int64           // output frame up to which its chunks were queued
}

// earlyCalls are those that this process plans: others are told of none of them.
type earlyCalls struct {
	mu    sync.Mutex // guards calls; the fields of a call but its question belong to the planner
	calls map[string]*earlyCall
	full  func() // is told of a question for which there is no room
}

// hear takes a question in; it takes the place of an older one about the same consultation.
func (c *earlyCalls) hear(e jobs.Early) {
	c.mu.Lock()
	call := c.calls[e.Consultation]
	if call == nil && len(c.calls) < earlyAtOnce {
		call = &earlyCall{queued: map[string]bool{}}
		c.calls[e.Consultation] = call
	}
	if call != nil {
		call.question, call.asked = e, time.Now()
	}
	c.mu.Unlock()
	if call == nil {
		c.full()
	}
}

// current lists the calls that were asked about not long ago, with the newest question about each, and forgets the others.
func (c *earlyCalls) current() map[*earlyCall]jobs.Early {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[*earlyCall]jobs.Early{}
	for id, call := range c.calls {
		if time.Since(call.asked) > earlyUntil {
			delete(c.calls, id)
			continue
		}
		all[call] = call.question
	}
	return all
}

// early plans consultations that are going on, one after another, until ctx ends. While the machine has no time for that
// they wait: what is not planned now is planned later, or when the archive is ordered.
func (w *Worker) early(ctx context.Context) error {
	calls := &earlyCalls{calls: map[string]*earlyCall{}, full: func() { w.metrics.early.WithLabelValues(earlyRefused).Inc() }}
	stop, err := w.deps.Queue.OnEarly(calls.hear)
	if err != nil {
		return err
	}
	defer stop()
	again := time.NewTicker(w.earlyEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		for call, question := range calls.current() {
			if !w.calm() {
				w.metrics.early.WithLabelValues(earlyHeld).Inc()
				continue
			}
			if err := w.planEarly(ctx, question, call); err != nil && ctx.Err() == nil && !errors.Is(err, errNotEarly) {
				w.logger.Warn("nothing is made early of a consultation", "consultation", question.Consultation, "error", err)
			}
		}
	}
}

// worthPlanning is by how many output frames more must be settled before a call is planned again.
const worthPlanning = 4 * render.Rate

// planEarly queues what can be made already and was not queued yet.
func (w *Worker) planEarly(ctx context.Context, e jobs.Early, call *earlyCall) (err error) {
	defer rescue(w.logger, "early plan", &err)
	j, err := w.earlyJob(ctx, e)
	if err != nil {
		return err
	}
	defer j.closeSegments()
	settled := settledFrames(j.history)
	if e == call.plan && settled < call.settled+worthPlanning {
		return errNotEarly
	}
	newest := settled
	if err := w.begin(ctx, j); err != nil {
		return err
	}
	j.settled = settledSamples(settled)
	if err := w.prepare(ctx, j); err != nil {
		return err
	}
	if j.sheetState != "" {
		return errNotEarly
	}
	if j.plan.Layout == render.Speaker { // who speaks is known as far as voices are measured, and decided a little before that
		measured := max(0, j.settled/pieceSamples*pieceSamples)
		settled = min(settled, (measured-int64(deciding.Seconds()*ffmpeg.SampleRate))*render.Rate/ffmpeg.SampleRate)
	}
	known := int64(0)
	if e == call.plan {
		known = call.planned
	}
	orders, err := w.ordersUntil(j, known, settled)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if call.queued[o.key] {
			continue
		}
		if err := w.queueEarly(ctx, j, o); err != nil {
			return err
		}
		call.queued[o.key] = true
	}
	call.plan, call.settled, call.planned = e, newest, settled
	return nil
}

// earlyJob is a job for all that has happened so far. Its version is none: nobody has asked for the archive.
func (w *Worker) earlyJob(ctx context.Context, e jobs.Early) (*job, error) {
	history, err := events.ReadAll(ctx, w.deps.Log, e.Consultation)
	if err != nil {
		return nil, err
	}
	if len(history) == 0 {
		return nil, errNotEarly
	}
	over := false
	for _, ev := range history {
		switch ev.Event.(type) {
		case events.ConsultationEnded, events.ConsultationCompleted, events.ArchiveRequested:
			over = true
		case events.ConsultationReopened:
			over = false
		}
	}
	if over {
		return nil, errNotEarly
	}
	j := w.jobOf(Bundle{
		Consultation: e.Consultation, History: history,
		Request: events.ArchiveRequested{
			Version: 1, ThroughSeq: history[len(history)-1].Seq, Layout: e.Layout, Profile: e.Profile, Sheet: e.Sheet,
		},
	})
	j.early, j.logger = true, slog.New(slog.DiscardHandler) // what is wrong with a recording is told when it is over
	return j, nil
}

// settledFrames is the output frame before which nothing changes any more that is still to come: what was recorded before
// it is stored, and what its place depends on is in the log.
func settledFrames(history []events.Stored) int64 {
	var zero, newest time.Time
	tracks := map[string]*trackSoFar{}
	of := func(id string) *trackSoFar {
		if tracks[id] == nil {
			tracks[id] = &trackSoFar{open: map[string]time.Time{}}
		}
		return tracks[id]
	}
	for _, ev := range history {
		if ev.Time.After(newest) {
			newest = ev.Time
		}
		switch e := ev.Event.(type) {
		case events.ParticipantJoined:
			if zero.IsZero() {
				zero = ev.Time
			}
		case events.SegmentOpened:
			of(e.Track).opened(e, ev.Time)
		case events.SegmentAnchored:
			of(e.Track).anchored(e, ev.Time)
		case events.SegmentStored:
			for _, t := range tracks {
				delete(t.open, e.Segment)
			}
		}
	}
	if zero.IsZero() {
		return 0
	}
	settled := newest
	for _, t := range tracks {
		if at := t.settled(newest); at.Before(settled) {
			settled = at
		}
	}
	return int64(settled.Add(-deciding).Sub(zero).Seconds() * render.Rate)
}

// settledSamples is the same for the sound, in samples.
func settledSamples(frames int64) int64 {
	return (frames - int64(following.Seconds()*render.Rate)) * ffmpeg.SampleRate / render.Rate
}

// trackSoFar is what the log has of a track while the call goes on.
type trackSoFar struct {
	open  map[string]time.Time // when segments began that are not stored
	known time.Time            // until when all anchors are in the log
	last  time.Time            // when the newest segment began
}

func (t *trackSoFar) opened(e events.SegmentOpened, at time.Time) {
	if e.Arrival.Before(at) {
		at = e.Arrival
	}
	t.open[e.Segment], t.last = at, at
}

// anchored takes in anchors that were reported at a time: all that were observed a moment before are known then.
func (t *trackSoFar) anchored(e events.SegmentAnchored, at time.Time) {
	if at = at.Add(-telling); at.After(t.known) {
		t.known = at
	}
	for _, a := range e.Anchors {
		if a.Arrival.After(t.known) {
			t.known = a.Arrival
		}
	}
}

// settled is the moment before which the track does not change, nobody waiting for what was forgotten.
func (t *trackSoFar) settled(newest time.Time) time.Time {
	at := newest
	if newest.Sub(t.last) < forgotten { // its places may still depend on what is to come
		at = newest.Add(-reporting)
		if t.known.After(at) {
			at = t.known
		}
		at = at.Add(-placing)
	}
	for _, begun := range t.open {
		if begun.Before(at) && newest.Sub(begun) < forgotten {
			at = begun
		}
	}
	return at
}

// queueEarly queues a piece that is not there, with the lowest priority.
func (w *Worker) queueEarly(ctx context.Context, j *job, o *order) error {
	_, ok, err := w.finished(ctx, o.key, o.recipe.extension())
	if err != nil || ok {
		return err
	}
	packed, err := o.recipe.encode()
	if err != nil {
		return err
	}
	if _, err := w.deps.Blobs.Put(ctx, earlyKey(j.consultation, o.key), strings.NewReader("")); err != nil {
		return err
	}
	if _, err := w.deps.Blobs.Put(ctx, recipeKey(o.key), bytes.NewReader(packed)); err != nil {
		return err
	}
	w.metrics.early.WithLabelValues(earlyQueued).Inc()
	return w.deps.Queue.PublishChunk(ctx, jobs.ChunkJob{
		Key: o.key, Priority: jobs.Live, Consultation: j.consultation, Version: j.request.Version,
		Tool: j.tool.mark(),
	})
}

// earlyKey is where it is noted that a piece was queued during the call.
func earlyKey(consultation, key string) string { return earlyFolder(consultation) + key }

func earlyFolder(consultation string) string { return "c/" + consultation + "/early/" }

// liveJob makes a piece of a call that is going on. One that cannot be made is left to the archive's job.
func (w *Worker) liveJob(ctx context.Context, j jobs.ChunkJob, try int) error {
	if try > earlyTries {
		w.metrics.early.WithLabelValues(earlyFailed).Inc()
		return nil
	}
	in, err := w.deps.Blobs.Get(ctx, recipeKey(j.Key))
	if errors.Is(err, blob.ErrNotFound) {
		return nil // it is made already, or nobody needs it any more
	}
	if err != nil {
		return err
	}
	r, err := decodeRecipe(in, j.Key)
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	w.making.Store(j.Key, true)
	defer w.making.Delete(j.Key)
	if _, err := w.piece(ctx, r, j.Key, nil); err != nil {
		return err
	}
	w.metrics.early.WithLabelValues(earlyMade).Inc()
	w.tellNews(jobs.ChunkNews{Key: j.Key, Done: true})
	return nil
}

// settleEarly counts which of the pieces that were made during the call are in the archive, and removes the others.
func (w *Worker) settleEarly(ctx context.Context, j *job) error {
	used := map[string]bool{}
	for _, s := range j.result.sounds {
		used[s.Key] = true
	}
	for _, c := range j.result.chunks {
		used[c.Key] = true
	}
	for info, err := range w.deps.Blobs.List(ctx, earlyFolder(j.consultation)) {
		if err != nil {
			return fmt.Errorf("list what was made early: %w", err)
		}
		key := path.Base(info.Key)
		if err := w.settleOne(ctx, key, used[key]); err != nil {
			return err
		}
		if err := w.deps.Blobs.Delete(ctx, info.Key); err != nil {
			return fmt.Errorf("forget what was made early: %w", err)
		}
	}
	return nil
}

func (w *Worker) settleOne(ctx context.Context, key string, used bool) error {
	if used {
		w.metrics.early.WithLabelValues(earlyUsed).Inc()
		return nil
	}
	w.metrics.early.WithLabelValues(earlyUnused).Inc()
	// What says that it is there goes first.
	for _, extension := range []string{".recipe", ".json", ".ts", ".aac"} {
		if err := w.deps.Blobs.Delete(ctx, pieceKey(key, extension)); err != nil {
			return fmt.Errorf("remove what was made early and is not used: %w", err)
		}
	}
	return nil
}
