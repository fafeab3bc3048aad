package api

import (
	"context"
	"encoding/json"
	"net/http"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/timeline"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeHistory(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-events", Method: http.MethodGet, Path: prefix + "/consultations/{id}/events",
		Summary: "All events as stored, byte for byte, one a line, in order", Security: bearerOnly, Extensions: needs(auth.ViewEvents),
		Responses: answers[events.Envelope](a, "application/x-ndjson", "One event a line."),
	}, s.events)
	huma.Register(a, huma.Operation{
		OperationID: "get-timeline", Method: http.MethodGet, Path: prefix + "/consultations/{id}/timeline",
		Summary: "What the archive shows: clips, gaps with causes, markers", Security: bearerOnly, Extensions: needs(auth.ViewTimeline),
		Responses: answers[timeline.Timeline](a, "application/json", "The timeline."),
	}, s.timeline)
}

// history reads a consultation's whole stream from the log.
func (s *Server) history(ctx context.Context, id string) ([]events.Stored, error) {
	if !events.ValidID(id) {
		return nil, consultation.ErrUnknown
	}
	history, err := events.ReadAll(ctx, s.deps.Log, id)
	if err == nil && len(history) == 0 {
		err = consultation.ErrUnknown
	}
	return history, err
}

func (s *Server) events(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*huma.StreamResponse, error) {
	if err := callerFrom(ctx).may(auth.ViewEvents, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	history, err := s.history(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/x-ndjson")
		out.SetHeader("Cache-Control", "no-store")
		w := out.BodyWriter()
		for _, e := range history {
			if _, err := w.Write(append(e.Raw[:len(e.Raw):len(e.Raw)], '\n')); err != nil {
				return // the client is gone
			}
		}
	}}, nil
}

func (s *Server) timeline(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*huma.StreamResponse, error) {
	if err := callerFrom(ctx).may(auth.ViewTimeline, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	history, err := s.history(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	tl, err := timeline.Build(history, history[len(history)-1].Seq)
	if err != nil {
		return nil, s.fail(err)
	}
	body, err := json.Marshal(tl)
	if err != nil {
		return nil, s.fail(err)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/json")
		out.SetHeader("Cache-Control", "no-store")
		out.BodyWriter().Write(body)
	}}, nil
}
