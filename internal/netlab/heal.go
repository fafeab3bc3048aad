package netlab

import (
	"context"
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
		a.climb(ctx, time.Since(quiet))
	}
}

// climb does what is right after that long a silence.
func (a *agent) climb(ctx context.Context, silence time.Duration) {
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if silence > renewAfter {
		a.p.Drop()
		a.healed("new connection", a.p.Rejoin(try))
		return
	}
	ping, stop := context.WithTimeout(try, time.Second)
	defer stop()
	if a.p.Ping(ping) != nil {
		err := a.p.Reconnect(try)
		a.healed("new websocket", err)
		if err != nil {
			return
		}
	}
	relay := silence > relayAfter
	step := "restart"
	if relay {
		step = "restart over a relay"
	}
	a.healed(step, a.p.RestartICE(try, relay))
}

// healed notes a step, with its error if it did not help.
func (a *agent) healed(step string, err error) {
	if err != nil {
		step += " (" + err.Error() + ")"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Healed = append(a.state.Healed, step)
}
