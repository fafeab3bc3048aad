package api

import (
	"encoding/json"
	"net/http"

	"consilium/internal/conference"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// maxBody bounds JSON bodies that huma does not read.
const maxBody = 64 << 10

func readJSON(r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(into)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// unwrap gives the request and writer behind huma's context.
func unwrap(ctx huma.Context) (*http.Request, http.ResponseWriter) {
	return humago.Unwrap(ctx)
}

// visitorOf says who comes with this request.
func visitorOf(who caller, r *http.Request) conference.Visitor {
	return conference.Visitor{
		Participant: who.Participant, Claimed: who.claimedConsent(), For: who.For, Browser: browserOf(r.UserAgent()),
	}
}
