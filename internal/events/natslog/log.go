// Package natslog keeps the event log on NATS JetStream: in the process itself (Start), or on a server or cluster by
// URL (Connect).
//
// In come sealed drafts; out go stored events, checked for gaps and broken links. The package never changes or removes
// an event, never renders one, and knows nothing of what events mean.
package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/events"
)

// Config says where the log is. Exactly one of URL, DataDir and Server is set.
type Config struct {
	// URL is a NATS server or a list of them with commas, as CONSILIUM_NATS_URL. User and Password may be in it.
	URL string
	// DataDir is the data folder of a live process on this machine whose embedded server is used. Its address and
	// password are read from there again whenever the connection is lost, so live may be started after this process
	// and may be started again.
	DataDir string
	// Server is an embedded server in this process.
	Server nats.InProcessConnProvider

	User, Password string        // empty: as in the URL, or from DataDir
	Name           string        // of the connection, for the server's operator
	Timeout        time.Duration // of one request; 0 = 5 s
	Logger         *slog.Logger  // nil = none
	Registerer     prometheus.Registerer

	settled func() error // of a server in this process: makes the names of its files durable
}

// Log is one connection to the log. It is safe for concurrent use.
type Log struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	timeout time.Duration
	logger  *slog.Logger
	unshow  func() // takes the metrics away
	settled func() error

	mu        sync.Mutex                       // guards following; never held while calling out
	following map[*follower]context.CancelFunc // ends the attempt that is under way
}

var _ events.Log = (*Log)(nil)

// errNoAnswer says that the log did not answer in time: nobody knows what became of the request.
var errNoAnswer = errors.New("the log does not answer")

// Connect connects, and tries until ctx ends while nothing listens. The streams must be there (EnsureStreams). A lost
// connection is made again without an end; until then calls fail and Follow waits.
func Connect(ctx context.Context, cfg Config) (*Log, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.settled == nil {
		cfg.settled = func() error { return nil }
	}
	l := &Log{timeout: cfg.Timeout, logger: cfg.Logger, settled: cfg.settled, following: map[*follower]context.CancelFunc{}}
	nc, err := dial(ctx, cfg, l.reconnected)
	if err != nil {
		return nil, fmt.Errorf("connect to the event log: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(cfg.Timeout))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to the event log: %w", err)
	}
	l.nc, l.js = nc, js
	l.unshow = show(cfg.Registerer, l)
	return l, nil
}

// Conn is the connection, for what is on the same server beside the log (jobs, progress). It ends with the Log.
func (l *Log) Conn() *nats.Conn {
	return l.nc
}

// Close ends the connection. Calls that are under way fail; a Follow ends with an error.
func (l *Log) Close() {
	l.unshow()
	l.nc.Close()
}

// reconnected interrupts the followers: the server that they are on now may not know their consumers.
func (l *Log) reconnected() {
	l.logger.Info("the event log is back")
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cancel := range l.following {
		cancel()
	}
}

// interruptible gives f a context that ends with the connection that it is made on. The second result must be called.
func (l *Log) interruptible(ctx context.Context, f *follower) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.following[f] = cancel
	return ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.following, f)
		cancel()
	}
}

// Last implements events.Log. It asks the leader of the stream, so that a writer always finds what it has appended.
func (l *Log) Last(ctx context.Context, consultation string) (events.Version, error) {
	if !events.ValidID(consultation) {
		return events.Version{}, fmt.Errorf("last event: consultation id %q is not a UUID", consultation)
	}
	s, ok, err := l.get(ctx, getRequest{LastFor: events.ConsultationSubject(consultation)})
	if err != nil {
		return events.Version{}, fmt.Errorf("last event of %s: %w", consultation, err)
	}
	if !ok {
		return events.Version{}, nil
	}
	return s.Version(), nil
}

// Info implements events.Log.
func (l *Log) Info(ctx context.Context) (events.Info, error) {
	info, err := l.info(ctx)
	if err != nil {
		return events.Info{}, fmt.Errorf("ask for the event log: %w", err)
	}
	return events.Info{Last: info.State.LastSeq, Created: info.Created}, nil
}

func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, eventsStream) // asks the server
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// request sends m and waits for one answer. When the time of one request is over it returns errNoAnswer; when ctx has
// ended, its error.
func (l *Log) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	once, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	answer, err := l.nc.RequestMsgWithContext(once, m)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errNoAnswer
	}
	return nil, err
}
