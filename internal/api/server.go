// Package api is the HTTP door: REST with problem details and OpenAPI, the WHIP endpoint, sessions, archive files and
// the pages.
//
// In come requests; out go commands for the log, questions to the read model and the log, and calls for negotiation on
// the conference. It never changes a conference by a call and holds no rules of its own: who may do what is decided by
// packages auth and consultation.
package api

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/directory"
	"consilium/internal/disk"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/jobs"
	"consilium/internal/signaling"
	"consilium/internal/store"
	"consilium/internal/webhook"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Config of a Server.
type Config struct {
	// URL is the public base of join links and pages, without a slash at the end. Empty: taken from each request.
	URL string
	// Secure says that clients speak TLS: cookies are Secure and carry the __Host- prefix.
	Secure bool
	// JoinTTL is how long join links are valid; default 72 h.
	JoinTTL time.Duration
	// ICEServers are those of one participant who came by a request. They are handed to browsers and, as Link headers, to
	// WHIP clients. Nil: none.
	ICEServers func(participant string, r *http.Request) []signaling.ICEServer
	// Receipts says that people need a receipt to watch (POST …/receipts); devices and calling systems never do.
	Receipts bool
}

// Deps are the rooms that a Server works with; all are needed.
type Deps struct {
	Manager   *conference.Manager
	Log       events.Log
	Queries   *store.Queries
	Projector *store.Projector
	Directory *directory.Directory
	Webhooks  *webhook.Endpoints
	Blobs     *blob.Store
	Jobs      *jobs.Queue
	Disk      *disk.Watch
	Auth      *auth.Authority
	Appender  *appender.Appender
	Metrics   http.Handler
	Pages     fs.FS       // the built front end
	Built     func() bool // whether it was built
	Ready     func(ctx context.Context) error
	Now       func() time.Time
	Logger    *slog.Logger
}

// Server answers all HTTP requests.
type Server struct {
	cfg       Config
	deps      Deps
	signaling *signaling.Server
	mux       *routes
	archived  renderedArchives
	document  *huma.OpenAPI
	rest      http.Handler // mux behind limits, tags and kept answers
	buckets   *buckets
	receipts  *receipts
	stopping  chan struct{} // closed by StopStreams
	stopOnce  sync.Once
}

// projected is how long a write waits until reads show it.
const projected = 2 * time.Second

// New wires the routes.
func New(cfg Config, deps Deps) (*Server, error) {
	if deps.Manager == nil || deps.Log == nil || deps.Queries == nil || deps.Projector == nil || deps.Directory == nil || deps.Webhooks == nil ||
		deps.Blobs == nil || deps.Jobs == nil || deps.Disk == nil || deps.Auth == nil || deps.Appender == nil || deps.Logger == nil || deps.Now == nil {
		return nil, errors.New("api: a dependency is missing")
	}
	if cfg.JoinTTL == 0 {
		cfg.JoinTTL = 72 * time.Hour
	}
	if cfg.ICEServers == nil {
		cfg.ICEServers = func(string, *http.Request) []signaling.ICEServer { return []signaling.ICEServer{} }
	}
	s := &Server{
		cfg: cfg, deps: deps, mux: newRoutes(), buckets: newBuckets(deps.Now), receipts: newReceipts(deps.Now),
		stopping: make(chan struct{}),
	}
	s.rest = s.limited(conditional(s.idempotent(s.mux)))
	ws, err := signaling.New(signaling.Config{
		Identify: s.identify, Explain: s.Explain, ICEServers: cfg.ICEServers, Logger: deps.Logger,
	}, deps.Manager)
	if err != nil {
		return nil, err
	}
	s.signaling = ws
	s.routeREST()
	s.routeFiles()
	s.routeChanges()
	s.routeWHIP()
	s.routePages()
	s.routeMissing()
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secureHeaders(w.Header())
	if strings.HasPrefix(r.URL.Path, prefix+"/") {
		s.rest.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// secureHeaders are the same on every answer: nothing is loaded from elsewhere, nothing may frame us, and no address
// with a token or an id leaks through a referrer.
func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self)")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// Prefix of the REST API.
const prefix = "/api/v1"

func (s *Server) routeREST() {
	huma.NewError, huma.NewErrorWithContext = newHumaError, newHumaErrorOf
	cfg := huma.DefaultConfig("Consilium", "1")
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "/api/openapi", "", ""
	cfg.CreateHooks = nil // no $schema links in bodies
	cfg.Info.Description = "Recorded medical consultations: schedule them, hold them, retrieve their archives."
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	a := humago.New(s.mux, cfg)
	a.UseMiddleware(s.authenticate, s.permitted)
	s.routeConsultations(a)
	s.routeParticipants(a)
	s.routeControl(a)
	s.routeHistory(a)
	s.routeQuality(a)
	s.routeArchives(a)
	s.routeStorage(a)
	s.routeLanes(a)
	s.routeReceipts(a)
	s.routeExports(a)
	s.routeHolds(a)
	s.routeWebhooks(a)
	s.routeOverview(a)
	s.describeOthers(a.OpenAPI())
	s.document = a.OpenAPI()
	s.mux.Handle("POST "+prefix+"/session", http.HandlerFunc(s.openSession))
	s.mux.Handle("GET "+prefix+"/signaling", s.signaling)
}

// shown waits until the read model shows the event at stream sequence seq, for a while: who writes and reads at once
// must not read the past. When the read model is behind, the answer is late, not wrong.
func (s *Server) shown(ctx context.Context, seq uint64) {
	wait, cancel := context.WithTimeout(ctx, projected)
	defer cancel()
	if err := s.deps.Projector.WaitFor(wait, seq); err != nil {
		s.deps.Logger.Warn("read model is behind", "error", err)
	}
}
