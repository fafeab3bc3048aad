package netlab

import (
	"context"
	"fmt"
	"time"
)

// The ladder by which a participant comes back, as docs/signaling.md has it for the pages: what is tried, and after how
// long a silence.
const (
	stalled    = 1500 * time.Millisecond // the WebSocket is looked at, and ICE restarted
	relayAfter = 5 * time.Second         // the same over the relays alone
	renewAfter = 12 * time.Second        // a new connection of the same participant
	tryFor     = 3 * time.Second         // how long one step may take
)

// heal brings the participant back whenever nothing comes any more.
func (a *agent) heal(ctx context.Context) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	var quiet time.Time // since when nothing comes
	last := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := a.look()
		if n := s.Audio + s.Video; n != last {
			last, quiet = n, time.Now()
			continue
		}
		if last == 0 || time.Since(quiet) < stalled {
			continue
		}
		a.climb(ctx, quiet)
	}
}

// climb does what is right after a silence since then.
func (a *agent) climb(ctx context.Context, since time.Time) {
	silence := time.Since(since)
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if silence > renewAfter {
		a.p.Drop()
		a.healed(since, "new connection", a.p.Rejoin(try))
		return
	}
	ping, stop := context.WithTimeout(try, time.Second)
	defer stop()
	if a.p.Ping(ping) != nil {
		err := a.p.Reconnect(try)
		a.healed(since, "new websocket", err)
		if err != nil {
			return
		}
	}
	relay := silence > relayAfter
	step := "restart"
	if relay {
		step = "restart over a relay"
	}
	err := a.p.RestartICE(try, relay)
	a.healed(since, step, err)
	// A server that has forgotten the connection, or has closed it, answers so at once.
	if err != nil && try.Err() == nil {
		a.p.Drop()
		a.healed(since, "new connection", a.p.Rejoin(try))
	}
}

// healed notes a step, with its error if it did not help.
func (a *agent) healed(since time.Time, step string, err error) {
	step = fmt.Sprintf("%s at %.1f s", step, time.Since(since).Seconds())
	if err != nil {
		step += " (" + err.Error() + ")"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Healed = append(a.state.Healed, step)
}
