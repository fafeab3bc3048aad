package conference

import (
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/failures"
)

// deadlines are the moments from which the phases of connecting count; zero means not reached.
type deadlines struct {
	opened   time.Time
	ice      time.Time
	keys     time.Time
	media    time.Time
	reported string // the phase that was reported as timed out
}

// Stable failure codes of connection.timed_out.
const (
	codeOffer = string(failures.SignalingTimeout)
	codeICE   = string(failures.ICETimeout)
	codeKeys  = string(failures.DTLSTimeout)
	codeDTLS  = string(failures.DTLSFail)
	codeMedia = string(failures.MediaTimeout)
)

// overdue says which phase passed its deadline, since when, and its stable failure code.
func (d deadlines) overdue(now time.Time, cfg Config, sends bool) (phase, code string, after time.Duration) {
	switch {
	case d.opened.IsZero():
	case d.ice.IsZero():
		if w := now.Sub(d.opened); w > cfg.ICETimeout {
			return events.PhaseICE, codeICE, w
		}
	case d.keys.IsZero():
		if w := now.Sub(d.ice); w > cfg.DTLS {
			return events.PhaseDTLS, codeKeys, w
		}
	case d.media.IsZero() && sends:
		if w := now.Sub(d.keys); w > cfg.FirstMedia {
			return events.PhaseMedia, codeMedia, w
		}
	}
	return "", "", 0
}

// onTick looks at every deadline.
func (c *Conference) onTick() {
	now := c.m.deps.Now()
	for _, s := range c.seats {
		c.checkOffer(s, now)
		c.checkConnecting(s, now)
		c.checkLost(s, now)
	}
	c.checkTracks(now)
	for _, s := range c.seats {
		c.noticeHindrance(s)
	}
	c.sampleQuality(now)
	c.checkAbandoned(now)
	c.checkIdle(now)
	c.checkCompletion(now)
}

// checkOffer notices a screen that is open and joined and never offers anything: its page is stuck, and nobody would know
// why there is no picture.
func (c *Conference) checkOffer(s *seat, now time.Time) {
	switch {
	case s.client == nil || s.peer != nil || !c.present(s.participant):
		s.silentSince = time.Time{}
	case s.silentSince.IsZero():
		s.silentSince, s.silenceTold = now, false
	case !s.silenceTold && now.Sub(s.silentSince) > c.m.cfg.Signaling:
		s.silenceTold = true
		c.fact(s.participant, events.ConnectionTimedOut{
			Phase: events.PhaseSignaling, AfterMS: now.Sub(s.silentSince).Milliseconds(), Code: codeOffer,
		})
	}
}

func (c *Conference) checkConnecting(s *seat, now time.Time) {
	if s.peer == nil {
		return
	}
	phase, code, after := s.deadlines.overdue(now, c.m.cfg, s.peer.Sends() && c.state.MayPublish(s.participant))
	if phase == "" || phase == s.deadlines.reported {
		return
	}
	s.deadlines.reported = phase
	if phase != events.PhaseMedia {
		s.hindered.failed = code
	}
	c.fact(s.participant, events.ConnectionTimedOut{
		Connection: s.connection, Phase: phase, AfterMS: after.Milliseconds(), Code: code,
	})
}

// checkLost ends the presence of a participant who did not come back in time.
func (c *Conference) checkLost(s *seat, now time.Time) {
	if s.lostAt.IsZero() || now.Sub(s.lostAt) < c.m.cfg.Grace {
		return
	}
	s.lostAt = now // ask again only after another grace, should the log be away
	participant := s.participant
	if !c.present(participant) {
		c.leaveSeat(s, events.LeftTimeout)
		return
	}
	c.append(consultation.Leave{Participant: participant, Reason: events.LeftTimeout})
}

// abandonAgain is the pause before the end for absence is asked for once more, should it not have been appended.
const abandonAgain = 30 * time.Second

// checkAbandoned ends a consultation in which nobody was present for long.
func (c *Conference) checkAbandoned(now time.Time) {
	empty := c.state.EmptySince
	if c.state.Phase != consultation.Open || empty.IsZero() || now.Sub(empty) < consultation.AbandonAfter ||
		now.Sub(c.closing.abandonedAt) < abandonAgain {
		return
	}
	c.closing.abandonedAt = now
	c.append(consultation.End{Reason: events.EndedAbandoned})
}

// checkIdle unloads a consultation that nobody has joined yet and nobody looks at.
func (c *Conference) checkIdle(now time.Time) {
	if len(c.seats) > 0 || c.state.Phase != consultation.Scheduled {
		c.idle = now
		return
	}
	if now.Sub(c.idle) > c.m.cfg.IdleUnload {
		c.finished = true
	}
}

// append carries a command of the conference itself out beside the loop. What follows comes back through the log.
func (c *Conference) append(cmd consultation.Command) {
	c.work(func() {
		if _, err := c.m.decide(c.life, c.id, "", cmd); err != nil && c.life.Err() == nil {
			c.log.Error("command of the conference was not appended", "error", err)
		}
	})
}
