package timeline

import (
	"math/rand/v2"
	"slices"
	"testing"

	"consilium/internal/events"
	"consilium/internal/media"
)

// slowWorld is a consultation whose truth is known millisecond by millisecond, because every one of them is asked what it
// is: the slow oracle of the ledger.
type slowWorld struct {
	random *rand.Rand
	script *script
	length float64
	pauses []spell
	people []*slowPerson
}

// spell is a stretch in seconds of archive time with the cause that it is in truth.
type spell struct {
	from, to float64
	cause    Cause
	known    float64 // from when on an event tells of it
}

type slowPerson struct {
	id, connection string
	joined, left   float64
	consents       []spell // without consent
	down           []spell // without a link
	tracks         []*slowTrack
}

type slowTrack struct {
	src        *source
	owner      *slowPerson
	start, end float64
	holes      []spell // own: muted, loss, stall, overrun
	lost       []spell // whole files
	recorded   []spell
}

// newSlowWorld makes a consultation of two with random troubles, and its events.
func newSlowWorld(t *testing.T, seed uint64) *slowWorld {
	w := &slowWorld{random: rand.New(rand.NewPCG(seed, 17)), script: newScript(t)}
	w.length = 60 + w.whole(60)
	w.script.begin(events.PolicyOptional)
	for at := 5 + w.whole(20); at < w.length-10; at += 15 + w.whole(30) {
		s := spell{from: at, to: min(at+1+w.whole(10), w.length-5), cause: Paused}
		s.known = s.from
		w.pauses = append(w.pauses, s)
		w.script.add(s.from, "", events.RecordingPaused{Reason: "private"})
		w.script.add(s.to, "", events.RecordingResumed{Reason: "private"})
	}
	for range 2 {
		w.person()
	}
	w.script.end(w.length)
	return w
}

// whole is a random number of tenths of seconds below limit.
func (w *slowWorld) whole(limit float64) float64 {
	return float64(w.random.IntN(int(limit*10))) / 10
}

func (w *slowWorld) chance(p float64) bool { return w.random.Float64() < p }

func (w *slowWorld) person() {
	s := w.script
	p := &slowPerson{id: s.invite("patient"), joined: w.whole(10), left: w.length}
	if len(w.people) == 0 {
		p.joined = 0
	}
	w.people = append(w.people, p)
	p.connection = s.join(p.joined, p.id, "patient")
	switch {
	case w.chance(0.2):
		late := p.joined + 5 + w.whole(20)
		p.consents = []spell{{p.joined - 100, late, NotConsented, p.joined - 100}}
		s.consent(late, p.id)
	case w.chance(0.3):
		s.consent(-1, p.id)
		gone := p.joined + 10 + w.whole(w.length-p.joined-15)
		p.consents = []spell{{gone, w.length + 100, NotConsented, gone}}
		s.add(gone, p.id, events.ConsentWithdrawn{Consent: events.Consent{By: events.BySelf}})
	default:
		s.consent(-1, p.id)
	}
	if w.chance(0.4) {
		from := p.joined + 10 + w.whole(15)
		d := spell{from, from + 7 + w.whole(10), Disconnected, from + 5}
		if d.to < w.length-5 {
			p.down = append(p.down, d)
			s.add(d.known, p.id, events.ConnectionICEChanged{Connection: p.connection, State: "disconnected"})
			s.add(d.to, p.id, events.ConnectionICEChanged{Connection: p.connection, State: "connected"})
		}
	}
	if w.chance(0.3) {
		p.left = w.length - 5 - w.whole(5)
		s.leave(p.left, p.id, p.connection, "left")
	}
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		w.track(p, kind)
	}
}

func (w *slowWorld) track(p *slowPerson, kind media.Kind) {
	t := &slowTrack{owner: p, start: p.joined + 1, end: p.left}
	if kind == media.Audio {
		t.src = w.script.audio(p.id, p.connection, t.start)
	} else {
		t.src = w.script.video(p.id, p.connection, t.start)
	}
	t.src.ppm = w.random.Float64()*200 - 100
	t.src.start(t.start)
	for at := t.start + 6 + w.whole(10); at < t.end-15; at += 16 + w.whole(15) {
		w.hole(t, at, 0.5+w.whole(8))
	}
	w.record(t)
	p.tracks = append(p.tracks, t)
}

// hole gives a track one trouble of its own.
func (w *slowWorld) hole(t *slowTrack, from, length float64) {
	src, to := t.src, from+length
	cause := []Cause{CameraOff, Loss, Stall, Overrun}[w.random.IntN(4)]
	switch {
	case cause == CameraOff && src.kind == media.Audio:
		return // a muted microphone is recorded: it is silence
	case cause == CameraOff:
		w.script.add(from, src.who, events.TrackMuted{Track: src.id})
		w.script.add(to, src.who, events.TrackUnmuted{Track: src.id})
	default:
		d := src.delay.Seconds()
		w.script.add(to+d, src.who, gap(src, from+d, to+d, string(cause)))
	}
	t.holes = append(t.holes, spell{from, to, cause, from})
}

// record plays what a recorder would have written, and loses a file now and then.
func (w *slowWorld) record(t *slowTrack) {
	var free []Interval
	for _, s := range slices.Concat(w.pauses, t.owner.consents, t.owner.down, t.holes) {
		free = append(free, Interval{int64(s.from * 1000), int64(s.to * 1000)})
	}
	for n := range 20 {
		if w.chance(0.06) {
			t.src.unstored[n+1] = true
		}
	}
	for _, piece := range without(Interval{int64(t.start * 1000), int64(t.end * 1000)}, union(free)) {
		from, to := float64(piece.StartNS)/1000, float64(piece.EndNS)/1000
		if to-from < 0.3 {
			continue
		}
		t.src.play(from, to, "loss")
	}
	n := 0
	for _, l := range w.script.lines {
		o, ok := l.event.(events.SegmentOpened)
		if !ok || o.Track != t.src.id {
			continue
		}
		n++
		truth := w.script.truth[o.Segment]
		s := spell{from: truth.start.Seconds(), to: truth.end.Seconds()}
		switch {
		case t.src.unstored[n]:
			s.cause = Missing
			t.lost = append(t.lost, s)
		case w.chance(0.05):
			s.cause = Corrupt
			t.lost = append(t.lost, s)
			w.script.change(func(e events.SegmentStored) events.SegmentStored {
				if e.Segment == o.Segment {
					e.SHA256 = events.NoHash
				}
				return e
			})
		default:
			t.recorded = append(t.recorded, s)
		}
	}
}

// What a millisecond may be beside a Cause.
const (
	isMedia   Cause = "media"
	isUnknown Cause = "?" // a gap, and no event tells why at that moment
)

// truthAt is what one millisecond of a track is. It is slow and knows nothing of intervals that were merged or cut.
func (w *slowWorld) truthAt(t *slowTrack, at float64) Cause {
	in := func(s spell) bool { return at >= s.from && at < s.to }
	for _, s := range t.lost {
		if in(s) {
			return s.cause
		}
	}
	for _, s := range t.recorded {
		if in(s) {
			return isMedia
		}
	}
	all := slices.Concat(t.owner.consents, w.pauses, t.holes, t.owner.down)
	for _, cause := range []Cause{NotConsented, Paused, CameraOff, Overrun, Disconnected, Loss, Stall} { // the first names it
		i := slices.IndexFunc(all, func(s spell) bool { return s.cause == cause && in(s) && at >= s.known })
		if i < 0 {
			continue
		}
		if cause == Stall && slices.ContainsFunc(t.owner.down, func(d spell) bool { return d.from <= all[i].to+0.3 && all[i].from < d.to }) {
			return isUnknown // the loss of the link shows as a stall first
		}
		return cause
	}
	return isUnknown
}

// TestTheLedgerAgreesWithASlowOracle compares what the timeline says of every millisecond of every track with the truth.
// Near a change of the truth they may differ: media travel, and a frame has a length.
func TestTheLedgerAgreesWithASlowOracle(t *testing.T) {
	const tolerance = 300 // ms
	compared, differ, tracks := 0, 0, 0
	causes := map[Cause]int{}
	for seed := range worlds(8, 400) {
		w := newSlowWorld(t, seed)
		tl := w.script.build()
		checkTimeline(t, tl)
		for _, p := range w.people {
			for _, tr := range p.tracks {
				got := ledger(t, tl, tr.src.id)
				if got == nil {
					t.Fatalf("seed %d: there is no track %s", seed, tr.src.id)
				}
				tracks++
				c, d := w.compare(t, seed, tr, got, tolerance, causes)
				compared, differ = compared+c, differ+d
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d tracks, %d ms compared, %d differ, all within %d ms of a change; %v", tracks, compared, differ, tolerance, causes)
	for _, c := range []Cause{isMedia, NotConsented, Paused, CameraOff, Loss, Stall, Overrun, Disconnected, Missing, Corrupt} {
		if causes[c] == 0 {
			t.Errorf("no millisecond was %s: the worlds do not try it", c)
		}
	}
	if differ*50 > compared {
		t.Errorf("%d of %d ms differ", differ, compared)
	}
}

// compare asks for every millisecond of a track.
func (w *slowWorld) compare(t *testing.T, seed uint64, tr *slowTrack, got []Cause, tolerance int, causes map[Cause]int) (compared, differ int) {
	t.Helper()
	from, to := int(tr.start*1000), int(tr.end*1000)
	truth := make([]Cause, to-from)
	near := make([]bool, to-from)
	for i := range truth {
		truth[i] = w.truthAt(tr, float64(from+i)/1000)
		causes[truth[i]]++
	}
	for i := range truth {
		if i == 0 || i == len(truth)-1 || truth[i] != truth[i-1] {
			for j := max(0, i-tolerance); j < min(len(truth), i+tolerance); j++ {
				near[j] = true
			}
		}
	}
	for i, want := range truth {
		compared++
		is := got[from+i]
		if is == want || want == isUnknown && is != isMedia && is != "" {
			continue
		}
		differ++
		if !near[i] {
			t.Errorf("seed %d: %s at %.3f s is %q, want %q", seed, tr.src.kind, float64(from+i)/1000, is, want)
			return compared, differ
		}
	}
	return compared, differ
}

// ledger is what a timeline says of each millisecond of a track; nil when there is no such track.
func ledger(t *testing.T, tl *Timeline, id string) []Cause {
	t.Helper()
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			if tr.ID != id {
				continue
			}
			all := make([]Cause, tl.DurationNS/1_000_000+1)
			fill := func(from, to int64, c Cause) {
				for at := int((from + 999_999) / 1_000_000); at < int((to+999_999)/1_000_000); at++ {
					all[at] = c
				}
			}
			for _, c := range tr.Clips {
				fill(c.StartNS, c.EndNS, isMedia)
			}
			for _, g := range tr.Gaps {
				fill(g.StartNS, g.EndNS, g.Cause)
			}
			return all
		}
	}
	return nil
}

// checkForbidden asserts, from the events alone, that no clip shows what nobody may see: of somebody who never consented, or
// whom a device is for and who never did, or under a policy that forbids all recording.
func checkForbidden(t *testing.T, evs []events.Stored, tl *Timeline) {
	t.Helper()
	guards, consented := map[string][]string{}, map[string]bool{}
	var policy events.Policy
	for _, e := range evs {
		switch ev := e.Event.(type) {
		case events.ConsentGiven:
			consented[e.Participant] = true
		case events.ParticipantInvited:
			guards[e.Participant] = ev.For
		case events.ConsultationScheduled:
			policy = ev.Policy
		case events.ConsultationOpened:
			policy = ev.Policy
		case events.ConsultationReindexed:
			return // nothing is known of consents
		}
	}
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			if len(tr.Clips) == 0 {
				continue
			}
			if policy == events.PolicyForbidden {
				t.Errorf("%s is shown and the policy forbids it", p.ID)
			}
			for _, who := range append([]string{p.ID}, guards[p.ID]...) {
				if !consented[who] {
					t.Errorf("%s is shown and %q never consented", p.ID, who)
				}
			}
		}
	}
}

// TestNoClipWhereItIsForbidden looks at every moment of every clip of random consultations: none lies in a stretch in which,
// by the events, nothing may be shown, but for files that were begun after it had ended in the log.
func TestNoClipWhereItIsForbidden(t *testing.T) {
	for seed := range worlds(5, 400) {
		w := newSlowWorld(t, seed)
		tl := w.script.build()
		checkForbidden(t, w.script.stored(), tl)
		for _, p := range w.people {
			for _, tr := range p.tracks {
				for at, c := range ledger(t, tl, tr.src.id) {
					second := float64(at) / 1000
					for _, s := range slices.Concat(w.pauses, p.consents) {
						if c == isMedia && second >= s.from && second < s.to-0.02 { // a frame and the look-ahead of what begins then
							t.Fatalf("seed %d: %s of %.3f–%.3f is shown at %.3f s, when it was %s (%.3f–%.3f)",
								seed, tr.src.kind, tr.start, tr.end, second, s.cause, s.from, s.to)
						}
					}
				}
			}
		}
	}
}
