package natslog

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// serverLog hands the server's own log on. What it notes in passing is for us, not for an operator.
type serverLog struct {
	logger *slog.Logger
}

var _ server.Logger = serverLog{}

func (s serverLog) Noticef(format string, v ...any) {
	s.logger.Debug("nats", "says", fmt.Sprintf(format, v...))
}

func (s serverLog) Debugf(format string, v ...any) {
	s.logger.Debug("nats", "says", fmt.Sprintf(format, v...))
}

func (s serverLog) Tracef(format string, v ...any) {
	s.logger.Debug("nats", "says", fmt.Sprintf(format, v...))
}

func (s serverLog) Warnf(format string, v ...any) {
	s.logger.Warn("nats", "says", fmt.Sprintf(format, v...))
}

func (s serverLog) Errorf(format string, v ...any) {
	s.logger.Error("nats", "says", fmt.Sprintf(format, v...))
}

func (s serverLog) Fatalf(format string, v ...any) {
	s.logger.Error("nats", "says", fmt.Sprintf(format, v...))
}
