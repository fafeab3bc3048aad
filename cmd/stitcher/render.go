package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/blob"
	"consilium/internal/config"
	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/ffmpeg"
	"consilium/internal/jobs"
	"consilium/internal/stitch"
	"consilium/internal/telemetry"
)

// source says which consultation is meant and where it is.
type source struct {
	config.Stitcher
	Tool

	Consultation string `help:"Id of a consultation on the server." xor:"where" required:""`
	Bundle       string `help:"Folder or tar file with events.ndjson and segments; no server is needed." type:"path" xor:"where" required:""`
	Version      int    `help:"Make what this version ordered; 0: the newest order."`
	Profile      string `help:"Instead of what was ordered: standard, fast, audio."`
	Layout       string `help:"Instead of what was ordered: grid, speaker."`
	Stamp        bool   `help:"Put the wall clock into the picture, even if that was not ordered."`
	Voices       bool   `help:"Put each participant's sound beside it, even if that was not ordered."`
	Cache        string `help:"Of a bundle: folder in which finished chunks are kept for the next time. Empty: nowhere." type:"path"`
	Processes    int    `help:"How many processes of ffmpeg at a time; 0: as many as there are processors."`
}

// renderCmd makes one archive by hand.
type renderCmd struct {
	source

	Out    string `help:"Folder for the files." default:"." type:"path"`
	DryRun bool   `help:"Say what would be made, and make nothing."`
}

// planCmd prints what an archive is made of.
type planCmd struct {
	source

	Graphs bool `help:"Print the whole command of each chunk." default:"true" negatable:""`
}

// cancelCmd calls an archive off.
type cancelCmd struct {
	config.Stitcher

	Consultation string `required:"" help:"Id of the consultation."`
	Version      int    `required:"" help:"Which version."`
}

// store is a blob store that can be closed.
type store interface {
	stitch.Blobs
	io.Closer
}

// table is a worker with a consultation before it.
type table struct {
	worker *stitch.Worker
	bundle stitch.Bundle
	closes []func() error
}

func (b *table) close() error {
	var all []error
	for i := len(b.closes) - 1; i >= 0; i-- {
		all = append(all, b.closes[i]())
	}
	return errors.Join(all...)
}

// open reads the consultation and makes a worker for it.
func (s *source) open(ctx context.Context, progress func(context.Context, stitch.Progress)) (b *table, err error) {
	b = &table{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Level: "warn", Format: s.LogFormat}, os.Stderr)
	if err != nil {
		return b, err
	}
	temp, err := os.MkdirTemp("", "stitcher-")
	if err != nil {
		return b, err
	}
	b.closes = append(b.closes, func() error { return os.RemoveAll(temp) })
	var history []events.Stored
	var blobs store
	if s.Bundle != "" {
		history, blobs, err = s.openBundle(ctx, temp)
	} else {
		history, blobs, err = s.openServer(ctx)
	}
	if err != nil {
		return b, err
	}
	b.closes = append(b.closes, blobs.Close)
	if b.bundle, err = stitch.BundleOf(history, s.Version); err != nil {
		return b, err
	}
	if s.Profile != "" {
		b.bundle.Request.Profile = s.Profile
	}
	if s.Layout != "" {
		b.bundle.Request.Layout = s.Layout
	}
	b.bundle.Request.Stamp = b.bundle.Request.Stamp || s.Stamp
	b.bundle.Request.Voices = b.bundle.Request.Voices || s.Voices
	tool, err := ffmpeg.New(ffmpeg.Config{Path: s.FFmpeg, Nice: 1}, logger)
	if err != nil {
		return b, err
	}
	b.worker, err = stitch.New(stitch.Config{Dir: filepath.Join(temp, "work"), Node: s.Node, Parallel: s.Processes},
		stitch.Deps{Blobs: blobs, FFmpeg: tool, Progress: progress}, logger)
	if err == nil {
		b.closes = append(b.closes, b.worker.Close)
	}
	return b, err
}

func (s *source) openBundle(ctx context.Context, temp string) ([]events.Stored, store, error) {
	unpacked := filepath.Join(temp, "bundle")
	if err := os.Mkdir(unpacked, 0o700); err != nil {
		return nil, nil, err
	}
	dir, err := openBundle(s.Bundle, unpacked)
	if err != nil {
		return nil, nil, err
	}
	history, err := readBundle(dir)
	if err != nil {
		return nil, nil, err
	}
	cache := s.Cache
	if cache == "" {
		cache = filepath.Join(temp, "cache")
	}
	blobs, err := overlay(ctx, dir, cache)
	return history, blobs, err
}

func (s *source) openServer(ctx context.Context) ([]events.Stored, store, error) {
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Level: "warn", Format: s.LogFormat}, os.Stderr)
	if err != nil {
		return nil, nil, err
	}
	log, _, err := connectNow(ctx, s.Stitcher, logger)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	history, err := events.ReadAll(ctx, log, s.Consultation)
	if err != nil {
		return nil, nil, err
	}
	blobs, err := blob.Open(ctx, s.Blobs())
	return history, blobs, err
}

// connectNow is connect for somebody who stands by: what is not there is said and not waited for.
func connectNow(ctx context.Context, s config.Stitcher, logger *slog.Logger) (*natslog.Log, *jobs.Queue, error) {
	if s.NATSURL == "" {
		if _, err := natslog.ReadCredentials(s.Data); err != nil {
			return nil, nil, fmt.Errorf("no event log in %s (is live running, and is that its --data?): %w", s.Data, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, standBy, errNoLog)
	defer cancel()
	log, queue, err := connect(ctx, serveCmd{Stitcher: s}, telemetry.NewMetrics(), logger)
	if err != nil && context.Cause(ctx) == errNoLog { //nolint:errorlint // ours, as it is
		err = fmt.Errorf("%w: %w", errNoLog, err)
	}
	return log, queue, err
}

// standBy is how long a person waits for a server that restarts.
const standBy = 15 * time.Second

var errNoLog = errors.New("the event log does not answer")

// Run is called by the command line.
func (c *renderCmd) Run(ctx context.Context) (err error) {
	bar := &progressBar{out: os.Stderr, width: barWidth(os.Stderr)}
	if err := c.prepareOut(); err != nil {
		return err
	}
	b, err := c.open(ctx, bar.show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if c.DryRun {
		p, err := b.worker.Preview(ctx, b.bundle)
		if err != nil {
			return err
		}
		return printSummary(os.Stdout, p)
	}
	begun := time.Now()
	m, err := b.worker.Render(ctx, b.bundle, c.Out)
	bar.end()
	if err != nil {
		return err
	}
	took := time.Since(begun)
	length := time.Duration(m.DurationMS) * time.Millisecond
	fmt.Fprintf(os.Stdout, "%s: %s in %s (%.1f times as fast as it lasts)\n", filepath.Join(c.Out, stitch.ArchiveFile),
		length, took.Round(100*time.Millisecond), length.Seconds()/took.Seconds())
	for _, f := range m.Failures {
		fmt.Fprintf(os.Stdout, "not made from %s to %s: %s, see %s\n", time.Duration(f.StartMS)*time.Millisecond,
			time.Duration(f.EndMS)*time.Millisecond, f.Code, filepath.Join(c.Out, path.Base(f.Detail.Key)))
	}
	for _, lost := range m.Missing {
		fmt.Fprintf(os.Stdout, "not, or not wholly, in it: segment %s, %s\n", lost.Segment, lost.Cause)
	}
	if u := m.Checks.Unverified; len(u) > 0 {
		fmt.Fprintf(os.Stdout, "not verified: %s\n", strings.Join(u, ", "))
	}
	return nil
}

// prepareOut sees to it, before anything is made, that something can be put where it is to go.
func (c *renderCmd) prepareOut() error {
	if c.DryRun {
		return nil
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil { //nolint:gosec // whoever renders by hand shows it to others
		return err
	}
	f, err := os.CreateTemp(c.Out, ".stitcher-")
	if err != nil {
		return fmt.Errorf("write into the folder for the files: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Run is called by the command line.
func (c *planCmd) Run(ctx context.Context) (err error) {
	b, err := c.open(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	p, err := b.worker.Preview(ctx, b.bundle)
	if err != nil {
		return err
	}
	return printPlan(os.Stdout, p, c.Graphs)
}

// Run is called by the command line.
func (c *cancelCmd) Run(ctx context.Context) error {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	log, queue, err := connectNow(ctx, c.Stitcher, logger)
	if err != nil {
		return err
	}
	defer log.Close()
	return queue.Cancel(ctx, jobs.ArchiveJob{Consultation: c.Consultation, Version: c.Version})
}

// progressBar shows on a terminal how far a render is, on one line, and says nothing elsewhere.
type progressBar struct {
	out   io.Writer
	width int // of the line; 0: nothing is shown
}

// show draws p over what was there.
func (b *progressBar) show(_ context.Context, p stitch.Progress) {
	if b.width == 0 {
		return
	}
	const cells = 30
	done := 0
	if p.Total > 0 {
		done = int(cells * p.Done / p.Total)
	}
	line := fmt.Sprintf("%-8s [%s%s]", p.Stage, strings.Repeat("#", done), strings.Repeat(".", cells-done))
	if p.Total > 0 {
		line += fmt.Sprintf(" %3d %%", 100*p.Done/p.Total)
	}
	if p.LeftMS > 0 {
		line += fmt.Sprintf(", %s left", (time.Duration(p.LeftMS) * time.Millisecond).Round(time.Second))
	}
	fmt.Fprintf(b.out, "\r%-*s", b.width-1, line)
}

// end clears the line.
func (b *progressBar) end() {
	if b.width > 0 {
		fmt.Fprintf(b.out, "\r%-*s\r", b.width-1, "")
	}
}

// barWidth is 0 where nobody looks.
func barWidth(f *os.File) int {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0
	}
	return 79
}
