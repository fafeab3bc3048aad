package store

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
)

// projection is the version of the rules in this file. Whoever changes what rows come out of which events raises it: the
// next start rebuilds the read model.
const projection = 5

// States of an archive.
const (
	ArchiveQueued    = "queued"    // requested
	ArchiveRendering = "rendering" // a stitcher took it
	ArchiveReady     = "ready"
	ArchiveFailed    = "failed"
)

// folded is what the events of one consultation say, as far as the read model shows it: one row of
// readmodel.consultations with its participants, archives and holds. The phase follows the same rules as consultation.State,
// which a test holds it against.
type folded struct {
	ID             string
	Seq            uint64
	State          consultation.Phase
	Policy         events.Policy
	Layout         string
	Language       string
	Paused         bool
	ScheduledAt    time.Time
	StartedAt      *time.Time
	EndedAt        *time.Time
	EndReason      string
	CompletedAt    *time.Time
	SegmentsStored int64
	Bytes          int64
	Pending        []string // sorted
	Missing        []string // sorted
	Problems       []string // those that stay; sorted
	ExpectedMS     int64
	RecordedMS     int64

	Participants map[string]*foldedParticipant
	Archives     map[int64]*foldedArchive
	Holds        map[string]*foldedHold
	parts
}

type foldedParticipant struct {
	ID         string
	Role       string
	Records    []string
	Consent    consultation.Answer
	ConsentAt  *time.Time
	Present    bool
	InvitedAt  time.Time
	JoinedAt   *time.Time // first
	LeftAt     *time.Time // last
	LeftReason string

	changed bool // since it was read from the database
}

type foldedArchive struct {
	Version        int64
	State          string
	Code           string
	ThroughSeq     int64
	Layout         string
	Profile        string
	RequestedAt    time.Time
	StartedAt      *time.Time
	FinishedAt     *time.Time
	Key            string
	Bytes          int64
	SHA256         string
	ManifestSHA256 string
	DurationMS     int64
	Stamp, Voices  bool
	Unverified     []string

	changed bool
}

func newFolded(id string) *folded {
	return &folded{
		ID: id, State: consultation.Scheduled, Pending: []string{}, Missing: []string{}, Problems: []string{},
		Participants: map[string]*foldedParticipant{}, Archives: map[int64]*foldedArchive{}, Holds: map[string]*foldedHold{}, parts: newParts(),
	}
}

// present counts who is there.
func (f *folded) present() int {
	n := 0
	for p := range maps.Values(f.Participants) {
		if p.Present {
			n++
		}
	}
	return n
}

// apply takes the next event in. It reports whether the rules know the type. The error is a GapError when events are
// missing in between; the row is then as it was. Nothing that an event says can make it fail: what makes no sense
// changes nothing.
func (f *folded) apply(e events.Stored) (known bool, err error) {
	if e.Seq != f.Seq+1 {
		return false, &events.GapError{Consultation: f.ID, Want: f.Seq + 1, Got: e.Seq}
	}
	f.Seq = e.Seq
	at := micros(e.Time)
	if e.Seq == 1 {
		f.ScheduledAt = at
	}
	_, unknown := e.Event.(events.Unknown)
	_ = f.applyLife(e, at) || f.applySegment(e) || f.applyArchive(e, at) || f.applyHold(e, at) // what none of them takes is shown in no list
	f.applyParts(e, at)
	return !unknown, nil
}

// applyLife takes in what happens to the consultation and to its participants.
func (f *folded) applyLife(e events.Stored, at time.Time) bool {
	switch ev := e.Event.(type) {
	case events.ConsultationScheduled:
		f.State = consultation.Scheduled
		f.Policy, f.Layout, f.Language = events.Policy(plain(string(ev.Policy))), plain(ev.Layout), plain(ev.Language)
	case events.ConsultationOpened:
		f.State = consultation.Open
	case events.ConsultationEnded:
		f.State, f.EndedAt, f.EndReason = consultation.Ended, &at, plain(ev.Reason)
		for p := range maps.Values(f.Participants) {
			p.leave(at, events.LeftEnded)
		}
	case events.ConsultationReopened:
		f.State, f.EndedAt, f.EndReason = consultation.Open, nil, ""
	case events.ConsultationCompleted:
		f.State, f.CompletedAt = consultation.Completed, &at
		f.archived()
		for _, m := range ev.Missing {
			f.Missing = with(f.Missing, plain(m.Segment))
			f.Pending = without(f.Pending, plain(m.Segment))
		}
	case events.ParticipantInvited:
		f.invite(ident(e.Participant), ev, at)
	case events.ParticipantJoined:
		if f.StartedAt == nil {
			f.StartedAt = &at
		}
		f.change(e.Participant, func(p *foldedParticipant) { p.join(at) })
	case events.ParticipantLeft:
		f.change(e.Participant, func(p *foldedParticipant) { p.leave(at, plain(ev.Reason)) })
	case events.ConsentGiven:
		f.change(e.Participant, func(p *foldedParticipant) { p.Consent, p.ConsentAt = consultation.Given, &at })
	case events.ConsentRefused:
		f.change(e.Participant, func(p *foldedParticipant) { p.Consent, p.ConsentAt = consultation.Refused, &at })
	case events.ConsentWithdrawn:
		f.change(e.Participant, func(p *foldedParticipant) { p.Consent, p.ConsentAt = consultation.Withdrawn, &at })
	case events.RecordingPaused:
		f.Paused = true
	case events.RecordingResumed:
		f.Paused = false
	default:
		return false
	}
	return true
}

// applySegment counts segment files. One that is announced twice counts once.
func (f *folded) applySegment(e events.Stored) bool {
	switch ev := e.Event.(type) {
	case events.SegmentOpened:
		f.Pending = with(f.Pending, plain(ev.Segment))
	case events.SegmentStored:
		id := plain(ev.Segment)
		if !slices.Contains(f.Pending, id) && !slices.Contains(f.Missing, id) {
			break
		}
		f.Pending, f.Missing = without(f.Pending, id), without(f.Missing, id)
		f.SegmentsStored++
		f.Bytes += max(0, ev.Bytes)
	default:
		return false
	}
	return true
}

// archived moves a completed consultation on once a version is there. One that was reopened stays open.
func (f *folded) archived() {
	if f.State != consultation.Completed {
		return
	}
	for _, a := range f.Archives {
		if a.State == ArchiveReady {
			f.State = consultation.Archived
		}
	}
}

// applyArchive follows the versions of the archive. One that is ready stays ready.
func (f *folded) applyArchive(e events.Stored, at time.Time) bool {
	switch ev := e.Event.(type) {
	case events.ArchiveRequested:
		if f.Archives[int64(ev.Version)] == nil {
			f.Archives[int64(ev.Version)] = &foldedArchive{
				Version: int64(ev.Version), State: ArchiveQueued, ThroughSeq: clamp(ev.ThroughSeq),
				Layout: plain(ev.Layout), Profile: plain(ev.Profile), RequestedAt: at, changed: true,
				Stamp: ev.Stamp, Voices: ev.Voices, Unverified: []string{},
			}
		}
	case events.ArchiveStarted:
		f.changeArchive(ev.Version, func(a *foldedArchive) {
			a.State, a.Code, a.StartedAt, a.FinishedAt = ArchiveRendering, "", &at, nil
		})
	case events.ArchiveFailed:
		f.changeArchive(ev.Version, func(a *foldedArchive) {
			a.State, a.Code, a.FinishedAt = ArchiveFailed, plain(ev.Code), &at
		})
	case events.ArchiveRendered:
		f.changeArchive(ev.Version, func(a *foldedArchive) {
			a.State, a.Code, a.FinishedAt = ArchiveReady, "", &at
			a.Key, a.Bytes, a.DurationMS = plain(ev.Key), max(0, ev.Bytes), max(0, ev.DurationMS)
			a.SHA256, a.ManifestSHA256 = plain(ev.SHA256), plain(ev.ManifestSHA256)
			for _, check := range ev.Unverified {
				a.Unverified = append(a.Unverified, plain(check))
			}
		})
		f.archived()
	default:
		return false
	}
	return true
}

func (f *folded) invite(id string, ev events.ParticipantInvited, at time.Time) {
	if f.Participants[id] != nil {
		return
	}
	records := []string{}
	for _, other := range ev.For {
		records = append(records, plain(other))
	}
	f.Participants[id] = &foldedParticipant{ID: id, Role: plain(ev.Role), Records: records, InvitedAt: at, changed: true}
}

func (f *folded) change(id string, to func(*foldedParticipant)) {
	if p := f.Participants[ident(id)]; p != nil {
		to(p)
		p.changed = true
	}
}

func (f *folded) changeArchive(version int, to func(*foldedArchive)) {
	if a := f.Archives[int64(version)]; a != nil && a.State != ArchiveReady {
		to(a)
		a.changed = true
	}
}

func (p *foldedParticipant) join(at time.Time) {
	if p.JoinedAt == nil {
		p.JoinedAt = &at
	}
	p.Present, p.LeftAt, p.LeftReason = true, nil, ""
}

func (p *foldedParticipant) leave(at time.Time, reason string) {
	if !p.Present {
		return
	}
	p.Present, p.LeftAt, p.LeftReason, p.changed = false, &at, reason, true
}

// with and without keep a sorted set.
func with(set []string, s string) []string {
	i, found := slices.BinarySearch(set, s)
	if found {
		return set
	}
	return slices.Insert(set, i, s)
}

func without(set []string, s string) []string {
	i, found := slices.BinarySearch(set, s)
	if !found {
		return set
	}
	return slices.Delete(set, i, i+1)
}

// plain drops the one character that PostgreSQL cannot store in a text.
func plain(s string) string {
	return strings.ReplaceAll(s, "\x00", "")
}

// micros is the precision of the database: what is folded and what is read back are the same.
func micros(t time.Time) time.Time {
	return t.UTC().Truncate(time.Microsecond)
}

func clamp(n uint64) int64 {
	return int64(min(n, math.MaxInt64))
}
