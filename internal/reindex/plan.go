package reindex

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/timeline"
)

// plan is the whole history that a consultation is to have.
type plan struct {
	drafts   []events.Draft
	timeline *timeline.Timeline
	version  int // of the archive that is ordered
}

// plan makes the history of the files: what they tell, what is missing, the accounts of all tracks, and the order of an
// archive behind those that exist already.
func (r *run) plan(ctx context.Context, files []file) (*plan, error) {
	came, err := r.came(files)
	if err != nil {
		return nil, err
	}
	p := r.tell(files, came)
	roles := map[string]string{}
	for _, f := range files {
		roles[f.Owner] = ""
	}
	completed := events.ConsultationCompleted{Segments: len(files), Missing: []events.MissingSegment{}}
	for _, f := range files {
		if f.fault != "" {
			completed.Missing = append(completed.Missing, events.MissingSegment{Segment: f.ID, Cause: f.fault})
		}
	}
	if p.timeline, err = p.build(r.id, completed.Missing); err != nil {
		return nil, err
	}
	completed.Tracks = p.timeline.Accounts()
	sheet, err := r.sheet(ctx, roles)
	if err != nil {
		return nil, err
	}
	if p.version, err = r.nextVersion(ctx); err != nil {
		return nil, err
	}
	r.draft(p, r.deps.Now(), "", completed)
	r.draft(p, r.deps.Now(), "", events.ArchiveRequested{
		Version: p.version, ThroughSeq: uint64(len(p.drafts)), Layout: layout, Profile: consultation.ProfileStandard, Sheet: sheet,
	})
	return p, nil
}

// tell drafts what the files tell.
func (r *run) tell(files []file, came map[string]time.Time) *plan {
	p := &plan{}
	r.draft(p, r.deps.Now(), "", events.ConsultationReindexed{Segments: len(files), Reason: events.ReindexedLogLost})
	for _, f := range history(files, came) {
		r.draft(p, f.at, f.who, f.event)
	}
	return p
}

// came finds out when each participant's first media were captured, by a timeline in which everybody came early enough.
func (r *run) came(files []file) (map[string]time.Time, error) {
	tl, err := r.tell(files, nil).build(r.id, nil)
	if err != nil {
		return nil, err
	}
	came := map[string]time.Time{}
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			at := tl.StartTime.Add(time.Duration(tr.StartNS))
			if was, ok := came[p.ID]; !ok || at.Before(was) {
				came[p.ID] = at
			}
		}
	}
	return came, nil
}

// draft adds an event. All of them are caused by the first one.
func (r *run) draft(p *plan, at time.Time, who string, e events.Event) {
	d := events.NewDraft("/live/"+r.cfg.Node, at, e)
	d.Participant = who
	if len(p.drafts) > 0 {
		d.CausationID = p.drafts[0].ID
	}
	p.drafts = append(p.drafts, d)
}

// build is the timeline of the drafts so far.
func (p *plan) build(id string, missing []events.MissingSegment) (*timeline.Timeline, error) {
	var state timeline.State
	var at events.Version
	for _, d := range p.drafts {
		raw, next, err := events.Seal(id, at, d)
		if err != nil {
			return nil, err
		}
		stored, err := events.Open(raw, next.Seq)
		if err != nil {
			return nil, err
		}
		if err := state.Apply(stored); err != nil {
			return nil, err
		}
		at = next
	}
	state.Miss(missing)
	return state.Place(), nil
}

// sheet stores the render sheet, or only makes it in a dry run.
func (r *run) sheet(ctx context.Context, roles map[string]string) (events.Blob, error) {
	sheet, err := r.deps.Sheets.SheetOf(ctx, r.id, roles)
	if err != nil {
		return events.Blob{}, fmt.Errorf("render sheet: %w", err)
	}
	sum := events.HashOf(sheet)
	b := events.Blob{Key: "sheets/" + r.id + "/" + sum + ".json", SHA256: sum}
	if r.cfg.DryRun {
		return b, nil
	}
	if _, err := r.deps.Blobs.Put(ctx, b.Key, bytes.NewReader(sheet)); err != nil {
		return events.Blob{}, fmt.Errorf("store render sheet: %w", err)
	}
	return b, nil
}

// nextVersion is behind every archive that was made before the log was lost: archives are never written over.
func (r *run) nextVersion(ctx context.Context) (int, error) {
	newest := 0
	prefix := "c/" + r.id + "/archives/"
	for info, err := range r.deps.Blobs.List(ctx, prefix) {
		if err != nil {
			return 0, err
		}
		number, _, _ := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		if n, err := strconv.Atoi(number); err == nil {
			newest = max(newest, n)
		}
	}
	return newest + 1, nil
}

// fill says in the result what the plan holds.
func (p *plan) fill(result *Result, files []file) {
	owners, tracks := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		owners[f.Owner], tracks[f.Track] = true, true
		if f.fault != "" {
			result.Damaged++
		} else {
			result.Bytes += f.Bytes
		}
	}
	result.Participants, result.Tracks, result.Segments = len(owners), len(tracks), len(files)
	result.Began, result.Length = p.timeline.StartTime, time.Duration(p.timeline.DurationNS)
	result.Events, result.Version = len(p.drafts), p.version
}
