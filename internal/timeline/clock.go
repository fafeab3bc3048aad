package timeline

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// clock is what the events tell of one SSRC's RTP clock.
type clock struct {
	anchors []events.Anchor
}

func (c *clock) observe(as []events.Anchor) { c.anchors = append(c.anchors, as...) }

// rtpClock is one SSRC's clock in archive time, ready to be fitted.
type rtpClock struct {
	rate   uint32
	points []point // by arrival
	cuts   []int64 // by time: where one epoch ends and the next begins
}

// newRTPClock gathers the anchors and the first packets of the segments of one SSRC of t.
func newRTPClock(t *track, ssrc uint32, at func(time.Time) int64) *rtpClock {
	c := &rtpClock{rate: media.VP8.ClockRate()}
	if t.kind == media.Audio {
		c.rate = media.Opus.ClockRate()
	}
	for _, a := range t.clocks[ssrc].anchors {
		if p, ok := newPoint(a, at); ok {
			c.points = append(c.points, p)
		}
	}
	for _, g := range t.segments {
		if g.opened.SSRC == ssrc {
			c.rate = g.clockRate()
			c.points = append(c.points, point{rtp: g.opened.FirstRTP, arrival: g.arrival(at)})
		}
	}
	for _, cut := range t.cuts {
		c.cuts = append(c.cuts, at(cut.at))
	}
	slices.Sort(c.cuts)
	slices.SortStableFunc(c.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.arrival, b.arrival), cmp.Compare(a.rtp, b.rtp))
	})
	return c
}

// maxClockError is how wrong a sender's wall clock may be and still be a clock: browsers on machines without a battery
// count from 1970.
const maxClockError = 100 * 365 * 24 * time.Hour

// newPoint says false for an anchor that makes no sense.
func newPoint(a events.Anchor, at func(time.Time) int64) (point, bool) {
	p := point{rtp: a.RTP, arrival: at(a.Arrival), report: a.Kind == events.AnchorSR}
	if abs(p.arrival) >= int64(maxSpan) {
		return point{}, false
	}
	if us := a.RTTUS; us > 0 && us < (5*time.Second).Microseconds() {
		p.rtt = us * int64(time.Microsecond)
	}
	if a.NTP != nil && a.Kind != events.AnchorArrival {
		off := a.NTP.Sub(a.Arrival) // saturates
		if off.Abs() > maxClockError {
			return point{}, false
		}
		p.timed, p.ntp = true, p.arrival+int64(off)
	}
	return p, true
}

// arrival is when the segment's first frame was there, in archive time.
func (g *segment) arrival(at func(time.Time) int64) int64 {
	if a := at(g.opened.Arrival); abs(a) < int64(maxSpan) {
		return a
	}
	return at(g.at)
}

// epoch is the interval of arrivals, within one stretch of continuous clock, that the moment q lies in.
func (c *rtpClock) epoch(q int64) (from, to int64) {
	i := sort.Search(len(c.cuts), func(i int) bool { return c.cuts[i] > q })
	from, to = ever, never
	if i > 0 {
		from = c.cuts[i-1]
	}
	if i < len(c.cuts) {
		to = c.cuts[i]
	}
	return from, to
}

// epochsBack is how many epochs before its own may tell the rate of a clock.
const epochsBack = 3

// slopeBefore is how much faster than its nominal rate the clock ran in the epochs before that of the moment q, in the
// newest of them in which it can be told; 0 when in none. A clock that stood still or was set is made of the same crystal.
func (c *rtpClock) slopeBefore(q int64) float64 {
	from, _ := c.epoch(q)
	for range epochsBack {
		if from == ever {
			break
		}
		at := from - 1
		if line, _, ok := fitLine(oneSide(c.window(ever, at, at), c.rate, at), c.rate, 0); ok && line.sloped && !line.wild {
			return line.slope
		}
		from, _ = c.epoch(at)
	}
	return 0
}

// window is the points that arrived in (after, through] and in the epoch of q. The caller must not change it.
func (c *rtpClock) window(after, through, q int64) []point {
	from, to := c.epoch(q)
	lo := sort.Search(len(c.points), func(i int) bool { return c.points[i].arrival > after && c.points[i].arrival >= from })
	hi := sort.Search(len(c.points), func(i int) bool { return c.points[i].arrival > through || c.points[i].arrival >= to })
	return c.points[lo:max(lo, hi)]
}

// credible is the timed points that arrived in (after, through], agree with the others of their epoch, and carry the
// sender's wall clock as it stood at now. Their NTP times are those of the line through them, unless it is
// wild or has no slope: what a single report is off would count as delay. sloped says that it has one.
func (c *rtpClock) credible(after, through, now int64) (all []point, sloped bool) {
	for at := after + 1; ; {
		line, kept, _ := fitLine(oneSide(c.window(after, through, at), c.rate, now), c.rate, 0)
		for _, p := range kept {
			if line.sloped && !line.wild {
				p.ntp = line.ntp(p.rtp)
			}
			all = append(all, p)
		}
		sloped = sloped || line.sloped
		_, to := c.epoch(at)
		if to > through {
			return all, sloped
		}
		at = to
	}
}

// lateness says of the packets that arrived in (after, through] how much later than captured, by the reports around
// them, they came: conference clock − NTP clock − base, in nanoseconds.
// With sloped, only lines that have a slope count.
func (c *rtpClock) lateness(after, through, now, base int64, sloped bool) []sample {
	var all []sample
	for at := after + 1; ; {
		near := c.window(after, through, at)
		if line, _, ok := fitLine(oneSide(near, c.rate, now), c.rate, 0); ok && !line.wild && (line.sloped || !sloped) {
			for _, p := range near {
				if !p.timed {
					all = append(all, sample{float64(p.arrival), float64(saturatingSub(saturatingSub(p.arrival, line.ntp(p.rtp)), base))})
				}
			}
		}
		_, to := c.epoch(at)
		if to > through {
			return all
		}
		at = to
	}
}

func abs(x int64) int64 {
	if x < 0 {
		return -max(x, -never)
	}
	return x
}
