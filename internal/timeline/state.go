package timeline

import (
	"errors"
	"fmt"
	"time"

	"consilium/internal/events"
)

// State is the fold of a consultation's events, one by one. The zero State has seen nothing. It is not safe for
// concurrent use.
type State struct {
	consultation string
	last         uint64    // seq of the newest event that was applied
	first        time.Time // of the first event
	newest       time.Time // latest time of the events that matter to a timeline
	policy       events.Policy
	reindexed    bool      // rebuilt from files: no consent is known
	joined       time.Time // first participant.joined: archive time 0; zero before
	ended        time.Time // zero while the consultation is not ended
	epoch        int       // of the newest conference.hosted
	recording    gate      // closed while recording is paused
	markers      []mark

	people      []*person // by first mention
	byPerson    map[string]*person
	tracks      []*track // by first mention
	byTrack     map[string]*track
	segments    map[string]*segment
	connections map[string]*connection

	connectionOrder []*connection // by first mention
}

// mark is a Marker before archive time 0 is known.
type mark struct {
	seq         uint64
	at          time.Time
	name        events.Type
	participant string
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
	if s.last == 0 {
		s.begin(ev)
	}
	s.last = ev.Seq
	if !concerns(ev.Event) {
		return nil
	}
	if ev.Time.After(s.newest) {
		s.newest = ev.Time
	}
	if _, ok := ev.Event.(events.SegmentAnchored); !ok {
		s.markers = append(s.markers, mark{ev.Seq, ev.Time, ev.Type, ev.Participant})
	}
	s.fold(ev)
	return nil
}

func (s *State) begin(ev events.Stored) {
	s.consultation, s.first = ev.Subject, ev.Time
	s.byPerson = map[string]*person{}
	s.byTrack = map[string]*track{}
	s.segments = map[string]*segment{}
	s.connections = map[string]*connection{}
}

// concerns says whether the event is part of the consultation itself. What is done with an archive later must not change
// the next one, and neither must a hold, also one that is placed while people talk.
func concerns(e events.Event) bool {
	switch e.(type) {
	case events.ArchiveRequested, events.ArchiveStarted, events.ArchiveRendered, events.ArchiveFailed,
		events.AccessOpened, events.AccessWatched, events.AccessClosed, events.ExportMade,
		events.HoldPlaced, events.HoldReleaseRequested, events.HoldReleaseDeclined, events.HoldReleased:
		return false
	}
	return true
}

// fold hands the event to the function for its noun. Types that say nothing about media only leave a marker.
func (s *State) fold(ev events.Stored) {
	switch e := ev.Event.(type) {
	case events.ConsultationReindexed:
		s.reindexed = true
	case events.ConsultationScheduled:
		s.policy = e.Policy
	case events.ConsultationOpened:
		s.policy = e.Policy
	case events.ConsultationEnded:
		s.end(ev.Time)
	case events.ConsultationReopened:
		s.ended = time.Time{}
	case events.ConsultationCompleted:
		s.Miss(e.Missing)
	case events.ConferenceHosted:
		s.host(ev, e)
	case events.RecordingPaused:
		s.recording.turn(ev, false)
	case events.RecordingResumed:
		s.recording.turn(ev, true)
	default:
		s.foldPerson(ev)
		s.foldConnection(ev)
		s.foldTrack(ev)
		s.foldSegment(ev)
	}
}

func (s *State) foldPerson(ev events.Stored) {
	switch e := ev.Event.(type) {
	case events.ParticipantInvited:
		if p := s.person(ev.Participant); p != nil {
			p.role, p.guards = e.Role, e.For
		}
	case events.ParticipantJoined:
		if p := s.person(ev.Participant); p != nil {
			p.join(ev.Time, e.Role)
			if s.joined.IsZero() {
				s.joined = ev.Time
			}
		}
	case events.ParticipantLeft:
		if p := s.person(ev.Participant); p != nil {
			p.leave(ev.Time, e.Reason)
			s.endTracks(ev.Time, func(t *track) bool { return t.owner == p })
		}
	case events.ConsentGiven:
		s.answer(ev, ConsentGiven)
	case events.ConsentRefused:
		s.answer(ev, ConsentRefused)
	case events.ConsentWithdrawn:
		s.answer(ev, ConsentWithdrawn)
	}
}

func (s *State) answer(ev events.Stored, c Consent) {
	if p := s.person(ev.Participant); p != nil {
		p.consent = c
		p.consents.turn(ev, c == ConsentGiven)
	}
}

func (s *State) foldConnection(ev events.Stored) {
	switch e := ev.Event.(type) {
	case events.ConnectionOpened:
		s.connection(e.Connection, ev.Participant)
	case events.ConnectionICEChanged:
		s.connection(e.Connection, ev.Participant).ice(ev, e.State)
	case events.ConnectionPairSelected:
		s.connection(e.Connection, ev.Participant).link.turn(ev, true)
	case events.ConnectionTimedOut:
		if e.Connection != "" {
			s.connection(e.Connection, ev.Participant).link.turn(ev, false)
		}
	case events.ConnectionClosed:
		s.closeConnection(s.connection(e.Connection, ev.Participant), ev)
	}
}

func (s *State) closeConnection(c *connection, ev events.Stored) {
	c.link.turn(ev, false)
	if c.closed.IsZero() {
		c.closed = ev.Time
	}
	s.endTracks(ev.Time, func(t *track) bool { return t.connection == c })
}

func (s *State) foldTrack(ev events.Stored) {
	switch e := ev.Event.(type) {
	case events.TrackStarted:
		var c *connection // none is known of a consultation that was rebuilt from files
		if e.Connection != "" {
			c = s.connection(e.Connection, ev.Participant)
		}
		s.track(e.Track, ev.Participant).start(ev.Time, e, c)
	case events.TrackEnded:
		s.track(e.Track, ev.Participant).end(ev.Time, e.Reason)
	case events.TrackMuted:
		s.track(e.Track, ev.Participant).mute.turn(ev, false)
	case events.TrackUnmuted:
		s.track(e.Track, ev.Participant).mute.turn(ev, true)
	case events.TrackStalled:
		s.track(e.Track, ev.Participant).stall(ev.Time, e.AfterMS)
	case events.TrackResumed:
		s.track(e.Track, ev.Participant).resume(ev.Time, e.AfterMS)
	}
}

func (s *State) foldSegment(ev events.Stored) {
	switch e := ev.Event.(type) {
	case events.SegmentOpened:
		if g := s.segment(e.Segment); g.track == nil {
			s.track(e.Track, ev.Participant).open(g, ev, e)
		}
	case events.SegmentAnchored:
		t := s.track(e.Track, ev.Participant)
		t.clock(e.SSRC).observe(e.Anchors)
	case events.SegmentDiscontinuity:
		s.track(e.Track, ev.Participant).tellCut(ev.Time)
	case events.SegmentGap:
		t := s.track(e.Track, ev.Participant)
		t.gaps = append(t.gaps, e)
	case events.SegmentSealed:
		s.segment(e.Segment).seal(e)
	case events.SegmentRecovered:
		g := s.segment(e.Segment)
		g.recovered = true
		g.seal(events.SegmentSealed{
			Segment: e.Segment, LastRTP: e.LastRTP, EndRTP: e.EndRTP, Frames: e.Frames, Bytes: e.Bytes, SHA256: e.SHA256,
		})
	case events.SegmentStored:
		s.segment(e.Segment).store(e)
	}
}

// end is consultation.ended: nobody is present any more.
func (s *State) end(at time.Time) {
	if !s.anyonePresent() {
		if last := s.lastLeft(); !last.IsZero() && last.Before(at) {
			at = last
		}
	}
	s.ended = at
	for _, p := range s.people {
		p.leave(at, events.LeftEnded)
	}
	s.endTracks(at, func(*track) bool { return true })
}

func (s *State) anyonePresent() bool {
	for _, p := range s.people {
		if p.isPresent() {
			return true
		}
	}
	return false
}

func (s *State) lastLeft() time.Time {
	var last time.Time
	for _, p := range s.people {
		for _, st := range p.stays {
			if st.to.After(last) {
				last = st.to
			}
		}
	}
	return last
}

// host is conference.hosted: whatever an earlier process carried has ended with it.
func (s *State) host(ev events.Stored, e events.ConferenceHosted) {
	again := s.epoch != 0 && e.Epoch > s.epoch
	s.epoch = max(s.epoch, e.Epoch)
	if !again {
		return
	}
	for _, t := range s.tracks {
		if t.endedAt.IsZero() {
			t.endImplied(ev.Time)
			t.hostLost = true
		}
	}
	for _, c := range s.connectionOrder {
		c.link.turn(ev, false)
	}
}

// Miss takes in what consultation.completed names as missing, or is about to: it is missing unless it is stored
// afterwards.
func (s *State) Miss(missing []events.MissingSegment) {
	for _, m := range missing {
		g := s.segment(m.Segment)
		g.stored = nil
		g.lost = lostCause(m.Cause)
	}
}

func lostCause(said string) Cause {
	switch c := Cause(said); c {
	case Corrupt, Crash:
		return c
	}
	return Missing
}

func (s *State) endTracks(at time.Time, which func(*track) bool) {
	for _, t := range s.tracks {
		if which(t) {
			t.endImplied(at)
		}
	}
}

// person finds or makes the participant; nil when the event names none.
func (s *State) person(id string) *person {
	if id == "" {
		return nil
	}
	p := s.byPerson[id]
	if p == nil {
		p = &person{id: id, consent: ConsentNone}
		s.byPerson[id] = p
		s.people = append(s.people, p)
	}
	return p
}

// track finds or makes the track. It has no owner until an event names one.
func (s *State) track(id, owner string) *track {
	t := s.byTrack[id]
	if t == nil {
		t = &track{id: id, clocks: map[uint32]*clock{}}
		s.byTrack[id] = t
		s.tracks = append(s.tracks, t)
	}
	if t.owner == nil {
		t.owner = s.person(owner)
	}
	return t
}

func (s *State) segment(id string) *segment {
	g := s.segments[id]
	if g == nil {
		g = &segment{id: id}
		s.segments[id] = g
	}
	return g
}

func (s *State) connection(id, owner string) *connection {
	c := s.connections[id]
	if c == nil {
		c = &connection{id: id}
		s.connections[id] = c
		s.connectionOrder = append(s.connectionOrder, c)
	}
	if c.owner == nil {
		c.owner = s.person(owner)
	}
	return c
}
