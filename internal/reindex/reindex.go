// Package reindex rebuilds the history of consultations that the log has lost from the files of their recordings.
//
// In come the segment files of the blob store and of the spool folder, each with its sidecar; out go, for every
// consultation that the log does not know, events that begin with consultation.reindexed and end with the order of an
// archive. Every file is read and held against its sidecar first. The package makes nothing up: what no file can tell, who
// spoke, in what role, what was agreed to, stays empty. It never touches a consultation that the log knows, and removes no
// file.
package reindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/appender"
)

// Config of a run.
type Config struct {
	Node     string // name of this process's machine, part of event sources
	SpoolDir string // folder of segments on their way to the blob store; empty: there is none
	DryRun   bool   // look and say what would be made; nothing is appended or stored
}

// Sheets makes render sheets with the names that are still known.
type Sheets interface {
	// SheetOf encodes the render sheet of a consultation, given the roles of its participants by id.
	SheetOf(ctx context.Context, consultation string, roles map[string]string) ([]byte, error)
}

// Deps are what a run works with. All are needed.
type Deps struct {
	Log      events.Log
	Appender *appender.Appender
	Blobs    *blob.Store
	Sheets   Sheets
	Now      func() time.Time
	Logger   *slog.Logger
}

// Result is what became of one consultation.
type Result struct {
	Consultation string
	Known        bool // the log knows it: it was left alone
	Participants int
	Tracks       int
	Segments     int           // with a sidecar that can be read
	Damaged      int           // of those: whose file is not there, or not what was sealed
	Bytes        int64         // of the sound ones
	Began        time.Time     // archive time 0
	Length       time.Duration // of the archive
	Events       int           // that were appended, or would be
	Version      int           // of the archive that was ordered
	Problems     []string      // in words: files that could not be used, and why
}

// Run rebuilds every consultation that has files and that the log does not know. tell hears of each when it is done, in the
// order of their ids, which is about that of their beginnings. A consultation that fails does not keep the others from being
// rebuilt; the error names it. A run that was cut off goes on where it was.
func Run(ctx context.Context, cfg Config, deps Deps, tell func(Result)) error {
	if cfg.Node == "" {
		return errors.New("reindex: Config.Node is empty")
	}
	found, err := find(ctx, deps.Blobs, cfg.SpoolDir)
	if err != nil {
		return fmt.Errorf("reindex: %w", err)
	}
	var errs error
	for _, id := range sorted(found) {
		r := &run{cfg: cfg, deps: deps, id: id}
		result, err := r.rebuild(ctx, found[id])
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("reindex %s: %w", id, err))
			if ctx.Err() != nil {
				return errs
			}
			continue
		}
		tell(result)
	}
	return errs
}

func sorted(found map[string]*sidecars) []string {
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// run is the rebuilding of one consultation.
type run struct {
	cfg  Config
	deps Deps
	id   string
}

func (r *run) rebuild(ctx context.Context, found *sidecars) (Result, error) {
	result := Result{Consultation: r.id}
	known, err := r.known(ctx)
	if err != nil || known {
		result.Known = known
		return result, err
	}
	files, problems, err := r.read(ctx, found)
	if err != nil {
		return result, err
	}
	result.Problems = problems
	if len(files) == 0 {
		return result, nil
	}
	plan, err := r.plan(ctx, files)
	if err != nil {
		return result, err
	}
	plan.fill(&result, files)
	if r.cfg.DryRun {
		return result, nil
	}
	return result, r.append(ctx, plan.drafts)
}

// known says whether the log has the consultation; one that an earlier run did not finish it has not.
func (r *run) known(ctx context.Context) (bool, error) {
	history, err := events.ReadAll(ctx, r.deps.Log, r.id)
	if err != nil || len(history) == 0 {
		return false, err
	}
	if history[0].Type != events.TypeConsultationReindexed {
		return true, nil
	}
	return slices.ContainsFunc(history, func(e events.Stored) bool { return e.Type == events.TypeArchiveRequested }), nil
}

// batch is how many events go into one append.
const batch = 200

// errForeign says that somebody else wrote about a consultation while it was being rebuilt.
var errForeign = errors.New("the log has other events of it: is live running?")

// append stores the drafts that the log does not have yet. It ends with the order of an archive, so that a history without
// one is an unfinished one.
func (r *run) append(ctx context.Context, drafts []events.Draft) error {
	for done := false; !done; {
		_, err := r.deps.Appender.Command(ctx, r.id, func(history []events.Stored) ([]events.Draft, error) {
			for i, e := range history {
				if i >= len(drafts) || e.Type != events.TypeOf(drafts[i].Event) || e.Participant != drafts[i].Participant {
					return nil, errForeign
				}
			}
			next := slices.Clone(drafts[len(history):min(len(history)+batch, len(drafts))])
			if len(history) > 0 {
				for i := range next {
					next[i].CausationID = history[0].ID
				}
			}
			done = len(history)+len(next) == len(drafts)
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
