package api

import (
	"context"
	"math"
	"net/http"

	"consilium/internal/auth"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeStorage(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-storage", Method: http.MethodGet, Path: prefix + "/storage",
		Summary: "How much room is left", Security: bearerOnly, Extensions: needs(auth.ViewStorage),
	}, s.storage)
}

// storageSummary is how much room is left where the product keeps its data.
type storageSummary struct {
	Level  string         `json:"level" enum:"fine,low,full" doc:"The worst of all places. With full, no recorded consultation can be begun."`
	Places []storagePlace `json:"places"`
}

type storagePlace struct {
	Name     string   `json:"name" doc:"data, blobs, database: file systems; log: what the limit of the event log leaves."`
	Level    string   `json:"level" enum:"fine,low,full"`
	Free     int64    `json:"freeBytes"`
	Total    int64    `json:"totalBytes"`
	DaysLeft *float64 `json:"daysLeft,omitempty" doc:"At the growth of the last days or of the last minutes, whichever is faster. Missing: it does not grow."`
}

func (s *Server) storage(ctx context.Context, _ *struct{}) (*struct{ Body storageSummary }, error) {
	if err := callerFrom(ctx).may(auth.ViewStorage, "", ""); err != nil {
		return nil, s.fail(err)
	}
	out := &struct{ Body storageSummary }{storageSummary{Level: s.deps.Disk.Level().String(), Places: []storagePlace{}}}
	for _, r := range s.deps.Disk.Reports() {
		p := storagePlace{Name: r.Name, Level: r.Level.String(), Free: r.Space.Free, Total: r.Space.Total}
		if days := min(r.DaysByHistory, r.DaysNow); !math.IsInf(days, 1) {
			p.DaysLeft = &days
		}
		out.Body.Places = append(out.Body.Places, p)
	}
	return out, nil
}
