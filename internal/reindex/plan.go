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
	p := &plan{}
	r.draft(p, r.deps.Now(), "", events.ConsultationReindexed{Segments: len(files), Reason: events.ReindexedLogLost})
	roles := map[string]string{}
	for _, f := range history(files) {
		r.draft(p, f.at, f.who, f.event)
		if f.who != "" {
			roles[f.who] = ""
		}
	}
	completed := events.ConsultationCompleted{Segments: len(files), Missing: []events.MissingSegment{}}
	for _, f := range files {
		if f.fault != "" {
			completed.Missing = append(completed.Missing, events.MissingSegment{Segment: f.ID, Cause: f.fault})
		}
	}
	var err error
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
