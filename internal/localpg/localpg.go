// Package localpg runs a private PostgreSQL for this process from the programs that the machine has installed.
//
// In comes a data folder; out comes the address of a database that only this user (and root) can reach: it listens on no
// network, only on a socket in a folder of its own. It never downloads anything, never touches a cluster that it did not
// make, and never outlives its process.
package localpg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// FallbackDir is where the data goes when the database user cannot reach the data folder: as root, below a home with
// mode 0700.
const FallbackDir = "/var/lib/consilium"

const (
	role     = "consilium"
	database = "consilium"
	port     = "5432" // part of the socket's name only
)

// ErrNotInstalled says that the machine has no PostgreSQL programs.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: run `./task setup`, or name a database in CONSILIUM_DATABASE_URL")

// Config says where the cluster lives.
type Config struct {
	// DataDir is the data folder of the whole service. The cluster is its subfolder "postgres".
	DataDir string
	// Settings are PostgreSQL parameters on top of, or instead of, the ones chosen here. Nil is usual.
	Settings map[string]string
	// Fallback is used instead of FallbackDir when it is not empty.
	Fallback string

	Logger *slog.Logger // nil: silent
}

// settings suit a small machine that does other work. fsync stays on: the directory is stored nowhere else.
var settings = map[string]string{
	"listen_addresses":                "",
	"port":                            port,
	"unix_socket_permissions":         "0700",
	"max_connections":                 "60",
	"shared_buffers":                  "64MB",
	"work_mem":                        "8MB",
	"maintenance_work_mem":            "64MB",
	"max_wal_size":                    "512MB",
	"min_wal_size":                    "80MB",
	"wal_level":                       "minimal",
	"max_wal_senders":                 "0",
	"autovacuum_max_workers":          "1",
	"max_parallel_workers_per_gather": "0",
	"jit":                             "off",
	"timezone":                        "UTC",
	"log_timezone":                    "UTC",
	"log_destination":                 "stderr",
	"logging_collector":               "off",
	"log_line_prefix":                 "",
	"log_checkpoints":                 "off",
	// What a failing statement says about itself can hold a person's name. Its error goes to the caller anyway.
	"log_min_error_statement": "panic",
	"log_error_verbosity":     "terse",
}

// Cluster is a running PostgreSQL. Its methods are safe for concurrent use.
type Cluster struct {
	dir     string // data
	sockets string // folder of the socket
	server  *process
	logger  *slog.Logger
}

// Start makes the cluster on first use, starts it and waits until it answers. A cluster that a crash left is recovered by
// PostgreSQL itself, which can take a while; ctx bounds it. The caller must Stop the cluster.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("private PostgreSQL: no data folder given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	who, err := databaseUser()
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	dir, err := place(cfg, who)
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	bin, err := findPrograms(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := initialise(ctx, bin, dir, who, cfg.Logger); err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	if err := clearLeftovers(ctx, dir, cfg.Logger); err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	c := &Cluster{dir: dir, logger: cfg.Logger}
	if c.sockets, err = socketFolder(who); err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	if err := noteSockets(dir, c.sockets); err != nil {
		return nil, errors.Join(fmt.Errorf("private PostgreSQL: %w", err), os.Remove(c.sockets))
	}
	if err := c.start(ctx, bin, who, cfg.Settings); err != nil {
		return nil, errors.Join(fmt.Errorf("private PostgreSQL: %w", err), os.RemoveAll(c.sockets))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, bin programs, who *owner, extra map[string]string) error {
	all := maps.Clone(settings)
	maps.Copy(all, extra)
	all["unix_socket_directories"] = c.sockets
	args := []string{"-D", c.dir}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	began := time.Now()
	var err error
	if c.server, err = launch(bin.postgres, args, who, c.logger); err != nil {
		return err
	}
	if err := c.prepare(ctx); err != nil {
		// Without a limit of its own: ctx may be what ended.
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return errors.Join(err, c.server.stop(stopCtx))
	}
	c.logger.InfoContext(ctx, "private database started", "dir", c.dir, "socket", c.sockets, "version", bin.version, "duration", time.Since(began))
	return nil
}

// prepare waits until the server answers and makes the database on first use.
func (c *Cluster) prepare(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", database).Scan(&there); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+database); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// connect tries until the server answers, its process ends, or ctx does.
func (c *Cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.dsn("postgres"))
		if err == nil {
			return conn, nil
		}
		if !notYet(err) {
			return nil, fmt.Errorf("connect: %w", err)
		}
		select {
		case <-c.server.done:
			return nil, fmt.Errorf("the server ended at its start: %w", c.server.failure())
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the server: %w", ctx.Err())
		case <-again.C:
		}
	}
}

// notYet says whether the error is that of a server that is still starting: no socket yet, nobody behind it, or
// "the database system is starting up".
func notYet(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code == "57P03"
	}
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// DSN is the address of the database. It is good until Stop; a new start has another one.
func (c *Cluster) DSN() string { return c.dsn(database) }

func (c *Cluster) dsn(name string) string {
	q := url.Values{"host": {c.sockets}, "port": {port}, "user": {role}}
	return "postgres:///" + name + "?" + q.Encode()
}

// Dir is the folder of the cluster's data.
func (c *Cluster) Dir() string { return c.dir }

// Done is closed when the server has ended, for whatever reason.
func (c *Cluster) Done() <-chan struct{} { return c.server.done }

// Err says why the server ended although nobody stopped it, nil while it runs and after Stop.
func (c *Cluster) Err() error {
	select {
	case <-c.server.done:
		return c.server.failure()
	default:
		return nil
	}
}

// Stop ends all connections, lets the server write down everything, and waits for it. When ctx ends first the server is
// made to stop at once: nothing is lost, but the next start has to recover. A second Stop waits for the first.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.server.stop(ctx)
	return errors.Join(err, os.RemoveAll(c.sockets))
}

// place chooses the folder of the cluster's data: below the data folder, or below the fallback when the database user
// cannot come there.
func place(cfg Config, who *owner) (string, error) {
	data, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(data, who.folderMode()); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	blocked := who.blockedAt(data)
	if blocked == "" {
		return filepath.Join(data, "postgres"), nil
	}
	fallback := cfg.Fallback
	if fallback == "" {
		fallback = FallbackDir
	}
	// Two data folders must not end up in one cluster.
	sum := sha256.Sum256([]byte(data))
	dir := filepath.Join(fallback, "postgres-"+hex.EncodeToString(sum[:4]))
	cfg.Logger.Warn("the database user cannot reach the data folder; the database lives elsewhere",
		"user", who.name, "data", data, "closed_at", blocked, "dir", dir)
	if err := os.MkdirAll(fallback, who.folderMode()); err != nil {
		return "", fmt.Errorf("fallback folder: %w", err)
	}
	if at := who.blockedAt(fallback); at != "" {
		return "", fmt.Errorf("user %s can reach neither the data folder (closed at %s) nor %s (closed at %s)", who.name, blocked, fallback, at)
	}
	return dir, nil
}
