package natslog_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

func TestAnEmbeddedLogOutlivesItsProcess(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	dir := t.TempDir()
	c := events.NewID()
	var before []events.Stored
	var info events.Info
	for run := range 3 {
		e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, mustRead(t, l, c)); diff != "" {
			t.Errorf("run %d: events (-before +after):\n%s", run, diff)
		}
		again, err := l.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if run > 0 && (again.Last != info.Last || !again.Created.Equal(info.Created)) {
			t.Errorf("run %d: %+v, before %+v", run, again, info)
		}
		v := fill(t, l, c, 5)
		if v[4].Seq != uint64(5*(run+1)) || v[4].Stream != uint64(5*(run+1)) {
			t.Errorf("run %d: %+v", run, v[4])
		}
		before = mustRead(t, l, c)
		if info, err = l.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Close()
		e.Stop()
	}
}

func TestOneDataFolderHasOneServer(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	_, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
	if err == nil || !strings.Contains(err.Error(), "another process uses the data folder") {
		t.Fatalf("got %v", err)
	}
	fill(t, connect(t, e), events.NewID(), 1) // the first one is not disturbed
	if _, err := natslog.ReadCredentials(dir); err != nil {
		t.Errorf("the credentials of the first one: %v", err)
	}
	e.Stop()
	start(t, dir)
}

func TestCredentialsOfTheStitcher(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	path := filepath.Join(dir, "run", "nats.json")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	c, err := natslog.ReadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.URL, "nats://127.0.0.1:") || c.User != "stitcher" || len(c.Password) < 20 {
		t.Errorf("credentials %+v", c)
	}
	e.Stop()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := natslog.ReadCredentials(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutPasswordNobodyConnects(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	c, err := natslog.ReadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]natslog.Config{
		"no user":        {URL: c.URL},
		"wrong password": {URL: c.URL, User: "live", Password: c.Password},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := natslog.Connect(ctx, cfg); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The stitcher may be started first, and live may be started again: with another port and another password.
func TestAStitcherFollowsItsLiveProcess(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	dir := t.TempDir()
	connected := make(chan *natslog.Log)
	go func() {
		defer close(connected)
		l, err := natslog.Connect(t.Context(), natslog.Config{DataDir: dir, Timeout: time.Second, Logger: logger(t)})
		if err != nil {
			t.Error(err)
			return
		}
		connected <- l
	}()
	run := func() (*natslog.Embedded, *natslog.Log) {
		e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e, l
	}
	c := events.NewID()
	e, live := run()
	fill(t, live, c, 2)
	stitcher := <-connected
	if stitcher == nil {
		t.FailNow()
	}
	defer stitcher.Close()
	if n := len(mustRead(t, stitcher, c)); n != 2 {
		t.Errorf("%d events", n)
	}
	followed := make(chan uint64, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s, err := range stitcher.Follow(ctx, 0, events.Filter{}) {
			if err != nil {
				t.Error(err)
				return
			}
			followed <- s.Seq
		}
	}()
	live.Close()
	e.Stop()
	e, live = run()
	fill(t, live, c, 1)
	for want := range uint64(3) {
		select {
		case seq := <-followed:
			if seq != want+1 {
				t.Errorf("event %d, want %d", seq, want+1)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the stitcher did not come back")
		}
	}
	cancel()
	<-ended
	live.Close()
	e.Stop()
}

func TestLiveCannotTouchTheStream(t *testing.T) {
	l := connect(t, start(t, t.TempDir()))
	c := events.NewID()
	fill(t, l, c, 3)
	js, err := jetstream.New(l.Conn(), jetstream.WithDefaultTimeout(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	smaller := stream.CachedInfo().Config
	smaller.MaxMsgs = 1
	tests := []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"delete the stream", func(ctx context.Context) error { return js.DeleteStream(ctx, "EVENTS") }},
		{"make the stream smaller", func(ctx context.Context) error { _, err := js.UpdateStream(ctx, smaller); return err }},
		{"purge the stream", func(ctx context.Context) error { return stream.Purge(ctx) }},
		{"delete an event", func(ctx context.Context) error { return stream.DeleteMsg(ctx, 2) }},
		{"erase an event", func(ctx context.Context) error { return stream.SecureDeleteMsg(ctx, 2) }},
		{"make another stream", func(ctx context.Context) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}})
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := tt.do(ctx); err == nil {
				t.Error("allowed")
			}
		})
	}
	if n := len(mustRead(t, l, c)); n != 3 {
		t.Errorf("%d events are left of 3", n)
	}
}

func TestAStitcherAppendsArchiveFactsOnly(t *testing.T) {
	dir := t.TempDir()
	live := connect(t, start(t, dir))
	stitcher := reach(t, natslog.Config{DataDir: dir})
	impatient := reach(t, natslog.Config{DataDir: dir, Timeout: 200 * time.Millisecond}) // denied is not answered
	c := events.NewID()
	at := fill(t, live, c, 1)[0]
	source := func(e events.Event) events.Draft {
		return events.NewDraft("/stitcher/test", time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC), e)
	}
	for _, e := range []events.Event{
		events.ArchiveStarted{Version: 1}, events.ArchiveRendered{Version: 1}, events.ArchiveFailed{Version: 1},
	} {
		v, err := stitcher.Append(t.Context(), c, at, source(e))
		if err != nil {
			t.Fatalf("%s: %v", events.TypeOf(e), err)
		}
		at = v
	}
	for _, e := range []events.Event{
		events.ParticipantJoined{Role: "patient"},
		events.ArchiveRequested{Version: 2},
		events.ConsentGiven{},
		events.SegmentStored{},
		events.ConferenceHosted{Epoch: 9},
	} {
		if _, err := impatient.Append(t.Context(), c, at, source(e)); err == nil {
			t.Errorf("%s is allowed", events.TypeOf(e))
		}
	}
	// Nor hidden among facts that it may append.
	if _, err := impatient.Append(t.Context(), c, at, source(events.ParticipantJoined{}), source(events.ArchiveStarted{Version: 2})); err == nil {
		t.Error("a fact about a participant is allowed in company")
	}
	if diff := cmp.Diff(mustRead(t, live, c), mustRead(t, stitcher, c)); diff != "" {
		t.Errorf("live (-) and stitcher (+) read:\n%s", diff)
	}
	if n := len(mustRead(t, live, c)); n != 4 {
		t.Errorf("%d events", n)
	}
	js, err := jetstream.New(stitcher.Conn())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := js.Publish(ctx, "job.archive."+c+".1", nil); err == nil {
		t.Error("a stitcher orders archives itself")
	}
}

func TestEnsureStreams(t *testing.T) {
	ensure := func(t *testing.T, nc *nats.Conn, s natslog.Streams) error {
		t.Helper()
		return natslog.EnsureStreams(t.Context(), nc, s)
	}
	t.Run("what is there stays as it is", func(t *testing.T) {
		nc, js := raw(t, serve(t, &server.Options{}).ClientURL())
		for _, tt := range []struct{ ask, want int64 }{{1 << 20, 1 << 20}, {2 << 20, 2 << 20}, {1 << 20, 2 << 20}} {
			if err := ensure(t, nc, natslog.Streams{MaxBytes: tt.ask}); err != nil {
				t.Fatal(err)
			}
			s, err := js.Stream(t.Context(), "EVENTS")
			if err != nil {
				t.Fatal(err)
			}
			if got := s.CachedInfo().Config.MaxBytes; got != tt.want {
				t.Errorf("asked for %d bytes: %d, want %d", tt.ask, got, tt.want)
			}
		}
	})
	safe := func() jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: "EVENTS", Subjects: []string{"ev.>"}, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
			AllowDirect: true, AllowAtomicPublish: true, MaxBytes: 1 << 40,
		}
	}
	tests := []struct {
		name   string
		change func(*jetstream.StreamConfig)
		want   string
	}{
		{"a stream that an operator made well is taken", func(*jetstream.StreamConfig) {}, ""},
		{"one that forgets after a while is refused", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "drops old events"},
		{"one that drops old events when it is full is refused", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "discard is not new"},
		{"one in which events can be deleted is refused", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, "can be deleted"},
		{"one in memory is refused", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage; c.MaxBytes = 1 << 20 }, "not on disk"},
		{"one with a work queue is refused", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention"},
		{"one without atomic batches is refused", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, "allow_atomic"},
		{"one whose events can expire is refused", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }, "ttl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, js := raw(t, serve(t, &server.Options{JetStreamMaxStore: 2 << 40}).ClientURL())
			c := safe()
			tt.change(&c)
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			err := ensure(t, nc, natslog.Streams{})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestConnectNeedsOneTarget(t *testing.T) {
	for name, cfg := range map[string]natslog.Config{"none": {}, "two": {URL: "nats://127.0.0.1:1", DataDir: t.TempDir()}} {
		if _, err := natslog.Connect(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "exactly one") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConnectTriesUntilItsContextEnds(t *testing.T) {
	for name, cfg := range map[string]natslog.Config{
		"nothing listens":  {URL: "nats://127.0.0.1:1"},
		"live is not here": {DataDir: t.TempDir()},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := natslog.Connect(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
