package netlab

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"time"
)

// The ladder by which a participant comes back, as docs/signaling.md has it for the pages: what is tried, and after how
// long a silence.
const (
	stalled    = 1500 * time.Millisecond // the WebSocket is looked at, and ICE restarted
	relayAfter = 5 * time.Second         // the same over the relays alone
	renewAfter = 12 * time.Second        // a new connection of the same participant
	tryFor     = 6 * time.Second         // how long one step may take
)

// heal brings the participant back whenever nothing comes any more.
func (a *agent) heal(ctx context.Context) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	var quiet, wait time.Time // since when nothing comes; until when the step that was taken may help
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
		if last == 0 || time.Since(quiet) < stalled || time.Now().Before(wait) {
			continue
		}
		switch a.climb(ctx, quiet) {
		case restarted:
			wait = time.Now().Add(stalled)
		case renewed:
			quiet = time.Now()
		}
	}
}

// step is what a climb came to.
type step int

const (
	failed step = iota
	restarted
	renewed
)

// climb does what is right after a silence since then.
func (a *agent) climb(ctx context.Context, since time.Time) step {
	silence := time.Since(since)
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if !a.reachable(try) {
		return failed // again in a moment
	}
	if silence > renewAfter {
		return a.renew(try, since)
	}
	ping, stop := context.WithTimeout(try, time.Second)
	defer stop()
	if a.p.Ping(ping) != nil {
		err := a.p.Reconnect(try)
		a.healed(since, "new websocket", err)
		if err != nil {
			return failed
		}
	}
	relay, name := silence > relayAfter, "restart"
	if relay {
		name = "restart over a relay"
	}
	err := a.p.RestartICE(try, relay)
	a.healed(since, name, err)
	// A server that has forgotten the connection, or has closed it, answers so at once.
	if err != nil && try.Err() == nil {
		return a.renew(try, since)
	}
	return restarted
}

// renew makes a new connection of the same participant.
func (a *agent) renew(ctx context.Context, since time.Time) step {
	a.p.Drop()
	err := a.p.Rejoin(ctx)
	a.healed(since, "new connection", err)
	if err != nil {
		return failed
	}
	return renewed
}

// reachable tells whether the server takes connections, so that no attempt hangs in an outage while it ends.
func (a *agent) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	u, err := url.Parse(a.task.URL)
	if err != nil {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// healed notes a step, with its error if it did not help.
func (a *agent) healed(since time.Time, name string, err error) {
	note := fmt.Sprintf("%s at %.1f s", name, time.Since(since).Seconds())
	if err != nil {
		note += " (" + err.Error() + ")"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Healed = append(a.state.Healed, note)
}
