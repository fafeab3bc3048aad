package api

import (
	"context"
	"net/http"
	"time"

	"consilium/internal/auth"
	"consilium/internal/store"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeLanes(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-markers", Method: http.MethodGet, Path: prefix + "/consultations/{id}/markers",
		Summary:  "Events by page and filter: when, what, about whom, by whom. What else they say is in the events",
		Security: bearerOnly, Extensions: needs(auth.ViewEvents),
	}, s.markers)
	huma.Register(a, huma.Operation{
		OperationID: "get-lanes", Method: http.MethodGet, Path: prefix + "/consultations/{id}/lanes",
		Summary: "Connections, tracks, and stretches of time to draw beside each other", Security: bearerOnly, Extensions: needs(auth.ViewEvents),
	}, s.lanes)
	huma.Register(a, huma.Operation{
		OperationID: "list-accesses", Method: http.MethodGet, Path: prefix + "/consultations/{id}/accesses",
		Summary: "Who opened an archive for what, what was watched, and what was taken out", Security: bearerOnly, Extensions: needs(auth.ViewAccess),
	}, s.accesses)
}

type markerItem struct {
	Seq         uint64    `json:"seq"`
	At          time.Time `json:"at"`
	Type        string    `json:"type"`
	Participant string    `json:"participant,omitempty"`
	Actor       string    `json:"actor,omitempty"`
	Code        string    `json:"code,omitempty" doc:"Of a failure."`
}

type markersOut struct {
	Body struct {
		Items     []markerItem `json:"items"`
		NextAfter uint64       `json:"nextAfter,omitempty" doc:"after of the next page; missing on the last one."`
	}
}

func (s *Server) markers(ctx context.Context, in *struct {
	ID          string   `path:"id"`
	After       uint64   `query:"after" doc:"Only events behind this seq."`
	Type        []string `query:"type" maxItems:"20" doc:"Only these types, with commas between them."`
	Participant string   `query:"participant" maxLength:"100"`
	Failures    bool     `query:"failures" doc:"Only events with a code."`
	Limit       int      `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*markersOut, error) {
	if err := callerFrom(ctx).may(auth.ViewEvents, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	page, err := s.deps.Queries.Markers(ctx, in.ID, store.MarkerFilter{
		After: in.After, Types: in.Type, Participant: in.Participant, Failures: in.Failures, Limit: in.Limit,
	})
	if err != nil {
		return nil, s.fail(err)
	}
	out := &markersOut{}
	out.Body.Items = []markerItem{}
	for _, m := range page.Items {
		out.Body.Items = append(out.Body.Items, markerItem(m))
	}
	if page.More {
		out.Body.NextAfter = page.Items[len(page.Items)-1].Seq
	}
	return out, nil
}

type connectionItem struct {
	ID           string     `json:"id"`
	Participant  string     `json:"participant"`
	Via          string     `json:"via" doc:"websocket or whip"`
	Browser      string     `json:"browser,omitempty" doc:"Family and major version."`
	State        string     `json:"state" doc:"Newest ICE state."`
	LocalKind    string     `json:"localKind,omitempty" doc:"Of the selected pair: host, srflx, prflx, relay."`
	RemoteKind   string     `json:"remoteKind,omitempty"`
	Transport    string     `json:"transport,omitempty" doc:"udp, tcp or tls"`
	Restarts     int64      `json:"restarts"`
	TimeoutPhase string     `json:"timeoutPhase,omitempty"`
	TimeoutCode  string     `json:"timeoutCode,omitempty"`
	OpenedAt     time.Time  `json:"openedAt"`
	ConnectedAt  *time.Time `json:"connectedAt,omitempty" doc:"For the first time."`
	ClosedAt     *time.Time `json:"closedAt,omitempty"`
	CloseReason  string     `json:"closeReason,omitempty"`
}

type trackItem struct {
	ID          string     `json:"id"`
	Participant string     `json:"participant"`
	Connection  string     `json:"connection"`
	Kind        string     `json:"kind" doc:"audio or video"`
	Source      string     `json:"source" doc:"microphone, camera, screen or device"`
	Codec       string     `json:"codec"`
	Muted       bool       `json:"muted"`
	Stalls      int64      `json:"stalls"`
	StartedAt   time.Time  `json:"startedAt"`
	EndedAt     *time.Time `json:"endedAt,omitempty"`
	EndReason   string     `json:"endReason,omitempty"`
	ExpectedMS  int64      `json:"expectedMs"`
	RecordedMS  int64      `json:"recordedMs"`
}

type spanItem struct {
	Seq         uint64     `json:"seq" doc:"Of the event that began it."`
	Lane        string     `json:"lane" doc:"present, consent, ice, track, gap or paused"`
	Participant string     `json:"participant,omitempty"`
	Subject     string     `json:"subject,omitempty" doc:"Connection or track."`
	Value       string     `json:"value,omitempty" doc:"ICE state; on, muted, stalled; cause of a gap; answer."`
	StartedAt   time.Time  `json:"startedAt"`
	EndedAt     *time.Time `json:"endedAt,omitempty" doc:"Missing while it lasts."`
}

type lanesOut struct {
	Body struct {
		Connections []connectionItem `json:"connections"`
		Tracks      []trackItem      `json:"tracks"`
		Spans       []spanItem       `json:"spans"`
	}
}

func (s *Server) lanes(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*lanesOut, error) {
	if err := callerFrom(ctx).may(auth.ViewEvents, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	l, err := s.deps.Queries.Lanes(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &lanesOut{}
	out.Body.Connections, out.Body.Tracks, out.Body.Spans = []connectionItem{}, []trackItem{}, []spanItem{}
	for _, c := range l.Connections {
		out.Body.Connections = append(out.Body.Connections, connectionItem(c))
	}
	for _, t := range l.Tracks {
		out.Body.Tracks = append(out.Body.Tracks, trackItem(t))
	}
	for _, sp := range l.Spans {
		out.Body.Spans = append(out.Body.Spans, spanItem(sp))
	}
	return out, nil
}

type accessItem struct {
	Receipt   string     `json:"receipt"`
	Actor     string     `json:"actor,omitempty"`
	Name      string     `json:"name,omitempty" doc:"Of the actor, as last seen. Never in the log."`
	Role      string     `json:"role,omitempty"`
	Purpose   string     `json:"purpose"`
	Version   int64      `json:"version" doc:"Of the archive."`
	OpenedAt  time.Time  `json:"openedAt"`
	ClosedAt  *time.Time `json:"closedAt,omitempty"`
	Watched   []rangeMS  `json:"watched" doc:"Sorted; they do not touch."`
	WatchedMS int64      `json:"watchedMs"`
}

// rangeMS is a stretch of an archive.
type rangeMS struct {
	FromMS int64 `json:"fromMs" minimum:"0"`
	ToMS   int64 `json:"toMs" minimum:"0"`
}

type exportItem struct {
	Seq    uint64    `json:"seq"`
	Actor  string    `json:"actor,omitempty"`
	Kind   string    `json:"kind"`
	SHA256 string    `json:"sha256"`
	At     time.Time `json:"at"`
}

type accessesOut struct {
	Body struct {
		Receipts []accessItem `json:"receipts"`
		Exports  []exportItem `json:"exports"`
	}
}

func (s *Server) accesses(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*accessesOut, error) {
	if err := callerFrom(ctx).may(auth.ViewAccess, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	accesses, exports, err := s.deps.Queries.Accesses(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &accessesOut{}
	out.Body.Receipts, out.Body.Exports = []accessItem{}, []exportItem{}
	for _, a := range accesses {
		item := accessItem{
			Receipt: a.ID, Actor: a.Actor, Name: a.Name, Role: a.Role, Purpose: a.Purpose, Version: a.Version, OpenedAt: a.OpenedAt,
			ClosedAt: a.ClosedAt, Watched: []rangeMS{}, WatchedMS: a.WatchedMS,
		}
		for i := 0; i+1 < len(a.Watched); i += 2 {
			item.Watched = append(item.Watched, rangeMS{a.Watched[i], a.Watched[i+1]})
		}
		out.Body.Receipts = append(out.Body.Receipts, item)
	}
	for _, x := range exports {
		out.Body.Exports = append(out.Body.Exports, exportItem(x))
	}
	return out, nil
}
