package netlab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"consilium/internal/media"
	"consilium/internal/simpeer"
)

// agentSetting is the environment variable that makes a test program an agent: a participant in a process of its own,
// because a process is what a namespace holds.
const agentSetting = "CONSILIUM_NETLAB_AGENT"

// task is what an agent is to do.
type task struct {
	URL, Token string
	Who        int
	Reach      simpeer.Reach
	Within     time.Duration
	Heals      bool
	With       With   // the browser that takes part; "" for a simulated participant
	Chromium   string // its path
	// Private are addresses of the other participant, which nothing that comes may hold.
	Private []string
}

// order is what an agent is told on the way, one a line.
type order struct {
	Do string // mute, unmute, reconnect, end, leave
}

// state is what an agent reports, one a line, four times a second.
type state struct {
	At        time.Time     // when it was so, by the machine's clock
	Opened    time.Duration // from the first packet until the server had said who the participant is
	Connected time.Duration // from then, when it joined, until media could flow; 0 before
	Entry     string        // how far the participant was when, in seconds after it began
	Way       string
	Audio     int // packets that came
	Video     int // frames that came
	Idle      time.Duration
	Healed    []string // what it did to come back
	Leaked    string   // the beginning of a message that held a private address
	Error     string
	Gone      bool
}

// RunAgent is the whole program when this process is to be an agent; otherwise it returns at once.
func RunAgent() {
	raw := os.Getenv(agentSetting)
	if raw == "" {
		return
	}
	var t task
	err := json.Unmarshal([]byte(raw), &t)
	switch {
	case err != nil:
	case t.With == Firefox:
		return // the agent is a test, because Firefox is started by what tests have
	case t.With == Chromium:
		err = (&browser{task: t, out: json.NewEncoder(os.Stdout)}).run(context.Background(), os.Stdin)
	default:
		err = newAgent(t, os.Stdout).run(context.Background(), os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// agent is one participant and the ladder by which it comes back.
type agent struct {
	task task
	out  *json.Encoder
	p    *simpeer.Participant

	mu    sync.Mutex // guards state
	state state
}

func newAgent(t task, out io.Writer) *agent { return &agent{task: t, out: json.NewEncoder(out)} }

// look is small: what matters here is that pictures come, not which.
func look(who int) simpeer.Spec {
	s := simpeer.Someone(who)
	s.Width, s.Height, s.Seconds = 96, 64, 4
	return s
}

func (a *agent) run(ctx context.Context, in io.Reader) error {
	m, err := simpeer.Make(ctx, "", look(a.task.Who))
	if err != nil {
		return err
	}
	began := time.Now()
	a.p, err = simpeer.JoinWebSocket(ctx, a.task.URL, a.task.Token, simpeer.Options{
		Media: m, Reach: a.task.Reach, ConnectWithin: a.task.Within, OnMessage: a.search,
	})
	if err != nil {
		return a.report(state{Error: err.Error(), Gone: true})
	}
	steps := a.p.Steps()
	a.mu.Lock()
	a.state.Opened, a.state.Connected = steps.Welcomed.Sub(began), time.Since(steps.Welcomed)
	a.state.Entry = entry(began, steps)
	a.mu.Unlock()
	orders := make(chan order)
	go readOrders(in, orders)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.task.Heals {
		go a.heal(ctx)
	}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case o, more := <-orders:
			if !more || o.Do == "leave" {
				_ = a.p.Leave(ctx) // the server may be gone
				return a.report(state{Gone: true})
			}
			a.follow(ctx, o)
		case <-ticker.C:
			if err := a.report(a.look()); err != nil {
				return nil // nobody listens any more
			}
		}
	}
}

// entry says how far the participant was when, in seconds: what a way in that took long took long for.
func entry(began time.Time, s simpeer.Steps) string {
	var b strings.Builder
	for _, step := range []struct {
		name string
		at   time.Time
	}{{"open", s.Opened}, {"welcome", s.Welcomed}, {"joined", s.Joined}, {"answer", s.Answered}, {"way", s.Way}, {"keys", s.Keys}} {
		if !step.at.IsZero() {
			fmt.Fprintf(&b, "%s %.1f ", step.name, step.at.Sub(began).Seconds())
		}
	}
	return strings.TrimSpace(b.String())
}

func readOrders(in io.Reader, orders chan<- order) {
	defer close(orders)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var o order
		if json.Unmarshal(lines.Bytes(), &o) == nil {
			orders <- o
		}
	}
}

func (a *agent) follow(ctx context.Context, o order) {
	var err error
	switch o.Do {
	case "mute", "unmute":
		for _, source := range []media.Source{media.Microphone, media.Camera} {
			if e := a.p.Mute(ctx, source, o.Do == "mute"); e != nil {
				err = e
			}
		}
	case "reconnect":
		err = a.p.Reconnect(ctx)
	case "end":
		err = a.p.End(ctx)
	}
	if err != nil {
		a.mu.Lock()
		a.state.Error = err.Error()
		a.mu.Unlock()
	}
}

// look reads what came so far.
func (a *agent) look() state {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.state
	s.At, s.Way = time.Now(), a.p.Way()
	newest := time.Time{}
	for _, r := range a.p.Received() {
		if r.Source == media.Camera {
			s.Video += r.Frames
		} else {
			s.Audio += r.Packets
		}
		if r.Last.After(newest) {
			newest = r.Last
		}
	}
	if !newest.IsZero() {
		s.Idle = time.Since(newest)
	}
	return s
}

// search looks for private addresses in a message.
func (a *agent) search(raw []byte) {
	for _, address := range a.task.Private {
		if bytes.Contains(raw, []byte(address)) {
			a.mu.Lock()
			a.state.Leaked = address + " in " + string(raw[:min(len(raw), 200)])
			a.mu.Unlock()
		}
	}
}

func (a *agent) report(s state) error { return a.out.Encode(s) }
