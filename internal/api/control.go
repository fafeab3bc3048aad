package api

import (
	"context"
	"net/http"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"

	"github.com/danielgtaylor/huma/v2"
)

// control is one command on a whole consultation that needs no body.
type control struct {
	id, path, summary string
	action            auth.Action
	status            int
	command           func(reason string) consultation.Command
}

var controls = []control{
	{
		"pause-recording", "recording/pause", "Stop all writing for a while", auth.ControlRecording, http.StatusNoContent,
		func(reason string) consultation.Command { return consultation.Pause{Reason: reason} },
	},
	{
		"resume-recording", "recording/resume", "Let writing go on", auth.ControlRecording, http.StatusNoContent,
		func(reason string) consultation.Command { return consultation.Resume{Reason: reason} },
	},
	{
		"end-consultation", "end", "End the consultation for everybody", auth.EndConsultation, http.StatusAccepted,
		func(string) consultation.Command { return consultation.End{Reason: events.EndedClosed} },
	},
	{
		"reopen-consultation", "reopen", "Take back the end, for 15 minutes", auth.ReopenConsultation, http.StatusNoContent,
		func(string) consultation.Command { return consultation.Reopen{} },
	},
}

func (s *Server) routeControl(a huma.API) {
	for _, c := range controls {
		huma.Register(a, huma.Operation{
			OperationID: c.id, Method: http.MethodPost, Path: prefix + "/consultations/{id}/" + c.path,
			Summary: c.summary, DefaultStatus: c.status, Security: bearerOnly, Extensions: needs(c.action),
		}, func(ctx context.Context, in *struct {
			ID     string `path:"id"`
			Reason string `query:"reason" enum:"examination,private,other" default:"other"`
		},
		) (*struct{}, error) {
			who := callerFrom(ctx)
			if err := who.may(c.action, in.ID, ""); err != nil {
				return nil, s.fail(err)
			}
			at, err := s.deps.Manager.Command(ctx, in.ID, who.actor(), c.command(in.Reason))
			if err != nil {
				return nil, s.fail(err)
			}
			s.shown(ctx, at.Stream)
			return nil, nil
		})
	}
}
