package api

import (
	"context"
	"net/http"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/directory"
	"consilium/internal/events"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeParticipants(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "invite-participant", Method: http.MethodPost, Path: prefix + "/consultations/{id}/participants",
		Summary: "Invite one more participant", DefaultStatus: http.StatusCreated, Security: bearerOnly, Extensions: needs(auth.InviteParticipant),
	}, s.invite)
	huma.Register(a, huma.Operation{
		OperationID: "answer-consent", Method: http.MethodPost, Path: prefix + "/consultations/{id}/participants/{pid}/consent",
		Summary: "Answer the recording notice", DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.AnswerConsent, auth.AssertConsent),
	}, s.answerConsent)
	huma.Register(a, huma.Operation{
		OperationID: "remove-participant", Method: http.MethodDelete, Path: prefix + "/consultations/{id}/participants/{pid}",
		Summary: "Remove a participant", DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.RemoveParticipant),
	}, s.kick)
}

type invitedOut struct{ Body invited }

func (s *Server) invite(ctx context.Context, in *struct {
	requestBase
	ID   string `path:"id"`
	Body newParticipant
},
) (*invitedOut, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.InviteParticipant, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	p := invite(events.NewID(), in.Body)
	person := directory.Participant{ID: p.ID, Name: in.Body.Name}
	if err := s.deps.Manager.Allowed(ctx, in.ID, p); err != nil {
		return nil, s.fail(err) // before a name is kept for nothing
	}
	if err := s.deps.Directory.PutParticipant(ctx, in.ID, person); err != nil {
		return nil, s.fail(err)
	}
	at, err := s.deps.Manager.Command(ctx, in.ID, who.actor(), p)
	if err != nil {
		return nil, s.fail(err)
	}
	out, err := s.invitation(in.base(s), in.ID, p, person.Name)
	if err != nil {
		return nil, s.fail(err)
	}
	s.shown(ctx, at.Stream)
	return &invitedOut{Body: out}, nil
}

func (s *Server) answerConsent(ctx context.Context, in *struct {
	ID   string `path:"id"`
	PID  string `path:"pid"`
	Body struct {
		Answer     consultation.Answer `json:"answer" enum:"given,refused,withdrawn"`
		TextSHA256 string              `json:"textSha256" pattern:"^([0-9a-f]{64})?$" doc:"Hex SHA-256 of the text that was shown."`
		Language   string              `json:"language" maxLength:"35"`
	}
},
) (*struct{}, error) {
	who := callerFrom(ctx)
	action, by := auth.AssertConsent, events.ByService
	if who.Participant == in.PID {
		action, by = auth.AnswerConsent, events.BySelf
	}
	if err := who.may(action, in.ID, in.PID); err != nil {
		return nil, s.fail(err)
	}
	language, err := directory.Language(in.Body.Language)
	if err != nil {
		return nil, s.fail(err)
	}
	at, err := s.deps.Manager.Command(ctx, in.ID, who.actor(), consultation.AnswerConsent{
		Participant: in.PID, Answer: in.Body.Answer,
		Consent: events.Consent{TextSHA256: in.Body.TextSHA256, Language: language, By: by},
	})
	if err != nil {
		return nil, s.fail(err)
	}
	s.shown(ctx, at.Stream)
	return nil, nil
}

func (s *Server) kick(ctx context.Context, in *struct {
	ID  string `path:"id"`
	PID string `path:"pid"`
},
) (*struct{}, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.RemoveParticipant, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	at, err := s.deps.Manager.Command(ctx, in.ID, who.actor(), consultation.Leave{Participant: in.PID, Reason: events.LeftKicked})
	if err != nil {
		return nil, s.fail(err)
	}
	s.shown(ctx, at.Stream)
	return nil, nil
}
