package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"consilium/internal/auth"
	"consilium/internal/conference"
	"consilium/internal/media/sfu"
)

// WHIP (RFC 9725): a device or an encoder publishes with one POST and its join token as bearer.

const (
	whipPath    = prefix + "/consultations/{id}/whip"
	sdpType     = "application/sdp"
	sdpFragType = "application/trickle-ice-sdpfrag"
	maxSDP      = 64 << 10
)

func (s *Server) routeWHIP() {
	s.mux.HandleFunc("POST "+whipPath, s.whip(s.publish))
	s.mux.HandleFunc("OPTIONS "+whipPath, whipOptions("POST, OPTIONS"))
	s.mux.HandleFunc("OPTIONS "+whipPath+"/{connection}", whipOptions("PATCH, DELETE, OPTIONS"))
	s.mux.HandleFunc("PATCH "+whipPath+"/{connection}", s.whip(s.patchPublication))
	s.mux.HandleFunc("DELETE "+whipPath+"/{connection}", s.whip(s.unpublish))
}

// whip checks the bearer token: it must be the join token of a participant of this very consultation.
func (s *Server) whip(h func(http.ResponseWriter, *http.Request, caller) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		crossOrigin(w.Header())
		who, err := s.callerOf(r)
		if err == nil {
			err = who.may(auth.Publish, r.PathValue("id"), who.Participant)
		}
		if err == nil && who.Participant == "" {
			err = errForbidden
		}
		if err == nil {
			err = h(w, r, who)
		}
		if err != nil {
			writeProblem(w, problemOf(s.deps.Logger, err))
		}
	}
}

// crossOrigin lets a page of another origin publish (RFC 9725 §4.1): it brings a token of its own, and no cookie counts
// here.
func crossOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Patch")
}

func whipOptions(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		crossOrigin(h)
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Accept-Post", sdpType)
		h.Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request, who caller) error {
	offer, err := readBody(r, sdpType)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	conf, err := s.deps.Manager.Host(r.Context(), id)
	if err != nil {
		return err
	}
	visitor := visitorOf(who, r)
	connection, answer, err := conf.Publish(r.Context(), visitor, offer)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", prefix+"/consultations/"+id+"/whip/"+connection)
	h.Set("ETag", etagOf(answer))
	h.Set("Accept-Patch", sdpFragType)
	for _, server := range s.cfg.ICEServers(who.Participant, r) {
		for _, u := range server.URLs {
			h.Add("Link", iceServerLink(u, server.Username, server.Credential))
		}
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a client that is gone needs no answer
	return nil
}

// patchPublication takes trickled candidates, or an ICE restart when the fragment names new credentials.
func (s *Server) patchPublication(w http.ResponseWriter, r *http.Request, who caller) error {
	body, err := readBody(r, sdpFragType)
	if err != nil {
		return err
	}
	peer, err := s.publication(r, who)
	if err != nil {
		return err
	}
	frag, err := parseFragment(body)
	if err != nil {
		return problem(http.StatusBadRequest, "bad_sdp", "The fragment cannot be read.")
	}
	restart := frag.ufrag != "" && frag.ufrag != iceUfrag(peer.RemoteDescription())
	switch match := r.Header.Get("If-Match"); {
	case match == "":
		return problem(http.StatusPreconditionRequired, "if_match_needed", "If-Match is needed: the session's ETag, or * for an ICE restart.")
	case restart && match != "*":
		return problem(http.StatusPreconditionFailed, "session_changed", "An ICE restart needs If-Match: *.")
	case !restart && match != "*" && match != etagOf(peer.LocalDescription()):
		return problem(http.StatusPreconditionFailed, "session_changed", "The ETag is not that of the current ICE session.")
	}
	if restart {
		return s.restart(w, r, peer, frag)
	}
	for _, c := range frag.candidates {
		peer.AddCandidate(c)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// restart answers new ICE credentials with ours: the offer is the last one with the credentials exchanged.
func (s *Server) restart(w http.ResponseWriter, r *http.Request, peer *sfu.Peer, frag fragment) error {
	answer, err := peer.AnswerComplete(r.Context(), frag.applyTo(peer.RemoteDescription()))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", sdpFragType)
	w.Header().Set("ETag", etagOf(answer))
	_, _ = io.WriteString(w, fragmentOf(answer)) // a client that is gone needs no answer
	return nil
}

func (s *Server) unpublish(w http.ResponseWriter, r *http.Request, who caller) error {
	conf, ok := s.deps.Manager.Hosted(r.PathValue("id"))
	if !ok {
		return conference.ErrNoConnection
	}
	if err := conf.Unpublish(r.Context(), who.Participant, r.PathValue("connection")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) publication(r *http.Request, who caller) (*sfu.Peer, error) {
	conf, ok := s.deps.Manager.Hosted(r.PathValue("id"))
	if !ok {
		return nil, conference.ErrNoConnection
	}
	return conf.Connection(r.Context(), who.Participant, r.PathValue("connection"))
}

// readBody reads a small text body of the wanted type.
func readBody(r *http.Request, want string) (string, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return "", problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "The body must be "+want+".")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxSDP))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", sfu.ErrSDPTooLarge
	case err != nil:
		return "", problem(http.StatusBadRequest, "bad_sdp", "The body cannot be read.")
	}
	return string(body), nil
}

// etagOf identifies an ICE session by our user fragment, which changes with every restart.
func etagOf(localSDP string) string { return `"` + iceUfrag(localSDP) + `"` }

// iceServerLink is one Link header of RFC 9725 §4.6.
func iceServerLink(url, username, credential string) string {
	link := fmt.Sprintf(`<%s>; rel="ice-server"`, url)
	if username != "" {
		link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`,
			strings.ReplaceAll(username, `"`, ""), strings.ReplaceAll(credential, `"`, ""))
	}
	return link
}
