package logtest_test

import (
	"testing"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(*testing.T) events.Log { return logtest.NewMemory() })
}
