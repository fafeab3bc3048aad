package natslog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/events/appender"
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

func TestR3StoresEveryFactOnceWhileTheLeaderGoes(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time")
	}
	t.Cleanup(test.CheckRoutines(t))
	servers, url := cluster(t)
	nc, js := raw(t, url)
	eventually(t, func(ctx context.Context) error { return natslog.EnsureStreams(ctx, nc, natslog.Streams{}) })
	quiet := slog.New(slog.DiscardHandler)
	l := reach(t, natslog.Config{URL: url, Timeout: time.Second, Logger: quiet})

	const writers, before, after = 5, 30, 30
	a := appender.New(l, quiet, nil)
	c := []string{events.NewID(), events.NewID()} // most writers share a consultation
	var want [2]int
	var all []*appender.Writer
	for i := range writers {
		all = append(all, a.Writer(c[i%5/4], 1))
		want[i%5/4] += before + after
	}
	put := func(n int) {
		for i := range n {
			for _, w := range all {
				w.Fact(draft(i))
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	put(before)
	s, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		if server.Name() == s.CachedInfo().Cluster.Leader {
			server.Shutdown()
		}
	}
	put(after)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, w := range all {
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	for i, id := range c {
		seen := map[string]bool{}
		stored := mustRead(t, l, id)
		for _, s := range stored {
			seen[s.ID] = true
		}
		if len(seen) != want[i] || len(stored) != want[i] {
			t.Errorf("%d events with %d ids, want %d", len(stored), len(seen), want[i])
		}
	}
}

func TestConformanceR3(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time")
	}
	t.Cleanup(test.CheckRoutines(t))
	_, url := cluster(t)
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
