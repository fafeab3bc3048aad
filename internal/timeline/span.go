package timeline

import (
	"slices"
	"time"

	"consilium/internal/events"
)

// span is the stretch in which media of a track are expected.
type span struct {
	Interval
	track   *track
	present []Interval // of its owner
	liveTo  int64      // where the track itself ended; what follows, up to EndNS, is an interruption
	broken  Cause      // of that interruption
}

// endSlack is how far the events of one ending (leave, close, end) may lie apart.
const endSlack = 5 * time.Second

// span finds where t begins and ends. A track that broke off lasts until its successor comes: the time between belongs
// to it.
func (p *placement) span(t *track, present []Interval) *span {
	sp := &span{track: t, present: present, liveTo: p.duration}
	sp.StartNS = p.begin(t)
	if len(present) > 0 {
		sp.StartNS = max(sp.StartNS, present[0].StartNS)
	}
	if !t.endedAt.IsZero() {
		sp.liveTo = min(sp.liveTo, p.at(t.endedAt))
	}
	sp.EndNS = sp.liveTo
	if p.brokeOff(t) {
		sp.broken = Disconnected
		if t.hostLost && slices.ContainsFunc(t.segments, func(g *segment) bool { return g.recovered || g.sealed == nil }) {
			sp.broken = Crash
		}
		sp.EndNS = max(sp.liveTo, min(p.duration, p.back(t)))
	}
	return sp
}

// begin is when the first media of t were captured, or its start was noticed if that is earlier.
func (p *placement) begin(t *track) int64 {
	from := p.duration
	if !t.startedAt.IsZero() {
		from = p.at(t.startedAt)
	}
	if gs := p.places[t]; len(gs) > 0 {
		from = min(from, gs[0].start)
	}
	return max(from, 0)
}

// brokeOff says whether t ended although nobody wanted it to.
func (p *placement) brokeOff(t *track) bool {
	if t.endedAt.IsZero() || t.owner.wentAt(t.endedAt, endSlack) {
		return false
	}
	switch t.endReason {
	case "removed", "consent", "kicked":
		return false
	}
	if t.hostLost {
		return true
	}
	if c := t.connection; c != nil && !c.closed.IsZero() && c.closed.Sub(t.endedAt).Abs() <= endSlack {
		return true
	}
	return slices.ContainsFunc(t.owner.stays, func(st stay) bool {
		return st.reason == events.LeftTimeout && st.to.Sub(t.endedAt).Abs() <= endSlack
	})
}

// back is when the participant was back after t broke off: when a track like t began, if it came with the first tracks
// that did; else when those began; else when the participant was given up.
func (p *placement) back(t *track) int64 {
	ended := p.at(t.endedAt)
	any, same := int64(never), int64(never)
	for _, o := range p.state.tracks {
		if o.owner != t.owner || o == t || o.startedAt.Before(t.endedAt) {
			continue
		}
		any = min(any, p.begin(o))
		if o.kind == t.kind && o.source == t.source {
			same = min(same, p.begin(o))
		}
	}
	to := any
	if same < never && same-any <= int64(endSlack) {
		to = same
	}
	for _, st := range t.owner.stays {
		gone := p.at(st.to)
		if !st.to.IsZero() && gone > ended && (to == never || (st.reason != events.LeftTimeout && gone < to)) {
			to = gone
		}
	}
	if to == never && !t.owner.isPresent() {
		return ended
	}
	return to
}
