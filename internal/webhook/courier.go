package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"consilium/internal/events"
)

// courier delivers to one endpoint: events in the order of the log, one after another. An event that the receiver refuses
// is set aside as a letter with those behind it in its consultation, and holds up no other consultation.
type courier struct {
	sender *Sender
	desk   *desk
	id     string
	logger *slog.Logger

	route    route
	secrets  []secret            // the newest first
	passed   uint64              // stream sequence up to which events were looked at; the route's position or more
	waiting  map[string][]Letter // by consultation, in the order of seq: the first is tried, the others wait behind it
	refusals int                 // new messages that were refused one after another
}

// Ways in which a stretch of work ends without a fault.
var (
	errPause = errors.New("nobody takes anything at the moment")
	errDone  = errors.New("the endpoint is not active any more")
)

// run delivers until the endpoint is not active any more or ctx ends. It returns an error when it cannot write down how far
// it is: then nothing may be sent.
func (c *courier) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.read(ctx)
		if err == nil {
			err = c.work(ctx)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errDone), errors.Is(err, ErrNotFound):
			return nil
		case errors.Is(err, errPause), errors.Is(err, errChanged):
		case err != nil:
			return err
		}
	}
	return nil
}

// read takes over what the database knows, and waits as long as it says.
func (c *courier) read(ctx context.Context) error {
	r, letters, err := c.desk.load(ctx, c.id)
	if err != nil {
		return err
	}
	if r.state != Active {
		return errDone
	}
	c.route, c.waiting, c.secrets = r, map[string][]Letter{}, nil
	for _, l := range letters {
		c.waiting[l.Consultation] = append(c.waiting[l.Consultation], l)
	}
	for _, sealed := range [][]byte{r.secret, r.oldSecret} {
		if sealed == nil {
			continue
		}
		raw, err := c.sender.box.Open(boxPurpose, sealed)
		if err != nil {
			return c.suspend(ctx, ReasonSecret)
		}
		c.secrets = append(c.secrets, raw)
	}
	if c.sender.cfg.Rules.Check(r.url) != nil {
		return c.suspend(ctx, ReasonAddress)
	}
	if r.until != nil {
		sleep(ctx, r.until.Sub(c.sender.now()))
	}
	return ctx.Err()
}

func (c *courier) suspend(ctx context.Context, reason string) error {
	if err := c.desk.suspend(ctx, c.route, reason); err != nil {
		return err
	}
	c.logger.ErrorContext(ctx, "a webhook is suspended until somebody resumes it", "reason", reason)
	return errDone
}

// fed is one result of Log.Follow.
type fed struct {
	event events.Stored
	err   error
}

// work follows the log from the stored position and delivers, until something ends it.
func (c *courier) work(ctx context.Context) error {
	info, err := c.sender.log.Info(ctx)
	if err != nil {
		return c.logIsAway(ctx, err)
	}
	if info.Created.UnixNano() != c.route.logCreated || info.Last < c.route.position {
		return c.suspend(ctx, ReasonOtherLog)
	}
	c.passed = c.route.position
	following, cancel := context.WithCancel(ctx)
	feed := make(chan fed)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { c.follow(following, feed) })
	for {
		letter, wait := c.next()
		if letter != nil {
			if err := c.tryLetter(ctx, *letter); err != nil {
				return err
			}
			continue
		}
		select {
		case f := <-feed:
			if f.err != nil {
				return c.logIsAway(ctx, f.err)
			}
			if err := c.try(ctx, f.event); err != nil {
				return err
			}
		case <-wait:
		case <-c.noteLater():
			if err := c.notePassed(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noteLater says when it is time to write down that events of no concern were passed over; nil when there were none.
func (c *courier) noteLater() <-chan time.Time {
	if c.passed == c.route.position {
		return nil
	}
	return time.After(c.sender.cfg.Poll)
}

// notePassed moves the position over events of no concern, so that they are not read again.
func (c *courier) notePassed(ctx context.Context) error {
	if err := c.desk.moved(ctx, c.route, c.passed); err != nil {
		return err
	}
	c.route.position = c.passed
	return nil
}

// noteEvery is how many events of no concern are passed over before that is written down.
const noteEvery = 1000

// follow reads every event, wanted or not: so it notices a missing one.
func (c *courier) follow(ctx context.Context, feed chan<- fed) {
	for e, err := range c.sender.log.Follow(ctx, c.route.position, events.Filter{}) {
		select {
		case feed <- fed{e, err}:
		case <-ctx.Done():
			return
		}
	}
}

// logIsAway waits for a log that cannot be followed; one that is wrong is for a person to look at.
func (c *courier) logIsAway(ctx context.Context, err error) error {
	if errors.As(err, new(*events.GapError)) || errors.Is(err, events.ErrCorrupt) {
		c.logger.ErrorContext(ctx, "the event log is not whole", "error", err)
		return c.suspend(ctx, ReasonOtherLog)
	}
	c.logger.WarnContext(ctx, "a webhook waits for the event log", "error", err)
	sleep(ctx, c.sender.cfg.Poll)
	return errPause
}

// next gives the letter that is due, or a channel that says when one will be; nil when there is none.
func (c *courier) next() (*Letter, <-chan time.Time) {
	var first *Letter
	for _, letters := range c.waiting {
		if l := &letters[0]; first == nil || l.NextAt.Before(first.NextAt) {
			first = l
		}
	}
	if first == nil {
		return nil, nil
	}
	if wait := first.NextAt.Sub(c.sender.now()); wait > 0 {
		return nil, time.After(wait)
	}
	return first, nil
}

// try delivers a new event, or puts it behind the letters of its consultation, or passes it over.
func (c *courier) try(ctx context.Context, e events.Stored) error {
	c.passed = e.Stream
	if !wanted(c.route.types, e.Type) {
		if c.passed-c.route.position < noteEvery {
			return nil
		}
		return c.notePassed(ctx)
	}
	l := Letter{
		Position: e.Stream, Consultation: e.Subject, Seq: e.Seq, Event: e.ID, Type: e.Type, SetAsideAt: c.sender.now(), NextAt: c.sender.now(),
	}
	if len(c.waiting[e.Subject]) > 0 {
		return c.keep(ctx, l)
	}
	o, err := c.send(ctx, e)
	if err != nil {
		return err
	}
	if o.verdict == refused {
		if c.refusals++; c.refusals > c.sender.cfg.Patience {
			o.verdict = away
		}
	}
	switch o.verdict {
	case delivered:
		c.refusals = 0
		if err := c.desk.delivered(ctx, c.route, e.Stream); err != nil {
			return err
		}
		c.route.position, c.route.attempts, c.route.awaySince = e.Stream, 0, nil
		return nil
	case refused:
		l.Attempts, l.Code, l.NextAt = 1, o.code, c.again(0, o)
		return c.keep(ctx, l)
	default:
		return c.notTaken(ctx, o)
	}
}

func (c *courier) keep(ctx context.Context, l Letter) error {
	if err := c.desk.setAside(ctx, c.route, l); err != nil {
		return err
	}
	c.route.position = l.Position
	c.waiting[l.Consultation] = append(c.waiting[l.Consultation], l)
	return nil
}

// again is when a message is sent once more after it was refused n times before.
func (c *courier) again(n int, o outcome) time.Time {
	return c.sender.now().Add(max(jitter(c.sender.cfg.Again[n]), o.after))
}

// jitter is a fifth more or less, so that many do not come back at the same moment.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // no secret
}

// tryLetter delivers the first letter of a consultation.
func (c *courier) tryLetter(ctx context.Context, l Letter) error {
	e, err := c.find(ctx, l)
	if err != nil {
		return c.logIsAway(ctx, err)
	}
	o, err := c.send(ctx, e)
	if err != nil {
		return err
	}
	switch {
	case o.verdict == delivered:
		c.refusals = 0
		err = c.desk.letterDelivered(ctx, c.route, l)
	case o.verdict == refused && l.Attempts >= len(c.sender.cfg.Again):
		l.Dead, l.Attempts, l.Code = true, l.Attempts+1, o.code
		c.logger.WarnContext(ctx, "a webhook was given up", "consultation", l.Consultation, "seq", l.Seq, "code", l.Code, "attempts", l.Attempts)
		err = c.desk.letterRefused(ctx, c.route, l)
	case o.verdict == refused:
		l.NextAt, l.Attempts, l.Code = c.again(l.Attempts, o), l.Attempts+1, o.code
		if err := c.desk.letterRefused(ctx, c.route, l); err != nil {
			return err
		}
		c.waiting[l.Consultation][0] = l
		return nil
	default:
		return c.notTaken(ctx, o)
	}
	if err != nil {
		return err
	}
	if c.waiting[l.Consultation] = c.waiting[l.Consultation][1:]; len(c.waiting[l.Consultation]) == 0 {
		delete(c.waiting, l.Consultation)
	}
	return nil
}

// find reads the event of a letter from the log.
func (c *courier) find(ctx context.Context, l Letter) (events.Stored, error) {
	for e, err := range c.sender.log.Read(ctx, l.Consultation, l.Seq) {
		return e, err
	}
	return events.Stored{}, &events.GapError{Consultation: l.Consultation, Want: l.Seq}
}

func (c *courier) send(ctx context.Context, e events.Stored) (outcome, error) {
	began := time.Now()
	if err := c.desk.valid(ctx, c.route); err != nil {
		return outcome{}, err
	}
	secrets := c.secrets
	if c.route.oldUntil == nil || !c.sender.now().Before(*c.route.oldUntil) {
		secrets = secrets[:1]
	}
	o, err := c.sender.carrier.send(ctx, c.route.url, secrets, e)
	if err != nil {
		return o, fmt.Errorf("deliver event %s: %w", e.ID, err)
	}
	c.sender.metrics.took.Observe(time.Since(began).Seconds())
	c.sender.metrics.sent.WithLabelValues(string(o.verdict)).Inc()
	return o, nil
}

// notTaken ends a stretch of work because nobody takes anything. The position stays, so nothing is lost.
func (c *courier) notTaken(ctx context.Context, o outcome) error {
	if o.verdict == gone {
		return c.suspend(ctx, ReasonGone)
	}
	cfg, now := c.sender.cfg, c.sender.now()
	if since := c.route.awaySince; since != nil && now.Sub(*since) > cfg.GiveUp {
		return c.suspend(ctx, ReasonAway)
	}
	pause := min(cfg.First<<min(c.route.attempts, 20), cfg.Longest)
	if c.route.attempts == 0 {
		c.logger.WarnContext(ctx, "the receiver of a webhook takes nothing; it is tried again", "code", o.code)
	}
	if err := c.desk.isAway(ctx, c.route, o.code, now.Add(max(jitter(pause), o.after))); err != nil {
		return err
	}
	return errPause
}
