package timeline

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"consilium/internal/media"
)

// The windows. What is placed at the moment T depends on nothing that arrived later than T + 30 s, so that what was
// placed during the call is placed alike afterwards: reach keeps two seconds of that for the delay of the media itself,
// and a knot reaches less far because it serves the moments up to a whole grid step before it.
const (
	reach    = 28 * int64(time.Second) // how far ahead of a segment's first packet anchors count
	memory   = 60 * int64(time.Second) // and how far back
	grid     = 10 * int64(time.Second) // distance of the knots of a sender's offset
	knotBack = 40 * int64(time.Second) // a knot's window
	knotOn   = reach - grid
)

const (
	jumpLimit   = 40 * float64(time.Millisecond) // a larger change of the offset is not a drift: follow at once
	slewPerGrid = ppm500 * float64(grid)
	discord     = 250 * float64(time.Millisecond) // SSRCs of one sender that differ by more do not share a clock
)

// How much longer media of one SSRC may take than those of another of the same connection. Encoders differ by some tens
// of milliseconds; what is more is doubted, and from a point on it is the reports that lie.
const (
	doubtful = 60 * float64(time.Millisecond)
	outvoted = 200 * float64(time.Millisecond)
)

// ownError is what a place by one SSRC alone, without those that share its clock, is less exact.
const ownError = 20 * float64(time.Millisecond)

// stepped is how far an SSRC's own offset may lie from its sender's and be the same.
const stepped = 250 * int64(time.Millisecond)

// What a clip's error is at least made of.
const (
	captureError = 40 * float64(time.Millisecond) // where only packets with media carry the sender's time: they wait for the encoder
	unknownDelay = 50 * float64(time.Millisecond) // where no round-trip time is known
	arrivalError = 60 * float64(time.Millisecond) // encoder, pacer and network jitter, which arrivals cannot tell apart
)

// A sender-report map that puts media later than early after their arrival, or earlier than late before it, is a lie.
const (
	early = 250 * int64(time.Millisecond)
	late  = int64(time.Second)
)

// maxDelay is how much later than another a packet may come and still tell something about the clock.
const maxDelay = 20 * float64(time.Second)

// sender is one connection's end: all its SSRCs are stamped by one NTP clock, whose offset to the conference clock they
// share. So an error of the network delay moves sound and picture together.
type sender struct {
	clocks []*rtpClock
	base   int64  // arrival − NTP of the first anchor; knots are relative to it
	knots  []knot // by index
}

// knot is the offset of a sender's NTP clock at the archive time index × grid.
type knot struct {
	index      int64
	offset     float64 // ns above base: least of (arrival − NTP), minus half the round-trip time
	err        float64
	ok         bool        // false: the SSRCs contradict each other, there is no offset
	firm       bool        // there were anchors enough to tell a bad one, over a time long enough for a slope
	distrusted []*rtpClock // those that contradict the majority, or their own media
}

// tie computes the knots of the offset: for each the lower envelope of arrival − NTP over its window, slewed from one
// knot to the next by at most 500 ppm once there were anchors enough to trust one.
func (s *sender) tie() {
	indexes := s.indexes()
	for _, i := range indexes {
		k, ok := s.knot(i)
		if !ok {
			continue
		}
		if n := len(s.knots); k.ok && n > 0 && s.knots[n-1].ok && s.knots[n-1].firm {
			before := s.knots[n-1]
			limit := mul(slewPerGrid, float64(i-before.index))
			if d := k.offset - before.offset; math.Abs(d) < jumpLimit {
				slewed := before.offset + clamp(d, limit)
				k.err += math.Abs(k.offset - slewed)
				k.offset = slewed
			}
		}
		s.knots = append(s.knots, k)
	}
}

// indexes lists the knots in whose window at least one anchor lies, and sets base.
func (s *sender) indexes() []int64 {
	var all []int64
	first := int64(never)
	for _, c := range s.clocks {
		for _, p := range c.points {
			if !p.timed {
				continue
			}
			if p.arrival < first {
				first, s.base = p.arrival, p.arrival-p.ntp
			}
			for i := ceilDiv(p.arrival-knotOn, grid); i*grid < p.arrival+knotBack; i++ {
				if n := len(all); n == 0 || all[n-1] != i {
					all = append(all, i)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *sender) knot(index int64) (knot, bool) {
	at := index * grid
	var voices [][]sample // by clock
	var clocks []*rtpClock
	var means []float64
	reported, sloped := false, false
	for _, c := range s.clocks {
		var ss []sample
		points, withSlope := c.credible(at-knotBack, at+knotOn, at)
		sloped = sloped || withSlope
		for _, p := range points {
			reported = reported || p.report
			ss = append(ss, sample{float64(p.arrival), float64(saturatingSub(p.arrival-p.ntp, s.base))})
		}
		if len(ss) > 0 {
			voices, clocks = append(voices, ss), append(clocks, c)
			means = append(means, under(ss, offsetSlopeSpan).y(float64(at)))
		}
	}
	if len(voices) == 0 {
		return knot{}, false
	}
	k := knot{index: index}
	k.distrusted, voices = split(clocks, voices, majority(means))
	if len(voices) == 0 {
		return k, true
	}
	agreed := telling(voices)
	e := under(agreed, offsetSlopeSpan)
	if swift := s.swift(k, e); len(swift) > 0 {
		e = under(append(agreed, swift...), offsetSlopeSpan)
	}
	rtt := s.leastRTT(at-knotBack, at+knotOn)
	k.ok, k.firm = true, len(longest(voices)) >= minSlopeAnchors && sloped
	k.offset = e.y(float64(at)) - rtt/2
	k.err = e.spread/2 + delayError(rtt)
	if !reported {
		k.err += captureError
	}
	own := map[*rtpClock]float64{}
	for i, c := range clocks {
		own[c] = means[i]
	}
	s.outvote(&k, own)
	return k, true
}

// swift lists the packets that took less than any report: where the way trembles, the fastest of hundreds of packets know
// it better than a few reports. What came sooner by more than media of one connection may differ is a lie and none of them.
func (s *sender) swift(k knot, e envelope) []sample {
	at := k.index * grid
	var all []sample
	for _, c := range s.clocks {
		if slices.Contains(k.distrusted, c) {
			continue
		}
		for _, l := range c.lateness(at-knotBack, at+knotOn, at, s.base, true) {
			if sooner := e.y(l.x) - l.y; sooner > 0 && sooner < doubtful {
				all = append(all, l)
			}
		}
	}
	return all
}

// outvote distrusts the reports of clocks whose media, by what they say, take much longer or shorter than those of the
// clock that is most believable: packets of one connection travel together, so it is the reports that lie. offsets are
// those of the arrivals of each clock's own reports: a way that is long for both is none of their fault.
func (s *sender) outvote(k *knot, offsets map[*rtpClock]float64) {
	at := k.index * grid
	type lateness struct {
		clock *rtpClock
		by    float64
	}
	var all []lateness
	for _, c := range s.clocks {
		offset, ok := offsets[c]
		if !ok || slices.Contains(k.distrusted, c) {
			continue
		}
		if ss := c.lateness(at-knotBack, at+knotOn, at, s.base, false); len(ss) >= minLateness {
			all = append(all, lateness{c, under(ss, offsetSlopeSpan).y(float64(at)) - offset})
		}
	}
	if len(all) < 2 {
		return
	}
	best := slices.MinFunc(all, func(a, b lateness) int { return cmp.Compare(math.Abs(a.by), math.Abs(b.by)) })
	doubt := 0.0
	for _, l := range all {
		if by := math.Abs(l.by - best.by); by > outvoted {
			k.distrusted = append(k.distrusted, l.clock)
		} else {
			doubt = max(doubt, by)
		}
	}
	if doubt > doubtful {
		k.err += doubt // whose it is cannot be told
	}
}

// minLateness is how many arrivals it takes to say how long media take: one may have been held up.
const minLateness = 2

// split parts the clocks that are not trusted from the voices of those that are.
func split(clocks []*rtpClock, voices [][]sample, trusted []bool) (distrusted []*rtpClock, rest [][]sample) {
	for i, ok := range trusted {
		if ok {
			rest = append(rest, voices[i])
		} else {
			distrusted = append(distrusted, clocks[i])
		}
	}
	return distrusted, rest
}

// telling joins the voices, without those too short to tell a bad anchor when there are longer ones.
func telling(voices [][]sample) []sample {
	var all []sample
	needed := min(minSlopeAnchors, len(longest(voices)))
	for _, v := range voices {
		if len(v) >= needed {
			all = append(all, v...)
		}
	}
	return all
}

func longest(voices [][]sample) []sample {
	return slices.MaxFunc(voices, func(a, b []sample) int { return len(a) - len(b) })
}

// majority says which values lie within discord of the one that most others lie near to; none does where the values
// fall apart into camps of equal size.
func majority(values []float64) []bool {
	best, camp := 0, 0
	near := make([]bool, len(values))
	for i, v := range values {
		n := 0
		for _, w := range values {
			if math.Abs(v-w) <= discord {
				n++
			}
		}
		if n > camp {
			best, camp = i, n
		}
	}
	for i, v := range values {
		near[i] = camp*2 > len(values) && math.Abs(v-values[best]) <= discord
	}
	return near
}

// leastRTT is the shortest known round-trip time in the window in nanoseconds, 0 when none is known.
func (s *sender) leastRTT(after, through int64) float64 {
	least := int64(0)
	for _, c := range s.clocks {
		lo := sort.Search(len(c.points), func(i int) bool { return c.points[i].arrival > after })
		for _, p := range c.points[lo:] {
			if p.arrival > through {
				break
			}
			if p.rtt > 0 && (least == 0 || p.rtt < least) {
				least = p.rtt
			}
		}
	}
	return float64(least)
}

// delayError is what remains uncertain of the one-way delay: a quarter of the round trip (three to one instead of even).
func delayError(rtt float64) float64 {
	if rtt == 0 {
		return unknownDelay
	}
	return rtt / 4
}

// shift is a sender's offset at one moment.
type shift struct {
	offset int64 // conference clock − NTP clock, ns
	slope  float64
	err    float64
	// stepped says that the offset was set to another value between the knots: it is neither of theirs, nor between them.
	stepped bool
}

// shift interpolates the knots around at. ok is false when no knot that may be used is known, or c contradicts it.
func (s *sender) shift(at int64, c *rtpClock) (shift, bool) {
	index := floorDiv(at, grid)
	n := sort.Search(len(s.knots), func(i int) bool { return s.knots[i].index > index }) // n-1 is the last one up to at
	var around []knot
	if n > 0 {
		around = append(around, s.knots[n-1])
	}
	if n < len(s.knots) && s.knots[n].index == index+1 {
		around = append(around, s.knots[n])
	}
	for _, k := range around {
		if !k.ok || slices.Contains(k.distrusted, c) {
			return shift{}, false
		}
	}
	switch len(around) {
	case 0:
		return shift{}, false
	case 1:
		return shift{offset: s.base + round(around[0].offset), err: around[0].err}, true
	}
	a, b := around[0], around[1]
	if a.firm != b.firm && math.Abs(b.offset-a.offset) <= jumpLimit { // at the beginning: the one that knows more, and no slope
		if b.firm {
			a = b
		}
		return shift{offset: s.base + round(a.offset), err: a.err}, true
	}
	slope := (b.offset - a.offset) / float64((b.index-a.index)*grid)
	offset := a.offset + mul(slope, float64(at-a.index*grid))
	stepped := math.Abs(b.offset-a.offset) > jumpLimit
	return shift{s.base + round(offset), clamp(slope, ppm500), max(a.err, b.err), stepped}, true
}

// place is where a file lies in archive time.
type place struct {
	start   int64
	rate    float64 // file time per archive time
	err     int64
	quality Quality
}

// place says when the frame with the RTP time first of clock c was captured, which arrived at the moment arrival.
//
// A first look, with nothing that came after the frame, says how late the frame was: behind a stalled network that can be
// seconds, and what counts is 30 s after capture, not after arrival.
func (s *sender) place(c *rtpClock, codec media.Codec, first, arrival int64) place {
	f := frame{rtp: first, arrival: arrival, guess: arrival - int64(maxDelay/2)}
	f.near = c.window(arrival-memory, arrival, arrival)
	f.guess = min(arrival, s.look(c, f).start)
	f.near = c.window(arrival-memory, min(arrival, f.guess+late)+reach, arrival)
	p := s.look(c, f)
	if codec == media.Opus {
		p.start -= media.OpusLookAhead * int64(time.Second) / int64(media.Opus.ClockRate())
	}
	return p
}

// frame is what look is to place.
type frame struct {
	rtp, arrival int64
	guess        int64   // of when it was captured
	near         []point // what may be looked at
}

func (s *sender) look(c *rtpClock, f frame) place {
	p := s.byArrival(c, f)
	if line, kept, ok := fitLine(oneSide(f.near, c.rate, f.arrival), c.rate, c.slopeBefore(f.arrival)); ok && !line.wild {
		if q, ok := s.byReports(c, line, kept, f); ok && q.start <= p.start+early && q.start >= p.start-late {
			return q
		}
	}
	return p
}

func (s *sender) byReports(c *rtpClock, line fit, kept []point, f frame) (place, bool) {
	ntp := line.ntp(f.rtp)
	start := f.guess
	own := s.ownShift(kept, f)
	var sh shift
	for range 2 { // the offset is known by conference time, which is what we look for; it changes by 500 ppm at most
		var ok bool
		if sh, ok = s.shift(start, c); !ok {
			return place{}, false
		}
		if abs(saturatingSub(sh.offset, own.offset)) > stepped || sh.stepped {
			sh = own
		}
		start = saturatingSub(ntp, -sh.offset)
		if abs(saturatingSub(start, f.arrival)) > int64(maxSpan) {
			return place{}, false
		}
	}
	q := QualityACT
	if line.report {
		q = QualitySR
	}
	return place{start, rateOf((1 - sh.slope) / (1 + line.slope)), round(line.spread + sh.err), q}, true
}

// ownShift is the offset by the line's own anchors alone. Where it is far from the sender's, the sender's wall clock was
// set in between, and the line lies on one side of that and the knot on the other.
func (s *sender) ownShift(kept []point, f frame) shift {
	ss := make([]sample, len(kept))
	base := kept[0].arrival - kept[0].ntp
	for i, p := range kept {
		ss[i] = sample{float64(p.arrival), float64(saturatingSub(p.arrival-p.ntp, base))}
	}
	e := under(ss, offsetSlopeSpan)
	rtt := s.leastRTT(f.arrival-memory, kept[len(kept)-1].arrival)
	return shift{offset: base + round(e.y(float64(f.arrival))-rtt/2), err: ownError + e.spread/2 + delayError(rtt)}
}

// byArrival places by the packets that came soonest. It always has an answer: the segment's own first packet.
func (s *sender) byArrival(c *rtpClock, f frame) place {
	ss := []sample{{float64(f.arrival), 0}}
	through := f.arrival
	for _, p := range f.near {
		y := float64(p.arrival-f.arrival) - ticks(f.rtp, p.rtp, c.rate)
		if !p.report && math.Abs(y) <= maxDelay {
			ss = append(ss, sample{float64(p.arrival), y})
		}
		through = max(through, p.arrival)
	}
	e := under(ss, arrivalSlopeSpan)
	rtt := s.leastRTT(f.arrival-memory, through)
	start := f.arrival + round(e.y(float64(f.arrival))-rtt/2)
	return place{start, rateOf(1 - e.slope), round(arrivalError + e.spread/2 + delayError(rtt)), QualityArrival}
}

// rateOf bounds and rounds a rate to what a Clip promises.
func rateOf(r float64) float64 {
	return math.Round((1+clamp(r-1, ppm500))*1e9) / 1e9
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }
