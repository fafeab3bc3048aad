package consultation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"consilium/internal/events"
)

// Reasons why a command is not followed. Callers decide on them with errors.Is.
var (
	ErrUnknown            = errors.New("there is no such consultation")
	ErrExists             = errors.New("the consultation exists already")
	ErrUnknownParticipant = errors.New("there is no such participant in this consultation")
	ErrEnded              = errors.New("the consultation has ended")
	ErrNotOpen            = errors.New("the consultation is not open")
	ErrConsentNeeded      = errors.New("the participant has not agreed to the recording")
	ErrRefused            = errors.New("the participant does not agree to the recording, which this consultation requires")
	ErrAnswered           = errors.New("the participant has answered the recording notice differently")
	ErrKicked             = errors.New("the participant was removed from the consultation")
	ErrTooLate            = errors.New("the consultation ended more than 15 minutes ago")
	ErrNotEnded           = errors.New("the consultation has not ended")
	ErrNotComplete        = errors.New("segments are still on their way to the blob store")
	ErrArchivePending     = errors.New("an archive of this consultation is being made already")
	ErrInvalid            = errors.New("the request does not make sense")
)

// ReopenWithin is how long after its end a consultation can be reopened, and AbandonAfter how long nobody may be
// present before it ends by itself.
const (
	ReopenWithin = 15 * time.Minute
	AbandonAfter = 15 * time.Minute
)

// Change is one fact that follows from a command.
type Change struct {
	Participant string // whom it is about, or empty
	Event       events.Event
}

// Command is something that somebody wants to happen. The interface is sealed.
type Command interface {
	decide(s *State, now time.Time) ([]Change, error)
}

// Decide gives the facts that follow from c in state s at the time now (conference clock). No facts and no error means
// that everything is already as wanted.
func Decide(s *State, c Command, now time.Time) ([]Change, error) {
	return c.decide(s, now)
}

// By says who wants a command to happen and where it is carried out.
type By struct {
	Source string // event source, "/live/NODE"
	Actor  string // participant or subject id, or empty for the system itself
	Now    func() time.Time
	// Room, when set, says why no recorded consultation may begin now. What has begun goes on.
	Room func() error
}

// Deciding makes the function that the appender calls with the history: it folds, decides and stamps.
func Deciding(c Command, by By) func(history []events.Stored) ([]events.Draft, error) {
	return func(history []events.Stored) ([]events.Draft, error) {
		now := by.Now()
		changes, err := Decide(Fold(history), c, now)
		if err != nil {
			return nil, err
		}
		if by.Room != nil && beginsRecorded(changes) {
			if err := by.Room(); err != nil {
				return nil, err
			}
		}
		drafts := make([]events.Draft, 0, len(changes))
		for _, change := range changes {
			d := events.NewDraft(by.Source, now, change.Event)
			d.Participant, d.Actor = change.Participant, by.Actor
			drafts = append(drafts, d)
		}
		return drafts, nil
	}
}

// beginsRecorded says whether changes schedule or open a consultation of which anything will be written.
func beginsRecorded(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool {
		switch e := c.Event.(type) {
		case events.ConsultationScheduled:
			return e.Policy != events.PolicyForbidden
		case events.ConsultationOpened:
			return e.Policy != events.PolicyForbidden
		default:
			return false
		}
	})
}

// Schedule creates the consultation.
type Schedule struct {
	Policy       events.Policy
	Layout       string
	Language     string
	Participants []Invite
}

func (c Schedule) decide(s *State, now time.Time) ([]Change, error) {
	if s.Exists() {
		return nil, ErrExists
	}
	changes := []Change{{Event: events.ConsultationScheduled{Policy: c.Policy, Layout: c.Layout, Language: c.Language}}}
	later := &State{Version: events.Version{Seq: 1}, Phase: Scheduled, Policy: c.Policy}
	for _, p := range c.Participants {
		more, err := p.decide(later, now)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
		later.invited(p.ID, events.ParticipantInvited{Role: p.Role})
	}
	return changes, nil
}

// Invite makes a participant known. Consent, when given, is asserted by the calling system.
type Invite struct {
	ID      string
	Role    string
	For     []string
	Consent *events.Consent
}

func (c Invite) decide(s *State, _ time.Time) ([]Change, error) {
	if err := s.mustRun(); err != nil {
		return nil, err
	}
	if _, known := s.participants[c.ID]; known {
		return nil, nil
	}
	if !MayTakePart(c.Role) {
		return nil, fmt.Errorf("%w: %q is not a role of a participant", ErrInvalid, c.Role)
	}
	if len(c.For) > 0 && c.Role != events.RoleDevice {
		return nil, fmt.Errorf("%w: only a device is there for others", ErrInvalid)
	}
	for _, id := range c.For {
		if _, known := s.participants[id]; !known {
			return nil, fmt.Errorf("device for %s: %w", id, ErrUnknownParticipant)
		}
	}
	changes := []Change{{c.ID, events.ParticipantInvited{Role: c.Role, For: c.For}}}
	if c.Consent != nil {
		changes = append(changes, Change{c.ID, events.ConsentGiven{Consent: *c.Consent}})
	}
	return changes, nil
}

// AnswerConsent records the participant's answer to the recording notice.
type AnswerConsent struct {
	Participant string
	Answer      Answer
	Consent     events.Consent
}

func (c AnswerConsent) decide(s *State, _ time.Time) ([]Change, error) {
	if err := s.mustRun(); err != nil {
		return nil, err
	}
	p, ok := s.participants[c.Participant]
	if !ok {
		return nil, ErrUnknownParticipant
	}
	if p.Consent == c.Answer {
		return nil, nil
	}
	switch c.Answer {
	case Given:
		if c.Consent.By == events.ByService && p.Consent != Unanswered {
			return nil, ErrAnswered // nobody overrules a person's own no
		}
		return []Change{{p.ID, events.ConsentGiven{Consent: c.Consent}}}, nil
	case Refused:
		if p.Consent == Given {
			return nil, fmt.Errorf("%w: a consent that was given is withdrawn, not refused", ErrInvalid)
		}
		return []Change{{p.ID, events.ConsentRefused{Consent: c.Consent}}}, nil
	case Withdrawn:
		if p.Consent != Given {
			return nil, fmt.Errorf("%w: there is no consent to withdraw", ErrInvalid)
		}
		return []Change{{p.ID, events.ConsentWithdrawn{Consent: c.Consent}}}, nil
	default:
		return nil, fmt.Errorf("%w: the answer must be given, refused or withdrawn", ErrInvalid)
	}
}

// Join makes the participant present. Claimed is the consent that the participant's token asserts, if it does.
// Publishing says that it comes to send and nothing else (WHIP): then it needs its own consent under every policy, and
// that of everybody whom its invitation or its token (For) names.
type Join struct {
	Participant string
	Claimed     *events.Consent
	Publishing  bool
	For         []string
}

func (c Join) decide(s *State, _ time.Time) ([]Change, error) {
	if err := s.mustRun(); err != nil {
		return nil, err
	}
	p, ok := s.participants[c.Participant]
	if !ok {
		return nil, ErrUnknownParticipant
	}
	if p.Kicked {
		return nil, ErrKicked
	}
	var changes []Change
	answer := p.Consent
	if answer == Unanswered && c.Claimed != nil {
		answer = Given
		changes = append(changes, Change{p.ID, events.ConsentGiven{Consent: *c.Claimed}})
	}
	needed := c.Publishing || s.Policy == events.PolicyRequired && p.mayHaveTracks()
	if needed && answer != Given {
		if answer == Unanswered {
			return nil, ErrConsentNeeded
		}
		return nil, ErrRefused
	}
	if c.Publishing {
		if err := s.mayJoinToPublish(p, c.For); err != nil {
			return nil, err
		}
	}
	if s.Phase == Scheduled {
		changes = append(changes, Change{"", events.ConsultationOpened{Policy: s.Policy, Layout: s.Layout, Language: s.Language}})
	}
	if !p.Present {
		changes = append(changes, Change{p.ID, events.ParticipantJoined{Role: p.Role}})
	}
	return changes, nil
}

func (s *State) mayJoinToPublish(p *Participant, alsoFor []string) error {
	if !p.mayHaveTracks() {
		return fmt.Errorf("%w: an observer sends nothing", ErrInvalid)
	}
	for _, id := range slices.Concat(p.For, alsoFor) {
		if o, ok := s.participants[id]; !ok || o.Consent != Given {
			return ErrConsentNeeded
		}
	}
	return nil
}

// Leave ends the participant's presence with one of the reasons of events.ParticipantLeft.
type Leave struct {
	Participant string
	Reason      string
}

func (c Leave) decide(s *State, _ time.Time) ([]Change, error) {
	if !s.Exists() {
		return nil, ErrUnknown
	}
	if err := s.mustRun(); c.Reason == events.LeftKicked && err != nil {
		return nil, err
	}
	p, ok := s.participants[c.Participant]
	if !ok {
		return nil, ErrUnknownParticipant
	}
	if !p.Present && (c.Reason != events.LeftKicked || p.Kicked) {
		return nil, nil
	}
	return []Change{{p.ID, events.ParticipantLeft{Reason: c.Reason}}}, nil
}

// Pause stops all writing.
type Pause struct{ Reason string }

func (c Pause) decide(s *State, _ time.Time) ([]Change, error) {
	if err := s.mustBeOpen(); err != nil {
		return nil, err
	}
	if s.Paused {
		return nil, nil
	}
	return []Change{{Event: events.RecordingPaused(c)}}, nil
}

// Resume takes back a Pause.
type Resume struct{ Reason string }

func (c Resume) decide(s *State, _ time.Time) ([]Change, error) {
	if err := s.mustBeOpen(); err != nil {
		return nil, err
	}
	if !s.Paused {
		return nil, nil
	}
	return []Change{{Event: events.RecordingResumed(c)}}, nil
}

// End ends the consultation with one of the reasons of events.ConsultationEnded. Ending it twice is an error.
type End struct{ Reason string }

func (c End) decide(s *State, now time.Time) ([]Change, error) {
	if err := s.mustRun(); err != nil {
		return nil, err
	}
	if c.Reason == events.EndedAbandoned && (s.EmptySince.IsZero() || now.Sub(s.EmptySince) < AbandonAfter) {
		return nil, nil
	}
	changes := []Change{{Event: events.ConsultationEnded{Reason: c.Reason}}}
	for _, p := range s.Participants() {
		if p.Present {
			changes = append(changes, Change{p.ID, events.ParticipantLeft{Reason: events.LeftEnded}})
		}
	}
	return changes, nil
}

// Reopen takes back an end.
type Reopen struct{}

func (Reopen) decide(s *State, now time.Time) ([]Change, error) {
	switch {
	case !s.Exists():
		return nil, ErrUnknown
	case s.EndedAt.IsZero():
		return nil, ErrNotEnded
	case now.Sub(s.EndedAt) > ReopenWithin:
		return nil, ErrTooLate
	}
	return []Change{{Event: events.ConsultationReopened{}}}, nil
}

// Host claims the consultation for one process. What is completed needs no host any more.
type Host struct {
	Node, URL string
	Wall      time.Time
}

func (c Host) decide(s *State, _ time.Time) ([]Change, error) {
	switch {
	case !s.Exists():
		return nil, ErrUnknown
	case s.Phase == Completed || s.Phase == Archived:
		return nil, ErrEnded
	}
	return []Change{{Event: events.ConferenceHosted{Epoch: s.Epoch + 1, Wall: c.Wall.UTC(), Node: c.Node, URL: c.URL}}}, nil
}

// Complete states what the archive can be made of and orders it, in one step. Without Missing it is refused while a
// segment is not stored.
type Complete struct {
	Epoch   int                     // of the hosting process that decides; another epoch means that it does not host any more
	Missing []events.MissingSegment // given up after waiting
	Tracks  []events.TrackAccount
	Quality *events.QualityBlob
	Sheet   events.Blob
}

func (c Complete) decide(s *State, _ time.Time) ([]Change, error) {
	if s.Phase != Ended || s.Epoch != c.Epoch {
		return nil, nil
	}
	named := map[string]bool{}
	for _, m := range c.Missing {
		named[m.Segment] = true
	}
	for _, g := range s.Unstored() {
		if !named[g.ID] {
			return nil, fmt.Errorf("segment %s: %w", g.ID, ErrNotComplete)
		}
	}
	completed := events.ConsultationCompleted{
		Segments: s.Segments(), Missing: c.Missing, Tracks: c.Tracks, Quality: c.Quality,
	}
	if completed.Missing == nil {
		completed.Missing = []events.MissingSegment{}
	}
	if completed.Tracks == nil {
		completed.Tracks = []events.TrackAccount{}
	}
	return []Change{
		{Event: completed},
		{Event: events.ArchiveRequested{
			Version: s.nextArchive(), ThroughSeq: s.Version.Seq + 1, Layout: s.Layout, Profile: ProfileStandard, Sheet: c.Sheet,
		}},
	}, nil
}

// The profiles of archives.
const (
	ProfileStandard = "standard"
	ProfileFast     = "fast"
	ProfileAudio    = "audio"
)

// RequestArchive orders one more version of the archive.
type RequestArchive struct {
	Layout, Profile string // empty: as the version before
	Stamp, Voices   *bool  // nil: as the version before
	Sheet           events.Blob
}

func (c RequestArchive) decide(s *State, _ time.Time) ([]Change, error) {
	switch {
	case !s.Exists():
		return nil, ErrUnknown
	case len(s.archives) == 0:
		return nil, ErrNotComplete
	}
	last := s.archives[len(s.archives)-1]
	if !last.Rendered && !last.Failed {
		return nil, ErrArchivePending
	}
	r := events.ArchiveRequested{
		Version: s.nextArchive(), ThroughSeq: s.Version.Seq, Layout: c.Layout, Profile: c.Profile, Sheet: c.Sheet,
	}
	if r.Layout == "" {
		r.Layout = last.Request.Layout
	}
	if r.Profile == "" {
		r.Profile = last.Request.Profile
	}
	r.Stamp, r.Voices = last.Request.Stamp, last.Request.Voices
	if c.Stamp != nil {
		r.Stamp = *c.Stamp
	}
	if c.Voices != nil {
		r.Voices = *c.Voices
	}
	return []Change{{Event: r}}, nil
}

// nextArchive is behind the newest version: the first ones may be missing where the log was rebuilt.
func (s *State) nextArchive() int {
	newest := 0
	for _, a := range s.archives {
		newest = max(newest, a.Version)
	}
	return newest + 1
}

// mustRun says whether the consultation exists and has not ended.
func (s *State) mustRun() error {
	switch {
	case !s.Exists():
		return ErrUnknown
	case s.Phase != Scheduled && s.Phase != Open:
		return ErrEnded
	}
	return nil
}

func (s *State) mustBeOpen() error {
	if err := s.mustRun(); err != nil {
		return err
	}
	if s.Phase != Open {
		return ErrNotOpen
	}
	return nil
}
