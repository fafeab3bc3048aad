package sfu

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logFactory sends pion's log lines to slog at debug level, whatever pion thinks of them: it warns about what every call
// brings (a candidate that leads nowhere, a connection that closes), and its lines hold addresses.
type logFactory struct{ logger *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (f logFactory) NewLogger(scope string) logging.LeveledLogger {
	return leveledLogger{f.logger.With("pion", scope)}
}

type leveledLogger struct{ logger *slog.Logger }

func (l leveledLogger) log(msg string) { l.logger.Debug("pion says", "message", msg) }

func (l leveledLogger) logf(format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.log(fmt.Sprintf(format, args...))
	}
}

func (l leveledLogger) Trace(string)                      {}
func (l leveledLogger) Tracef(string, ...any)             {}
func (l leveledLogger) Debug(string)                      {}
func (l leveledLogger) Debugf(string, ...any)             {}
func (l leveledLogger) Info(msg string)                   { l.log(msg) }
func (l leveledLogger) Infof(format string, args ...any)  { l.logf(format, args...) }
func (l leveledLogger) Warn(msg string)                   { l.log(msg) }
func (l leveledLogger) Warnf(format string, args ...any)  { l.logf(format, args...) }
func (l leveledLogger) Error(msg string)                  { l.log(msg) }
func (l leveledLogger) Errorf(format string, args ...any) { l.logf(format, args...) }
