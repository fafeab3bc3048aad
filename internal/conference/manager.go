// Package conference runs the live part of consultations: one Conference a consultation, with its room, its recorders
// and its deadlines.
//
// In come the events of the consultation's own stream, what participants send through signaling or WHIP, and what the
// media switch notices; out go facts for the log. It never decides who may do what (package consultation does), and
// nothing but the log changes its mind: a command is appended first and followed when it comes back.
package conference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"consilium/internal/blob"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/jobs"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
	"consilium/internal/spool"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Manager. The zero value of a duration means its default.
type Config struct {
	Node       string // name of this process's node, part of event sources
	URL        string // where other nodes and browsers reach it
	QualityDir string // where quality samples are gathered
	// Room says why no recorded consultation may be scheduled or opened now; nil: there is always room.
	Room       func() error
	Recorder   recorder.Config
	Grace      time.Duration // how long a participant whose connection is lost stays present; default 30 s
	Signaling  time.Duration // from joining, with a screen open, to the first offer; default 15 s
	ICETimeout time.Duration // from the first offer to a connected ICE; default 12 s, below the 15 s after which a page tries anew
	DTLS       time.Duration // from connected ICE to keys; default 10 s
	FirstMedia time.Duration // from keys to the first packet; default 10 s
	Stall      time.Duration // how long a track may be silent before that is an event; default 5 s
	GiveUp     time.Duration // how long completion waits for segments; default 10 min
	Search     time.Duration // how long, after a take-over, files of an earlier process may take to be found; default 30 s
	IdleUnload time.Duration // how long a consultation without anybody stays loaded; default 1 min
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Grace, 30*time.Second)
	set(&c.Signaling, 15*time.Second)
	set(&c.ICETimeout, 12*time.Second)
	set(&c.DTLS, 10*time.Second)
	set(&c.FirstMedia, 10*time.Second)
	set(&c.Stall, 5*time.Second)
	set(&c.GiveUp, 10*time.Minute)
	set(&c.Search, 30*time.Second)
	set(&c.IdleUnload, time.Minute)
	return c
}

// Source is the event source of this node.
func (c Config) Source() string { return "/live/" + c.Node }

// Directory knows the names that the log must not hold.
type Directory interface {
	// Names gives the names of all participants of a consultation by id.
	Names(ctx context.Context, consultation string) (map[string]string, error)
	// SheetOf encodes the render sheet of a consultation, given the roles of its participants by id.
	SheetOf(ctx context.Context, consultation string, roles map[string]string) ([]byte, error)
}

// Deps are the rooms that a Manager works with. All are needed, Registerer apart.
type Deps struct {
	Log       events.Log
	Appender  *appender.Appender
	SFU       *sfu.SFU
	Spool     *spool.Spool
	Blobs     *blob.Store
	Directory Directory
	// Early asks stitchers for the chunks of a consultation that is going on; nil: nobody is asked.
	Early      func(ctx context.Context, e jobs.Early) error
	Gone       func(participant string) // told of everybody whose presence has ended, from the loop; nil for nobody
	Now        func() time.Time         // conference clock of this process: wall clock at start + monotonic time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// ErrShutdown says that this process is stopping.
var ErrShutdown = errors.New("the server is stopping")

// Manager hosts consultations: it loads a Conference when somebody comes and unloads it when its archive is ordered.
type Manager struct {
	cfg     Config
	deps    Deps
	metrics *metrics

	mu          sync.Mutex // guards conferences and stopping; never held while calling out
	conferences map[string]*Conference
	ordering    map[string]bool // consultations for which a version with late segments is being ordered
	telling     map[string]bool // consultations of which stitchers are about to be told
	stopping    bool
	running     sync.WaitGroup // one for each conference, each late order and each that is about to be told
	life        context.Context
	end         context.CancelFunc
}

// New checks the configuration and makes a Manager that hosts nothing yet.
func New(cfg Config, deps Deps) (*Manager, error) {
	if cfg.Node == "" {
		return nil, errors.New("conference: Config.Node is empty")
	}
	if deps.Log == nil || deps.Appender == nil || deps.SFU == nil || deps.Spool == nil || deps.Blobs == nil ||
		deps.Directory == nil || deps.Now == nil || deps.Logger == nil {
		return nil, errors.New("conference: a dependency is missing")
	}
	life, end := context.WithCancel(context.Background())
	return &Manager{
		cfg: cfg.withDefaults(), deps: deps, metrics: newMetrics(deps.Registerer),
		conferences: map[string]*Conference{}, ordering: map[string]bool{}, telling: map[string]bool{}, life: life, end: end,
	}, nil
}

// By stamps commands of this node with the actor who wants them.
func (m *Manager) By(actor string) consultation.By {
	return consultation.By{Source: m.cfg.Source(), Actor: actor, Now: m.deps.Now, Room: m.cfg.Room}
}

// Command appends what follows from a command and waits, for a while, until a conference that is loaded here has seen
// it: who pauses a recording and gets an answer may rely on it.
func (m *Manager) Command(ctx context.Context, id, actor string, cmd consultation.Command) (events.Version, error) {
	v, err := m.decide(ctx, id, actor, cmd)
	if c := m.hosted(id); err == nil && c != nil {
		seen, cancel := context.WithTimeout(ctx, seenWithin)
		defer cancel()
		if err := c.caughtUp(seen, v.Seq); err != nil {
			m.deps.Logger.Warn("conference has not followed a command yet", "consultation", id, "error", err)
		}
	}
	return v, err
}

// seenWithin is how long Command waits for a loaded conference.
const seenWithin = 2 * time.Second

func (m *Manager) decide(ctx context.Context, id, actor string, cmd consultation.Command) (events.Version, error) {
	if !events.ValidID(id) {
		return events.Version{}, consultation.ErrUnknown
	}
	return m.deps.Appender.Command(ctx, id, consultation.Deciding(cmd, m.By(actor)))
}

// Allowed says whether a command would be followed now. It appends nothing.
func (m *Manager) Allowed(ctx context.Context, id string, cmd consultation.Command) error {
	if !events.ValidID(id) {
		return consultation.ErrUnknown
	}
	history, err := events.ReadAll(ctx, m.deps.Log, id)
	if err != nil {
		return fmt.Errorf("read consultation %s: %w", id, err)
	}
	_, err = consultation.Decide(consultation.Fold(history), cmd, m.deps.Now())
	return err
}

// Host finds the conference of a consultation, and claims it for this process if it is not loaded yet.
func (m *Manager) Host(ctx context.Context, id string) (*Conference, error) {
	for {
		c, fresh, err := m.reserve(id)
		if err != nil {
			return nil, err
		}
		if fresh {
			go func() {
				defer m.running.Done()
				c.run(m.life)
				m.forget(c)
				if c.faulty {
					m.hostLater(id)
				}
			}()
		}
		select {
		case <-c.ready:
			if !c.leaving.Load() {
				return c, nil
			}
			select {
			case <-c.done: // it is over: load it again
			case <-ctx.Done():
				return nil, fmt.Errorf("host consultation %s: %w", id, ctx.Err())
			}
		case <-c.done:
			if c.startErr != nil {
				return nil, c.startErr
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("host consultation %s: %w", id, ctx.Err())
		}
		m.forget(c) // it ended between being found and being asked: load it again
	}
}

// hostLater takes a consultation up again whose conference ended by a fault.
func (m *Manager) hostLater(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return
	}
	m.running.Go(func() {
		timer := time.NewTimer(hostAgain)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-m.life.Done():
			return
		}
		if _, err := m.Host(m.life, id); err != nil && m.life.Err() == nil && !errors.Is(err, consultation.ErrEnded) {
			m.deps.Logger.Error("consultation cannot be hosted again", "consultation", id, "error", err)
		}
	})
}

// hostAgain is the pause after a conference ended by a fault.
const hostAgain = 5 * time.Second

func (m *Manager) reserve(id string) (c *Conference, fresh bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return nil, false, ErrShutdown
	}
	if c := m.conferences[id]; c != nil {
		return c, false, nil
	}
	c = newConference(m, id)
	m.conferences[id] = c
	m.running.Add(1)
	return c, true, nil
}

func (m *Manager) forget(c *Conference) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conferences[c.id] == c {
		delete(m.conferences, c.id)
	}
}

// Hosted finds the conference of a consultation only if it is loaded here.
func (m *Manager) Hosted(id string) (*Conference, bool) {
	c := m.hosted(id)
	return c, c != nil
}

// hosted finds a loaded conference.
func (m *Manager) hosted(id string) *Conference {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conferences[id]
}

// Run resumes what an earlier process left unfinished, takes care of every consultation that opens, ends or reopens,
// and stops all conferences when ctx ends: segments are sealed and facts appended before it returns.
func (m *Manager) Run(ctx context.Context) error {
	defer m.stop()
	return m.watch(ctx)
}

func (m *Manager) stop() {
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	m.end()
	m.running.Wait()
}

// watch follows the life of all consultations and hosts those that are open or ended and not completed.
func (m *Manager) watch(ctx context.Context) error {
	types := []events.Type{
		events.TypeConsultationOpened, events.TypeConsultationEnded, events.TypeConsultationReopened,
		events.TypeConsultationCompleted,
	}
	note := func(unfinished map[string]bool, e events.Stored) {
		if e.Type == events.TypeConsultationCompleted {
			delete(unfinished, e.Subject)
		} else {
			unfinished[e.Subject] = true
		}
	}
	return events.WatchBacklog(ctx, m.deps.Log, types, note, func(ctx context.Context, id string) error {
		_, err := m.Host(ctx, id)
		if errors.Is(err, consultation.ErrEnded) {
			return nil // completed in between
		}
		if err != nil {
			m.deps.Logger.Error("consultation cannot be hosted", "consultation", id, "error", err)
		}
		return err
	})
}
