// Package disk watches how much room is left where the product keeps its data, and says when there is too little to begin
// something new.
//
// In come places: folders, or anything else that can be full. Out come a level (fine, low, full), figures for metrics and
// for people, and words in the log when the level changes. It never deletes, never stops what is going on, and knows
// nothing of what is stored.
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Level is how serious it is.
type Level int

// The levels, the worst last.
const (
	Fine Level = iota
	Low        // somebody should make room
	Full       // nothing new may begin
)

func (l Level) String() string {
	switch l {
	case Low:
		return "low"
	case Full:
		return "full"
	default:
		return "fine"
	}
}

// ErrFull says that there is too little room to begin something new.
var ErrFull = errors.New("too little storage is left")

// Space is the room of one place in bytes.
type Space struct {
	Free, Total int64
}

// Place is something that can be full.
type Place struct {
	Name  string // stable and short, for metrics and logs: "data", "blobs"
	Space func(ctx context.Context) (Space, error)
	// Warn and Refuse are for this place instead of those of Config, unless they are zero.
	Warn, Refuse Threshold
}

// Threshold is the room below which a level begins.
type Threshold struct {
	Bytes int64
	// Share of the place's whole room, 0 to 1: the lesser of both counts, so that a small disk is not full when it is
	// new. 0: Bytes alone counts.
	Share float64
}

func (t Threshold) of(total int64) int64 {
	if t.Share <= 0 {
		return t.Bytes
	}
	return min(t.Bytes, int64(t.Share*float64(total)))
}

// The thresholds when nothing else is said.
var (
	DefaultWarn   = Threshold{Bytes: 10 << 30, Share: 0.10}
	DefaultRefuse = Threshold{Bytes: 2 << 30, Share: 0.02}
)

// Config of a Watch.
type Config struct {
	Places       []Place
	Warn, Refuse Threshold // the zero Threshold is the default
	// Every is how often the places are looked at; default 5 s. At 100 participants of 1.2 Mbit/s that is 75 MB.
	Every time.Duration
	// History is a file that keeps how full the places were over the last days; empty: only this process remembers.
	History    string
	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are not registered
}

// Watch looks at places. It is safe for concurrent use.
type Watch struct {
	cfg Config

	mu    sync.Mutex // guards seen; never held while calling out
	seen  []*seen    // as Config.Places
	saved time.Time  // when the history was last written
}

// seen is what is known of one place. Places that cannot be looked at keep what they were.
type seen struct {
	space  Space
	known  bool
	level  Level
	recent history // of the last minutes
	days   history // of the last days
}

// New makes a watch and looks once, so that the level is known from the start.
func New(ctx context.Context, cfg Config) (*Watch, error) {
	if cfg.Warn == (Threshold{}) {
		cfg.Warn = DefaultWarn
	}
	if cfg.Refuse == (Threshold{}) {
		cfg.Refuse = DefaultRefuse
	}
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watch{cfg: cfg}
	for range cfg.Places {
		w.seen = append(w.seen, &seen{
			recent: history{step: 10 * time.Second, keep: 10 * time.Minute}, days: history{step: time.Hour, keep: 7 * 24 * time.Hour},
		})
	}
	w.load()
	if err := w.look(ctx, time.Now()); err != nil {
		return nil, err
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(w)
	}
	return w, nil
}

// Run looks again and again until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	again := time.NewTicker(w.cfg.Every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.cfg.Logger.Warn("free space is not known", "error", err)
		}
	}
}

// look asks every place and notes what it says. The error joins those of all places that cannot be asked.
func (w *Watch) look(ctx context.Context, now time.Time) error {
	var failed []error
	for i, p := range w.cfg.Places {
		space, err := p.Space(ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("free space of %s: %w", p.Name, err))
			continue
		}
		w.note(i, space, now)
	}
	w.save(now)
	return errors.Join(failed...)
}

func (w *Watch) note(i int, space Space, now time.Time) {
	w.mu.Lock()
	s := w.seen[i]
	before := s.level
	s.space, s.known, s.level = space, true, w.levelOf(w.cfg.Places[i], space, before)
	used := space.Total - space.Free
	s.recent.add(now, used)
	s.days.add(now, used)
	level := s.level
	w.mu.Unlock()
	if level != before {
		w.tell(w.cfg.Places[i].Name, space, level)
	}
}

// levelOf gives the level of a place. It becomes better only when there is a tenth more room than the threshold says, or a
// gigabyte, so that it does not flicker.
func (w *Watch) levelOf(p Place, space Space, before Level) Level {
	warn, refuse := p.Warn, p.Refuse
	if warn == (Threshold{}) {
		warn = w.cfg.Warn
	}
	if refuse == (Threshold{}) {
		refuse = w.cfg.Refuse
	}
	below := func(t Threshold, level Level) bool {
		limit := t.of(space.Total)
		if before >= level {
			limit += min(limit/10, 1<<30)
		}
		return space.Free < limit
	}
	switch {
	case below(refuse, Full):
		return Full
	case below(warn, Low):
		return Low
	default:
		return Fine
	}
}

func (w *Watch) tell(place string, space Space, level Level) {
	logger := w.cfg.Logger.With("place", place, "free_bytes", space.Free, "total_bytes", space.Total)
	switch level {
	case Full:
		logger.Error("storage is nearly full: no recorded consultation can be begun until there is room; those that are running go on")
	case Low:
		logger.Warn("storage is running low")
	default:
		logger.Info("there is enough storage again")
	}
}

// Level is that of the worst place.
func (w *Watch) Level() Level {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := Fine
	for _, s := range w.seen {
		worst = max(worst, s.level)
	}
	return worst
}

// Room is nil when something new may begin, and wraps ErrFull when not.
func (w *Watch) Room() error {
	if w.Level() == Full {
		return ErrFull
	}
	return nil
}

// Report is what one place looks like.
type Report struct {
	Name  string
	Level Level
	Space Space
	// DaysByHistory and DaysNow are how long the room lasts when it goes on being used as over the last days, or as in the
	// last minutes. +Inf: it does not shrink, or is not known yet.
	DaysByHistory, DaysNow float64
}

// Reports describes all places that could be looked at, in the order of Config.Places.
func (w *Watch) Reports() []Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Report
	for i, s := range w.seen {
		if !s.known {
			continue
		}
		all = append(all, Report{
			Name: w.cfg.Places[i].Name, Level: s.level, Space: s.space,
			DaysByHistory: daysLeft(s.space.Free, s.days.rate(time.Hour)), DaysNow: daysLeft(s.space.Free, s.recent.rate(time.Minute)),
		})
	}
	return all
}

// daysLeft says how long free bytes last at a rate in bytes a second.
func daysLeft(free int64, rate float64) float64 {
	if rate <= 0 {
		return math.Inf(1)
	}
	return float64(max(free, 0)) / rate / (24 * 60 * 60)
}
