package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/config"
	"consilium/internal/directory"
	"consilium/internal/events/appender"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/reindex"
	"consilium/internal/store"
	"consilium/internal/telemetry"
)

// reindexCmd rebuilds what the log has lost from the recordings' own files.
type reindexCmd struct {
	config.Live
	DryRun bool `name:"dry-run" help:"Read all files and say what would be made; change nothing."`
}

// Run rebuilds every consultation that has files and that the log does not know. The server must not run.
func (c *reindexCmd) Run(ctx context.Context) (err error) {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	l := &live{cfg: c.Live, logger: logger, metrics: telemetry.NewMetrics(), now: conferenceClock(), parts: newGroup(logger)}
	defer func() { err = errors.Join(err, l.parts.stopAll()) }()
	if err := l.startStores(ctx); err != nil {
		return err
	}
	if err := l.recoverFirst(os.Stdout, c.DryRun); err != nil {
		return err
	}
	var total reindexed
	err = reindex.Run(ctx, reindex.Config{Node: c.Node, SpoolDir: l.spoolDir(), DryRun: c.DryRun}, reindex.Deps{
		Log: l.log, Appender: appender.New(l.log, logger, nil), Blobs: l.blobs, Sheets: directory.New(l.pool), Now: l.now, Logger: logger,
	}, func(r reindex.Result) {
		total.add(r)
		show(os.Stdout, r, c.DryRun)
	})
	total.print(os.Stdout, c.DryRun)
	if err != nil || c.DryRun {
		return err
	}
	projector, err := store.NewProjector(store.Config{}, l.log, l.pool, logger)
	if err != nil {
		return err
	}
	return projector.Rebuild(ctx) // its rows were made from another log
}

// recoverFirst finishes the files that a crash left, as a start of the server does.
func (l *live) recoverFirst(w io.Writer, dry bool) error {
	if dry {
		torn, err := filepath.Glob(filepath.Join(l.spoolDir(), "*", "*"+media.PartExtension))
		if err == nil && len(torn) > 0 {
			fmt.Fprintf(w, "%d files that a crash left unfinished would be completed first and come in addition\n", len(torn))
		}
		return err
	}
	recovered, err := recorder.Recover(l.spoolDir())
	if err != nil {
		l.logger.Error("some recordings could not be recovered", "error", err)
	}
	if len(recovered) > 0 {
		fmt.Fprintf(w, "%d files that a crash left unfinished are complete now\n", len(recovered))
	}
	return nil
}

// show writes a line for a consultation that was rebuilt, and one for each file of it that cannot be used.
func show(w io.Writer, r reindex.Result, dry bool) {
	if r.Segments > 0 {
		word := "rebuilt"
		if dry {
			word = "would be rebuilt"
		}
		fmt.Fprintf(w, "%s %s: %s, %s long, participants %d, tracks %d, files %d (%s), events %d, archive %d\n", r.Consultation, word,
			r.Began.Format(time.RFC3339), r.Length.Round(time.Second), r.Participants, r.Tracks, r.Segments, size(r.Bytes), r.Events, r.Version)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s: %s\n", r.Consultation, p)
	}
}

// reindexed counts what became of all.
type reindexed struct{ rebuilt, known, empty, problems int }

func (t *reindexed) add(r reindex.Result) {
	switch {
	case r.Known:
		t.known++
	case r.Segments == 0:
		t.empty++
	default:
		t.rebuilt++
	}
	t.problems += len(r.Problems)
}

func (t *reindexed) print(w io.Writer, dry bool) {
	word := "rebuilt"
	if dry {
		word = "to be rebuilt"
	}
	fmt.Fprintf(w, "%d consultations %s, %d that the log knows left alone, %d without a usable file, %d problems\n",
		t.rebuilt, word, t.known, t.empty, t.problems)
}
