package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/blob"
	"consilium/internal/config"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/stitch"
	"consilium/internal/telemetry"
)

// serveCmd takes work from the queue until it is told to stop.
type serveCmd struct {
	config.Stitcher
	Tool

	ChunksKeep    time.Duration `name:"chunks-keep" env:"CONSILIUM_CHUNKS_KEEP" default:"168h" help:"How long finished chunks are kept that nobody uses; at least 24h, or 0: for ever."`
	Early         bool          `name:"early" env:"CONSILIUM_EARLY" default:"true" negatable:"" help:"Make chunks of calls that are going on while the machine has nothing else to do."`
	MetricsListen string        `name:"metrics-listen" env:"CONSILIUM_METRICS_LISTEN" help:"Address for /metrics, host:port. Empty: no metrics are served."`
}

// Run is called by the command line.
func (s *serveCmd) Run(ctx context.Context) error { return run(ctx, *s) }

func run(ctx context.Context, s serveCmd) error {
	logger, err := s.Logger(os.Stderr)
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	closeMetrics, err := serveMetrics(ctx, s.MetricsListen, metrics, logger)
	if err != nil {
		return err
	}
	defer closeMetrics()
	log, queue, err := connect(ctx, s, metrics, logger)
	if err != nil {
		return stopped(ctx, err)
	}
	defer log.Close()
	blobs, err := blob.Open(ctx, s.Blobs())
	if err != nil {
		return stopped(ctx, err)
	}
	defer blobs.Close()
	tool, err := ffmpeg.New(ffmpeg.Config{Path: s.FFmpeg, Registerer: metrics.Registerer()}, logger)
	if err != nil {
		return err
	}
	worker, err := stitch.New(
		stitch.Config{Dir: filepath.Join(s.Data, "stitch"), Node: s.Node, Keep: s.ChunksKeep, Early: s.Early, Registerer: metrics.Registerer()},
		stitch.Deps{
			Log: log, Appender: appender.New(log, logger, metrics.Registerer()), Blobs: blobs, FFmpeg: tool, Queue: queue,
			Progress: func(ctx context.Context, p stitch.Progress) {
				if err := queue.PublishProgress(ctx, jobs.Progress(p)); err != nil && ctx.Err() == nil {
					logger.Debug("progress not told", "error", err)
				}
			},
		}, logger)
	if err != nil {
		return err
	}
	defer func() {
		if err := worker.Close(); err != nil {
			logger.Warn("work folder not removed", "error", err)
		}
	}()
	version, err := tool.Version(ctx)
	if err != nil {
		logger.Warn("archives will fail until this is mended", "error", err)
	}
	logger.Info("stitcher is ready", "tool", version)
	ended := worker.Run(ctx)
	logger.Info("stitcher stops")
	return stopped(ctx, ended)
}

// stopped forgets an error that only says that the process was told to stop.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// retry is the pause between two attempts to find what live makes.
const retry = time.Second

// connect finds the event log and the queue. On one machine they are made by live, which may be started later.
func connect(ctx context.Context, s serveCmd, m *telemetry.Metrics, logger *slog.Logger) (*natslog.Log, *jobs.Queue, error) {
	cfg := natslog.Config{URL: s.NATSURL, Name: "stitcher", Logger: logger, Registerer: m.Registerer()}
	if cfg.URL == "" {
		cfg.DataDir = s.Data
		if _, err := natslog.ReadCredentials(s.Data); errors.Is(err, fs.ErrNotExist) {
			logger.Info("stitcher waits for live", "file", natslog.CredentialsPath(s.Data))
		}
	}
	log, err := natslog.Connect(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	for told := false; ; told = true {
		queue, err := jobs.New(ctx, log.Conn(), logger)
		switch {
		case err == nil:
			return log, queue, nil
		case !told:
			logger.Info("stitcher waits for the queue", "error", err)
		}
		select {
		case <-ctx.Done():
			log.Close()
			return nil, nil, ctx.Err()
		case <-time.After(retry):
		}
	}
}

// serveMetrics answers scrapes until the returned function is called.
func serveMetrics(ctx context.Context, listen string, m *telemetry.Metrics, logger *slog.Logger) (func(), error) {
	if listen == "" {
		return func() {}, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { // ends when the server is closed
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
