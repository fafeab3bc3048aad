// Package telemetry sets up what an operator looks at: the log and the metrics registry. What is logged and measured is
// decided where it happens; no package of ours is imported here.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogConfig says how the log is written. The zero LogConfig is text from level info on.
type LogConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// NewLogger makes the process's logger. Values under keys that name a secret are never written.
func NewLogger(cfg LogConfig, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if cfg.Level != "" {
		if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
			return nil, fmt.Errorf("log level %q: it must be debug, info, warn or error", cfg.Level)
		}
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: hideSecrets}
	switch cfg.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	default:
		return nil, fmt.Errorf("log format %q: it must be text or json", cfg.Format)
	}
}

// secretWords mark keys whose values stay out of the log. It is the last line: nobody should log a secret at all.
var secretWords = []string{"secret", "password", "token", "authorization", "cookie", "credential", "private_key", "dsn"}

func hideSecrets(_ []string, a slog.Attr) slog.Attr {
	key := strings.ToLower(a.Key)
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return slog.String(a.Key, "[hidden]")
		}
	}
	return a
}
