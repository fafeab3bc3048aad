// Package consultation holds the rules of a consultation: who may do what when, consent, the recording policy, when it
// is complete.
//
// In come the events of one consultation and a command; out come the facts that follow from it, or the reason why not.
// It is pure: it touches no log, network, disk or clock.
package consultation

import (
	"slices"
	"time"

	"consilium/internal/events"
)

// Phase is how far a consultation has come, in the words of the API.
type Phase string

// The phases, in order. Archived is the last: at least one archive was rendered.
const (
	Scheduled Phase = "scheduled"
	Open      Phase = "open"
	Ended     Phase = "ended"
	Completed Phase = "completed"
	Archived  Phase = "archived"
)

// Answer is a participant's answer to the recording notice.
type Answer string

// The answers. Unanswered is the state before the first one.
const (
	Unanswered Answer = ""
	Given      Answer = "given"
	Refused    Answer = "refused"
	Withdrawn  Answer = "withdrawn"
)

// Participant is what the log says about one participant.
type Participant struct {
	ID      string
	Role    string
	For     []string // whose consent a device needs
	Consent Answer
	// AnsweredAt is when the newest answer was given; zero before the first.
	AnsweredAt time.Time
	Present    bool
	Kicked     bool
	Checked    *events.ParticipantChecked // the newest check before the call, nil before the first
}

// Segment is what the log says about one segment file.
type Segment struct {
	ID     string
	Track  string
	Epoch  int // of the process that wrote it
	Sealed bool
	Stored bool
}

// Archive is what the log says about one version of the archive.
type Archive struct {
	Version  int
	Request  events.ArchiveRequested
	Rendered bool
	Failed   bool
}

// State is the fold of a consultation's events, in order. The zero State is a consultation that does not exist. It is
// not safe for concurrent use.
type State struct {
	ID           string
	Version      events.Version
	Policy       events.Policy
	Layout       string
	Language     string
	Phase        Phase
	Epoch        int    // of the newest conference.hosted, 0 before the first
	Node, URL    string // who hosts it
	Paused       bool
	ResumedAt    time.Time // when writing was last allowed again after a pause
	FirstJoined  time.Time // of the first participant, zero before
	EmptySince   time.Time // since when nobody is present; zero while somebody is, or before the first join
	EndedAt      time.Time // zero while not ended
	order        []string
	participants map[string]*Participant
	segments     map[string]*Segment
	segmentOrder []string
	archives     []Archive
	holds        []Hold // in the order in which they were placed
}

// Fold applies all events in order.
func Fold(history []events.Stored) *State {
	s := &State{}
	for _, e := range history {
		s.Evolve(e)
	}
	return s
}

// Exists says whether the consultation has any event.
func (s *State) Exists() bool { return s.Version.Seq > 0 }

// Participant finds a participant by id.
func (s *State) Participant(id string) (Participant, bool) {
	p, ok := s.participants[id]
	if !ok {
		return Participant{}, false
	}
	return *p, true
}

// Participants lists all participants in the order in which they were invited.
func (s *State) Participants() []Participant {
	all := make([]Participant, 0, len(s.order))
	for _, id := range s.order {
		all = append(all, *s.participants[id])
	}
	return all
}

// Present counts who is present.
func (s *State) Present() int {
	n := 0
	for _, p := range s.participants {
		if p.Present {
			n++
		}
	}
	return n
}

// Segment finds a segment by id.
func (s *State) Segment(id string) (Segment, bool) {
	g, ok := s.segments[id]
	if !ok {
		return Segment{}, false
	}
	return *g, true
}

// Unstored lists the segments that were opened and not stored yet, in the order in which they were opened.
func (s *State) Unstored() []Segment {
	var open []Segment
	for _, id := range s.segmentOrder {
		if g := s.segments[id]; !g.Stored {
			open = append(open, *g)
		}
	}
	return open
}

// Segments counts the segments that were opened.
func (s *State) Segments() int { return len(s.segmentOrder) }

// Archives lists the requested versions in order.
func (s *State) Archives() []Archive { return slices.Clone(s.archives) }

// MayPublish says whether the participant's own tracks are taken in: the gate of CONTRACT's consent section. Under
// "required" that needs the consent of everybody whom the tracks record.
func (s *State) MayPublish(id string) bool {
	p, ok := s.participants[id]
	if !ok || p.Kicked || !p.mayHaveTracks() {
		return false
	}
	if s.Policy == events.PolicyRequired {
		return s.consented(p)
	}
	return p.Role != events.RoleDevice || s.consented(p)
}

// MayRecord says whether the participant's own tracks are written at this moment.
func (s *State) MayRecord(id string) bool {
	p, ok := s.participants[id]
	return ok && s.MayPublish(id) && s.Policy != events.PolicyForbidden && !s.Paused && s.Phase == Open && s.consented(p)
}

// RecordableSince is the time before which nothing of a participant that MayRecord may be written: the newest of the
// consents that its tracks need, and of a resumption after a pause.
func (s *State) RecordableSince(id string) time.Time {
	since := s.ResumedAt
	p, ok := s.participants[id]
	if !ok {
		return since
	}
	for _, who := range append([]string{id}, p.For...) {
		if o, ok := s.participants[who]; ok && o.AnsweredAt.After(since) {
			since = o.AnsweredAt
		}
	}
	return since
}

// consented says whether everybody whom p's tracks record has consented: p, and whom a device is for.
func (s *State) consented(p *Participant) bool {
	if p.Consent != Given {
		return false
	}
	for _, id := range p.For {
		if o, ok := s.participants[id]; !ok || o.Consent != Given {
			return false
		}
	}
	return true
}

// Evolve takes one more event in. It never fails: what it does not know it leaves out.
func (s *State) Evolve(e events.Stored) {
	s.ID = e.Subject
	s.Version = e.Version()
	switch ev := e.Event.(type) {
	case events.ConsultationScheduled:
		s.Policy, s.Layout, s.Language = ev.Policy, ev.Layout, ev.Language
		s.Phase = Scheduled
	case events.ConsultationOpened:
		s.Phase = Open
	case events.ConsultationEnded:
		s.Phase, s.EndedAt = Ended, e.Time
		s.everybodyLeft(e.Time)
	case events.ConsultationReopened:
		s.Phase, s.EndedAt, s.EmptySince = Open, time.Time{}, e.Time
	case events.ConsultationCompleted:
		s.Phase = Completed
		s.archived()
	case events.ConferenceHosted:
		s.Epoch, s.Node, s.URL = ev.Epoch, ev.Node, ev.URL
	case events.ParticipantInvited:
		s.invited(e.Participant, ev)
	case events.ParticipantJoined:
		if s.FirstJoined.IsZero() {
			s.FirstJoined = e.Time
		}
		s.EmptySince = time.Time{}
		s.change(e.Participant, func(p *Participant) { p.Present = true })
	case events.ParticipantLeft:
		s.change(e.Participant, func(p *Participant) {
			p.Present = false
			p.Kicked = p.Kicked || ev.Reason == events.LeftKicked
		})
		if s.Present() == 0 && s.EmptySince.IsZero() {
			s.EmptySince = e.Time
		}
	case events.ParticipantChecked:
		s.change(e.Participant, func(p *Participant) { p.Checked = &ev })
	case events.ConsentGiven:
		s.change(e.Participant, func(p *Participant) { p.Consent, p.AnsweredAt = Given, e.Time })
	case events.ConsentRefused:
		s.change(e.Participant, func(p *Participant) { p.Consent, p.AnsweredAt = Refused, e.Time })
	case events.ConsentWithdrawn:
		s.change(e.Participant, func(p *Participant) { p.Consent, p.AnsweredAt = Withdrawn, e.Time })
	case events.RecordingPaused:
		s.Paused = true
	case events.RecordingResumed:
		s.Paused, s.ResumedAt = false, e.Time
	default:
		s.evolveArtefacts(e)
	}
}

// evolveArtefacts takes in what the log says about files: segments and archives.
func (s *State) evolveArtefacts(e events.Stored) {
	switch ev := e.Event.(type) {
	case events.SegmentOpened:
		g := s.segment(ev.Segment)
		g.Track, g.Epoch = ev.Track, s.Epoch
	case events.SegmentSealed:
		s.segment(ev.Segment).Sealed = true
	case events.SegmentRecovered:
		s.segment(ev.Segment).Sealed = true
	case events.SegmentStored:
		s.segment(ev.Segment).Stored = true
	case events.ArchiveRequested:
		s.archives = append(s.archives, Archive{Version: ev.Version, Request: ev})
	case events.ArchiveRendered:
		if a := s.archive(ev.Version); a != nil {
			a.Rendered = true
			s.archived()
		}
	case events.ArchiveFailed:
		if a := s.archive(ev.Version); a != nil {
			a.Failed = true
		}
	default:
		s.evolveHolds(e)
	}
}

// archived moves a completed consultation on once a version is there. One that was reopened stays open.
func (s *State) archived() {
	if s.Phase == Completed && slices.ContainsFunc(s.archives, func(a Archive) bool { return a.Rendered }) {
		s.Phase = Archived
	}
}

func (s *State) invited(id string, ev events.ParticipantInvited) {
	if _, known := s.participants[id]; known {
		return
	}
	if s.participants == nil {
		s.participants = map[string]*Participant{}
	}
	s.order = append(s.order, id)
	s.participants[id] = &Participant{ID: id, Role: ev.Role, For: ev.For}
}

func (s *State) change(id string, f func(*Participant)) {
	if p, ok := s.participants[id]; ok {
		f(p)
	}
}

func (s *State) everybodyLeft(at time.Time) {
	for _, p := range s.participants {
		p.Present = false
	}
	if s.EmptySince.IsZero() {
		s.EmptySince = at
	}
}

func (s *State) segment(id string) *Segment {
	if g, known := s.segments[id]; known {
		return g
	}
	if s.segments == nil {
		s.segments = map[string]*Segment{}
	}
	g := &Segment{ID: id}
	s.segmentOrder = append(s.segmentOrder, id)
	s.segments[id] = g
	return g
}

func (s *State) archive(version int) *Archive {
	for i := range s.archives {
		if s.archives[i].Version == version {
			return &s.archives[i]
		}
	}
	return nil
}
