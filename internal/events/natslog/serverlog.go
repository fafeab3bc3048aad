package natslog

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// serverLog hands the server's own log on. What it notes in passing is for us, not for an operator.
type serverLog struct {
	logger *slog.Logger
	broke  func() // called when the server will not store any more; it says so nowhere else
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
	text := fmt.Sprintf(format, v...)
	s.logger.Warn("nats", "says", text)
	s.judge(text)
}

func (s serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	s.logger.Error("nats", "says", text)
	s.judge(text)
}

// judge looks for what the server says when the disk has failed (nats-server, server/stream.go and filestore.go).
func (s serverLog) judge(text string) {
	for _, sign := range []string{"failed to store a msg", "disabling JetStream", "Critical write error"} {
		if strings.Contains(text, sign) {
			s.broke()
			return
		}
	}
}

func (s serverLog) Fatalf(format string, v ...any) {
	s.logger.Error("nats", "says", fmt.Sprintf(format, v...))
}
