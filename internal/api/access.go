package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/directory"
	"consilium/internal/events"
	"consilium/internal/failures"
	"consilium/internal/signaling"

	"github.com/danielgtaylor/huma/v2"
)

var errForbidden = errors.New("not allowed")

// caller is who makes a request, as its token says.
type caller struct{ auth.Claims }

type callerKey struct{}

// authenticate puts the caller into the request's context or refuses.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := unwrap(ctx)
	who, err := s.callerOf(r)
	if err != nil {
		writeProblem(w, problemOf(s.deps.Logger, err))
		return
	}
	next(huma.WithValue(ctx, callerKey{}, who))
}

func callerFrom(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

// callerOf reads the bearer token, or on GET the session cookie.
func (s *Server) callerOf(r *http.Request) (caller, error) {
	token, ok := bearer(r)
	if !ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		token, ok = s.sessionToken(r)
	}
	if !ok {
		return caller{}, problem(http.StatusUnauthorized, "unauthorized", "Please open this page through your link.")
	}
	claims, err := s.deps.Auth.Verify(token)
	return caller{claims}, err
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// may says whether the caller may do action with a consultation and, for personal actions, with one of its
// participants. A consultation that is not the caller's own is answered as one that does not exist.
func (c caller) may(action auth.Action, id, participant string) error {
	switch {
	case c.Can(action, id, participant):
		return nil
	case auth.Allowed(c.Role, action) == auth.Own && c.Consultation != id:
		return consultation.ErrUnknown
	default:
		return errForbidden
	}
}

// actor is the id that events name: the participant where there is one, otherwise the subject if it is an id of ours.
func (c caller) actor() string {
	if c.Participant != "" {
		return c.Participant
	}
	if events.ValidID(c.Subject) {
		return c.Subject
	}
	return ""
}

// claimedConsent is the consent that the token asserts, nil if it does not.
func (c caller) claimedConsent() *events.Consent {
	if !c.Consent {
		return nil
	}
	return &events.Consent{By: events.ByService}
}

// Names of the session cookie.
const (
	cookieName       = "consilium"
	cookieNameSecure = "__Host-consilium"
)

func (s *Server) cookieName() string {
	if s.cfg.Secure {
		return cookieNameSecure
	}
	return cookieName
}

func (s *Server) sessionToken(r *http.Request) (string, bool) {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil || cookie.Value == "" {
		return "", false
	}
	return cookie.Value, true
}

// openSession exchanges a token for a session cookie, so that a page can load videos and lists. The cookie counts on
// GET and on the WebSocket only: nothing can be changed by a forged form.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if origin := r.Header.Get("Origin"); origin != "" && !sameHost(origin, r.Host) {
		writeProblem(w, problem(http.StatusForbidden, "forbidden", "Another site may not open a session here."))
		return
	}
	if err := readJSON(r, &body); err != nil {
		writeProblem(w, problem(http.StatusBadRequest, "invalid", "The body must be JSON with a token."))
		return
	}
	claims, err := s.deps.Auth.Verify(body.Token)
	if err != nil {
		writeProblem(w, problemOf(s.deps.Logger, err))
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: body.Token, Path: "/", HttpOnly: true, Secure: s.cfg.Secure,
		SameSite: http.SameSiteLaxMode, Expires: claims.ExpiresAt,
	})
	writeJSON(w, http.StatusOK, map[string]any{
		"role": claims.Role, "consultation": claims.Consultation, "expiresAt": claims.ExpiresAt.UTC().Format(time.RFC3339),
	})
}

func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host == host
}

// identify tells the signaling room whom a hello speaks for.
func (s *Server) identify(ctx context.Context, r *http.Request, token string) (signaling.Identity, error) {
	if token == "" {
		if r.Header.Get("Origin") == "" {
			return signaling.Identity{}, problem(http.StatusForbidden, "unauthorized", "A session needs the page's origin.")
		}
		var ok bool
		if token, ok = s.sessionToken(r); !ok {
			return signaling.Identity{}, auth.ErrInvalid
		}
	}
	claims, err := s.deps.Auth.Verify(token)
	if err != nil {
		s.turnedAway(ctx, token, err)
		return signaling.Identity{}, err
	}
	who := caller{claims}
	if who.Participant == "" {
		return signaling.Identity{}, errForbidden
	}
	if err := who.may(auth.Join, who.Consultation, who.Participant); err != nil {
		return signaling.Identity{}, err
	}
	names, err := s.deps.Directory.Consultation(ctx, who.Consultation)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return signaling.Identity{}, err
	case err != nil: // nobody is kept out of a call because the names are away
		s.deps.Logger.Warn("names cannot be read", "consultation", who.Consultation, "error", err)
	}
	return signaling.Identity{
		Consultation: who.Consultation, Title: names.Title, Name: names.Name(who.Participant, who.Name),
		Host:    who.Can(auth.EndConsultation, who.Consultation, ""),
		Visitor: visitorOf(who, r),
	}, nil
}

// turnedAway tells the log, or where nobody knows whose link it is the operator, of a link that does not open.
func (s *Server) turnedAway(ctx context.Context, token string, err error) {
	code := failures.TokenInvalid
	switch {
	case errors.Is(err, auth.ErrExpired):
		code = failures.TokenExpired
	case errors.Is(err, auth.ErrEarly):
		code = failures.TokenEarly
	}
	if claims, ok := s.deps.Auth.WhoseLate(token); ok && claims.Participant != "" {
		s.deps.Manager.TurnedAway(ctx, claims.Consultation, claims.Participant, code)
		return
	}
	s.deps.Logger.Info("a link was turned away", "code", code)
}

// joinURL is the link of one participant; the token sits in the fragment, which no server and no log ever sees.
func (s *Server) joinURL(base string, claims auth.Claims) (string, error) {
	token, err := s.deps.Auth.Mint(claims, s.cfg.JoinTTL)
	if err != nil {
		return "", err
	}
	return base + "/join#token=" + url.QueryEscape(token), nil
}

// baseURL is where browsers reach this server.
func (s *Server) baseURL(r *http.Request) string {
	if s.cfg.URL != "" {
		return s.cfg.URL
	}
	scheme := "http"
	if s.cfg.Secure {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
