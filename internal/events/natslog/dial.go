package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
)

// redial is how long a client waits between two attempts.
const redial = 250 * time.Millisecond

// dial makes the first connection. What can mend itself (nothing listens yet) is tried until ctx ends. reconnected is
// called whenever a lost connection was made again.
func dial(ctx context.Context, cfg Config, reconnected func()) (*nats.Conn, error) {
	address, opts, err := target(cfg)
	if err != nil {
		return nil, err
	}
	opts = append(opts, common(cfg)...)
	opts = append(opts, nats.ReconnectHandler(func(*nats.Conn) { reconnected() }))
	for {
		nc, err := nats.Connect(address, opts...)
		if err == nil {
			return nc, nil
		}
		if cfg.DataDir == "" && (errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired)) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (last attempt: %w)", ctx.Err(), err)
		case <-time.After(redial):
		}
	}
}

// target gives the address and what is particular to it.
func target(cfg Config) (string, []nats.Option, error) {
	switch {
	case cfg.Server != nil && cfg.URL == "" && cfg.DataDir == "":
		return "", []nats.Option{nats.InProcessServer(cfg.Server), nats.UserInfo(cfg.User, cfg.Password)}, nil
	case cfg.DataDir != "" && cfg.URL == "" && cfg.Server == nil:
		beside := besideDialer{dataDir: cfg.DataDir}
		return "nats://127.0.0.1", []nats.Option{
			nats.SetCustomDialer(beside), nats.UserInfoHandler(beside.user), nats.IgnoreAuthErrorAbort(),
			nats.CustomInboxPrefix(inbox(userStitcher)),
		}, nil
	case cfg.URL != "" && cfg.DataDir == "" && cfg.Server == nil:
		var opts []nats.Option
		if cfg.User != "" {
			opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
		}
		return cfg.URL, opts, nil
	}
	return "", nil, errors.New("exactly one of URL, DataDir and Server must be set")
}

// common are the options of every connection. Nothing is buffered while the connection is lost: a caller is told at once
// and nothing is sent behind its back later.
func common(cfg Config) []nats.Option {
	logger := cfg.Logger
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(redial),
		nats.ReconnectBufSize(-1),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { logger.Warn("the event log is away", "error", err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { logAsync(logger, err) }),
	}
	if user := userOf(cfg); user != "" {
		opts = append(opts, nats.CustomInboxPrefix(inbox(user)))
	}
	return opts
}

// logAsync logs what the server says about no request in particular. A denied request is one of these, and its caller
// only sees that no answer comes.
func logAsync(logger *slog.Logger, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		logger.Error("the event log denies a request to this user", "error", err)
		return
	}
	logger.Warn("the event log reports a fault", "error", err)
}

// userOf is the user that the connection is made as, as far as it is known beforehand.
func userOf(cfg Config) string {
	if cfg.User != "" {
		return cfg.User
	}
	if u, err := url.Parse(cfg.URL); err == nil && u.User != nil {
		return u.User.Username()
	}
	return ""
}

// besideDialer finds the embedded server of another process on this machine, anew at each attempt.
type besideDialer struct {
	dataDir string
}

// Dial implements nats.CustomDialer. The address is the one in the data folder, not the one given.
func (b besideDialer) Dial(network, _ string) (net.Conn, error) {
	c, err := ReadCredentials(b.dataDir)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("address in %s: %w", CredentialsPath(b.dataDir), err)
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	return d.Dial(network, u.Host)
}

// user gives the name and the password. When they cannot be read the server refuses the connection.
func (b besideDialer) user() (string, string) {
	c, err := ReadCredentials(b.dataDir)
	if err != nil {
		return "", ""
	}
	return c.User, c.Password
}
