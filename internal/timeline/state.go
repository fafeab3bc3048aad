package timeline

import (
	"errors"
	"fmt"

	"consilium/internal/events"
)

// State is the fold of a consultation's events, one by one. The zero State has seen nothing. It is not safe for
// concurrent use.
type State struct {
	consultation string
	last         uint64 // seq of the newest event that was applied
}

// Build is the timeline of the events up to and including the one with sequence number throughSeq; 0 means all. evs are
// the events of one consultation from the first one on, in order (events.ReadAll).
func Build(evs []events.Stored, throughSeq uint64) (*Timeline, error) {
	var s State
	for _, ev := range evs {
		if throughSeq != 0 && ev.Seq > throughSeq {
			break
		}
		if err := s.Apply(ev); err != nil {
			return nil, fmt.Errorf("build timeline: %w", err)
		}
	}
	if s.last == 0 || s.last < throughSeq {
		return nil, fmt.Errorf("build timeline: events end at %d, wanted %d", s.last, throughSeq)
	}
	return s.Place(), nil
}

// Apply folds the next event. An event that was applied before is skipped, so that a reader may see events twice. The
// error is an events.GapError when an event is missing in between, or says that ev is of another consultation.
func (s *State) Apply(ev events.Stored) error {
	switch {
	case ev.Seq == 0:
		return errors.New("apply event: it has no sequence number")
	case s.last > 0 && ev.Subject != s.consultation:
		return fmt.Errorf("apply event %d: it is of consultation %s, not %s", ev.Seq, ev.Subject, s.consultation)
	case ev.Seq <= s.last:
		return nil
	case ev.Seq > s.last+1:
		return &events.GapError{Consultation: ev.Subject, Want: s.last + 1, Got: ev.Seq}
	}
	s.consultation, s.last = ev.Subject, ev.Seq
	return nil
}

// Place fits the clocks and places everything that was applied so far. It does not change the state; the caller owns the
// result.
func (s *State) Place() *Timeline {
	return &Timeline{Consultation: s.consultation, Participants: []Participant{}, Markers: []Marker{}}
}
