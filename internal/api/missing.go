package api

import (
	"net/http"
	"strings"
)

// methods that any route of ours may have.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// missingPattern takes what no other route takes.
const missingPattern = "/"

func (s *Server) routeMissing() {
	s.mux.HandleFunc(missingPattern, s.missing)
}

// missing answers an address that there is not, and a method that an address does not have, like every other refusal; to
// somebody who has opened a page that there is not, by a page.
func (s *Server) missing(w http.ResponseWriter, r *http.Request) {
	if wantsPage(r) {
		if err := writeNoPage(w, r); err != nil {
			s.deps.Logger.Debug("the page that there is none could not be sent", "error", err)
		}
		return
	}
	if allowed := s.allowed(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, problem(http.StatusMethodNotAllowed, "method_not_allowed", "This address does not have that method."))
		return
	}
	writeProblem(w, problem(http.StatusNotFound, "not_found", "There is nothing at this address."))
}

// allowed lists the methods that the address of a request has.
func (s *Server) allowed(r *http.Request) []string {
	var all []string
	for _, method := range methods {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "" && pattern != missingPattern {
			all = append(all, method)
		}
	}
	return all
}
