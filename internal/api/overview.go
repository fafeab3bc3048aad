package api

import (
	"context"
	"net/http"
	"time"

	"consilium/internal/auth"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeOverview(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-overview", Method: http.MethodGet, Path: prefix + "/overview",
		Summary: "How the whole is doing: what runs, who got in, what failed, what stitchers have to do", Security: bearerOnly, Extensions: needs(auth.ViewOverview),
	}, s.overview)
}

type failureCount struct {
	Type  string `json:"type" doc:"Of the event."`
	Code  string `json:"code"`
	Count int64  `json:"count"`
}

type overviewOut struct {
	Body struct {
		Since     time.Time      `json:"since"`
		Open      int64          `json:"openConsultations" doc:"Now."`
		Present   int64          `json:"presentParticipants" doc:"Now."`
		Opened    int64          `json:"connectionsOpened" doc:"Since then."`
		Connected int64          `json:"connectionsConnected" doc:"Of those, the ones over which media could go."`
		Failures  []failureCount `json:"failures" doc:"Since then, the most frequent first."`
		Queued    int64          `json:"archivesQueued" doc:"Now."`
		Rendering int64          `json:"archivesRendering" doc:"Now."`
		Awaited   int64          `json:"eventsBehind" doc:"Events in the log that lists do not show yet."`
	}
}

func (s *Server) overview(ctx context.Context, in *struct {
	Hours int `query:"hours" minimum:"1" maximum:"720" default:"24" doc:"How far back connections and failures are counted."`
},
) (*overviewOut, error) {
	if err := callerFrom(ctx).may(auth.ViewOverview, "", ""); err != nil {
		return nil, s.fail(err)
	}
	out := &overviewOut{}
	out.Body.Since = s.deps.Now().Add(-time.Duration(in.Hours) * time.Hour).UTC()
	o, err := s.deps.Queries.Overview(ctx, out.Body.Since)
	if err != nil {
		return nil, s.fail(err)
	}
	info, err := s.deps.Log.Info(ctx)
	if err != nil {
		return nil, s.fail(err)
	}
	b := &out.Body
	b.Open, b.Present, b.Opened, b.Connected, b.Queued, b.Rendering = o.Open, o.Present, o.Opened, o.Connected, o.Queued, o.Rendering
	b.Awaited = int64(info.Last - min(info.Last, s.deps.Projector.Position()))
	b.Failures = []failureCount{}
	for _, f := range o.Failures {
		b.Failures = append(b.Failures, failureCount(f))
	}
	return out, nil
}
