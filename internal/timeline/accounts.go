package timeline

import (
	"fmt"

	"consilium/internal/events"
)

// Accounts reconciles the tracks of a consultation's events so far: what consultation.completed says of them.
func Accounts(evs []events.Stored) ([]events.TrackAccount, error) {
	t, err := Build(evs, 0)
	if err != nil {
		return nil, fmt.Errorf("reconcile tracks: %w", err)
	}
	return t.Accounts(), nil
}

// Accounts reconciles every track, in the order of the timeline: expected = recorded + gaps, to the millisecond.
func (t *Timeline) Accounts() []events.TrackAccount {
	all := []events.TrackAccount{}
	for _, p := range t.Participants {
		for _, tr := range p.Tracks {
			all = append(all, tr.account())
		}
	}
	return all
}

// account rounds moments, not lengths, so that neighbouring lengths add up.
func (t Track) account() events.TrackAccount {
	a := events.TrackAccount{Track: t.ID, ExpectedMS: lengthMS(t.StartNS, t.EndNS), GapsMS: map[string]int64{}}
	a.RecordedMS = a.ExpectedMS
	for _, g := range t.Gaps {
		ms := lengthMS(g.StartNS, g.EndNS)
		a.GapsMS[string(g.Cause)] += ms
		a.RecordedMS -= ms
	}
	return a
}

func lengthMS(from, to int64) int64 {
	const half, ms = 500_000, 1_000_000
	return floorDiv(to+half, ms) - floorDiv(from+half, ms)
}
