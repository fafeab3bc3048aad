package api

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

// What there is not is refused like everything else, and a browser's question before a request to another origin is
// answered.
func TestWhatThereIsNot(t *testing.T) {
	s := &Server{mux: newRoutes()}
	s.routeFiles()
	s.routeWHIP()
	s.routeMissing()
	tests := []struct {
		name, method, path string
		status             int
		code, allow        string
	}{
		{"an address that there is not", "GET", prefix + "/nothing", 404, "not_found", ""},
		{"one below another", "POST", prefix + "/consultations/x/nothing", 404, "not_found", ""},
		{"one outside the version", "GET", "/api/v2/consultations", 404, "not_found", ""},
		{"a method that a file does not have", "POST", prefix + "/consultations/x/archives/1/archive.mp4", 405, "method_not_allowed", "GET, HEAD"},
		{"a method that WHIP does not have", "GET", prefix + "/consultations/x/whip", 405, "method_not_allowed", "POST, OPTIONS"},
		{"a method that a publication does not have", "POST", prefix + "/consultations/x/whip/y", 405, "method_not_allowed", "PATCH, DELETE, OPTIONS"},
		{"a question before publishing", "OPTIONS", prefix + "/consultations/x/whip", 204, "", "POST, OPTIONS"},
		{"a question before patching", "OPTIONS", prefix + "/consultations/x/whip/y", 204, "", "PATCH, DELETE, OPTIONS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.mux.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
				t.Fatalf("got %d, Allow %q", w.Code, w.Header().Get("Allow"))
			}
			if tt.code == "" {
				h := w.Header()
				if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != tt.allow || h.Get("Access-Control-Allow-Headers") == "" {
					t.Errorf("headers: %v", h)
				}
				return
			}
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != tt.code || p.Status != tt.status || p.Detail == "" ||
				w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v: %s", err, w.Body)
			}
		})
	}
}
