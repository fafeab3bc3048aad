package api

import (
	"io"
	"io/fs"
	"net/http"
	"strings"
)

// pageFiles maps the addresses of pages to their files in the built front end.
var pageFiles = map[string]string{
	"/join":               "join.html",
	"/consultations":      "consultations.html",
	"/consultations/{id}": "consultation.html",
	"/live":               "live.html",
}

func (s *Server) routePages() {
	for address, file := range pageFiles {
		s.mux.HandleFunc("GET "+address, func(w http.ResponseWriter, r *http.Request) { s.page(w, r, file) })
	}
	s.mux.Handle("GET /{$}", http.RedirectHandler("/consultations", http.StatusFound))
	s.mux.HandleFunc("GET /assets/", s.asset)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	s.mux.HandleFunc("GET /readyz", s.ready)
	if s.deps.Metrics != nil {
		s.mux.Handle("GET /metrics", s.deps.Metrics)
	}
}

// page serves one HTML file. It is never cached, so that a new version's assets are found; the assets are cached for
// ever, since their names change with their content.
func (s *Server) page(w http.ResponseWriter, r *http.Request, file string) {
	if !s.deps.Built() {
		http.Error(w, "The pages are not built. Run: ./task web", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, s.deps.Pages, file)
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if info, err := fs.Stat(s.deps.Pages, name); err != nil || info.IsDir() {
		writeProblem(w, problem(http.StatusNotFound, "not_found", "There is nothing at this address."))
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeFileFS(w, r, s.deps.Pages, name)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.deps.Ready != nil {
		if err := s.deps.Ready(r.Context()); err != nil {
			s.deps.Logger.Warn("not ready", "error", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
	}
	io.WriteString(w, "ready\n")
}
