package api

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
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

// Somebody who has opened an address that there is not reads where to go, in their language; programs, and whoever asks the
// interface, get what they always get.
func TestAPageThatThereIsNot(t *testing.T) {
	s := &Server{mux: newRoutes(), deps: Deps{Logger: slog.New(slog.DiscardHandler)}}
	s.routePages()
	s.routeMissing()
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	tests := []struct {
		name, method, path, accept, languages string
		status                                int
		title                                 string // of the page; empty: problem details
	}{
		{"a browser that speaks English", "GET", "/jion", browser, "en-GB,en;q=0.9", 404, "There is no such page"},
		{"one that speaks German", "GET", "/consultations/x/y", browser, "de-AT,de;q=0.9,en;q=0.5", 404, "Diese Seite gibt es nicht"},
		{"one that prefers English to German", "GET", "/jion", browser, "de;q=0.3,en;q=0.9", 404, "There is no such page"},
		{"one that speaks neither", "GET", "/jion", browser, "cs", 404, "There is no such page"},
		{"one that does not say", "GET", "/jion", browser, "", 404, "There is no such page"},
		{"a slash too many", "GET", "/consultations/", browser, "de", 404, "Diese Seite gibt es nicht"},
		{"a program", "GET", "/jion", "*/*", "de", 404, ""},
		{"a browser that asks the interface", "GET", "/api/v1/nothing", browser, "de", 404, ""},
		{"a method that a page does not have", "POST", "/join", browser, "de", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header.Set("Accept", tt.accept)
			r.Header.Set("Accept-Language", tt.languages)
			w := httptest.NewRecorder()
			s.mux.ServeHTTP(w, r)
			body, kind := w.Body.String(), w.Header().Get("Content-Type")
			if w.Code != tt.status {
				t.Fatalf("got %d: %s", w.Code, body)
			}
			if tt.title == "" {
				if kind != "application/problem+json" {
					t.Errorf("got %s: %s", kind, body)
				}
				return
			}
			if kind != "text/html; charset=utf-8" || !strings.Contains(body, "<h1>"+tt.title+"</h1>") || !strings.Contains(body, `href="/consultations"`) {
				t.Errorf("got %s: %s", kind, body)
			}
			if strings.Contains(body, "<script") || strings.Contains(body, "/assets/") || strings.Contains(body, tt.path+`"`) {
				t.Errorf("the page loads something, or says what was asked for: %s", body)
			}
		})
	}
}
