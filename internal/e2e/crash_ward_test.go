package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// ward is a consultation with people in it, to which something terrible happens. It remembers all that anybody was told
// and all that anybody sent, so that afterwards it can be asked for.
type ward struct {
	t       testing.TB
	p       *testenv.Product
	service *client
	c       consultation
	people  []*guest
	dice    *rand.Rand

	witness *witness
	cuts    []cut // what interrupted the recording, in order
	promise []promise
}

// cut is a moment at which the recording process died or was told to stop.
type cut struct {
	at, back time.Time // back: when it was ready again; zero while it is not
	what     string
	killed   bool // without a warning
}

// promise is a command, to which the server said yes, or nothing because it was killed.
type promise struct {
	want  events.Type
	asked time.Time
	at    time.Time // of the answer; zero if there was none
}

// guest is one simulated participant and everything that it sent.
type guest struct {
	who    participant
	n      int
	media  *simpeer.Media
	began  time.Time
	peer   *simpeer.Participant // nil until it was in for the first time
	inside bool

	mu   sync.Mutex // guards sent and away
	sent []simpeer.SentFrame
	away []time.Time // when it left or was cut off; the network takes what it sends a moment longer
}

// tiny is the nth simulated participant, with a picture that is just large enough to be read.
func tiny(n int) simpeer.Spec {
	s := simpeer.Someone(n)
	s.Width, s.Height, s.Seconds = 160, 96, 20
	return s
}

// admit schedules a consultation of so many people who have all agreed, and begins to watch its log.
func admit(t testing.TB, p *testenv.Product, people int, seed uint64) *ward {
	t.Helper()
	w := &ward{t: t, p: p, service: as(t, p, "service"), dice: rand.New(rand.NewPCG(seed, seed))}
	list := []person{{Name: "Dr Ada", Role: "clinician", Consent: true}}
	for n := 1; n < people; n++ {
		list = append(list, person{Name: fmt.Sprint("Pat ", n), Role: "patient", Consent: true})
	}
	w.c = w.service.schedule(fmt.Sprint("Ward ", seed), "required", list...)
	for n, who := range w.c.Participants {
		w.people = append(w.people, &guest{who: who, n: n, media: made(t, tiny(n)), began: time.Now()})
	}
	w.witness = follow(t, p, w.c.ID)
	t.Cleanup(func() { w.each(func(g *guest) error { g.drop(); return nil }) })
	return w
}

// each does something with all guests at once and gives the first error.
func (w *ward) each(f func(*guest) error) error {
	errs := make([]error, len(w.people))
	var all sync.WaitGroup
	for i, g := range w.people {
		all.Go(func() { errs[i] = f(g) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// enter tries once to bring a guest in.
func (g *guest) enter(ctx context.Context, p *testenv.Product, t testing.TB) error {
	if g.inside {
		return nil
	}
	var err error
	if g.peer == nil {
		g.peer, err = simpeer.JoinWebSocket(ctx, signalingURL(p), g.who.token(t), simpeer.Options{
			Media: g.media, Clocks: simpeer.Clocks{Began: g.began}, ConnectWithin: 30 * time.Second, Deaf: g.n > 1,
			OnSend: func(f simpeer.SentFrame) {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.sent = append(g.sent, f)
			},
		})
	} else {
		err = g.peer.Rejoin(ctx)
	}
	g.inside = err == nil
	return err
}

// drop cuts a guest off without a word.
func (g *guest) drop() {
	if g.peer == nil || !g.inside {
		return
	}
	g.inside = false
	g.gone(time.Now())
	g.peer.Drop()
}

func (g *guest) gone(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = append(g.away, at)
}

// assemble brings everybody in, as often as it takes, and waits until they all are recorded.
func (w *ward) assemble() {
	w.t.Helper()
	limit, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	err := w.each(func(g *guest) error {
		for {
			ctx, done := context.WithTimeout(limit, 40*time.Second)
			err := g.enter(ctx, w.p, w.t)
			done()
			if err == nil || limit.Err() != nil {
				return err
			}
			select {
			case <-limit.Done():
			case <-time.After(200 * time.Millisecond): // as pages do
			}
		}
	})
	if err != nil {
		w.t.Fatalf("somebody does not come in any more: %v", err)
	}
	await(w.t, 2*time.Minute, func() string { return "everybody is recorded" }, func() bool {
		opened := map[string]bool{}
		for _, e := range w.witness.all() {
			if o, ok := e.Event.(events.SegmentOpened); ok && o.Arrival.After(w.lastBack()) {
				opened[e.Participant+o.Codec] = true
			}
		}
		return len(opened) >= 2*len(w.people)
	})
}

// lastBack is when the server came back last.
func (w *ward) lastBack() time.Time {
	if len(w.cuts) == 0 {
		return time.Time{}
	}
	return w.cuts[len(w.cuts)-1].back
}

// restart starts live after it has gone, and cuts off everybody who talked to the one before.
func (w *ward) restart() {
	w.t.Helper()
	_ = w.each(func(g *guest) error { g.drop(); return nil })
	w.p.StartLive()
	w.cuts[len(w.cuts)-1].back = time.Now()
}

// ask sends a command and notes it when the server says yes. An error is the server's absence.
func (w *ward) ask(method, path string, want events.Type) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.p.URL+"/api/v1/consultations/"+w.c.ID+path, bytes.NewReader(nil))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+w.service.token)
	p := promise{want: want, asked: time.Now()}
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		w.promise = append(w.promise, p) // it may be carried out all the same
		return 0, err
	}
	if resp.StatusCode/100 == 2 {
		p.at = time.Now()
		w.promise = append(w.promise, p)
	}
	return resp.StatusCode, nil
}

// must sends a command until the server says yes, or says that it is so already.
func (w *ward) must(method, path string, want events.Type) {
	w.t.Helper()
	await(w.t, 2*time.Minute, func() string { return path + " is answered" }, func() bool {
		status, err := w.ask(method, path, want)
		return err == nil && (status/100 == 2 || status == http.StatusConflict)
	})
}

// finish ends the consultation and waits until it is complete.
func (w *ward) finish() []events.Stored {
	w.t.Helper()
	w.must("POST", "/end", events.TypeConsultationEnded)
	w.complete()
	return w.service.events(w.c.ID)
}

// complete waits until the consultation, which has ended, is complete.
func (w *ward) complete() {
	w.t.Helper()
	await(w.t, 5*time.Minute, func() string { return fmt.Sprintf("%s is complete: %v", w.c.ID, typesOf(w.witness.all())) }, func() bool {
		return slices.ContainsFunc(w.witness.all(), func(e events.Stored) bool { return e.Type == events.TypeConsultationCompleted })
	})
	_ = w.each(func(g *guest) error { g.drop(); return nil })
}

// witness follows the log of one consultation from outside, as a stitcher would, through every restart.
type witness struct {
	mu   sync.Mutex // guards what follows
	seen []sighting
}

// sighting is an event that somebody outside of live has seen.
type sighting struct {
	events.Stored
	at time.Time
}

func follow(t testing.TB, p *testenv.Product, id string) *witness {
	t.Helper()
	w := &witness{}
	ctx, cancel := context.WithCancel(context.Background())
	log, err := natslog.Connect(ctx, whereLog(t, p))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		for e, err := range log.Follow(ctx, 0, events.Filter{Consultation: id}) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the log cannot be followed any more: %v", err)
				}
				return
			}
			w.mu.Lock()
			w.seen = append(w.seen, sighting{e, time.Now()})
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		log.Close()
	})
	return w
}

// all is what was seen so far.
func (w *witness) all() []events.Stored {
	var all []events.Stored
	for _, s := range w.sightings() {
		all = append(all, s.Stored)
	}
	return all
}

func (w *witness) sightings() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}
