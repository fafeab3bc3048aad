package timeline

import (
	"cmp"
	"slices"
	"time"

	"consilium/internal/media"
)

// rank orders the reasons that hold at one moment: the smallest one names the gap.
type rank int

const (
	rankLost         rank = iota // a whole segment that is not there: media existed, so nothing else explains it
	rankLostCorrupt              // the same, damaged
	rankLostCrash                // the same, torn by a crash
	rankNotConsented             // what nobody was allowed to write
	rankPaused
	rankMuted
	rankCameraOff
	rankOverrun // what the recorder itself could not write
	rankCorrupt
	rankOpen // a segment that was begun and of which nothing more is known
	rankOpenCorrupt
	rankOpenCrash
	rankCrash
	rankDisconnected
	rankLoss
	rankStall
	rankSealedConsent // why the file before the hole was closed, when nothing else is known
	rankSealedPaused
	rankSealedMuted
	rankSealedCameraOff
	rankSealedOverrun
	ranks // how many
)

var causeOf = [ranks]Cause{
	Missing, Corrupt, Crash, NotConsented, Paused, Muted, CameraOff, Overrun, Corrupt, Missing, Corrupt, Crash,
	Crash, Disconnected, Loss, Stall, NotConsented, Paused, Muted, CameraOff, Overrun,
}

// reason is a stretch in which something explains that there is no media.
type reason struct {
	Interval
	rank rank
}

type reasons []reason

func (rs *reasons) add(r rank, ivs ...Interval) {
	for _, iv := range ivs {
		if iv.StartNS < iv.EndNS {
			*rs = append(*rs, reason{iv, r})
		}
	}
}

func (rs *reasons) addClosed(r rank, cs []closure) {
	for _, c := range cs {
		rs.add(r, c.Interval)
	}
}

// reasons gathers what the events tell about the span's holes.
func (p *placement) reasons(sp *span) reasons {
	t := sp.track
	var rs reasons
	p.lostReasons(&rs, p.places[t])
	rs.addClosed(rankNotConsented, p.gates[t.owner])
	rs.addClosed(rankPaused, p.pauses)
	if sp.isVideo() {
		rs.addClosed(rankCameraOff, t.mute.closures(true, p.at))
	} else {
		rs.addClosed(rankMuted, t.mute.closures(true, p.at))
	}
	if t.connection != nil {
		rs.addClosed(rankDisconnected, t.connection.link.closures(true, p.at))
	}
	if len(sp.present) > 0 {
		rs.add(rankDisconnected, without(sp.Interval, sp.present)...)
	}
	switch sp.broken {
	case Crash:
		rs.add(rankCrash, Interval{sp.liveTo, sp.EndNS})
	case Disconnected:
		rs.add(rankDisconnected, Interval{sp.liveTo, sp.EndNS})
	}
	for _, e := range t.gaps {
		if i := slices.Index(causeOf[rankOverrun:rankSealedConsent], gapCause(e)); i >= 0 {
			rs.add(rankOverrun+rank(i), Interval{p.at(e.From), p.at(e.To)})
		}
	}
	for _, s := range t.stalls {
		iv := Interval{p.at(s.from), never}
		if !s.to.IsZero() {
			iv.EndNS = p.at(s.to)
		}
		rs.add(rankStall, iv)
	}
	return rs
}

// lostReasons says which segments are not there, and where a crash tore one.
func (p *placement) lostReasons(rs *reasons, gs []*placed) {
	for i, g := range gs {
		next := int64(never)
		if i+1 < len(gs) {
			next = gs[i+1].start
		}
		if g.recovered {
			rs.add(rankCrash, Interval{g.end, next})
		}
		if r, ok := g.sealedRank(); ok {
			rs.add(r, Interval{g.end, next})
		}
		lost, iv := rankLost, Interval{g.start, g.end}
		if g.contentNS() == 0 {
			lost, iv.EndNS = rankOpen, next
		}
		switch g.fault() {
		case Missing:
			rs.add(lost, iv)
		case Corrupt:
			rs.add(lost+1, iv)
		case Crash:
			rs.add(lost+2, iv)
		}
	}
}

// sealedRank is what the reason for which the file was closed says about the hole behind it.
func (g *placed) sealedRank() (rank, bool) {
	if g.sealed == nil {
		return 0, false
	}
	switch g.sealed.Reason {
	case sealedConsent:
		return rankSealedConsent, true
	case sealedPaused:
		return rankSealedPaused, true
	case sealedDisk:
		return rankSealedOverrun, true
	case sealedMuted:
		if g.codec().Kind() == media.Audio {
			return rankSealedMuted, true
		}
		return rankSealedCameraOff, true
	}
	return 0, false
}

// How long it takes until something that ended the media becomes an event. A stretch of a hole that no event explains has
// the cause of what comes next, or else of what was before, up to these lengths.
const (
	detection           = 3 * int64(time.Second)
	detectionDisconnect = 8 * int64(time.Second) // ICE waits 5 s before it says so
)

// name divides the hole by what explains it.
func name(hole Interval, rs reasons) []Gap {
	gaps := sweep(hole, rs)
	for i := len(gaps) - 2; i >= 0; i-- {
		limit := detection
		if gaps[i+1].Cause == Disconnected {
			limit = detectionDisconnect
		}
		g := &gaps[i]
		unseen := g.Cause == "" || g.Cause == Stall && gaps[i+1].Cause == Disconnected // packets stay away before ICE says why
		if unseen && g.EndNS-g.StartNS <= limit {
			g.Cause = gaps[i+1].Cause
		}
	}
	for i := range gaps {
		g := &gaps[i]
		switch {
		case g.Cause != "":
		case g.EndNS-g.StartNS > detection:
			g.Cause = Stall
		case i > 0:
			g.Cause = gaps[i-1].Cause
		default:
			g.Cause = Loss
		}
	}
	return mergeGaps(gaps)
}

// sweep cuts the hole wherever the reason of the smallest rank changes. Cause is empty where there is none.
func sweep(hole Interval, rs reasons) []Gap {
	type edge struct {
		at   int64
		rank rank
		by   int
	}
	var edges []edge
	for _, r := range rs {
		from, to := max(r.StartNS, hole.StartNS), min(r.EndNS, hole.EndNS)
		if from < to {
			edges = append(edges, edge{from, r.rank, 1}, edge{to, r.rank, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank), cmp.Compare(a.by, b.by))
	})
	var open [ranks]int
	var gaps []Gap
	from := hole.StartNS
	for i := 0; from < hole.EndNS; {
		for ; i < len(edges) && edges[i].at <= from; i++ {
			open[edges[i].rank] += edges[i].by
		}
		to := hole.EndNS
		if i < len(edges) {
			to = edges[i].at
		}
		gaps = append(gaps, Gap{from, to, causeNow(&open)})
		from = to
	}
	return mergeGaps(gaps)
}

func causeNow(open *[ranks]int) Cause {
	for r, n := range open {
		if n > 0 {
			return causeOf[r]
		}
	}
	return ""
}

// mergeGaps joins neighbours of one cause. gaps is by time; it is overwritten.
func mergeGaps(gaps []Gap) []Gap {
	out := gaps[:0]
	for _, g := range gaps {
		if n := len(out); n > 0 && out[n-1].EndNS == g.StartNS && out[n-1].Cause == g.Cause {
			out[n-1].EndNS = g.EndNS
			continue
		}
		out = append(out, g)
	}
	return out
}
