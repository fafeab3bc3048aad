package natslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// ServerConfig says where an embedded server keeps its files.
type ServerConfig struct {
	DataDir    string // the store is in its folder "nats", the stitcher's credentials are in "run"
	MaxBytes   int64  // of the event log; 0 = DefaultMaxBytes. It can be raised later, never lowered
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Embedded is a NATS server in this process. Every answer to an append comes after the event was synced to disk. It
// listens on a free port of the loopback address, for stitchers of the same machine.
type Embedded struct {
	cfg       ServerConfig
	lock      *os.File
	passwords map[string]string
	folders   *folders

	broken  chan struct{} // holds a token when the disk has failed
	mending sync.WaitGroup
	end     context.CancelFunc // of mending

	mu     sync.Mutex     // guards server
	server *server.Server // nil while it is started anew
}

// starting is how long the server may take until it is ready. It reads its whole store when it was killed before.
const starting = 2 * time.Minute

// Start starts the server, creates or checks the streams and writes the credentials for stitchers. It fails when another
// process uses the same data folder. The caller stops it.
func Start(ctx context.Context, cfg ServerConfig) (*Embedded, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("start the event log: no data folder")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Embedded{cfg: cfg, broken: make(chan struct{}, 1), end: func() {}, passwords: map[string]string{userLive: rand.Text(), userStitcher: rand.Text(), userAdmin: rand.Text()}}
	if err := e.start(ctx); err != nil {
		e.Stop()
		return nil, fmt.Errorf("start the event log: %w", err)
	}
	return e, nil
}

func (e *Embedded) start(ctx context.Context) error {
	if err := os.MkdirAll(e.store(), 0o700); err != nil {
		return err
	}
	if err := e.claim(filepath.Join(e.store(), "lock")); err != nil {
		return err
	}
	if err := e.serve(ctx); err != nil {
		return err
	}
	mending, end := context.WithCancel(context.Background())
	e.end = end
	e.mending.Go(func() { e.mend(mending) }) // ends with Stop
	return nil
}

func (e *Embedded) store() string { return filepath.Join(e.cfg.DataDir, "nats") }

// serve starts a server on the store, which nobody else uses.
func (e *Embedded) serve(ctx context.Context) error {
	users, err := serverUsers(e.passwords)
	if err != nil {
		return err
	}
	s, err := server.NewServer(e.options(e.store(), users))
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.server = s
	e.mu.Unlock()
	s.SetLoggerV2(serverLog{e.cfg.Logger, e.broke}, false, false, false)
	s.Start()
	if err := ready(ctx, s); err != nil {
		return err
	}
	if err := e.ensureStreams(ctx, s); err != nil {
		return err
	}
	if e.folders, err = syncFolders(e.store(), e.folders); err != nil {
		return err
	}
	c := Credentials{URL: s.ClientURL(), User: userStitcher, Password: e.passwords[userStitcher]}
	return c.write(e.cfg.DataDir)
}

// claim takes the store for this process. Two servers on one store would destroy it. The system frees it when the
// process ends, however it ends.
func (e *Embedded) claim(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("another process uses the data folder %s: %w", e.cfg.DataDir, err)
	}
	e.lock = f
	return nil
}

func (e *Embedded) options(store string, users []*server.User) *server.Options {
	return &server.Options{
		ServerName: "consilium", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs: true, Users: users,
		JetStream: true, StoreDir: store, SyncAlways: true,
		// Every stream has its own limit. One for all of them would only keep streams from being made, or from being
		// opened again when somebody has asked for less meanwhile.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 4 * progressBytes,
		JetStreamLimits:    server.JSLimitOpts{MaxBatchInflightPerStream: maxBatch, MaxBatchInflightTotal: maxBatch},
	}
}

// ready waits until the server answers.
func ready(ctx context.Context, s *server.Server) error {
	deadline := time.Now().Add(starting)
	for !s.ReadyForConnections(100 * time.Millisecond) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !s.Running() || time.Now().After(deadline):
			return errors.New("the server does not get ready; its log says why")
		}
	}
	return nil
}

// ensureStreams is the only thing that is ever done as admin.
func (e *Embedded) ensureStreams(ctx context.Context, s *server.Server) error {
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(userAdmin, e.passwords[userAdmin]),
		nats.Name("setup"), nats.CustomInboxPrefix(inbox(userAdmin)))
	if err != nil {
		return err
	}
	defer nc.Close()
	return EnsureStreams(ctx, nc, Streams{MaxBytes: e.cfg.MaxBytes, Replicas: 1})
}

// Connect gives the log to this process, as the user live. The caller closes it before Stop.
func (e *Embedded) Connect(ctx context.Context) (*Log, error) {
	return Connect(ctx, Config{
		Server: e, User: userLive, Password: e.passwords[userLive], Name: "live",
		Logger: e.cfg.Logger, Registerer: e.cfg.Registerer, settled: e.folders.sync,
	})
}

// Stop takes the credentials away, stops the server and waits for it. Nothing that was appended is lost.
func (e *Embedded) Stop() {
	e.end()
	e.mending.Wait()
	if e.server != nil {
		_ = os.Remove(CredentialsPath(e.cfg.DataDir))
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	if e.lock != nil {
		_ = e.lock.Close()
		e.lock = nil
	}
}
