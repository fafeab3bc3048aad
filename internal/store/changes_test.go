package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

func TestChanges(t *testing.T) {
	b := newBench(t)
	all := newIDs(3)
	b.say(all[0], "", events.ConsultationScheduled{})
	b.catchUp()
	p := b.projector(nil)
	stop := b.run(p)
	b.wait(p)
	start := p.Position()
	if c := p.Changes(start); c.Forgotten || len(c.Consultations) != 0 || c.Upto != start {
		t.Errorf("at the start: %+v", c)
	}
	if c := p.Changes(start - 1); !c.Forgotten {
		t.Errorf("what was before this process is not known: %+v", c)
	}
	more := p.Changes(start).More
	b.say(all[1], "", events.ConsultationScheduled{})
	b.say(all[2], "", events.ConsultationScheduled{})
	b.say(all[1], "", events.ConsultationOpened{})
	b.wait(p)
	<-more
	c := p.Changes(start)
	if diff := cmp.Diff([]string{all[2], all[1]}, c.Consultations); diff != "" || c.Upto != start+3 || c.Forgotten {
		t.Errorf("%+v (-want +got):\n%s", c, diff)
	}
	if c := p.Changes(start + 2); len(c.Consultations) != 1 || c.Consultations[0] != all[1] {
		t.Errorf("behind the second: %+v", c)
	}
	if c := p.Changes(c.Upto + 7); !c.Forgotten {
		t.Errorf("a position of another log: %+v", c)
	}
	for range maxChanges/2 + 10 { // two consultations, turn by turn, one batch each at the most
		b.say(all[0], "", events.RecordingPaused{})
		b.say(all[1], "", events.RecordingPaused{})
	}
	b.wait(p)
	if c := p.Changes(p.Position() - 1); c.Forgotten || len(c.Consultations) != 1 {
		t.Errorf("the newest change: %+v", c)
	}
	p.mu.Lock()
	if len(p.changes) > maxChanges {
		t.Errorf("%d changes are remembered", len(p.changes))
	}
	p.mu.Unlock()
	if err := p.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := p.Changes(start); !c.Forgotten {
		t.Errorf("after a rebuild: %+v", c)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
