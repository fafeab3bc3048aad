package conference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/media/sfu"
)

// tick is how often deadlines are looked at.
const tick = 250 * time.Millisecond

// Conference is one live consultation. One loop owns everything below "loop"; whoever else wants something posts an
// action to it.
type Conference struct {
	id      string
	m       *Manager
	log     *slog.Logger
	box     *mailbox
	ready   chan struct{} // closed when the conference is claimed and its state read
	done    chan struct{} // closed when the loop has ended and everything is sealed
	workers sync.WaitGroup
	life    context.Context // of the workers: ends with the loop

	hostedAt time.Time // when this process claimed the consultation; set by start

	startErr error       // set before ready or done is closed
	faulty   bool        // set before done is closed: it did not end because it was over
	leaving  atomic.Bool // the loop has ended; done follows

	// loop
	epoch    int
	state    *consultation.State
	names    map[string]string
	room     *sfu.Room
	writer   *appender.Writer
	seats    map[string]*seat  // by participant
	tracks   map[string]*track // by publication id
	waiting  []waiter
	sealing  int // recorders that are being closed
	quality  *qualityLog
	closing  closing
	idle     time.Time // since when nobody is here, zero while somebody is
	finished bool      // the loop ends after this turn
	shown    bool      // a view is to be sent after this turn
}

// waiter is told when the state holds the event seq.
type waiter struct {
	seq  uint64
	tell chan struct{}
}

func newConference(m *Manager, id string) *Conference {
	return &Conference{
		id: id, m: m, log: m.deps.Logger.With("consultation", id),
		box: newMailbox(), ready: make(chan struct{}), done: make(chan struct{}),
		seats: map[string]*seat{}, tracks: map[string]*track{},
	}
}

// run claims the consultation, works until it is over or life ends, and seals everything.
func (c *Conference) run(life context.Context) {
	defer close(c.done)
	work, cancel := context.WithCancel(life)
	defer cancel()
	c.life = work
	if err := c.start(work); err != nil {
		c.startErr = err
		c.discard()
		return
	}
	close(c.ready)
	c.m.metrics.conferences.Inc()
	defer c.m.metrics.conferences.Dec()
	following := make(chan error, 1)
	after := c.state.Version.Stream
	go func() { following <- c.follow(work, after) }()
	err := c.loop(work, following)
	c.leaving.Store(true)
	switch {
	case errors.Is(err, appender.ErrFenced):
		c.log.Warn("another node hosts the consultation now")
	case err != nil:
		c.faulty = true
		c.log.Error("conference ended by a fault", "error", err)
	}
	cancel()
	c.stop()
}

// start claims the consultation with a guarded conference.hosted and reads its past.
func (c *Conference) start(ctx context.Context) error {
	c.hostedAt = c.m.deps.Now()
	host := consultation.Host{Node: c.m.cfg.Node, URL: c.m.cfg.URL, Wall: c.m.deps.Now()}
	if _, err := c.m.decide(ctx, c.id, "", host); err != nil {
		return fmt.Errorf("host consultation %s: %w", c.id, err)
	}
	history, err := events.ReadAll(ctx, c.m.deps.Log, c.id)
	if err != nil {
		return fmt.Errorf("read consultation %s: %w", c.id, err)
	}
	c.state = consultation.Fold(history)
	c.epoch = c.state.Epoch
	c.writer = c.m.deps.Appender.Writer(c.id, c.epoch)
	c.room = c.m.deps.SFU.NewRoom()
	c.quality = newQualityLog(c.m.cfg.QualityDir, c.id, c.m.cfg.Node, c.epoch)
	c.readNames(ctx)
	c.resume()
	return nil
}

// resume gives whoever was present before this process hosted the consultation the usual time to come back.
func (c *Conference) resume() {
	now := c.m.deps.Now()
	for _, p := range c.state.Participants() {
		if p.Present {
			c.seats[p.ID] = &seat{participant: p.ID, lostAt: now}
		}
	}
	c.idle = now
}

func (c *Conference) readNames(ctx context.Context) {
	names, err := c.m.deps.Directory.Names(ctx, c.id)
	if err != nil {
		c.log.Warn("names cannot be read", "error", err)
		return
	}
	c.names = names
}

// follow posts every new event of the consultation to the loop until ctx ends.
func (c *Conference) follow(ctx context.Context, after uint64) error {
	for stored, err := range c.m.deps.Log.Follow(ctx, after, events.Filter{Consultation: c.id}) {
		if err != nil {
			return fmt.Errorf("follow consultation %s: %w", c.id, err)
		}
		var names map[string]string
		if stored.Type == events.TypeParticipantInvited {
			names, _ = c.m.deps.Directory.Names(ctx, c.id) // a missing name shows as none and mends with the next
		}
		c.box.post(func() { c.evolve(stored, names) })
	}
	return nil
}

// loop runs actions and deadlines one after another.
func (c *Conference) loop(ctx context.Context, following <-chan error) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for !c.finished {
		select {
		case <-ctx.Done():
			return nil
		case err := <-following:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-c.writer.Fenced():
			return appender.ErrFenced
		case <-c.box.signal:
			for _, action := range c.box.take() {
				action()
			}
		case <-clock.C:
			c.onTick()
		}
		c.showIfChanged()
	}
	return nil
}

// do runs f on the loop and waits for it.
func (c *Conference) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	late := func() error {
		if err := ctx.Err(); err != nil {
			return err // nobody waits for it any more
		}
		return f()
	}
	if !c.box.post(func() { result <- late() }) {
		return ErrShutdown
	}
	select {
	case err := <-result:
		return err
	case <-c.done:
		return ErrShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
}

// caughtUp waits until the loop has seen the event seq.
func (c *Conference) caughtUp(ctx context.Context, seq uint64) error {
	tell := make(chan struct{})
	err := c.do(ctx, func() error {
		if c.state.Version.Seq >= seq {
			close(tell)
		} else {
			c.waiting = append(c.waiting, waiter{seq, tell})
		}
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-tell:
		return nil
	case <-c.done:
		return ErrShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
}

// command appends what follows from cmd and waits until this conference has seen it.
func (c *Conference) command(ctx context.Context, actor string, cmd consultation.Command) error {
	v, err := c.m.decide(ctx, c.id, actor, cmd)
	if err != nil {
		return err
	}
	return c.caughtUp(ctx, v.Seq)
}

// fact queues a must-keep fact about a participant. Facts of one goroutine keep their order.
func (c *Conference) fact(participant string, e events.Event) {
	c.writer.Fact(c.draft(participant, e))
}

// offer queues a fact that may be dropped when the log is far behind.
func (c *Conference) offer(participant string, e events.Event) {
	c.writer.Offer(c.draft(participant, e))
}

func (c *Conference) draft(participant string, e events.Event) events.Draft {
	d := events.NewDraft(c.m.cfg.Source(), c.m.deps.Now(), e)
	d.Participant = participant
	return d
}

// evolve takes one event of the log in and does what follows from it for the running conference.
func (c *Conference) evolve(stored events.Stored, names map[string]string) {
	c.state.Evolve(stored)
	if names != nil {
		c.names = names
	}
	c.tellWaiters()
	c.shown = true
	switch ev := stored.Event.(type) {
	case events.ParticipantJoined:
		c.joined(stored.Participant)
	case events.ParticipantLeft:
		c.left(stored.Participant, ev.Reason)
	case events.ConsentGiven, events.ConsentRefused, events.ConsentWithdrawn, events.RecordingPaused, events.RecordingResumed:
		c.applyGate()
	case events.ConsultationEnded:
		c.sendHome(ev.Reason)
		c.closing = closing{trying: c.closing.trying}
	case events.SegmentStored:
		c.checkCompletion(c.m.deps.Now()) // somebody may be waiting for the archive
	case events.ConsultationCompleted:
		c.finished = true
	case events.ConsultationReopened:
		c.finished = false
	}
}

// joined gives somebody who is present and has no seat (any more) the usual time to come.
func (c *Conference) joined(participant string) {
	if c.seats[participant] == nil {
		c.seat(participant).lostAt = c.m.deps.Now()
	}
}

func (c *Conference) tellWaiters() {
	kept := c.waiting[:0]
	for _, w := range c.waiting {
		if c.state.Version.Seq >= w.seq {
			close(w.tell)
		} else {
			kept = append(kept, w)
		}
	}
	c.waiting = kept
}

// showIfChanged sends everybody the new view.
func (c *Conference) showIfChanged() {
	if !c.shown {
		return
	}
	c.shown = false
	for _, s := range c.seats {
		if s.client != nil {
			s.client.Show(c.view(s.participant))
		}
	}
}

// present says whether the participant is present according to the log.
func (c *Conference) present(participant string) bool {
	p, ok := c.state.Participant(participant)
	return ok && p.Present
}

// stop sends everybody home, seals every segment and appends what is queued. It runs after the loop, on the same
// goroutine, so it may touch what the loop owned.
func (c *Conference) stop() {
	c.sendHome(endedShutdown)
	for c.sealing > 0 {
		<-c.box.signal
		for _, action := range c.box.take() {
			action()
		}
	}
	c.discard()
	c.workers.Wait()
	c.room.Close()
	flush, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.writer.Close(flush); err != nil && !errors.Is(err, appender.ErrFenced) {
		c.log.Error("facts could not be appended before stopping", "error", err)
	}
	c.quality.close()
}

// discard refuses further actions. Whoever waits for one is told by done.
func (c *Conference) discard() {
	for _, w := range c.waiting {
		close(w.tell)
	}
	c.waiting = nil
	c.box.close()
}
