package timeline

import (
	"cmp"
	"slices"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// placement is one run of Place: everything in archive time.
type placement struct {
	state    *State
	zero     time.Time
	duration int64
	pauses   []closure
	gates    map[*person][]closure // nobody may be recorded
	senders  map[senderKey]*sender
	clocks   map[clockKey]*rtpClock
	places   map[*track][]*placed
}

// senderKey names an NTP clock. A participant who comes back may come from another machine, so it belongs to the
// connection; tracks without one share the participant's.
type senderKey struct {
	owner      *person
	connection *connection
}

type clockKey struct {
	track *track
	ssrc  uint32
}

// Place fits the clocks and places everything that was applied so far. It does not change the state; the caller owns the
// result.
func (s *State) Place() *Timeline {
	p := &placement{
		state: s, gates: map[*person][]closure{}, places: map[*track][]*placed{},
		senders: map[senderKey]*sender{}, clocks: map[clockKey]*rtpClock{},
	}
	p.frame()
	p.pauses = s.recording.closures(true, p.at)
	for _, who := range s.people {
		p.gates[who] = p.gate(who)
	}
	p.tieSenders()
	for _, t := range s.tracks {
		p.places[t] = p.placeSegments(t)
	}
	tl := &Timeline{
		Consultation: s.consultation, Policy: s.policy, StartTime: encodable(p.zero), DurationNS: p.duration,
		Participants: []Participant{}, Markers: p.markers(),
	}
	for _, who := range s.people {
		tl.Participants = append(tl.Participants, p.participant(who))
	}
	return tl
}

// frame sets archive time 0 and the end of the archive.
func (p *placement) frame() {
	s := p.state
	if s.joined.IsZero() {
		p.zero = s.first // nobody came: an archive of no length
		return
	}
	p.zero = s.joined
	end := s.newest
	if !s.ended.IsZero() {
		end = s.ended
	}
	p.duration = max(0, p.at(end))
}

// encodable is t in UTC, or the zero time where JSON has no form for it.
func encodable(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// at is t in archive time, at most maxSpan from 0.
func (p *placement) at(t time.Time) int64 {
	d := t.Sub(p.zero) // saturates
	return int64(min(max(d, -maxSpan), maxSpan))
}

// gate lists when who may not be recorded: without their own consent and, for a device, that of everybody it is for. Of
// a consultation that was rebuilt from its files nothing is known of consents, and nothing was ever written without one.
func (p *placement) gate(who *person) []closure {
	if p.state.reindexed {
		return nil
	}
	if p.state.policy == events.PolicyForbidden {
		return []closure{{Interval{ever, never}, 0}}
	}
	all := who.consents.closures(false, p.at)
	for _, id := range who.guards {
		var g gate
		if other := p.state.byPerson[id]; other != nil {
			g = other.consents
		}
		all = append(all, g.closures(false, p.at)...)
	}
	return all
}

func (p *placement) tieSenders() {
	for _, t := range p.state.tracks {
		key := senderKey{t.owner, t.connection}
		s := p.senders[key]
		if s == nil {
			s = &sender{}
			p.senders[key] = s
		}
		for _, ssrc := range t.ssrcs {
			c := newRTPClock(t, ssrc, p.at)
			p.clocks[clockKey{t, ssrc}] = c
			s.clocks = append(s.clocks, c)
		}
	}
	tied := map[*sender]bool{}
	for _, t := range p.state.tracks {
		if s := p.senders[senderKey{t.owner, t.connection}]; !tied[s] {
			tied[s] = true
			s.tie()
		}
	}
}

// placed is a segment in archive time.
type placed struct {
	*segment
	place
	end     int64 // behind its content, before the next one of the track; start while the content is unknown
	arrival int64
}

// placeSegments places all segments of t, lost ones too, by start. They do not overlap.
func (p *placement) placeSegments(t *track) []*placed {
	s := p.senders[senderKey{t.owner, t.connection}]
	var all []*placed
	for _, g := range t.segments {
		c := p.clocks[clockKey{t, g.opened.SSRC}]
		arrival := g.arrival(p.at)
		g := &placed{segment: g, arrival: arrival, place: s.place(c, g.codec(), g.opened.FirstRTP, arrival)}
		if n := len(all); n > 0 && continues(all[n-1], g, c) {
			g.chain(all[n-1])
		}
		g.end = g.start + g.lengthNS()
		all = append(all, g)
	}
	slices.SortStableFunc(all, func(a, b *placed) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(all); i++ {
		p.abut(all[i-1], all[i])
	}
	return all
}

// lengthNS is how much archive time the file's content takes.
func (g *placed) lengthNS() int64 {
	return round(float64(g.contentNS()) / g.rate)
}

// continues says whether b goes on where a ends: the same clock, and not a sample between them.
func continues(a, b *placed, c *rtpClock) bool {
	if a.sealed == nil || a.opened.SSRC != b.opened.SSRC {
		return false
	}
	if _, to := c.epoch(a.arrival); b.arrival >= to {
		return false
	}
	if b.codec().Kind() == media.Audio {
		return a.endRTP() == b.opened.FirstRTP
	}
	return (b.opened.Reason == "rotation" || b.opened.Reason == "resolution") && b.opened.FirstRTP > a.sealed.LastRTP
}

// chainLimit is how far two fits of one clock may lie apart and still be the same but for noise.
const chainLimit = 5 * int64(time.Millisecond)

// chain lets audio begin on the very sample where the file before it ends, and steers its end to where its own fit puts
// it: no click at the seam, and nothing adds up.
func (g *placed) chain(before *placed) {
	off := before.end - g.start
	if g.codec().Kind() != media.Audio || abs(off) > chainLimit || before.quality != g.quality {
		return
	}
	if content := float64(g.contentNS()); content > float64(time.Second) {
		g.rate = rateOf(content / (content/g.rate - float64(off)))
	}
	g.start = before.end
}

// seamLimit is the longest pause between the last frame of one file and the first of the next that is a slow picture and
// not a gap: a recorder would have closed the file after that.
const seamLimit = 2 * int64(time.Second)

// abut ends a at the latest where b begins, and holds its last frame up to there when only a frame's time is missing or
// nothing was lost in between.
func (p *placement) abut(a, b *placed) {
	switch hole := b.start - a.end; {
	case a.contentNS() == 0:
	case hole <= a.frameNS():
		a.end = b.start
	case hole <= seamLimit && continues(a, b, p.clocks[clockKey{a.track, a.opened.SSRC}]) && !p.lostBetween(a.track, a.end, b.start):
		a.end = b.start
	}
}

func (p *placement) lostBetween(t *track, from, to int64) bool {
	for _, g := range t.gaps {
		if gapCause(g) != "" && p.at(g.From) < to+packet && p.at(g.To) > from {
			return true
		}
	}
	return false
}

func (p *placement) participant(who *person) Participant {
	out := Participant{
		ID: who.id, Role: who.role, For: who.guards, Consent: who.consent,
		Present: p.present(who), Tracks: []Track{},
	}
	var spans []*span
	for _, t := range p.state.tracks {
		if t.owner != who || (t.startedAt.IsZero() && len(t.segments) == 0) {
			continue
		}
		if sp := p.span(t, out.Present); sp.StartNS < sp.EndNS {
			out.Tracks = append(out.Tracks, p.cover(sp))
			spans = append(spans, sp)
		}
	}
	slices.SortStableFunc(out.Tracks, func(a, b Track) int { return cmp.Compare(a.StartNS, b.StartNS) })
	out.Absent = p.absent(who, out.Present, spans)
	return out
}

// present is when who was there, within the archive.
func (p *placement) present(who *person) []Interval {
	all := []Interval{}
	for _, st := range who.stays {
		to := p.duration
		if !st.to.IsZero() {
			to = min(to, p.at(st.to))
		}
		if from := max(0, p.at(st.from)); from < to {
			all = append(all, Interval{from, to})
		}
	}
	return union(all)
}

func (p *placement) markers() []Marker {
	all := []Marker{}
	for _, m := range p.state.markers {
		at := min(max(p.at(m.at), 0), p.duration)
		all = append(all, Marker{Seq: m.seq, AtNS: at, Type: string(m.name), Participant: m.participant})
	}
	return all
}
