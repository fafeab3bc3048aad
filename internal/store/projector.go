// Package store is the read model: it turns the event log into rows of PostgreSQL that lists and searches read.
//
// In come stored events, in the order of the log (Projector); out go answers to questions (Queries). It decides nothing:
// no command looks at it, evidence is read from the log, and all its rows can be thrown away and made again (Rebuild).
// Names and titles are joined from the directory, which shares the database.
package store

import (
	"context"
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

var (
	// ErrOtherLog says that the rows were made from another log than the one at hand: it was created anew, or it is
	// shorter than what was read before. Somebody has to look why; Rebuild makes the rows from the log at hand.
	ErrOtherLog = errors.New("the read model was made from another event log: find out why the log was replaced, then rebuild the read model")
	// ErrNewerProjection says that a newer version of this program has written the rows.
	ErrNewerProjection = errors.New("the read model was written by a newer version of this program")
	// ErrBehind says that WaitFor waited long enough.
	ErrBehind = errors.New("the read model is behind the log")
)

// Config of a Projector.
type Config struct {
	BatchSize int           // events in one transaction at most; default 2000
	WaitLimit time.Duration // how long WaitFor waits at most; default 2 s
	Step      time.Duration // time limit of one transaction; default 30 s
	RetryMax  time.Duration // longest pause between attempts after a failure; default 5 s

	Registerer prometheus.Registerer // nil: metrics are not registered
}

func (c *Config) defaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if c.BatchSize <= 0 {
		c.BatchSize = 2000
	}
	set(&c.WaitLimit, 2*time.Second)
	set(&c.Step, 30*time.Second)
	set(&c.RetryMax, 5*time.Second)
}

// Projector follows the log and keeps the rows up to date. It is safe for concurrent use; several processes may run one
// on the same database: they take turns, and what one has done the others skip.
type Projector struct {
	cfg     Config
	log     events.Log
	pool    *pgxpool.Pool
	logger  *slog.Logger
	metrics *metrics

	mu    sync.Mutex    // guards what follows; never held while calling out
	at    uint64        // stream sequence up to which the rows go, as far as this process knows
	moved chan struct{} // closed and replaced whenever at grows
	// What has changed lately, in the order of the log, and the position from which on that is complete.
	changes []change
	since   uint64
	failed  error // why Run is not following at the moment, nil when it is
}

// NewProjector works on a database that has all migrations. The caller closes the pool.
func NewProjector(cfg Config, log events.Log, pool *pgxpool.Pool, logger *slog.Logger) (*Projector, error) {
	if log == nil || pool == nil || logger == nil {
		return nil, errors.New("projector: log, pool and logger are needed")
	}
	cfg.defaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("projector: %w", err)
	}
	return &Projector{
		cfg: cfg, log: log, pool: pool, logger: logger, metrics: m,
		moved: make(chan struct{}), failed: errors.New("the projector has not started"),
	}, nil
}

// Run follows the log from the stored position until ctx ends; then it returns nil. Failures of the database or of the
// connection to the log are logged and tried again. It returns an error when trying again cannot help: a GapError,
// ErrOtherLog, ErrNewerProjection. Rows that older rules made are rebuilt first.
func (p *Projector) Run(ctx context.Context) error {
	watch, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { p.watchLag(watch) })

	pause := newPause(p.cfg.RetryMax)
	for {
		before := p.position()
		err := p.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.setFailed(err)
		if hopeless(err) {
			p.metrics.stopped.Set(1)
			return fmt.Errorf("project events: %w", err)
		}
		if p.position() > before {
			pause.reset()
		}
		p.metrics.failures.Inc()
		p.logger.WarnContext(ctx, "the read model fell behind and tries again", "error", err, "stream_seq", p.position())
		if !pause.wait(ctx) {
			return nil
		}
	}
}

// hopeless says whether trying again cannot help.
func hopeless(err error) bool {
	gap := (*events.GapError)(nil)
	return errors.As(err, &gap) || errors.Is(err, events.ErrCorrupt) || errors.Is(err, ErrOtherLog) || errors.Is(err, ErrNewerProjection)
}

// fed is one result of Log.Follow.
type fed struct {
	event events.Stored
	err   error
}

// follow projects until something fails or ctx ends. It never returns nil.
func (p *Projector) follow(ctx context.Context) error {
	at, err := p.begin(ctx)
	if err != nil {
		return err
	}
	p.restart(at.seq)

	ctx, cancel := context.WithCancel(ctx)
	feed := make(chan fed, p.cfg.BatchSize)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(feed)
		for e, err := range p.log.Follow(ctx, at.seq, events.Filter{}) {
			select {
			case feed <- fed{e, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		batch, err := p.gather(ctx, feed)
		if len(batch) > 0 {
			if err := p.commit(ctx, time.Unix(0, at.createdNS), batch); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// gather waits for one event and takes what else is there already, up to a batch. What came before an error is returned
// with it.
func (p *Projector) gather(ctx context.Context, feed <-chan fed) ([]events.Stored, error) {
	var batch []events.Stored
	take := func(f fed, open bool) error {
		switch {
		case !open && ctx.Err() != nil:
			return ctx.Err()
		case !open:
			return errors.New("the log stopped following")
		case f.err != nil:
			return fmt.Errorf("follow the log: %w", f.err)
		}
		batch = append(batch, f.event)
		return nil
	}
	f, open := <-feed // the feeder closes it when ctx ends
	if err := take(f, open); err != nil {
		return nil, err
	}
	for len(batch) < p.cfg.BatchSize {
		select {
		case f, open := <-feed:
			if err := take(f, open); err != nil {
				return batch, err
			}
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// begin compares the stored position with the log at hand and with our rules.
func (p *Projector) begin(ctx context.Context) (position, error) {
	at, info, err := p.compare(ctx)
	if err != nil || at.projection == projection {
		return at, err
	}
	p.logger.InfoContext(ctx, "the rules of the read model have changed: it is rebuilt",
		"from", at.projection, "to", projection, "events", info.Last)
	if err := p.Rebuild(ctx); err != nil {
		return position{}, err
	}
	at, _, err = p.compare(ctx)
	return at, err
}

// compare reads the position and asks the log, in this order: the other way round another projector could move the
// position beyond the end that the log had when it was asked.
func (p *Projector) compare(ctx context.Context) (at position, info events.Info, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Step)
	defer cancel()
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		var ok bool
		if at, ok, err = lock(ctx, tx); err != nil {
			return err
		}
		if info, err = p.log.Info(ctx); err != nil {
			return fmt.Errorf("ask the log: %w", err)
		}
		if !ok {
			at, err = startOf(ctx, tx, info.Created)
		}
		return err
	})
	if err != nil {
		return position{}, info, fmt.Errorf("read position: %w", err)
	}
	return at, info, at.fits(info)
}

// commit projects a batch and moves the position, both or neither. Events that another projector has done are skipped.
func (p *Projector) commit(ctx context.Context, created time.Time, batch []events.Stored) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Step)
	defer cancel()
	began, last, whole := time.Now(), batch[len(batch)-1].Stream, batch
	var unknown int64
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		// Rows and position are lost together or not at all, so waiting for the disk would protect nothing.
		if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
			return err
		}
		at, ok, err := lock(ctx, tx)
		if err != nil {
			return err
		}
		if !ok || at.createdNS != created.UnixNano() || at.projection != projection {
			return errors.New("another process has made the read model anew")
		}
		for len(batch) > 0 && batch[0].Stream <= at.seq {
			batch = batch[1:]
		}
		if len(batch) == 0 {
			return nil
		}
		if batch[0].Stream != at.seq+1 {
			return fmt.Errorf("the rows now end at %d: a rebuild went back", at.seq)
		}
		if unknown, err = project(ctx, tx, batch); err != nil {
			return err
		}
		at.seq, at.unknown = last, at.unknown+unknown
		return at.move(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("project a batch of %d: %w", len(batch), err)
	}
	p.metrics.projected.Add(float64(len(batch)))
	p.metrics.unknown.Add(float64(unknown))
	p.metrics.batch.Observe(time.Since(began).Seconds())
	p.advance(last, whole)
	return nil
}

// project folds a batch into the rows and counts the events of types that the rules do not know.
func project(ctx context.Context, tx pgx.Tx, batch []events.Stored) (unknown int64, err error) {
	var ids []string
	seen := map[string]bool{}
	var mentioned mentions
	for _, e := range batch {
		mentioned.add(e)
		if !seen[e.Subject] {
			seen[e.Subject] = true
			ids = append(ids, e.Subject)
		}
	}
	rows, err := load(ctx, tx, ids, &mentioned)
	if err != nil {
		return 0, err
	}
	for _, e := range batch {
		known, err := rows[e.Subject].apply(e)
		if err != nil {
			return 0, err
		}
		if !known {
			unknown++
		}
	}
	return unknown, save(ctx, tx, rows)
}

// WaitFor returns when the rows show the event with stream sequence seq, for a reader that has just written it. It gives
// up with ErrBehind after the configured limit.
func (p *Projector) WaitFor(ctx context.Context, seq uint64) error {
	limit := time.NewTimer(p.cfg.WaitLimit)
	defer limit.Stop()
	for {
		p.mu.Lock()
		at, moved := p.at, p.moved
		p.mu.Unlock()
		if at >= seq {
			return nil
		}
		select {
		case <-moved:
		case <-limit.C:
			return fmt.Errorf("wait for event %d: shown is %d: %w", seq, at, ErrBehind)
		case <-ctx.Done():
			return fmt.Errorf("wait for event %d: %w", seq, ctx.Err())
		}
	}
}

// Ready is nil while the projector follows the log, otherwise the reason why not.
func (p *Projector) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *Projector) setFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
}

func (p *Projector) position() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// restart takes over the position that the database has: it may be further than ours, or behind it after a rebuild.
func (p *Projector) restart(at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = nil
	if at != p.at || len(p.changes) == 0 {
		p.forgetLocked(at)
	}
	p.setPositionLocked(at)
}

// advance says that the rows go up to stream sequence to, by these events.
func (p *Projector) advance(to uint64, batch []events.Stored) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteLocked(batch)
	if to > p.at {
		p.setPositionLocked(to)
	}
}

func (p *Projector) setPositionLocked(to uint64) {
	p.at = to
	p.metrics.position.Set(float64(to))
	close(p.moved)
	p.moved = make(chan struct{})
}

// lagEvery is how often the lag is measured.
const lagEvery = 5 * time.Second

// watchLag measures how far the rows are behind the log, whatever else Run is doing.
func (p *Projector) watchLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, lagEvery)
		info, err := p.log.Info(ask)
		cancel()
		if err != nil {
			continue // Follow meets the same trouble and says so
		}
		p.metrics.lag.Set(float64(info.Last) - float64(min(info.Last, p.position())))
	}
}
