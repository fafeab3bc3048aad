package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotRunning says that no other process runs the cluster of a data folder.
var ErrNotRunning = errors.New("the private PostgreSQL of this data folder does not run")

// Beside gives the address of the cluster that another process of this machine runs for the same data folder. It is good
// as long as that process lives.
func Beside(ctx context.Context, cfg Config) (dsn string, err error) {
	if cfg.DataDir == "" {
		return "", errors.New("private PostgreSQL: no data folder given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	who, err := databaseUser()
	if err != nil {
		return "", fmt.Errorf("private PostgreSQL: %w", err)
	}
	dir, err := place(cfg, who)
	if err != nil {
		return "", fmt.Errorf("private PostgreSQL: %w", err)
	}
	raw, err := os.ReadFile(dir + ".socket")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	c := &Cluster{dir: dir, sockets: strings.TrimSpace(string(raw))}
	if !filepath.IsAbs(c.sockets) {
		return "", ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return c.DSN(), conn.Close(ctx)
}
