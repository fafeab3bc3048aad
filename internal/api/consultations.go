package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/directory"
	"consilium/internal/events"
	"consilium/internal/store"

	"github.com/danielgtaylor/huma/v2"
)

// newParticipant is one participant in a request.
type newParticipant struct {
	Name    string   `json:"name" minLength:"1" maxLength:"200" doc:"Shown to the others and in the archive. Never in the log."`
	Role    string   `json:"role" enum:"clinician,patient,interpreter,observer,device"`
	For     []string `json:"for,omitempty" maxItems:"50" doc:"Devices only: the participants whose consent the device needs, by id; on creation also by name."`
	Consent bool     `json:"consent,omitempty" doc:"The calling system asserts that the participant agreed to the recording."`
}

// newConsultation is the body that schedules a consultation.
type newConsultation struct {
	Title        string           `json:"title" minLength:"1" maxLength:"200"`
	ExternalRef  string           `json:"externalRef,omitempty" maxLength:"200" doc:"The calling system's own reference."`
	Recording    events.Policy    `json:"recording,omitempty" enum:"required,optional,forbidden," default:"required"`
	Layout       string           `json:"layout,omitempty" enum:"grid,speaker," default:"grid" doc:"Of the first version of the archive."`
	Language     string           `json:"language,omitempty" maxLength:"35" default:"en" doc:"BCP 47"`
	TimeZone     string           `json:"timeZone,omitempty" maxLength:"64" default:"UTC" doc:"IANA name, for times in the archive."`
	Participants []newParticipant `json:"participants,omitempty" maxItems:"50"`
}

// invited is one participant in an answer.
type invited struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	JoinURL string `json:"joinUrl" doc:"The participant's own link. Its token sits in the fragment and reaches no server log."`
}

type created struct {
	Location string `header:"Location"`
	Body     struct {
		ID           string             `json:"id"`
		State        consultation.Phase `json:"state"`
		Title        string             `json:"title"`
		Participants []invited          `json:"participants"`
	}
}

func (s *Server) routeConsultations(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "schedule-consultation", Method: http.MethodPost, Path: prefix + "/consultations",
		Summary: "Schedule a consultation", DefaultStatus: http.StatusCreated, Security: bearerOnly, Extensions: needs(auth.CreateConsultation),
	}, s.schedule)
	huma.Register(a, huma.Operation{
		OperationID: "list-consultations", Method: http.MethodGet, Path: prefix + "/consultations",
		Summary: "List and search consultations, newest first", Security: bearerOnly, Extensions: needs(auth.ListConsultations),
	}, s.list)
	huma.Register(a, huma.Operation{
		OperationID: "get-consultation", Method: http.MethodGet, Path: prefix + "/consultations/{id}",
		Summary: "One consultation", Security: bearerOnly, Extensions: needs(auth.ViewConsultation),
	}, s.get)
}

var bearerOnly = []map[string][]string{{"bearer": {}}}

func (s *Server) schedule(ctx context.Context, in *struct {
	requestBase
	Body newConsultation
},
) (*created, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.CreateConsultation, "", ""); err != nil {
		return nil, s.fail(err)
	}
	id := events.NewID()
	invites, people, err := plan(in.Body.Participants)
	if err != nil {
		return nil, s.fail(err)
	}
	cmd := consultation.Schedule{
		Policy: in.Body.Recording, Layout: cmp.Or(in.Body.Layout, "grid"), Language: in.Body.Language, Participants: invites,
	}
	if cmd.Policy == "" {
		cmd.Policy = events.PolicyRequired
	}
	if _, err := consultation.Decide(&consultation.State{}, cmd, s.deps.Now()); err != nil {
		return nil, s.fail(err) // before names are kept for nothing
	}
	if cmd.Policy != events.PolicyForbidden {
		if err := s.deps.Disk.Room(); err != nil {
			return nil, s.fail(err)
		}
	}
	entry := directory.Consultation{
		ID: id, Title: in.Body.Title, ExternalRef: in.Body.ExternalRef, Language: in.Body.Language, TimeZone: in.Body.TimeZone,
		Participants: people,
	}
	if err := s.deps.Directory.Put(ctx, entry); err != nil {
		return nil, s.fail(err)
	}
	at, err := s.deps.Manager.Command(ctx, id, who.actor(), cmd)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &created{Location: prefix + "/consultations/" + id}
	out.Body.Participants = []invited{}
	out.Body.ID, out.Body.Title, out.Body.State = id, in.Body.Title, consultation.Scheduled
	for i, p := range invites {
		link, err := s.invitation(in.base(s), id, p, people[i].Name)
		if err != nil {
			return nil, s.fail(err)
		}
		out.Body.Participants = append(out.Body.Participants, link)
	}
	s.shown(ctx, at.Stream)
	return out, nil
}

// plan gives every participant an id and resolves the names in For.
func plan(in []newParticipant) ([]consultation.Invite, []directory.Participant, error) {
	people := make([]directory.Participant, len(in))
	byName := map[string]string{}
	for i, p := range in {
		people[i] = directory.Participant{ID: events.NewID(), Name: p.Name}
		byName[p.Name] = people[i].ID
	}
	invites := make([]consultation.Invite, len(in))
	for i, p := range in {
		invites[i] = invite(people[i].ID, p)
		for k, wanted := range p.For {
			if id, ok := byName[wanted]; ok {
				invites[i].For[k] = id
			} else if !events.ValidID(wanted) {
				return nil, nil, problem(http.StatusUnprocessableEntity, "invalid", "A device is for somebody who is not among the participants.")
			}
		}
	}
	return devicesLast(invites, people)
}

// devicesLast puts devices behind the people they are for, since an invitation can only name who is known already.
func devicesLast(invites []consultation.Invite, people []directory.Participant) ([]consultation.Invite, []directory.Participant, error) {
	var first, last []consultation.Invite
	var firstNames, lastNames []directory.Participant
	for i, p := range invites {
		if p.Role == events.RoleDevice {
			last, lastNames = append(last, p), append(lastNames, people[i])
		} else {
			first, firstNames = append(first, p), append(firstNames, people[i])
		}
	}
	return append(first, last...), append(firstNames, lastNames...), nil
}

func invite(id string, p newParticipant) consultation.Invite {
	i := consultation.Invite{ID: id, Role: p.Role, For: append([]string(nil), p.For...)}
	if p.Consent {
		i.Consent = &events.Consent{By: events.ByService}
	}
	return i
}

// invitation is the answer for one invited participant.
func (s *Server) invitation(base, id string, p consultation.Invite, name string) (invited, error) {
	link, err := s.joinURL(base, auth.Claims{
		Subject: p.ID, Role: p.Role, Consultation: id, Participant: p.ID, Name: name, Consent: p.Consent != nil, For: p.For,
	})
	return invited{ID: p.ID, Name: name, Role: p.Role, JoinURL: link}, err
}

type listed struct {
	Body struct {
		Items      []summary `json:"items"`
		NextCursor string    `json:"nextCursor,omitempty"`
	}
}

func (s *Server) list(ctx context.Context, in *struct {
	Query       string    `query:"query" maxLength:"200" doc:"Words of title, names or external reference; all must occur. One or two letters count where a word begins with them."`
	Person      string    `query:"person" maxLength:"200" doc:"Words that must all occur in one participant's name."`
	Participant string    `query:"participant" maxLength:"100" doc:"Only those of the participant with this id."`
	From        time.Time `query:"from" doc:"Held at or after this time."`
	To          time.Time `query:"to" doc:"Held before this time."`
	State       string    `query:"state" enum:"scheduled,open,ended,completed,archived,"`
	Problem     string    `query:"problem" enum:"any,no,abandoned,archive_failed,connection_failed,crash,gap,participant_lost,reindexed,segment_missing,stall," doc:"any: with a problem; no: without; else with this one."`
	Consent     string    `query:"consent" enum:"given,refused,withdrawn,none," doc:"given: everybody who may send has agreed; else somebody has refused, withdrawn, or not answered."`
	Held        string    `query:"held" enum:"true,false,release_requested," doc:"true: a hold is in force; false: none is; release_requested: a second person is asked to release one."`
	Cursor      string    `query:"cursor" maxLength:"500" doc:"nextCursor of the page before."`
	Limit       int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
},
) (*listed, error) {
	who := callerFrom(ctx)
	filter := store.Filter{
		Query: in.Query, Person: in.Person, Participant: in.Participant, From: in.From, To: in.To, State: consultation.Phase(in.State),
		Problem: in.Problem, Consent: in.Consent, Held: in.Held, Cursor: in.Cursor, Limit: in.Limit,
	}
	if in.Held != "" && !who.maySeeHolds() {
		return nil, s.fail(errForbidden)
	}
	switch auth.Allowed(who.Role, auth.ListConsultations) {
	case auth.Any:
	case auth.Own:
		filter.Own, filter.Consultation, filter.Participant = true, who.Consultation, who.Participant
	default:
		return nil, s.fail(errForbidden)
	}
	page, err := s.deps.Queries.List(ctx, filter)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &listed{}
	out.Body.Items, out.Body.NextCursor = []summary{}, page.Next
	for _, c := range page.Items {
		out.Body.Items = append(out.Body.Items, s.summarise(ctx, who, c))
	}
	return out, nil
}

type got struct{ Body summary }

func (s *Server) get(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*got, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ViewConsultation, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	c, err := s.deps.Queries.Get(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	return &got{Body: s.summarise(ctx, who, c)}, nil
}

// summary is a consultation in lists and on its page.
type summary struct {
	ID           string               `json:"id"`
	Title        string               `json:"title"`
	State        string               `json:"state" enum:"scheduled,open,ended,completed,archived"`
	ExternalRef  string               `json:"externalRef,omitempty"`
	Policy       string               `json:"recording" enum:"required,optional,forbidden"`
	Language     string               `json:"language"`
	CreatedAt    time.Time            `json:"createdAt"`
	StartedAt    *time.Time           `json:"startedAt,omitempty"`
	EndedAt      *time.Time           `json:"endedAt,omitempty"`
	DurationMS   *int64               `json:"durationMs,omitempty"`
	Awaited      int                  `json:"awaitedSegments,omitempty" doc:"Segments of the recording that have not reached the blob store yet."`
	Seq          uint64               `json:"seq" doc:"Of the newest event that this answer knows."`
	Present      int                  `json:"present" doc:"Participants who are there now."`
	Paused       bool                 `json:"paused,omitempty" doc:"Whether the recording is paused."`
	Bytes        int64                `json:"bytes" doc:"Of the stored segments."`
	ExpectedMS   int64                `json:"expectedMs" doc:"Sum of all tracks, once the recording is complete."`
	RecordedMS   int64                `json:"recordedMs" doc:"What of it is there; the rest are gaps with causes."`
	Missing      int                  `json:"missingSegments,omitempty"`
	Problems     []string             `json:"problems" doc:"Stable codes, see docs/read-model.md."`
	Consents     []string             `json:"consents" doc:"Answers that occur among those who may send: given, refused, withdrawn, none."`
	Holds        int                  `json:"holds,omitempty" doc:"In force: nothing of the consultation may be deleted. Missing for those who may not know."`
	ReleaseAsked *time.Time           `json:"releaseRequestedAt,omitempty" doc:"Newest request to release one of the holds."`
	Participants []participantSummary `json:"participants"`
	Archive      *archiveSummary      `json:"archive,omitempty" doc:"The newest version."`
}

type participantSummary struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Role     string     `json:"role" enum:"clinician,patient,interpreter,observer,device"`
	Present  bool       `json:"present"`
	JoinedAt *time.Time `json:"joinedAt,omitempty"`
	Consent  string     `json:"consent,omitempty" enum:"given,refused,withdrawn,"`
}

// summarise turns a row of the read model into an answer for who.
func (s *Server) summarise(ctx context.Context, who caller, c store.Consultation) summary {
	out := summary{
		ID: c.ID, Title: c.Title, State: string(c.State), ExternalRef: c.ExternalRef, Policy: string(c.Policy),
		Language: c.Language, CreatedAt: c.ScheduledAt, StartedAt: c.StartedAt, EndedAt: c.EndedAt,
		Awaited: len(c.SegmentsPending), Missing: len(c.SegmentsMissing), Participants: []participantSummary{}, Seq: c.Seq,
		Present: c.Present, Paused: c.Paused, Bytes: c.Bytes, ExpectedMS: c.Expected.Milliseconds(), RecordedMS: c.Recorded.Milliseconds(),
		Problems: c.Problems, Consents: c.Consents,
	}
	if c.StartedAt != nil && c.EndedAt != nil {
		ms := c.EndedAt.Sub(*c.StartedAt).Milliseconds()
		out.DurationMS = &ms
	}
	for _, p := range c.People {
		out.Participants = append(out.Participants, participantSummary{
			ID: p.ID, Name: p.Name, Role: p.Role, Present: p.Present, JoinedAt: p.JoinedAt, Consent: string(p.Consent),
		})
	}
	if who.maySeeHolds() {
		out.Holds, out.ReleaseAsked = c.Holds, c.ReleaseAskedAt
	}
	if c.Archive != nil {
		a := s.summariseArchive(ctx, c.ID, *c.Archive)
		out.Archive = &a
	}
	return out
}
