package timeline

import "time"

// minCard is the shortest time for which the reason for a missing picture is told apart from what is beside it.
const minCard = int64(time.Second)

// absent says where who is present and has no live video track, and why: not recorded, or connected without a camera, or
// not connected.
func (p *placement) absent(who *person, present []Interval, spans []*span) []Gap {
	var pictures []Interval
	var rs reasons
	for _, sp := range spans {
		if sp.isVideo() {
			pictures = append(pictures, sp.Interval)
		} else {
			rs.add(rankCameraOff, p.connected(sp)...)
		}
	}
	for _, c := range p.links(who) {
		rs.add(rankCameraOff, c...)
	}
	rs.addClosed(rankNotConsented, p.gates[who])
	rs.addClosed(rankPaused, p.pauses)
	pictures = union(pictures)
	all := []Gap{}
	for _, here := range present {
		for _, iv := range without(here, pictures) {
			if iv.EndNS-iv.StartNS >= defaultFrame {
				all = append(all, smooth(sweep(iv, rs))...)
			}
		}
	}
	return all
}

// smooth calls what nothing explains disconnected and gives short stretches the reason of what is before them, or behind
// the first one.
func smooth(gaps []Gap) []Gap {
	for i := range gaps {
		if gaps[i].Cause == "" {
			gaps[i].Cause = Disconnected
		}
		if i > 0 && gaps[i].EndNS-gaps[i].StartNS < minCard {
			gaps[i].Cause = gaps[i-1].Cause
		}
	}
	if len(gaps) > 1 && gaps[0].EndNS-gaps[0].StartNS < minCard {
		gaps[0].Cause = gaps[1].Cause
	}
	return mergeGaps(gaps)
}

// connected is when the span's track was live and its link up.
func (p *placement) connected(sp *span) []Interval {
	live := Interval{sp.StartNS, min(sp.liveTo, sp.EndNS)}
	var down []Interval
	if c := sp.track.connection; c != nil {
		for _, cl := range c.link.closures(true, p.at) {
			down = append(down, cl.Interval)
		}
	}
	return without(live, union(down))
}

// links is when each of the participant's connections was up.
func (p *placement) links(who *person) [][]Interval {
	var all [][]Interval
	for _, c := range p.state.connectionOrder {
		if c.owner != who {
			continue
		}
		var down []Interval
		for _, cl := range c.link.closures(false, p.at) {
			down = append(down, cl.Interval)
		}
		all = append(all, without(Interval{0, p.duration}, union(down)))
	}
	return all
}
