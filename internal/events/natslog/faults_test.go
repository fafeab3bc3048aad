package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/pion/transport/v5/test"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// beside runs a log and connects to it through a proxy, and once more directly, with patience.
func beside(t *testing.T, timeout time.Duration) (l, direct *natslog.Log, p *proxy) {
	t.Helper()
	url := serve(t, &server.Options{}).ClientURL()
	nc, _ := raw(t, url)
	if err := natslog.EnsureStreams(t.Context(), nc, natslog.Streams{}); err != nil {
		t.Fatal(err)
	}
	p = between(t, url)
	return reach(t, natslog.Config{URL: p.URL, Timeout: timeout}), reach(t, natslog.Config{URL: url}), p
}

func isAck(subject string, payload []byte) bool {
	return strings.HasPrefix(subject, "_INBOX.") && bytes.HasPrefix(payload, []byte(`{"stream":"EVENTS"`))
}

func isAnswer(subject string, _ []byte) bool {
	return strings.HasPrefix(subject, "_INBOX.")
}

func TestAppendWhoseAnswerIsLost(t *testing.T) {
	tests := []struct {
		name   string
		drafts []events.Draft
		lose   int // answers: the first is that of the append, the second that of reading back
		stored bool
	}{
		{"one event is read back", []events.Draft{draft(1)}, 1, true},
		{"several events are read back", []events.Draft{draft(1), draft(2), draft(3)}, 1, true},
		{"when reading back gets no answer either, it is an error", []events.Draft{draft(1)}, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, direct, p := beside(t, 500*time.Millisecond)
			c := events.NewID()
			before := fill(t, direct, c, 2)
			p.Lose(tt.lose, isAnswer)
			v, err := l.Append(t.Context(), c, before[1], tt.drafts...)
			all := mustRead(t, direct, c)
			if len(all) != 2+len(tt.drafts) {
				t.Fatalf("%d events", len(all))
			}
			switch {
			case tt.stored && (err != nil || v != all[len(all)-1].Version()):
				t.Errorf("version %+v, %v", v, err)
			case !tt.stored && (err == nil || errors.Is(err, events.ErrConflict)):
				t.Errorf("got %v", err)
			}
			// The writer tries again and learns where its events are.
			again, err := direct.Append(t.Context(), c, before[1], tt.drafts...)
			if err != nil || again != all[len(all)-1].Version() {
				t.Errorf("again: %+v, %v", again, err)
			}
			if n := len(mustRead(t, direct, c)); n != len(all) {
				t.Errorf("%d events after trying again", n)
			}
		})
	}
}

func TestAppendWhoseAnswerIsLostWhileSomebodyElseWasFaster(t *testing.T) {
	l, direct, p := beside(t, 500*time.Millisecond)
	c := events.NewID()
	v := fill(t, direct, c, 2)
	p.Lose(1, isAck)
	if _, err := l.Append(t.Context(), c, v[0], draft(9)); !errors.Is(err, events.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestAppendIsReadBackAfterItsContextEnded(t *testing.T) {
	l, _, p := beside(t, time.Second)
	c := events.NewID()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.Lose(1, func(subject string, payload []byte) bool {
		if !isAck(subject, payload) {
			return false
		}
		cancel()
		return true
	})
	v, err := l.Append(ctx, c, events.Version{}, draft(1))
	if err != nil || v.Seq != 1 {
		t.Errorf("version %+v, %v", v, err)
	}
}

func TestFollowDoesNotMissWhatIsLostOnTheWay(t *testing.T) {
	l, direct, p := beside(t, time.Second)
	c := events.NewID()
	v := fill(t, direct, c, 10)
	lost := false
	p.Lose(1, func(_ string, payload []byte) bool {
		lost = lost || bytes.Contains(payload, []byte(`"seq":4,`))
		return lost
	})
	n := uint64(0)
	for s, err := range l.Follow(t.Context(), 0, events.Filter{Consultation: c}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; s.Seq != n {
			t.Fatalf("event %d came as number %d", s.Seq, n)
		}
		if s.Version() == v[9] {
			break
		}
	}
	if n != 10 || !lost {
		t.Errorf("%d events, lost: %v", n, lost)
	}
}

func TestReadDoesNotMissWhatIsLostOnTheWay(t *testing.T) {
	l, direct, p := beside(t, 500*time.Millisecond)
	c := events.NewID()
	fill(t, direct, c, 10)
	p.Lose(1, func(_ string, payload []byte) bool { return bytes.Contains(payload, []byte(`"seq":4,`)) })
	_, err := events.ReadAll(t.Context(), l, c)
	var gap *events.GapError
	if !errors.As(err, &gap) || gap.Want != 4 {
		t.Errorf("got %v", err)
	}
	if n := len(mustRead(t, l, c)); n != 10 {
		t.Errorf("%d events", n)
	}
}

func TestReadWaitsForAServerThatLags(t *testing.T) {
	newest := func(_ string, payload []byte) bool {
		return bytes.Contains(payload, []byte("Nats-Subject")) && bytes.Contains(payload, []byte(`"seq":10,`))
	}
	l, direct, p := beside(t, 2*time.Second)
	c := events.NewID()
	fill(t, direct, c, 10)
	p.Lose(3, newest)
	if n := len(mustRead(t, l, c)); n != 10 {
		t.Errorf("%d events", n)
	}
	p.Lose(1000, newest) // it never catches up
	if _, err := events.ReadAll(t.Context(), l, c); err == nil || !strings.Contains(err.Error(), "only 9 of 10 events") {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatGoesAndComesBack(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	dir := t.TempDir()
	s := serve(t, &server.Options{StoreDir: dir})
	url, port := s.ClientURL(), s.Addr().(*net.TCPAddr).Port
	nc, _ := raw(t, url)
	if err := natslog.EnsureStreams(t.Context(), nc, natslog.Streams{}); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	l := reach(t, natslog.Config{URL: url, Timeout: time.Second})
	c := events.NewID()
	v := fill(t, l, c, 3)

	followed := make(chan uint64, 10)
	failed := make(chan error, 1)
	go func() {
		for s, err := range l.Follow(t.Context(), 0, events.Filter{}) {
			if err != nil {
				failed <- err
				return
			}
			followed <- s.Seq
		}
		close(failed)
	}()
	for range 3 {
		<-followed
	}
	s.Shutdown()
	s.WaitForShutdown()
	if _, err := l.Append(t.Context(), c, v[2], draft(4)); err == nil || errors.Is(err, events.ErrConflict) {
		t.Errorf("append while the log is away: %v", err)
	}
	serve(t, &server.Options{StoreDir: dir, Port: port})
	eventually(t, func(ctx context.Context) error {
		_, err := l.Append(ctx, c, v[2], draft(4))
		return err
	})
	select {
	case seq := <-followed:
		if seq != 4 {
			t.Errorf("event %d came, want 4", seq)
		}
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("the follower did not come back")
	}
	l.Close()
	if err := <-failed; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("follow of a closed log: %v", err)
	}
}

func TestWhatSomebodyElsePutIntoTheStreamIsFound(t *testing.T) {
	c := events.NewID()
	first, v, err := events.Seal(c, events.Version{}, draft(1))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := events.Seal(c, v, draft(2))
	if err != nil {
		t.Fatal(err)
	}
	subject := events.Subject(c, events.TypeTrackStalled)
	tests := []struct {
		name    string
		subject string
		data    []byte
	}{
		{"an event that does not link", subject, bytes.Replace(second, []byte(v.Hash), []byte(events.NoHash), 1)},
		{"an event under the name of another type", events.Subject(c, events.TypeTrackMuted), second},
		{"an event of another consultation", subject, bytes.Replace(second, []byte(c), []byte(events.NewID()), 1)},
		{"something that is no event", subject, []byte("hello")},
		{"nothing", subject, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, url := unprotected(t)
			_, js := raw(t, url)
			for _, m := range []*nats.Msg{{Subject: subject, Data: first}, {Subject: tt.subject, Data: tt.data}} {
				if _, err := js.PublishMsg(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			for _, err := range l.Read(t.Context(), c, 1) {
				if n++; err != nil && !errors.Is(err, events.ErrCorrupt) {
					t.Errorf("read: %v", err)
				} else if err == nil && n > 1 {
					t.Error("read: it came as an event")
				}
			}
			n = 0
			for _, err := range l.Follow(t.Context(), 0, events.Filter{Consultation: c}) {
				if n++; err != nil && !errors.Is(err, events.ErrCorrupt) {
					t.Errorf("follow: %v", err)
				} else if err == nil && n > 1 {
					t.Error("follow: it came as an event")
				}
			}
		})
	}
}

func TestAFullLogRefusesAndKeeps(t *testing.T) {
	e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: t.TempDir(), MaxBytes: 20_000, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	l := connect(t, e)
	c := events.NewID()
	var at events.Version
	for n := 0; ; n++ {
		v, err := l.Append(t.Context(), c, at, draft(n))
		if err != nil {
			if errors.Is(err, events.ErrConflict) || n < 10 {
				t.Errorf("after %d events: %v", n, err)
			}
			break
		}
		at = v
	}
	if all := mustRead(t, l, c); all[len(all)-1].Version() != at || all[0].Seq != 1 {
		t.Error("events were dropped")
	}
}
