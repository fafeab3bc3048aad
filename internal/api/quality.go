package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/events"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeQuality(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-quality", Method: http.MethodGet, Path: prefix + "/consultations/{id}/quality",
		Summary:  "How well each connection did, every few seconds; 404 until the recordings are complete, or when nothing was measured",
		Security: bearerOnly, Extensions: needs(auth.ViewEvents),
		Responses: answers[qualitySample](a, "application/x-ndjson", "One sample of one connection a line, in the order of time."),
	}, s.quality)
}

// qualitySample is one line of what the hosting process measured, as it is stored.
type qualitySample struct {
	Time        time.Time `json:"time"`
	Participant string    `json:"participant"`
	Connection  string    `json:"connection"`
	RTTMS       float64   `json:"rtt_ms" doc:"Milliseconds; 0: not known."`
	LossIn      float64   `json:"loss_in" doc:"Fraction of the packets from the client that never came, since the sample before."`
	LossOut     float64   `json:"loss_out,omitempty" doc:"Largest fraction that the client misses of a track, as it reports."`
	BitsIn      float64   `json:"bits_per_second_in"`
	BitsOut     float64   `json:"bits_per_second_out"`
	FramesIn    float64   `json:"frames_per_second_in,omitempty" doc:"Pictures of all video tracks of the client together."`
}

func (s *Server) quality(ctx context.Context, in *struct {
	ID string `path:"id"`
},
) (*huma.StreamResponse, error) {
	if err := callerFrom(ctx).may(auth.ViewEvents, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	key, err := s.qualityKey(ctx, in.ID)
	if err != nil {
		return nil, s.fail(err)
	}
	samples, err := s.deps.Blobs.Get(ctx, key)
	if err != nil {
		return nil, s.fail(err)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer samples.Close()
		out.SetHeader("Content-Type", "application/x-ndjson")
		out.SetHeader("Cache-Control", "no-store")
		_, _ = io.Copy(out.BodyWriter(), samples) // it fails when the client is gone
	}}, nil
}

// qualityKey finds where the samples of a consultation lie; only the log knows.
func (s *Server) qualityKey(ctx context.Context, id string) (string, error) {
	history, err := s.history(ctx, id)
	if err != nil {
		return "", err
	}
	for i := len(history) - 1; i >= 0; i-- {
		if done, ok := history[i].Event.(events.ConsultationCompleted); ok && done.Quality != nil {
			return done.Quality.Blob, nil
		}
	}
	return "", blob.ErrNotFound
}
