package api

import (
	"context"
	"net/http"
	"time"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/store"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeHolds(a huma.API) {
	const path = prefix + "/consultations/{id}/holds"
	huma.Register(a, huma.Operation{
		OperationID: "list-holds", Method: http.MethodGet, Path: path, Summary: "What forbids to delete anything of this consultation, and what did",
		Description: "References and names are given to those who may place holds.", Security: bearerOnly, Extensions: needs(auth.ViewHolds),
	}, s.listHolds)
	huma.Register(a, huma.Operation{
		OperationID: "place-hold", Method: http.MethodPost, Path: path, Summary: "Forbid to delete anything of this consultation",
		DefaultStatus: http.StatusCreated, Security: bearerOnly, Extensions: needs(auth.PlaceHold),
	}, s.placeHold)
	huma.Register(a, huma.Operation{
		OperationID: "request-release", Method: http.MethodPost, Path: path + "/{hold}/release", Summary: "Ask a second person to release a hold",
		Description:   "The request counts for seven days. The hold stays until another person approves it.",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.ReleaseHold),
	}, s.requestRelease)
	huma.Register(a, huma.Operation{
		OperationID: "approve-release", Method: http.MethodPost, Path: path + "/{hold}/release/approve",
		Summary:       "Release a hold as somebody else has requested",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.ReleaseHold),
	}, s.approveRelease)
	huma.Register(a, huma.Operation{
		OperationID: "decline-release", Method: http.MethodPost, Path: path + "/{hold}/release/decline",
		Summary:       "Refuse to release a hold, or take one's own request back",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.ReleaseHold),
	}, s.declineRelease)
}

// holdSummary is one hold.
type holdSummary struct {
	ID        string          `json:"id"`
	Reason    string          `json:"reason" enum:"litigation,authority,complaint,incident,patient_request,audit,other"`
	Reference string          `json:"reference,omitempty" doc:"Of the case. Only for those who may place holds."`
	Placed    holdStep        `json:"placed"`
	Release   *releaseSummary `json:"release,omitempty" doc:"The newest request to release it, unless it was declined."`
	Released  *holdStep       `json:"released,omitempty" doc:"Missing while the hold is in force."`
}

// holdStep says who did something with a hold.
type holdStep struct {
	At   time.Time `json:"at"`
	Role string    `json:"role"`
	Name string    `json:"name,omitempty" doc:"Only for those who may place holds."`
	You  bool      `json:"you,omitempty" doc:"Whether it was who asks."`
}

type releaseSummary struct {
	Requested holdStep  `json:"requested"`
	Reason    string    `json:"reason" enum:"resolved,mistake,superseded,other"`
	ExpiresAt time.Time `json:"expiresAt" doc:"After that it cannot be approved any more."`
}

type holdsOut struct {
	Body struct {
		Holds []holdSummary `json:"holds"`
	}
}

func (s *Server) listHolds(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*holdsOut, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ViewHolds, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	all, err := s.deps.Queries.Holds(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	you := ""
	if auth.Allowed(who.Role, auth.PlaceHold) != auth.None {
		if you, err = s.officer(ctx, who); err != nil {
			return nil, s.fail(err)
		}
	}
	out := &holdsOut{}
	out.Body.Holds = []holdSummary{}
	for _, h := range all {
		out.Body.Holds = append(out.Body.Holds, summariseHold(h, you))
	}
	return out, nil
}

// summariseHold turns a row into an answer for you, an actor who may place holds; for "" it says neither case nor names.
func summariseHold(h store.Hold, you string) holdSummary {
	step := func(from store.HoldStep) *holdStep {
		if from.At == nil {
			return nil
		}
		to := &holdStep{At: *from.At, Role: from.Role}
		if you != "" {
			to.Name, to.You = from.Name, from.Actor == you
		}
		return to
	}
	out := holdSummary{ID: h.ID, Reason: h.Reason, Released: step(h.Released)}
	if placed := step(h.Placed); placed != nil {
		out.Placed = *placed
	}
	if you != "" {
		out.Reference = h.Reference
	}
	if asked := step(h.Asked); asked != nil {
		out.Release = &releaseSummary{Requested: *asked, Reason: h.AskedReason, ExpiresAt: asked.At.Add(consultation.ReleaseWithin)}
	}
	return out
}

type placed struct {
	Location string `header:"Location"`
	Body     struct {
		ID string `json:"id"`
	}
}

func (s *Server) placeHold(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body struct {
		Reason    string `json:"reason" enum:"litigation,authority,complaint,incident,patient_request,audit,other"`
		Reference string `json:"reference,omitempty" maxLength:"200" doc:"Of the case: a number or a name. Never in the log."`
	}
},
) (*placed, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.PlaceHold, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	actor, err := s.officer(ctx, who)
	if err != nil {
		return nil, s.fail(err)
	}
	cmd := consultation.PlaceHold{Hold: events.NewID(), Reason: in.Body.Reason, Actor: actor, Role: who.Role}
	if err := s.deps.Manager.Allowed(ctx, in.ID, cmd); err != nil {
		return nil, s.fail(err) // before a text is kept for nothing
	}
	if err := s.deps.Directory.PutHold(ctx, in.ID, cmd.Hold, in.Body.Reference); err != nil {
		return nil, s.fail(err)
	}
	if err := s.decide(ctx, in.ID, actor, cmd); err != nil {
		return nil, s.fail(err)
	}
	out := &placed{Location: prefix + "/consultations/" + in.ID + "/holds"}
	out.Body.ID = cmd.Hold
	return out, nil
}

func (s *Server) requestRelease(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Hold string `path:"hold"`
	Body struct {
		Reason string `json:"reason" enum:"resolved,mistake,superseded,other"`
	}
},
) (*struct{}, error) {
	return s.release(ctx, in.ID, func(actor, role string) consultation.Command {
		return consultation.RequestRelease{Hold: in.Hold, Reason: in.Body.Reason, Actor: actor, Role: role}
	})
}

func (s *Server) approveRelease(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Hold string `path:"hold"`
},
) (*struct{}, error) {
	return s.release(ctx, in.ID, func(actor, role string) consultation.Command {
		return consultation.ApproveRelease{Hold: in.Hold, Actor: actor, Role: role}
	})
}

func (s *Server) declineRelease(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Hold string `path:"hold"`
},
) (*struct{}, error) {
	return s.release(ctx, in.ID, func(actor, role string) consultation.Command {
		return consultation.DeclineRelease{Hold: in.Hold, Actor: actor, Role: role}
	})
}

// release carries out one of the three steps that lead to the end of a hold.
func (s *Server) release(ctx context.Context, id string, command func(actor, role string) consultation.Command) (*struct{}, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ReleaseHold, id, ""); err != nil {
		return nil, s.fail(err)
	}
	actor, err := s.officer(ctx, who)
	if err != nil {
		return nil, s.fail(err)
	}
	return nil, s.failed(s.decide(ctx, id, actor, command(actor, who.Role)))
}

// decide appends what follows from a command and waits until lists show it.
func (s *Server) decide(ctx context.Context, id, actor string, cmd consultation.Command) error {
	at, err := s.deps.Manager.Command(ctx, id, actor, cmd)
	if err != nil {
		return err
	}
	s.shown(ctx, at.Stream)
	return nil
}

// officer is the id by which events on holds name the caller: that of issuer and subject alone. Two tokens of one person are
// never two people, whatever else they say.
func (s *Server) officer(ctx context.Context, who caller) (string, error) {
	return s.deps.Directory.Actor(ctx, who.Issuer, who.Subject, who.Role, who.Name)
}

// maySeeHolds says whether the caller is told of holds where consultations are listed.
func (c caller) maySeeHolds() bool { return auth.Allowed(c.Role, auth.ViewHolds) != auth.None }
