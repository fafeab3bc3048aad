package stitch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/jobs"
	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

// job is one archive on its way.
type job struct {
	consultation string
	request      events.ArchiveRequested
	cause        string // id of the request's event
	priority     jobs.Priority
	history      []events.Stored
	logger       *slog.Logger
	early        bool  // planned while the call goes on: not an archive, and nothing of it is told
	settled      int64 // then the sample of the archive before which no sound changes any more
	shared       bool  // its pieces are made by all stitchers, not by this one alone

	dir        string
	timeline   *timeline.Timeline
	sheet      sheet.Sheet
	sheetState string // "", "erased" or "damaged"
	segments   []*segmentFile
	bySegment  map[string]*segmentFile
	plan       *render.Plan
	missing    *missing
	tool       tool // that its pieces are made with
	meter      *meter
	result     result

	gains       map[string]voiceGain // by participant who is heard
	trackPhases map[string]shifts    // of cameras, by track
	voices      []voiceRuns          // everybody's, in the order of the plan
	voiceMoves  map[string]shifts    // by how much sound is moved, by participant
	owners      map[string]string    // participants by track
	offsets     []float64            // of camera frames from where their sound is, in milliseconds
}

// key is the key of a file of the archive in the blob store.
func (j *job) key(name string) string {
	return fmt.Sprintf("c/%s/archives/%d/%s", j.consultation, j.request.Version, name)
}

// ErrNoRequest says that a job names an archive that nobody asked for.
var ErrNoRequest = errors.New("no such archive was requested")

// Make makes an archive and announces it, or announces that it failed; both are nil. It does nothing when the log says
// that one of them has happened already. An error means that the job should be given again: later, or to another worker.
func (w *Worker) Make(ctx context.Context, consultation string, version int) error {
	j, err := w.take(ctx, consultation, version)
	if err != nil || j == nil {
		return err
	}
	begun := w.cfg.Now()
	err = judge(ctx, w.carefully(ctx, j, w.store), false)
	var f *failure
	switch {
	case errors.As(err, &f):
		j.logger.Error("archive failed", "code", f.code, "error", f.err)
		w.metrics.archives.WithLabelValues(f.code).Inc()
		err = w.fail(ctx, j, f)
	case err == nil:
		took := w.cfg.Now().Sub(begun)
		w.metrics.archives.WithLabelValues("ok").Inc()
		w.metrics.speed.Observe(j.plan.Duration().Seconds() / max(took.Seconds(), 1e-3))
		j.logger.Info("archive rendered", "length", j.plan.Duration(), "took", took.Round(time.Millisecond), "missing", j.missing.count())
	}
	if err != nil {
		return fmt.Errorf("make archive %d of %s: %w", version, consultation, err)
	}
	return nil
}

// take reads the consultation and announces the start. It returns no job when there is nothing left to do.
func (w *Worker) take(ctx context.Context, consultation string, version int) (*job, error) {
	j := &job{consultation: consultation, logger: w.logger.With("consultation", consultation, "version", version)}
	if !events.ValidID(consultation) {
		return nil, fmt.Errorf("consultation %q: %w", consultation, ErrNoRequest)
	}
	done := false
	_, err := w.deps.Appender.Command(ctx, consultation, func(history []events.Stored) ([]events.Draft, error) {
		j.history, done = history, false
		started := false
		for _, ev := range history {
			switch e := ev.Event.(type) {
			case events.ArchiveRequested:
				if e.Version == version {
					j.request, j.cause, j.priority = e, ev.ID, priorityOf(ev, version)
				}
			case events.ArchiveStarted:
				started = started || e.Version == version
			}
			done = done || isResult(ev.Event, version)
		}
		if j.cause == "" {
			return nil, fmt.Errorf("archive %d of %s: %w", version, consultation, ErrNoRequest)
		}
		if done || started {
			return nil, nil
		}
		return []events.Draft{w.draft(j, events.ArchiveStarted{Version: version})}, nil
	})
	if err != nil {
		return nil, err
	}
	if done {
		j.logger.Info("archive is finished already")
		return nil, nil
	}
	return j, nil
}

// isResult says whether e ends the job of a version.
func isResult(e events.Event, version int) bool {
	switch e := e.(type) {
	case events.ArchiveRendered:
		return e.Version == version
	case events.ArchiveFailed:
		return e.Version == version
	}
	return false
}

func (w *Worker) draft(j *job, e events.Event) events.Draft {
	d := events.NewDraft("/stitcher/"+w.cfg.Node, w.cfg.Now(), e)
	d.CausationID = j.cause
	return d
}

// conclude appends the result unless there is one already: then this one is dropped.
func (w *Worker) conclude(ctx context.Context, j *job, result events.Event) error {
	_, err := w.deps.Appender.Command(ctx, j.consultation, func(history []events.Stored) ([]events.Draft, error) {
		for _, ev := range history {
			if isResult(ev.Event, j.request.Version) {
				return nil, nil
			}
		}
		return []events.Draft{w.draft(j, result)}, nil
	})
	return err
}

// carefully makes the archive; a panic becomes a failure, so that one job cannot stop all others for ever.
func (w *Worker) carefully(ctx context.Context, j *job, deliver func(context.Context, *job) error) (err error) {
	defer rescue(j.logger, "archive", &err)
	return w.make(ctx, j, deliver)
}

// rescue makes a failure of a panic in what is named; it is deferred.
func rescue(logger *slog.Logger, what string, err *error) {
	if r := recover(); r != nil {
		logger.Error("stitcher panicked", "at", what, "panic", r, "stack", string(debug.Stack()))
		*err = &failure{CodeInternal, fmt.Errorf("panic: %v", r)}
	}
}

// make goes through the stages, the last of which is deliver.
func (w *Worker) make(ctx context.Context, j *job, deliver func(context.Context, *job) error) error {
	if err := w.begin(ctx, j); err != nil {
		return err
	}
	var err error
	if j.dir, err = w.makeFolder("a"); err != nil {
		return fmt.Errorf("open work folder: %w", err)
	}
	defer os.RemoveAll(j.dir) // what stays behind goes with the folder of the process
	j.shared = w.deps.Queue != nil
	stopTelling := w.tellWhile(ctx, j)
	defer stopTelling()

	stages := []struct {
		name  string
		run   func(context.Context, *job) error
		local bool // needs nothing but this machine: the same job would fail again
	}{
		{StageFetch, w.prepare, false},
		{StageRender, w.render, false}, // its pieces know whether the tool or the blob store was at fault
		{StageMux, w.mux, true},
		{StageInspect, w.inspect, true},
		{StageStore, deliver, false},
	}
	defer j.closeSegments()
	wanted, stopLooking := w.whileWanted(ctx, j)
	defer stopLooking()
	for _, s := range stages {
		j.meter.stage(s.name)
		begun := w.cfg.Now()
		if s.name == StageStore { // too late to call it off
			stopLooking()
			wanted = ctx
		}
		if err := s.run(wanted, j); err != nil {
			if called := calledOff(wanted); called != nil {
				return called
			}
			return judge(ctx, fmt.Errorf("%s: %w", s.name, err), s.local)
		}
		took := w.cfg.Now().Sub(begun)
		w.metrics.seconds.WithLabelValues(s.name).Observe(took.Seconds())
		j.logger.Debug("stage ended", "stage", s.name, "took", took.Round(time.Millisecond))
	}
	return nil
}

// whileWanted is ctx until somebody calls the archive off, or the returned function is called, which waits until nobody looks any
// more.
func (w *Worker) whileWanted(ctx context.Context, j *job) (wanted context.Context, stop func()) {
	wanted, cancel := context.WithCancelCause(ctx)
	if !j.shared {
		return wanted, func() { cancel(nil) }
	}
	var looking sync.WaitGroup
	looking.Go(func() { // ends with wanted
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-wanted.Done():
				return
			case <-tick.C:
			}
			called, err := w.deps.Queue.Cancelled(wanted, jobs.ArchiveJob{Consultation: j.consultation, Version: j.request.Version})
			if err == nil && called {
				cancel(&failure{CodeCancelled, errors.New("somebody called it off")})
			}
		}
	})
	return wanted, func() {
		cancel(nil)
		looking.Wait()
	}
}

// calledOff is the failure that ended what ctx bounds; nil when none did.
func calledOff(ctx context.Context) error {
	var f *failure
	if errors.As(context.Cause(ctx), &f) {
		return f
	}
	return nil
}

// tellWhile reports progress until the returned function is called, and then once more: an archive that was made within a
// moment has got somewhere too.
func (w *Worker) tellWhile(ctx context.Context, j *job) func() {
	if w.deps.Progress == nil {
		return func() {}
	}
	until, cancel := context.WithCancel(ctx)
	var telling errgroup.Group
	telling.Go(func() error {
		j.meter.tell(until, w.deps.Progress)
		return nil
	})
	return func() {
		cancel()
		_ = telling.Wait() // it has no errors
		if ctx.Err() == nil {
			w.deps.Progress(ctx, j.meter.now())
		}
	}
}

func (j *job) closeSegments() {
	for _, s := range j.segments {
		s.close()
	}
}

// prepare fetches everything and makes the plan.
func (w *Worker) prepare(ctx context.Context, j *job) error {
	if err := w.readSheet(ctx, j); err != nil {
		return err
	}
	j.segments = segmentsOf(j.timeline)
	if err := w.fetch(ctx, j.segments); err != nil {
		return err
	}
	j.bySegment = map[string]*segmentFile{}
	for _, s := range j.segments {
		j.bySegment[s.clip.Segment] = s
		if s.cause != "" {
			if !j.early {
				w.metrics.lost.WithLabelValues(string(s.cause)).Inc()
			}
			j.logger.Warn("segment cannot be shown", "segment", s.clip.Segment, "cause", string(s.cause))
			j.missing.add(s.clip.Segment, s.cause)
			j.timeline.Lose(s.clip.Segment, s.cause)
		} else if !s.confine(j.timeline) {
			j.logger.Warn("segment is not what the log says of it", "segment", s.clip.Segment)
			j.missing.add(s.clip.Segment, timeline.Corrupt)
		}
	}
	j.measure()
	order := render.Order{Profile: j.request.Profile, Layout: j.request.Layout, Stamp: j.request.Stamp, Keyframes: j.keyframes()}
	var err error
	if j.plan, err = render.New(j.timeline, j.sheet, order); err != nil {
		return &failure{CodeRenderFailed, err}
	}
	speaker := j.plan.Layout == render.Speaker && j.plan.Profile.Video
	if speaker {
		j.meter.listen(j.plan.Frames, len(j.voices), j.plan.Samples())
	} else {
		j.meter.total(j.plan.Frames)
	}
	if !j.shared || speaker || j.request.Voices { // else while others draw: see together
		if err = w.findGains(ctx, j, j.voices); err != nil {
			return err
		}
	}
	if speaker {
		if order.Levels, err = w.levels(ctx, j, j.voices); err != nil {
			return fmt.Errorf("measure who speaks: %w", err)
		}
		if j.plan, err = render.New(j.timeline, j.sheet, order); err != nil {
			return &failure{CodeRenderFailed, err}
		}
	}
	return nil
}

// measure puts what only the files tell into the timeline, the sizes of pictures, and finds the phases of the cameras, and the runs
// of the voices that follow them.
func (j *job) measure() {
	j.trackPhases, j.voices = map[string]shifts{}, nil
	phases := map[string]shifts{} // of the cameras, by participant: what sound follows
	j.voiceMoves, j.owners = map[string]shifts{}, map[string]string{}
	for _, p := range j.timeline.Participants {
		var all shifts
		for _, t := range p.Tracks {
			j.owners[t.ID] = p.ID
			if t.Kind != media.Video {
				continue
			}
			for i := range t.Clips {
				if s := j.bySegment[t.Clips[i].Segment]; s.width > 0 && s.height > 0 {
					t.Clips[i].Width, t.Clips[i].Height = s.width, s.height
				}
			}
			if t.Source != media.Screen {
				j.trackPhases[t.ID] = j.shiftsOf(t)
				all = append(all, j.trackPhases[t.ID]...)
			}
		}
		slices.SortStableFunc(all, func(a, b shift) int { return cmp.Compare(a.from, b.from) })
		phases[p.ID] = all
	}
	for _, v := range render.Voices(j.timeline) {
		runs, moved := runsOf(v.Clips, j.recording, phases[v.Participant])
		j.hear(v.Participant, runs)
		j.voiceMoves[v.Participant] = append(j.voiceMoves[v.Participant], moved...)
	}
	for _, moved := range j.voiceMoves { // of several microphones
		slices.SortStableFunc(moved, func(a, b shift) int { return cmp.Compare(a.from, b.from) })
	}
}

// apart is by how much of an output frame the sound of a moment was moved more than the picture of a track was; none where
// nothing was heard.
func (j *job) apart(track string, ns int64) float64 {
	moved := j.voiceMoves[j.owners[track]]
	i := sort.Search(len(moved), func(i int) bool { return moved[i].from > ns })
	if i == 0 || moved[i-1].to <= ns {
		return 0
	}
	return moved[i-1].phase - j.trackPhases[track].at(ns)
}

// shiftsOf finds the phase of each clip of a camera.
func (j *job) shiftsOf(t timeline.Track) shifts {
	var all shifts
	before := 0.0
	for _, c := range t.Clips {
		before = follow(before, phase(j.footage(c.Segment).moments(c)))
		all = append(all, shift{c.StartNS, c.EndNS, before})
	}
	return all
}

// keyframes lists, by track, the output frames in which keyframes are shown.
func (j *job) keyframes() render.Keyframes {
	all := render.Keyframes{}
	for _, p := range j.timeline.Participants {
		for _, t := range p.Tracks {
			if t.Kind == media.Video {
				all[t.ID] = keyframes(t.Clips, j.footage, j.trackPhases[t.ID])
			}
		}
	}
	return all
}

func (j *job) footage(segment string) footage {
	s := j.bySegment[segment]
	return footage{of: s.ref(), scan: s.ivf}
}

func (j *job) recording(segment string) recording {
	s := j.bySegment[segment]
	return recording{segment: segment, scan: s.ogg}
}

// readSheet fetches the names. An archive can be made without them: after they were erased everybody is called by role.
func (w *Worker) readSheet(ctx context.Context, j *job) error {
	in, err := w.deps.Blobs.Get(ctx, j.request.Sheet.Key)
	if errors.Is(err, blob.ErrNotFound) {
		j.sheetState = "erased"
		return nil
	}
	if errors.Is(err, blob.ErrBadKey) {
		j.sheetState = "damaged"
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetch render sheet: %w", err)
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxSheet))
	if err != nil {
		return fmt.Errorf("fetch render sheet: %w", err)
	}
	if events.HashOf(raw) != j.request.Sheet.SHA256 {
		j.sheetState = "damaged"
		j.logger.Warn("render sheet is not what was requested: names are left out")
		return nil
	}
	if j.sheet, err = sheet.Parse(bytes.TrimSpace(raw)); err != nil {
		return &failure{CodeSourceDamaged, err}
	}
	return nil
}

// maxSheet bounds a render sheet in bytes.
const maxSheet = 1 << 20
