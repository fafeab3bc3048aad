package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"

	"consilium/internal/blob"
	"consilium/internal/config"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/jobs"
	"consilium/internal/telemetry"
	"consilium/internal/testenv"
)

// The stitcher is started before live, gets a job when there is one, and stops when it is told to.
func TestStitcherFromStartToStop(t *testing.T) {
	testenv.Require(t, "ffmpeg", "ffprobe")
	defer test.CheckRoutines(t)()
	data := t.TempDir()
	s := serveCmd{Stitcher: config.Stitcher{
		Folder: config.Folder{Data: data}, Log: config.Log{LogLevel: "info", LogFormat: "text"}, Process: config.Process{Node: "b"},
	}, MetricsListen: "127.0.0.1:0"}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, s) }() // ends with ctx

	logger, err := telemetry.NewLogger(telemetry.LogConfig{Level: "warn"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	server, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: data, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	log, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	queue, err := jobs.New(t.Context(), log.Conn(), logger)
	if err != nil {
		t.Fatal(err)
	}

	consultation, who := events.NewID(), events.NewID()
	a := appender.New(log, logger, nil)
	say := func(at time.Duration, e events.Event) {
		t.Helper()
		d := events.NewDraft("/live/a", time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).Add(at), e)
		d.Participant = who
		if _, err := a.Fact(t.Context(), consultation, d); err != nil {
			t.Fatal(err)
		}
	}
	say(0, events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "en"})
	say(0, events.ParticipantJoined{Role: "patient"})
	say(1200*time.Millisecond, events.ParticipantLeft{Reason: events.LeftLeft})
	say(1300*time.Millisecond, events.ConsultationEnded{Reason: events.EndedClosed})
	say(1400*time.Millisecond, events.ArchiveRequested{Version: 1, ThroughSeq: 4, Layout: "grid", Profile: "fast", Sheet: events.Blob{Key: "sheets/none.json"}})
	for _, j := range []jobs.ArchiveJob{{Consultation: events.NewID(), Version: 1}, {Consultation: consultation, Version: 1}} {
		if err := queue.Publish(t.Context(), j); err != nil { // the first one is of nothing that was ever asked for
			t.Fatal(err)
		}
	}

	rendered := awaitArchive(t, log, consultation)
	blobs, err := blob.Open(t.Context(), "file://"+filepath.Join(data, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	if info, err := blobs.Stat(t.Context(), rendered.Key); err != nil || info.Bytes != rendered.Bytes || rendered.DurationMS != 1200 {
		t.Errorf("%+v: stored %+v, %v", rendered, info, err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) { // it is told beside the job
		p, ok, err := queue.Progress(t.Context(), consultation, 1)
		if err == nil && ok && p.Total == 36 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("progress %+v, %v, %v", p, ok, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func awaitArchive(t *testing.T, log events.Log, consultation string) events.ArchiveRendered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ev, err := range log.Follow(ctx, 0, events.Filter{Consultation: consultation}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := ev.Event.(type) {
		case events.ArchiveRendered:
			return e
		case events.ArchiveFailed:
			t.Fatalf("archive failed: %+v", e)
		}
	}
	t.Fatal("no archive within a minute")
	return events.ArchiveRendered{}
}
