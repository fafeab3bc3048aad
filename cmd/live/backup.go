package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"consilium/internal/backup"
	"consilium/internal/blob"
	"consilium/internal/config"
	"consilium/internal/directory"
	"consilium/internal/events/natslog"
	"consilium/internal/localpg"
	"consilium/internal/store"
	"consilium/internal/telemetry"
	"consilium/internal/webhook"

	"github.com/jackc/pgx/v5/pgxpool"
)

// backupCmd copies everything into a folder.
type backupCmd struct {
	config.Live
	To string `name:"to" required:"" type:"path" help:"Folder of the back-up. One that has an older back-up gets what is new."`
}

// Run copies from a running server or, when none runs, from its data.
func (c *backupCmd) Run(ctx context.Context) (err error) {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	secret, err := c.Secret.Text()
	if err != nil {
		return err
	}
	l := &live{cfg: c.Live, logger: logger, metrics: telemetry.NewMetrics(), now: time.Now, parts: newGroup(logger)}
	defer func() { err = errors.Join(err, l.parts.stopAll()) }()
	if err := l.attachStores(ctx); err != nil {
		return err
	}
	made, err := backup.Make(ctx, l.copied(secret), c.To, showProgress(os.Stderr))
	if made.Format > 0 {
		fmt.Fprintf(os.Stdout, "%s: %d events of %d consultations, %d blobs with %s\n",
			c.To, made.Last, made.Consultations, made.Blobs, size(made.Bytes))
	}
	for _, m := range made.Missing {
		logger.Error("the log names a blob that is not there as it was", "key", m.Key, "problem", m.Problem)
	}
	return err
}

// restoreCmd fills an empty installation from a back-up.
type restoreCmd struct {
	config.Live
	From string `name:"from" required:"" type:"path" help:"Folder of the back-up."`
}

// Run restores. The server must not run.
func (c *restoreCmd) Run(ctx context.Context) (err error) {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	secret, err := backup.Secret(c.From)
	if err != nil {
		return err
	}
	if err := c.Restorable(secret); err != nil {
		return err
	}
	l := &live{cfg: c.Live, logger: logger, metrics: telemetry.NewMetrics(), now: time.Now, parts: newGroup(logger)}
	defer func() { err = errors.Join(err, l.parts.stopAll()) }()
	if err := l.startStores(ctx); err != nil {
		return err
	}
	m, err := backup.Restore(ctx, c.From, l.copied(""), showProgress(os.Stderr))
	if err != nil {
		return err
	}
	if err := c.Secret.Restore(secret); err != nil {
		return err
	}
	projector, err := store.NewProjector(store.Config{}, l.log, l.pool, logger)
	if err != nil {
		return err
	}
	if err := projector.Rebuild(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%s: %d events of %d consultations, %d blobs with %s, as of %s\n",
		c.Data, m.Last, m.Consultations, m.Blobs, size(m.Bytes), m.Made.Format(time.RFC3339))
	return nil
}

// copied are the stores as package backup wants them.
func (l *live) copied(secret string) backup.Stores {
	return backup.Stores{
		Log: l.log, Directory: directory.New(l.pool), Webhooks: webhook.NewKeeper(l.pool), Blobs: l.blobs, SpoolDir: l.spoolDir(),
		Secret: secret, Logger: l.logger,
	}
}

// attachStores opens the stores for reading beside a server that may be running on the same data folder; where none runs
// it starts what is needed itself.
func (l *live) attachStores(ctx context.Context) (err error) {
	if _, err := os.Stat(l.cfg.Data); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if l.blobs, err = blob.Open(ctx, l.cfg.Blobs()); err != nil {
		return err
	}
	l.parts.onStop("blob store", func(context.Context) error { return l.blobs.Close() })
	if err := l.attachLog(ctx); err != nil {
		return err
	}
	return l.attachDatabase(ctx)
}

func (l *live) attachLog(ctx context.Context) error {
	if l.cfg.NATSURL != "" {
		return l.connectLog(ctx, nil)
	}
	embedded, err := natslog.Start(ctx, natslog.ServerConfig{DataDir: l.cfg.Data, Logger: l.logger})
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK): // a server has it
		limit, cancel := context.WithTimeout(ctx, stopWithin)
		defer cancel()
		if l.log, err = natslog.Connect(limit, natslog.Config{DataDir: l.cfg.Data, Name: "backup", Logger: l.logger}); err != nil {
			return err
		}
		l.parts.onStop("log connection", func(context.Context) error { l.log.Close(); return nil })
		return nil
	case err != nil:
		return err
	}
	l.parts.onStop("event log", func(context.Context) error { embedded.Stop(); return nil })
	return l.connectLog(ctx, embedded)
}

func (l *live) attachDatabase(ctx context.Context) error {
	dsn := l.cfg.DatabaseURL
	if dsn == "" {
		cfg := localpg.Config{DataDir: l.cfg.Data, Logger: l.logger}
		var err error
		if dsn, err = localpg.Beside(ctx, cfg); errors.Is(err, localpg.ErrNotRunning) {
			pg, err := localpg.Start(ctx, cfg)
			if err != nil {
				return err
			}
			l.parts.run("database", func(ctx context.Context) error { return untilStopped(ctx, pg) })
			return l.connectDatabase(ctx, pg)
		} else if err != nil {
			return err
		}
	}
	pool, err := pgxpool.New(context.WithoutCancel(ctx), dsn)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	l.pool = pool
	l.parts.onStop("database connections", func(context.Context) error { pool.Close(); return nil })
	return nil
}

// showProgress writes a line for every stage, and one every few seconds while it lasts.
func showProgress(w io.Writer) func(backup.Progress) {
	var stage string
	var last time.Time
	return func(p backup.Progress) {
		finished := p.Total > 0 && p.Done == p.Total
		if p.Stage == stage && !finished && time.Since(last) < 3*time.Second {
			return
		}
		stage, last = p.Stage, time.Now()
		line := fmt.Sprintf("%s: %d", p.Stage, p.Done)
		if p.Total > 0 {
			line += fmt.Sprintf(" of %d", p.Total)
		}
		if p.Bytes > 0 {
			line += ", " + size(p.Bytes)
		}
		fmt.Fprintln(w, line)
	}
}

// size writes bytes for people.
func size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	default:
		return fmt.Sprintf("%d bytes", bytes)
	}
}
