package natslog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
	"consilium/internal/events/natslog"
)

// start starts an embedded server whose warnings are in the test's output.
func start(t testing.TB, dataDir string) *natslog.Embedded {
	t.Helper()
	e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dataDir, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func connect(t testing.TB, e *natslog.Embedded) *natslog.Log {
	t.Helper()
	l, err := e.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func draft(n int) events.Draft {
	at := time.Date(2026, time.November, 22, 9, 30, n, 0, time.UTC)
	return events.NewDraft("/live/test", at, events.TrackStalled{Track: "t", AfterMS: int64(n)})
}

// fill appends n events and gives the version after each.
func fill(t testing.TB, l events.Log, consultation string, n int) []events.Version {
	t.Helper()
	at, err := l.Last(t.Context(), consultation)
	if err != nil {
		t.Fatal(err)
	}
	var versions []events.Version
	for i := range n {
		if at, err = l.Append(t.Context(), consultation, at, draft(i)); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, at)
	}
	return versions
}

func mustRead(t testing.TB, l events.Log, consultation string) []events.Stored {
	t.Helper()
	all, err := events.ReadAll(t.Context(), l, consultation)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestConformance(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	logtest.Run(t, func(t *testing.T) events.Log {
		t.Helper()
		return connect(t, start(t, t.TempDir()))
	})
}

func TestConformanceWithLostEvents(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	logtest.Run(t, func(t *testing.T) events.Log {
		t.Helper()
		l, _ := unprotected(t)
		return l
	})
}

func TestConformanceR3(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time")
	}
	t.Cleanup(test.CheckRoutines(t))
	url := cluster(t)
	nc, js := raw(t, url)
	eventually(t, func(ctx context.Context) error { return natslog.EnsureStreams(ctx, nc, natslog.Streams{}) })
	s, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().Config.Replicas; n != 3 {
		t.Fatalf("%d replicas, want 3", n)
	}
	logtest.Run(t, func(t *testing.T) events.Log {
		t.Helper()
		return reach(t, natslog.Config{URL: url})
	})
}
