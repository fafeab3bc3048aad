package api

import (
	"context"
	"fmt"
	"net/http"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/store"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeArchives(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-archives", Method: http.MethodGet, Path: prefix + "/consultations/{id}/archives",
		Summary: "All versions of the archive", Security: bearerOnly, Extensions: needs(auth.ListArchives),
	}, s.archives)
	huma.Register(a, huma.Operation{
		OperationID: "request-archive", Method: http.MethodPost, Path: prefix + "/consultations/{id}/archives",
		Summary: "Order one more version of the archive", DefaultStatus: http.StatusAccepted, Security: bearerOnly, Extensions: needs(auth.RequestArchive),
	}, s.requestArchive)
}

// archiveSummary is one version of an archive.
type archiveSummary struct {
	Version     int     `json:"version"`
	State       string  `json:"state" enum:"queued,rendering,ready,failed"`
	Progress    float64 `json:"progress" doc:"0 to 1"`
	Stage       string  `json:"stage,omitempty" doc:"What is being done while it is rendered."`
	LeftMS      int64   `json:"leftMs,omitempty" doc:"Estimate of the time until it is ready; missing: not known."`
	DurationMS  int64   `json:"durationMs"`
	Profile     string  `json:"profile"`
	Layout      string  `json:"layout"`
	Stamp       bool    `json:"stamp" doc:"Date and time of day stand in the picture."`
	Voices      bool    `json:"voices" doc:"The sound of each participant also lies in a file of its own."`
	VideoURL    string  `json:"videoUrl" doc:"Empty until it is ready."`
	ManifestURL string  `json:"manifestUrl" doc:"Empty until it is ready."`
	Bytes       int64   `json:"bytes,omitempty"`
	Code        string  `json:"code,omitempty" doc:"Why it failed."`

	Unverified []string `json:"unverified,omitempty" doc:"Of a ready one: the checks that could not be made. What was found wrong fails it instead."`
}

// summariseArchive adds the progress of the rendering, which is nowhere on record, to what the read model knows.
func (s *Server) summariseArchive(ctx context.Context, id string, a store.Archive) archiveSummary {
	out := archiveSummary{
		Version: a.Version, State: a.State, Profile: a.Profile, Layout: a.Layout, DurationMS: a.Duration.Milliseconds(), Bytes: a.Bytes,
		Code: a.Code, Stamp: a.Stamp, Voices: a.Voices,
	}
	base := fmt.Sprintf("%s/consultations/%s/archives/%d/", prefix, id, a.Version)
	switch a.State {
	case store.ArchiveReady:
		out.Progress, out.VideoURL, out.ManifestURL = 1, base+"archive.mp4", base+"manifest.json"
		out.Unverified = a.Unverified
	case store.ArchiveQueued, store.ArchiveRendering:
		p, ok, err := s.deps.Jobs.Progress(ctx, id, a.Version)
		if err != nil {
			s.deps.Logger.Warn("progress is not known", "error", err)
		}
		if ok && p.Total > 0 {
			out.Progress, out.Stage, out.LeftMS = min(1, float64(p.Done)/float64(p.Total)), p.Stage, p.LeftMS
		}
	}
	return out
}

func (s *Server) archives(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*struct{ Body []archiveSummary }, error) {
	if err := callerFrom(ctx).may(auth.ListArchives, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	versions, err := s.deps.Queries.Archives(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &struct{ Body []archiveSummary }{Body: []archiveSummary{}}
	for _, a := range versions {
		out.Body = append(out.Body, s.summariseArchive(ctx, in.ID, a))
	}
	return out, nil
}

type requested struct {
	Body struct {
		Version int `json:"version"`
	}
}

func (s *Server) requestArchive(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body *struct {
		Layout  string `json:"layout,omitempty" enum:"grid,speaker," doc:"What is left out is as in the version before."`
		Profile string `json:"profile,omitempty" enum:"standard,fast,audio,"`
		Stamp   *bool  `json:"stamp,omitempty" doc:"Date and time of day stand in the picture."`
		Voices  *bool  `json:"voices,omitempty" doc:"The sound of each participant also lies in a file of its own, as long as the archive: voice-PARTICIPANT.m4a."`
	}
},
) (*requested, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.RequestArchive, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	var cmd consultation.RequestArchive
	if b := in.Body; b != nil {
		cmd = consultation.RequestArchive{Layout: b.Layout, Profile: b.Profile, Stamp: b.Stamp, Voices: b.Voices}
	}
	version, at, err := s.deps.Manager.RequestArchive(ctx, in.ID, who.actor(), cmd)
	if err != nil {
		return nil, s.fail(err)
	}
	s.shown(ctx, at.Stream)
	out := &requested{}
	out.Body.Version = version
	return out, nil
}
