package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/events"
)

// Config of a Sender. Zero fields get the defaults that are named.
type Config struct {
	Rules   Rules
	Timeout time.Duration // of one request; default 15 s
	// While nobody takes anything, the endpoint waits First, then twice as long each time, Longest at most, a fifth more or
	// less. After GiveUp without a success it is suspended. Defaults: 5 s, 5 min, 72 h.
	First, Longest, GiveUp time.Duration
	// Again are the pauses before a message that was refused is sent again; after the last one it is a dead letter.
	// Default: from 5 s to a day, three days in all.
	Again []time.Duration
	// Patience is how many messages one after another may be refused before all of them are taken for a receiver that is
	// out of order, which loses nothing and only waits. Default 10.
	Patience int
	Poll     time.Duration  // how soon a change by a person, or a free lock, is noticed; default 1 s
	Roots    *x509.CertPool // of receivers' certificates; nil: the system's

	Registerer prometheus.Registerer // nil: metrics are not registered
}

func (c *Config) defaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&c.Timeout, 15*time.Second)
	set(&c.First, 5*time.Second)
	set(&c.Longest, 5*time.Minute)
	set(&c.GiveUp, 72*time.Hour)
	set(&c.Poll, time.Second)
	if len(c.Again) == 0 {
		c.Again = []time.Duration{
			5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
			20 * time.Hour, 24 * time.Hour,
		}
	}
	if c.Patience <= 0 {
		c.Patience = 10
	}
}

// Box encrypts secrets; auth.Authority is one.
type Box interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// boxPurpose is what secrets are encrypted for.
const boxPurpose = "webhooks"

// Sender delivers. Several processes may run one on the same database: one of them sends, the others wait for its lock.
type Sender struct {
	cfg     Config
	log     events.Log
	pool    *pgxpool.Pool
	box     Box
	now     func() time.Time
	logger  *slog.Logger
	metrics *metrics
	carrier *carrier
}

// NewSender works on a database that has all migrations. The caller closes the pool, which only lends its settings: the
// sender has a connection of its own.
func NewSender(cfg Config, log events.Log, pool *pgxpool.Pool, box Box, now func() time.Time, logger *slog.Logger) (*Sender, error) {
	if log == nil || pool == nil || box == nil || now == nil || logger == nil {
		return nil, errors.New("webhook sender: a dependency is missing")
	}
	cfg.defaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("webhook sender: %w", err)
	}
	return &Sender{
		cfg: cfg, log: log, pool: pool, box: box, now: now, logger: logger, metrics: m,
		carrier: newCarrier(cfg.Rules, cfg.Timeout, cfg.Roots, now),
	}, nil
}

// Run sends until ctx ends; then it returns nil. Failures of the database are logged and tried again.
func (s *Sender) Run(ctx context.Context) error {
	defer s.carrier.client.CloseIdleConnections()
	for failing := false; ; {
		err := s.lead(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing { // once, not every second
			s.logger.WarnContext(ctx, "webhooks wait for the database", "error", err)
		}
		failing = err != nil
		if !sleep(ctx, s.cfg.Poll) {
			return nil
		}
	}
}

// lead takes the lock and sends until something fails or ctx ends. It returns nil when another process has the lock.
func (s *Sender) lead(ctx context.Context) error {
	d, err := openDesk(ctx, s.settings(), s.now)
	if err != nil || d == nil {
		return err
	}
	defer d.close()
	s.metrics.sending.Set(1)
	defer s.metrics.sending.Set(0)
	all := couriers{sender: s, desk: d, running: map[string]*running{}, failed: make(chan error, 1)}
	defer all.stop()
	for round := 0; ; round++ {
		if err := all.match(ctx); err != nil {
			return err
		}
		if round%countEvery == 0 {
			s.count(ctx, d)
		}
		select {
		case err := <-all.failed:
			return err
		case <-ctx.Done():
			return nil
		case <-time.After(s.cfg.Poll):
		}
	}
}

// countEvery is how many rounds there are from one count of letters to the next.
const countEvery = 5

func (s *Sender) count(ctx context.Context, d *desk) {
	info, err := s.log.Info(ctx)
	if err != nil {
		return // those who follow meet the same trouble and say so
	}
	t, err := d.tally(ctx, info.Last)
	if err != nil {
		return
	}
	s.metrics.behind.Set(float64(t.behind))
	s.metrics.waiting.Set(float64(t.waiting))
	s.metrics.dead.Set(float64(t.dead))
	s.metrics.suspended.Set(float64(t.suspended))
}

func (s *Sender) settings() *pgx.ConnConfig { return s.pool.Config().ConnConfig.Copy() }

// couriers are the goroutines of one lead, one for each active endpoint.
type couriers struct {
	sender  *Sender
	desk    *desk
	running map[string]*running
	failed  chan error // the first courier that cannot write down what it does
	wg      sync.WaitGroup
}

type running struct {
	generation int64
	cancel     context.CancelFunc
	done       chan struct{}
}

// match starts and ends couriers until there is one for each active endpoint as it is now.
func (c *couriers) match(ctx context.Context) error {
	want, err := c.desk.routes(ctx)
	if err != nil {
		return err
	}
	for id, r := range c.running {
		if generation, ok := want[id]; !ok || generation != r.generation {
			r.cancel()
			<-r.done
			delete(c.running, id)
		}
	}
	for id, generation := range want {
		if c.running[id] == nil {
			c.start(ctx, id, generation)
		}
	}
	return nil
}

func (c *couriers) start(ctx context.Context, id string, generation int64) {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{generation: generation, cancel: cancel, done: make(chan struct{})}
	c.running[id] = r
	c.wg.Go(func() {
		defer close(r.done)
		one := &courier{sender: c.sender, desk: c.desk, id: id, logger: c.sender.logger.With("webhook", id)}
		if err := one.run(ctx); err != nil && ctx.Err() == nil {
			select {
			case c.failed <- err:
			default:
			}
		}
	})
}

// stop ends all couriers and waits for them.
func (c *couriers) stop() {
	for _, r := range c.running {
		r.cancel()
	}
	c.wg.Wait()
}

// sleep waits and says whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
