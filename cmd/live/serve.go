package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/api"
	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/config"
	"consilium/internal/directory"
	"consilium/internal/disk"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/jobs"
	"consilium/internal/localpg"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
	"consilium/internal/media/turnserver"
	"consilium/internal/portmux"
	"consilium/internal/spool"
	"consilium/internal/store"
	"consilium/internal/telemetry"
	"consilium/internal/webhook"
	"consilium/migrations"
	"consilium/web"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// live is the process: its parts in the order in which they are started.
type live struct {
	cfg       config.Live
	logger    *slog.Logger
	metrics   *telemetry.Metrics
	now       func() time.Time
	parts     *group
	authority *auth.Authority
	pool      *pgxpool.Pool
	log       *natslog.Log
	blobs     *blob.Store
	queue     *jobs.Queue
	appender  *appender.Appender
	manager   *conference.Manager
	projector *store.Projector
	disk      *disk.Watch
	webhooks  *webhook.Endpoints
	port      *portmux.Mux
	relay     *turnserver.Server

	mediaPort   uint16 // UDP
	databaseDir string // of the private database, "" when it is elsewhere
}

// serve runs live until ctx ends, and stops it in reverse order.
func serve(ctx context.Context, cfg config.Live, logger *slog.Logger) (err error) {
	l := &live{cfg: cfg, logger: logger, metrics: telemetry.NewMetrics(), now: conferenceClock(), parts: newGroup(logger)}
	defer func() { err = errors.Join(err, l.parts.stopAll()) }()
	for _, step := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"secret", l.readSecret},
		{"data folder", l.makeFolders},
		{"stores", l.startStores},
		{"read model", l.startReadModel},
		{"disk watch", l.watchDisk},
		{"port", l.openPort},
		{"conferences", l.startConferences},
		{"webhooks", l.startWebhooks},
		{"http", l.startHTTP},
	} {
		began := time.Now()
		if err := step.start(ctx); err != nil {
			if ctx.Err() != nil {
				logger.Info("told to stop while starting", "part", step.name, "error", err)
				return nil
			}
			return fmt.Errorf("start %s: %w", step.name, err)
		}
		logger.Debug("started", "part", step.name, "took", time.Since(began))
	}
	return l.parts.wait(ctx)
}

// conferenceClock reads the wall clock once; from then on it is that moment plus monotonic time, so that it never steps.
func conferenceClock() func() time.Time {
	began := time.Now()
	wall := began.Round(0).UTC()
	return func() time.Time { return wall.Add(time.Since(began)) }
}

func (l *live) makeFolders(context.Context) error {
	if !web.Built() {
		l.logger.Warn("the pages are not built; run: ./task web")
	}
	for _, dir := range []string{l.spoolDir(), l.qualityDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (l *live) spoolDir() string   { return filepath.Join(l.cfg.Data, "spool") }
func (l *live) qualityDir() string { return filepath.Join(l.cfg.Data, "quality") }

func (l *live) readSecret(context.Context) (err error) {
	l.authority, err = l.cfg.Authority(time.Now)
	return err
}

// startStores starts log, database and blob store beside each other.
func (l *live) startStores(ctx context.Context) error {
	var pg *localpg.Cluster
	var embedded *natslog.Embedded
	starting, ctx := errgroup.WithContext(ctx)
	starting.Go(func() (err error) {
		l.blobs, err = blob.Open(ctx, l.cfg.Blobs())
		return err
	})
	starting.Go(func() (err error) {
		if l.cfg.DatabaseURL != "" {
			return nil
		}
		pg, err = localpg.Start(ctx, localpg.Config{DataDir: l.cfg.Data, Logger: l.logger})
		return err
	})
	starting.Go(func() (err error) {
		if l.cfg.NATSURL != "" {
			return nil
		}
		embedded, err = natslog.Start(ctx, natslog.ServerConfig{
			DataDir: l.cfg.Data, Logger: l.logger, Registerer: l.metrics.Registerer(),
		})
		return err
	})
	err := starting.Wait()
	if l.blobs != nil {
		l.parts.onStop("blob store", func(context.Context) error { return l.blobs.Close() })
	}
	if pg != nil {
		l.parts.run("database", func(ctx context.Context) error { return untilStopped(ctx, pg) })
	}
	if embedded != nil {
		l.parts.onStop("event log", func(context.Context) error { embedded.Stop(); return nil })
	}
	if err != nil {
		return err
	}
	if err := l.connectLog(ctx, embedded); err != nil {
		return err
	}
	return l.connectDatabase(ctx, pg)
}

// untilStopped stops the private database when ctx ends, and says why when it ends before.
func untilStopped(ctx context.Context, pg *localpg.Cluster) error {
	select {
	case <-pg.Done():
		return pg.Err()
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		return pg.Stop(limit)
	}
}

func (l *live) connectLog(ctx context.Context, embedded *natslog.Embedded) (err error) {
	if embedded != nil {
		l.log, err = embedded.Connect(context.WithoutCancel(ctx))
	} else {
		l.log, err = natslog.Connect(context.WithoutCancel(ctx), natslog.Config{
			URL: l.cfg.NATSURL, Name: "live", Logger: l.logger, Registerer: l.metrics.Registerer(),
		})
		if err == nil {
			err = natslog.EnsureStreams(context.WithoutCancel(ctx), l.log.Conn(), natslog.Streams{})
		}
	}
	if err != nil {
		return err
	}
	l.parts.onStop("log connection", func(context.Context) error { l.log.Close(); return nil })
	l.queue, err = jobs.New(context.WithoutCancel(ctx), l.log.Conn(), l.logger)
	return err
}

func (l *live) connectDatabase(ctx context.Context, pg *localpg.Cluster) (err error) {
	dsn := l.cfg.DatabaseURL
	if pg != nil {
		dsn, l.databaseDir = pg.DSN(), pg.Dir()
	}
	ctx = context.WithoutCancel(ctx)
	if l.pool, err = pgxpool.New(ctx, dsn); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	l.parts.onStop("database connections", func(context.Context) error { l.pool.Close(); return nil })
	if _, err := migrations.Up(ctx, dsn, l.logger); err != nil {
		return err
	}
	return nil
}

func (l *live) startReadModel(context.Context) (err error) {
	l.projector, err = store.NewProjector(store.Config{Registerer: l.metrics.Registerer()}, l.log, l.pool, l.logger)
	if err != nil {
		return err
	}
	l.parts.run("projector", l.project)
	l.parts.run("dispatcher", func(ctx context.Context) error { return jobs.Dispatch(ctx, l.log, l.queue) })
	return nil
}

// project runs the projector. When it gives up for good, lists stay as they are and /readyz says so, but consultations go
// on: nothing that is recorded depends on lists.
func (l *live) project(ctx context.Context) error {
	if err := l.projector.Run(ctx); err != nil {
		l.logger.Error("the read model has stopped: lists show the past until somebody has found out why", "error", err)
		<-ctx.Done()
	}
	return nil
}

// startConferences finishes what a crash left on the disk and starts media, recording and conferences.
func (l *live) startConferences(ctx context.Context) error {
	recovered, err := recorder.Recover(l.spoolDir())
	if err != nil {
		l.logger.Error("some recordings could not be recovered", "error", err)
	}
	reg := l.metrics.Registerer()
	l.appender = appender.New(l.log, l.logger, reg)
	sw, err := sfu.New(sfu.Config{
		MediaListen: l.cfg.MediaListen, PublicAddr: l.cfg.PublicAddr, Lite: l.cfg.ICELite,
		TCP: l.port.Listener(portmux.ICE), Now: l.now, Registerer: reg, Logger: l.logger,
	})
	if err != nil {
		return err
	}
	l.parts.onStop("media switch", func(context.Context) error { return sw.Close() })
	if err := l.startRelay(sw); err != nil {
		return err
	}
	sp := spool.New(spool.Config{Dir: l.spoolDir(), Registerer: reg}, l.blobs,
		func(ctx context.Context, s media.Segment, key string) error {
			return l.manager.SegmentStored(ctx, s, key)
		}, l.logger)
	syncer := recorder.NewSyncer(0)
	l.parts.onStop("syncer", func(context.Context) error { syncer.Close(); return nil })
	l.manager, err = l.newManager(sw, sp, syncer, reg)
	if err != nil {
		return err
	}
	if err := l.manager.AnnounceRecovered(ctx, recovered); err != nil {
		return err
	}
	l.parts.run("spool", sp.Run)
	l.parts.run("conferences", l.manager.Run)
	return nil
}

func (l *live) newManager(sw *sfu.SFU, sp *spool.Spool, syncer *recorder.Syncer, reg prometheus.Registerer) (*conference.Manager, error) {
	return conference.New(conference.Config{
		Node: l.cfg.Node, URL: l.cfg.BaseURL(), QualityDir: l.qualityDir(), Room: l.disk.Room,
		Recorder: recorder.Config{
			Dir: l.spoolDir(), Rotate: l.cfg.SegmentLength, Syncer: syncer, Now: l.now, Registerer: reg,
		},
	}, conference.Deps{
		Log: l.log, Appender: l.appender, SFU: sw, Spool: sp, Blobs: l.blobs, Directory: directory.New(l.pool),
		Early: l.queue.AskEarly, Gone: l.relay.Revoke, Now: l.now, Logger: l.logger, Registerer: reg,
	})
}

func (l *live) startHTTP(context.Context) error {
	server, err := api.New(api.Config{
		URL: strings.TrimSuffix(l.cfg.URL, "/"), Secure: l.cfg.Secure() || strings.HasPrefix(l.cfg.URL, "https://"),
		ICEServers: l.iceServers, Receipts: l.cfg.Receipts,
	}, api.Deps{
		Manager: l.manager, Log: l.log, Queries: store.NewQueries(l.pool), Projector: l.projector,
		Directory: directory.New(l.pool), Webhooks: l.webhooks, Blobs: l.blobs, Jobs: l.queue, Auth: l.authority, Appender: l.appender, Metrics: l.metrics.Handler(),
		Pages: web.Files(), Built: web.Built, Disk: l.disk, Ready: l.ready, Now: l.now, Logger: l.logger,
	})
	if err != nil {
		return err
	}
	listener := l.port.Listener(portmux.HTTP)
	h := &http.Server{
		Handler: server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(l.logger.Handler(), slog.LevelDebug),
	}
	h.RegisterOnShutdown(server.StopStreams)
	l.parts.run("http", func(ctx context.Context) error {
		stopped := make(chan error, 1)
		go func() {
			<-ctx.Done()
			limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			stopped <- h.Shutdown(limit)
		}()
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		if err := <-stopped; err != nil {
			return h.Close() // what is still being downloaded is cut off
		}
		return nil
	})
	l.logger.Info("ready", "url", l.cfg.BaseURL(), "media", l.cfg.MediaListen)
	return nil
}

// rebuild makes the read model anew from the log. The server must not run on the same data folder at the same time.
func rebuild(ctx context.Context, cfg config.Live, logger *slog.Logger) (err error) {
	l := &live{cfg: cfg, logger: logger, metrics: telemetry.NewMetrics(), parts: newGroup(logger)}
	defer func() { err = errors.Join(err, l.parts.stopAll()) }()
	if err := l.startStores(ctx); err != nil {
		return err
	}
	projector, err := store.NewProjector(store.Config{}, l.log, l.pool, logger)
	if err != nil {
		return err
	}
	return projector.Rebuild(ctx)
}

// ready says whether everything that a consultation needs answers.
func (l *live) ready(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := l.log.Info(limit); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	if err := l.pool.Ping(limit); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return l.projector.Ready()
}
