// Package migrations holds the SQL of the database, one file a step, and applies it.
//
// Two schemas come out of it: directory (names, titles, external references: written once, nowhere else) and readmodel
// (everything that is derived from the event log and can be thrown away). Steps only go forward; a step that was
// released never changes.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// table remembers which steps a database has. It is not goose's default name, so that a database shared with another
// program that uses goose does not mix the two up.
const table = "consilium_migrations"

//go:embed *.sql
var files embed.FS

// Up brings the database at dsn to the newest step and reports how many steps it took. Several processes may call it at
// the same time: one works, the others wait.
func Up(ctx context.Context, dsn string, logger *slog.Logger) (steps int, err error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return 0, fmt.Errorf("migrate: database address: %w", err)
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return 0, fmt.Errorf("migrate: reach the database: %w", err)
	}
	// Asks once a second instead of every five: the first start of two processes would otherwise wait for nothing.
	one, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(table), goose.WithSessionLocker(one), goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	done, err := p.Up(ctx)
	for _, step := range done {
		logger.InfoContext(ctx, "database step applied", "step", step.Source.Path, "duration", step.Duration)
	}
	if err != nil {
		return len(done), fmt.Errorf("migrate: %w", err)
	}
	return len(done), nil
}
