package conference

import (
	"context"
	"fmt"
	"slices"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/failures"
)

// toldAgain is how far apart events of the same failure about one participant are at least: a page that asks again and
// again for a camera is one story.
const toldAgain = time.Minute

// mostTold is how many failures of a page are kept at once. No page has more.
const mostTold = 12

// hindrances are what keeps a seat's participant out or silent. The loop owns them.
type hindrances struct {
	noticed string   // code of what this side notices now, "" for nothing
	failed  string   // code of the connecting that went wrong; stays until one succeeds
	told    []string // codes that the page told of, in its order
	written map[string]time.Time
}

// codes lists everything, what this side notices first. Never nil.
func (h hindrances) codes() []string {
	all := []string{}
	for _, code := range append([]string{h.noticed}, h.told...) {
		if code != "" && !slices.Contains(all, code) {
			all = append(all, code)
		}
	}
	return all
}

// noticeHindrance looks at what this side knows of a seat and has the screens changed when that changes.
func (c *Conference) noticeHindrance(s *seat) {
	noticed := ""
	switch {
	case !c.present(s.participant):
	case s.silenceTold && !s.silentSince.IsZero():
		noticed = string(failures.SignalingTimeout)
	case s.hindered.failed != "":
		noticed = s.hindered.failed
	case s.deadlines.reported == events.PhaseMedia && s.deadlines.media.IsZero() && s.peer != nil:
		noticed = codeMedia
	case c.stalls(s.participant):
		noticed = string(failures.MediaStall)
	}
	if noticed != s.hindered.noticed {
		s.hindered.noticed = noticed
		c.shown = true
	}
}

// stalls says whether a track of the participant has stopped although it is on.
func (c *Conference) stalls(participant string) bool {
	for _, t := range c.tracks {
		if t.owner == participant && !t.stalled.IsZero() {
			return true
		}
	}
	return false
}

// Hindered takes what the participant's page says hinders it now: the whole list, empty when nothing does. Codes that no
// page can know of make the list an error.
func (a *Attendance) Hindered(ctx context.Context, codes []string) error {
	if len(codes) > mostTold {
		return fmt.Errorf("%w: a page with %d failures", consultation.ErrInvalid, len(codes))
	}
	for _, code := range codes {
		if _, ok := failures.Told(failures.Code(code)); !ok {
			return fmt.Errorf("%w: a page does not tell of such a failure", consultation.ErrInvalid)
		}
	}
	return a.c.do(ctx, func() error {
		s := a.c.seats[a.visitor.Participant]
		if s == nil || s.client != a.client {
			return ErrNotJoined
		}
		s.hindered.told = slices.Clone(codes)
		a.c.shown = true
		for _, code := range codes {
			a.c.writeHindrance(s, code)
		}
		return nil
	})
}

// writeHindrance appends participant.hindered, unless that was said a moment ago.
func (c *Conference) writeHindrance(s *seat, code string) {
	now := c.m.deps.Now()
	if last, ok := s.hindered.written[code]; ok && now.Sub(last) < toldAgain {
		return
	}
	if s.hindered.written == nil {
		s.hindered.written = map[string]time.Time{}
	}
	s.hindered.written[code] = now
	row, _ := failures.Of(failures.Code(code))
	e := events.ParticipantHindered{Phase: row.Phase, Code: code}
	if s.peer != nil {
		e.Connection = s.connection
	}
	c.fact(s.participant, e)
}

// checkedAgain is the least time between two checks of one participant that count.
const checkedAgain = 3 * time.Second

// Checked takes what the participant's page found before the call.
func (a *Attendance) Checked(ctx context.Context, found events.ParticipantChecked) error {
	if err := sensible(found); err != nil {
		return fmt.Errorf("%w: %w", consultation.ErrInvalid, err)
	}
	return a.c.do(ctx, func() error {
		s := a.c.seats[a.visitor.Participant]
		if s == nil || s.client != a.client {
			return ErrNotJoined
		}
		now := a.c.m.deps.Now()
		if now.Sub(s.checkedAt) < checkedAgain {
			return nil // a page that says it twice
		}
		s.checkedAt = now
		a.c.fact(s.participant, found)
		return nil
	})
}

// sensible refuses a result that no page of ours sends: it becomes a fact as it is.
func sensible(found events.ParticipantChecked) error {
	results := []string{events.CheckOK, events.CheckFailed, events.CheckOff, events.CheckSkipped}
	for _, r := range []string{found.Camera, found.Microphone, found.Speaker} {
		if !slices.Contains(results, r) {
			return fmt.Errorf("a result that is none")
		}
	}
	if found.TookMS < 0 || found.TookMS > time.Hour.Milliseconds() || len(found.Ways) > 3 || len(found.Codes) > mostTold {
		return fmt.Errorf("a check that is too long")
	}
	seen := map[string]bool{}
	for _, w := range found.Ways {
		if !slices.Contains([]string{"udp", "tcp", "tls"}, w.Way) || seen[w.Way] || w.MS < 0 || w.MS > time.Minute.Milliseconds() ||
			!slices.Contains([]string{events.CheckOK, events.CheckFailed, events.CheckSkipped, events.CheckAbsent}, w.Result) {
			return fmt.Errorf("a way that is none")
		}
		seen[w.Way] = true
	}
	for _, code := range found.Codes {
		if _, ok := failures.Told(failures.Code(code)); !ok {
			return fmt.Errorf("a page does not tell of such a failure")
		}
	}
	return nil
}

// TurnedAway writes that a participant's link was opened outside its time: the doctor's list and the log tell why somebody
// is not there. What is over, unknown or said a moment ago is left alone.
func (m *Manager) TurnedAway(ctx context.Context, id, participant string, code failures.Code) {
	row, ok := failures.Of(code)
	if !ok || !events.ValidID(id) {
		return
	}
	_, err := m.deps.Appender.Command(ctx, id, func(history []events.Stored) ([]events.Draft, error) {
		now := m.deps.Now()
		s := consultation.Fold(history)
		if _, known := s.Participant(participant); !known || s.Phase != consultation.Scheduled && s.Phase != consultation.Open {
			return nil, nil
		}
		for _, e := range slices.Backward(history) {
			if now.Sub(e.Time) > toldAgain {
				break
			}
			if h, ok := e.Event.(events.ParticipantHindered); ok && e.Participant == participant && h.Code == string(code) {
				return nil, nil
			}
		}
		d := events.NewDraft(m.cfg.Source(), now, events.ParticipantHindered{Phase: row.Phase, Code: string(code)})
		d.Participant = participant
		return []events.Draft{d}, nil
	})
	if err != nil {
		m.deps.Logger.Warn("that a link was turned away could not be appended", "consultation", id, "code", code, "error", err)
	}
}
