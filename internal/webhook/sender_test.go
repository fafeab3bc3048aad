package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
)

func TestWhatAReceiverIsTold(t *testing.T) {
	b := newBench(t)
	b.sender()
	r := b.receiver()
	id := events.NewID()
	b.say(id, events.ConsultationScheduled{Policy: "required"}) // before anybody wanted to know
	r.add(New{})
	b.say(id, events.ConsultationOpened{}, events.TrackMuted{Track: "t"}, events.ConnectionTimedOut{Phase: "ice", Code: "ICE-TIMEOUT"},
		events.SegmentStored{Segment: "s", Key: "c/x/segments/s.ivf", SHA256: "ab"}, events.ConsultationEnded{Reason: "closed"},
		events.ArchiveRendered{Version: 2, Key: "c/x/archives/2/archive.mp4", SHA256: "cd"})
	all := r.has(4)
	for i, want := range []struct {
		kind, code, reason string
		seq                uint64
		version            int
	}{
		{kind: "consultation.opened", seq: 2},
		{kind: "connection.timed_out", seq: 4, code: "ICE-TIMEOUT"},
		{kind: "consultation.ended", seq: 6, reason: "closed"},
		{kind: "archive.rendered", seq: 7, version: 2},
	} {
		g := all[i]
		if g.Type != want.kind || g.Data.Seq != want.seq || g.Data.Position != want.seq || g.Data.Consultation != id || g.Data.Code != want.code ||
			g.Data.Reason != want.reason || g.Data.Version != want.version || g.Timestamp.IsZero() || !events.ValidID(g.ID) {
			t.Errorf("message %d is %s, want %+v", i, g.Body, want)
		}
		if strings.Contains(g.Body, "segments/") || strings.Contains(g.Body, "archive.mp4") || strings.Contains(g.Body, `"cd"`) {
			t.Errorf("a message says more than it must: %s", g.Body)
		}
	}
	b.until("the position is behind all events", func() bool {
		e := b.endpoints
		list, err := e.List(t.Context())
		b.must(err)
		return list[0].Position == 7
	})
}

// TestNothingIsLostOrDisordered lets a receiver fail in every way there is while the sender is stopped and started, its
// connection is cut, and a second one waits for its place.
func TestNothingIsLostOrDisordered(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	rnd, luck := rand.New(rand.NewPCG(3, 4)), rand.New(rand.NewPCG(5, 6))
	e := r.add(New{Types: []events.Type{events.TypeParticipantJoined, events.TypeTrackMuted}})
	fate := make(chan int)
	r.answers(func(int, got) int { return <-fate })
	go func() {
		for {
			status := []int{200, 200, 200, 204, 500, 404, 503, 429, 0, -1, 302}[luck.IntN(11)]
			if status == -1 && luck.IntN(4) > 0 { // each costs a whole time-out
				status = 200
			}
			select {
			case fate <- status:
			case <-t.Context().Done():
				close(fate)
				return
			}
		}
	}()
	patient := func(c *Config) {
		c.Timeout = 300 * time.Millisecond
		c.Again = slices.Repeat([]time.Duration{time.Millisecond}, 1000)
	}
	stop, stopOther := b.sender(patient), b.sender(patient)
	want := map[string][]uint64{}
	ids := []string{events.NewID(), events.NewID(), events.NewID(), events.NewID()}
	told := map[string]uint64{}
	for round := range 12 {
		for _, id := range ids {
			kinds := []events.Event{events.ParticipantJoined{Role: "patient"}, events.TrackMuted{Track: "t"}, events.TrackUnmuted{Track: "t"}}
			for _, one := range kinds[:1+rnd.IntN(3)] {
				told[id]++
				b.say(id, one)
				if _, unwanted := one.(events.TrackUnmuted); !unwanted {
					want[id] = append(want[id], told[id])
				}
			}
		}
		before := r.requests()
		b.until("a few requests", func() bool { return r.requests() > before+2 })
		switch round % 4 {
		case 1:
			stop()
			stop = b.sender(patient)
		case 2:
			if _, err := b.pool.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"); err != nil {
				t.Fatal(err)
			}
		case 3:
			stop, stopOther = stopOther, stop
		}
	}
	count := func() (n int) {
		for _, seqs := range places(r.all()) {
			n += len(seqs)
		}
		return n
	}
	whole := 0
	for _, seqs := range want {
		whole += len(seqs)
	}
	b.until("everything is taken", func() bool { return count() == whole })
	if diff := cmp.Diff(want, places(r.all())); diff != "" {
		t.Errorf("in the order of first arrival (-want +got):\n%s", diff)
	}
	b.until("no letter is left", func() bool { return len(b.letters(e.ID)) == 0 })
	t.Logf("%d events, %d requests, %d taken", whole, r.requests(), len(r.all()))
}

func TestOneRefusedConsultationHoldsUpNoOther(t *testing.T) {
	b := newBench(t)
	reg := prometheus.NewRegistry()
	b.sender(func(c *Config) {
		c.Registerer, c.Again = reg, []time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 2 * time.Second}
	})
	r := b.receiver()
	e := r.add(New{})
	bad, good := events.NewID(), events.NewID()
	r.answers(func(_ int, g got) int {
		if g.Data.Consultation == bad && g.Data.Seq == 1 {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	b.say(bad, events.ConsultationScheduled{}, events.ConsultationOpened{})
	b.say(good, events.ConsultationScheduled{}, events.ConsultationOpened{})
	b.say(bad, events.ConsultationEnded{Reason: "closed"})
	r.has(4)
	b.until("a dead letter, and none that was taken", func() bool { return b.endpoint(e.ID).Dead == 1 && len(b.letters(e.ID)) == 1 })
	if diff := cmp.Diff(map[string][]uint64{good: {1, 2}, bad: {2, 3}}, places(r.all())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first := r.all()[:2]; first[0].Data.Consultation != good || first[1].Data.Consultation != good {
		t.Errorf("the other consultation waited: %v", r.all())
	}
	l := b.letters(e.ID)
	if len(l) != 1 || !l[0].Dead || l[0].Seq != 1 || l[0].Code != "http_422" || l[0].Attempts != 4 || l[0].Type != events.TypeConsultationScheduled {
		t.Errorf("letters: %+v", l)
	}
	b.until("the metric tells of it", func() bool {
		return testutil.CollectAndCount(reg, "consilium_webhook_letters_dead") == 1 &&
			testutil.GatherAndCompare(reg, strings.NewReader("# HELP consilium_webhook_letters_dead Events that were given up and wait for a person.\n"+
				"# TYPE consilium_webhook_letters_dead gauge\nconsilium_webhook_letters_dead 1\n"), "consilium_webhook_letters_dead") == nil
	})
	t.Run("a dead letter is sent once more when somebody says so", func(t *testing.T) {
		r.answers(nil)
		b.must(b.endpoints.Again(t.Context(), e.ID, &l[0].Position))
		r.has(5)
		b.until("no letter is left", func() bool { return len(b.letters(e.ID)) == 0 })
		if err := b.endpoints.Again(t.Context(), e.ID, &l[0].Position); !errors.Is(err, ErrNotFound) {
			t.Errorf("a letter that is not there: %v", err)
		}
	})
}

func TestAReceiverThatIsAway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		code   string
	}{
		{"its gateway says so", http.StatusServiceUnavailable, "http_503"},
		{"it hangs up", 0, "connect"},
		{"it does not answer in time", -1, "timeout"},
		{"it refuses everything", http.StatusInternalServerError, "http_500"},
		{"it sends us elsewhere", http.StatusFound, "http_302"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			stop := b.sender(func(c *Config) {
				c.Patience = 2
				if tt.status < 0 {
					c.Timeout = 100 * time.Millisecond
				}
			})
			r := b.receiver()
			e := r.add(New{})
			r.answers(func(int, got) int { return tt.status })
			var want []string
			for range 6 {
				want = append(want, events.NewID())
				b.say(want[len(want)-1], events.ConsultationScheduled{}, events.ConsultationOpened{})
			}
			b.until("it is away", func() bool { return b.endpoint(e.ID).Attempts > 1 })
			if at := b.endpoint(e.ID); at.State != Active || at.LastCode != tt.code || at.AwaySince == nil || at.NextAt == nil {
				t.Errorf("%+v", at)
			}
			b.later(73 * time.Hour)
			b.until("it is suspended", func() bool { return b.endpoint(e.ID).State == Suspended })
			if at := b.endpoint(e.ID); at.Reason != ReasonAway {
				t.Errorf("%+v", at)
			}
			stop()
			r.answers(nil)
			for _, l := range b.letters(e.ID) { // before anything is sent that may be behind them
				if l.Dead {
					b.must(b.endpoints.Again(t.Context(), e.ID, &l.Position))
				}
			}
			b.must(b.endpoints.Resume(t.Context(), e.ID))
			b.sender()
			r.has(12)
			for _, id := range want {
				if diff := cmp.Diff([]uint64{1, 2}, places(r.all())[id]); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if strings.Contains(b.logged.String(), "/hook") {
				t.Errorf("the log holds an address:\n%s", b.logged)
			}
		})
	}
}

func TestAReceiverThatIsGone(t *testing.T) {
	b := newBench(t)
	b.sender()
	r := b.receiver()
	e := r.add(New{})
	r.answers(func(int, got) int { return http.StatusGone })
	b.say(events.NewID(), events.ConsultationScheduled{})
	b.until("it is suspended", func() bool { return b.endpoint(e.ID).State == Suspended })
	if at := b.endpoint(e.ID); at.Reason != ReasonGone || r.requests() != 1 {
		t.Errorf("%+v after %d requests", at, r.requests())
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	c := carrier{now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "99999999": time.Hour, "Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "tomorrow": 0,
	} {
		if got := c.retryAfter(value); got != want {
			t.Errorf("Retry-After %q = %s, want %s", value, got, want)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	b := newBench(t)
	b.sender()
	elsewhere := b.receiver()
	r := b.receiver()
	r.server.Config.Handler = http.RedirectHandler(elsewhere.url, http.StatusTemporaryRedirect)
	e := r.add(New{})
	b.say(events.NewID(), events.ConsultationScheduled{})
	b.until("it counts as away", func() bool { return b.endpoint(e.ID).LastCode == "http_307" })
	if elsewhere.requests() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestANameThatLeadsInside(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	e := r.add(New{})
	// The address was fine when it was named, and leads to this machine now.
	inside := strings.Replace(strings.Replace(r.url, "http:", "https:", 1), "127.0.0.1", "localhost", 1)
	if _, err := b.pool.Exec(t.Context(), "update webhook.endpoints set url = $1", inside); err != nil {
		t.Fatal(err)
	}
	b.sender(func(c *Config) { c.Rules = Rules{} })
	b.say(events.NewID(), events.ConsultationScheduled{})
	b.until("it is refused", func() bool { return b.endpoint(e.ID).LastCode == "address" })
	if r.requests() != 0 {
		t.Error("a request went inside")
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	server := httptest.NewTLSServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	e := r.add(New{})
	stop := b.sender()
	b.say(events.NewID(), events.ConsultationScheduled{})
	b.until("it is not believed", func() bool { return b.endpoint(e.ID).LastCode == "tls" })
	stop()
	b.sender(func(c *Config) { c.Roots = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs })
	r.has(1)
}

func TestSecretsAreRotated(t *testing.T) {
	b := newBench(t)
	b.sender()
	r := b.receiver()
	e := r.add(New{})
	old := r.secrets[0]
	fresh, err := b.endpoints.Rotate(t.Context(), e.ID)
	b.must(err)
	id := events.NewID()
	b.say(id, events.ConsultationScheduled{}) // the receiver knows the old one only, and checks
	if n := len(strings.Fields(r.has(1)[0].Signature)); n != 2 {
		t.Errorf("%d signatures", n)
	}
	r.knows(fresh)
	b.say(id, events.ConsultationOpened{})
	r.has(2)
	b.later(25 * time.Hour)
	b.say(id, events.ConsultationEnded{Reason: "closed"})
	if n := len(strings.Fields(r.has(3)[2].Signature)); n != 1 {
		t.Errorf("%d signatures a day later", n)
	}
	var kept int
	err = b.pool.QueryRow(t.Context(), "select count(*) from webhook.endpoints where position($1::bytea in secret) > 0", []byte(strings.TrimPrefix(fresh, "whsec_"))).Scan(&kept)
	if err != nil || kept != 0 || fresh == old || !strings.HasPrefix(fresh, "whsec_") {
		t.Errorf("%q, %q, %d, %v", old, fresh, kept, err)
	}
}

func TestASecretOfAnotherServer(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	e := r.add(New{})
	if _, err := b.pool.Exec(t.Context(), "update webhook.endpoints set secret = '\\x00'"); err != nil {
		t.Fatal(err)
	}
	b.sender()
	b.until("it is suspended", func() bool { return b.endpoint(e.ID).State == Suspended })
	if at := b.endpoint(e.ID); at.Reason != ReasonSecret {
		t.Errorf("%+v", at)
	}
}

func TestReplay(t *testing.T) {
	b := newBench(t)
	b.sender()
	r := b.receiver()
	one, other := events.NewID(), events.NewID()
	b.say(one, events.ConsultationScheduled{}, events.ConsultationOpened{})
	b.say(other, events.ConsultationScheduled{}, events.ConsultationOpened{}) // 3, 4
	e := r.add(New{From: 2})
	first := r.has(3)
	positions := func(all []got) (p []uint64) {
		for _, g := range all {
			p = append(p, g.Data.Position)
		}
		return p
	}
	if diff := cmp.Diff([]uint64{2, 3, 4}, positions(first)); diff != "" {
		t.Fatalf("from 2 on (-want +got):\n%s", diff)
	}
	b.must(b.endpoints.Replay(t.Context(), e.ID, 3))
	again := r.has(5)[3:]
	if diff := cmp.Diff([]uint64{3, 4}, positions(again)); diff != "" || again[0].ID != first[1].ID || again[0].Body != first[1].Body {
		t.Errorf("once more from 3 on, the same messages (-want +got):\n%s", diff)
	}
	// What was taken and is not written down would be sent again.
	b.until("the position is behind all events", func() bool { return b.endpoint(e.ID).Position == 4 })
	b.must(b.endpoints.ReplayConsultation(t.Context(), e.ID, one, 1))
	if diff := cmp.Diff([]uint64{1, 2}, positions(r.has(7)[5:])); diff != "" {
		t.Errorf("one consultation (-want +got):\n%s", diff)
	}
	b.until("no letter is left", func() bool { return len(b.letters(e.ID)) == 0 })
	var named *InvalidError
	for _, from := range []uint64{0, 99} {
		if err := b.endpoints.Replay(t.Context(), e.ID, from); !errors.As(err, &named) || named.Field != "from" {
			t.Errorf("from %d: %v", from, err)
		}
	}
	if err := b.endpoints.Replay(t.Context(), events.NewID(), 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestPauseAndRemove(t *testing.T) {
	b := newBench(t)
	b.sender()
	r := b.receiver()
	e := r.add(New{})
	b.must(b.endpoints.Pause(t.Context(), e.ID))
	id := events.NewID()
	b.say(id, events.ConsultationScheduled{})
	other := b.receiver()
	other.add(New{From: 1})
	other.has(1)
	if r.requests() != 0 {
		t.Error("a paused one was told")
	}
	b.must(b.endpoints.Resume(t.Context(), e.ID))
	r.has(1)
	b.must(b.endpoints.Remove(t.Context(), e.ID))
	b.say(id, events.ConsultationOpened{})
	other.has(2)
	if len(r.all()) != 1 {
		t.Error("a removed one was told")
	}
}

func TestAnotherLog(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	b.say(events.NewID(), events.ConsultationScheduled{}, events.ConsultationOpened{})
	e := r.add(New{})
	b.log = logtest.NewMemory()
	b.sender()
	b.until("it is suspended", func() bool { return b.endpoint(e.ID).State == Suspended })
	if at := b.endpoint(e.ID); at.Reason != ReasonOtherLog {
		t.Errorf("%+v", at)
	}
}

// TestWhoHasNoLockHasNoPen takes the lock away from a sender that does not know it yet.
func TestWhoHasNoLockHasNoPen(t *testing.T) {
	b := newBench(t)
	e := b.receiver().add(New{})
	cfg := b.pool.Config().ConnConfig
	first, err := openDesk(t.Context(), cfg.Copy(), b.now)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	defer first.close()
	if second, err := openDesk(t.Context(), cfg.Copy(), b.now); err != nil || second != nil {
		t.Fatalf("two have the lock: %v", err)
	}
	at, _, err := first.load(t.Context(), e.ID)
	b.must(err)
	b.must(first.delivered(t.Context(), at, 5))
	if _, err := b.pool.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"); err != nil {
		t.Fatal(err)
	}
	var second *desk
	b.until("the lock is free", func() bool {
		second, err = openDesk(t.Context(), cfg.Copy(), b.now)
		b.must(err)
		return second != nil
	})
	defer second.close()
	if err := first.delivered(t.Context(), at, 9); err == nil {
		t.Error("who has lost the lock moved the position")
	}
	if got := b.endpoint(e.ID).Position; got != 5 {
		t.Errorf("position %d", got)
	}
	t.Run("and what a person changed is not overwritten", func(t *testing.T) {
		b.must(b.endpoints.Replay(t.Context(), e.ID, 1))
		if err := second.delivered(t.Context(), at, 9); !errors.Is(err, errChanged) {
			t.Errorf("error = %v", err)
		}
	})
}

// TestASenderWaitsForItsDatabase cuts every connection there is, again and again.
func TestASenderWaitsForItsDatabase(t *testing.T) {
	b := newBench(t)
	r := b.receiver()
	r.add(New{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := NewSender(Config{Rules: b.rules, Poll: 10 * time.Millisecond}, b.log, b.pool, b.box, b.now, newLogger(b))
	b.must(err)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	id := events.NewID()
	for range 5 {
		b.say(id, events.ParticipantJoined{Role: "patient"})
		if _, err := b.pool.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"); err != nil {
			t.Fatal(err)
		}
	}
	b.until("all of them", func() bool { return len(places(r.all())[id]) == 5 })
	cancel()
	b.must(<-done)
}
