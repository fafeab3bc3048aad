package signaling

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"consilium/internal/conference"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
)

// Identity is whom a token or a session speaks for.
type Identity struct {
	Consultation string
	Name         string // shown to the participant and to the others
	Title        string // of the consultation
	Host         bool   // may end the consultation
	Visitor      conference.Visitor
}

// Config of a Server.
type Config struct {
	// Identify checks a join token, or the request's session when the token is empty. Its errors have a code and a
	// sentence through Explain.
	Identify func(ctx context.Context, r *http.Request, token string) (Identity, error)
	// Explain turns an error of Identify or of the rules into a message for the screen.
	Explain func(error) Error
	// ICEServers are those of one participant who came by a request; nil: none.
	ICEServers func(participant string, r *http.Request) []ICEServer
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Server accepts WebSockets.
type Server struct {
	cfg     Config
	manager *conference.Manager
	open    prometheus.Gauge
}

// New checks the configuration.
func New(cfg Config, manager *conference.Manager) (*Server, error) {
	if cfg.Identify == nil || cfg.Explain == nil || cfg.Logger == nil || manager == nil {
		return nil, errors.New("signaling: Config.Identify, Explain, Logger and the manager are needed")
	}
	if cfg.ICEServers == nil {
		cfg.ICEServers = func(string, *http.Request) []ICEServer { return []ICEServer{} }
	}
	s := &Server{cfg: cfg, manager: manager, open: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "consilium_signaling_open_connections",
		Help: "WebSockets that are open at the moment.",
	})}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(s.open)
	}
	return s, nil
}

// Limits of one WebSocket.
const (
	maxMessage   = 256 << 10 // bytes; an SDP has its own, smaller limit
	helloWithin  = 10 * time.Second
	pingEvery    = 10 * time.Second
	pongWithin   = 5 * time.Second
	writeWithin  = 10 * time.Second
	perSecond    = 50  // messages
	burst        = 200 // messages
	handleWithin = 15 * time.Second
	unhandled    = 256 // messages of the client that wait for one that is being handled
	queued       = 256 // messages to the client
)

// ServeHTTP turns the request into one participant's WebSocket and returns when it is closed. A foreign Origin is
// refused, and so is a session cookie without any Origin: a browser always sends one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{Subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		s.cfg.Logger.Debug("websocket was not accepted", "error", err)
		return
	}
	if ws.Subprotocol() != Subprotocol {
		ws.Close(websocket.StatusPolicyViolation, "the subprotocol must be "+Subprotocol)
		return
	}
	ws.SetReadLimit(maxMessage)
	s.open.Inc()
	defer s.open.Dec()
	newConn(s, ws, r).serve(r.Context())
}
