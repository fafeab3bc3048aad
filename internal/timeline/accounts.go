package timeline

import "consilium/internal/events"

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

// account rounds moments, not lengths, so that neighbouring lengths add up. Frames and bytes are those of the whole files
// that are shown, each counted once.
func (t Track) account() events.TrackAccount {
	a := events.TrackAccount{Track: t.ID, ExpectedMS: lengthMS(t.StartNS, t.EndNS), GapsMS: map[string]int64{}}
	a.RecordedMS = a.ExpectedMS
	for _, g := range t.Gaps {
		ms := lengthMS(g.StartNS, g.EndNS)
		a.GapsMS[string(g.Cause)] += ms
		a.RecordedMS -= ms
	}
	counted := map[string]bool{}
	for _, c := range t.Clips {
		if !counted[c.Segment] {
			counted[c.Segment] = true
			a.Frames += max(0, c.Frames)
			a.Bytes += max(0, c.Bytes)
		}
	}
	return a
}

func lengthMS(from, to int64) int64 {
	const half, ms = 500_000, 1_000_000
	return floorDiv(to+half, ms) - floorDiv(from+half, ms)
}
