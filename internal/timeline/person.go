package timeline

import (
	"time"

	"consilium/internal/events"
)

// person is a participant as the events tell.
type person struct {
	id       string
	role     string
	guards   []string // a device's: whose consent it needs
	consent  Consent
	consents gate
	stays    []stay
}

// stay is one stretch of presence; to is zero while it lasts.
type stay struct {
	from, to time.Time
	reason   string // of leaving
}

func (p *person) join(at time.Time, role string) {
	if role != "" {
		p.role = role
	}
	if !p.isPresent() {
		p.stays = append(p.stays, stay{from: at})
	}
}

func (p *person) leave(at time.Time, reason string) {
	if p.isPresent() {
		last := &p.stays[len(p.stays)-1]
		last.to, last.reason = at, reason
	}
}

func (p *person) isPresent() bool {
	return len(p.stays) > 0 && p.stays[len(p.stays)-1].to.IsZero()
}

// wentAt says whether the participant went of their own or the host's will within slack of at: then what ended there was
// not interrupted.
func (p *person) wentAt(at time.Time, slack time.Duration) bool {
	for _, st := range p.stays {
		if !st.to.IsZero() && st.reason != events.LeftTimeout && st.to.Sub(at).Abs() <= slack {
			return true
		}
	}
	return false
}

// connection is one PeerConnection's life.
type connection struct {
	id     string
	owner  *person
	link   gate // open while ICE is connected
	closed time.Time
}

func (c *connection) ice(ev events.Stored, state string) {
	switch state {
	case "connected", "completed":
		c.link.turn(ev, true)
	case "disconnected", "failed", "closed":
		c.link.turn(ev, false)
	}
}
