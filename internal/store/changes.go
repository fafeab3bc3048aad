package store

import "consilium/internal/events"

// maxChanges is how many changes a Projector remembers: who asks for older ones reads the list again.
const maxChanges = 4096

// change says that an event of a consultation is shown now.
type change struct {
	stream       uint64
	consultation string
}

// Changes are the consultations whose rows changed behind a stream sequence.
type Changes struct {
	Consultations []string // each once, in the order of their newest change
	Upto          uint64   // where to ask next
	Forgotten     bool     // older changes than asked for are not known any more: everything may have changed
	More          <-chan struct{}
}

// Changes gives what has changed behind the stream sequence after, and a channel that is closed at the next change.
func (p *Projector) Changes(after uint64) Changes {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Changes{Upto: p.at, Forgotten: after < p.since || after > p.at, More: p.moved}
	if c.Forgotten {
		return c
	}
	seen := map[string]bool{}
	for i := len(p.changes) - 1; i >= 0 && p.changes[i].stream > after; i-- {
		if id := p.changes[i].consultation; !seen[id] {
			seen[id] = true
			c.Consultations = append(c.Consultations, id)
		}
	}
	for i, j := 0, len(c.Consultations)-1; i < j; i, j = i+1, j-1 {
		c.Consultations[i], c.Consultations[j] = c.Consultations[j], c.Consultations[i]
	}
	return c
}

// Position is the stream sequence up to which the rows go, as far as this process knows.
func (p *Projector) Position() uint64 { return p.position() }

// noteLocked remembers the events of a batch, of each consultation the newest.
func (p *Projector) noteLocked(batch []events.Stored) {
	newest := map[string]uint64{}
	for _, e := range batch {
		newest[e.Subject] = e.Stream
	}
	for _, e := range batch {
		if newest[e.Subject] == e.Stream && e.Stream > p.at {
			p.changes = append(p.changes, change{e.Stream, e.Subject})
		}
	}
	if extra := len(p.changes) - maxChanges; extra > 0 {
		p.since = p.changes[extra-1].stream
		p.changes = append(p.changes[:0], p.changes[extra:]...)
	}
}

// forgetLocked starts anew at a position: whoever asks for what was before reads everything again.
func (p *Projector) forgetLocked(at uint64) {
	p.changes, p.since = nil, at
}
