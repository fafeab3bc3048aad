package main

import (
	"log/slog"
	"net/url"
	"testing"

	"consilium/internal/config"
	"consilium/internal/telemetry"
)

// Who lets the system choose the port finds it in the links.
func TestTheChosenPortStandsInTheAddress(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"127.0.0.1:0", "http://127.0.0.1:4711"},
		{"[::1]:0", "http://[::1]:4711"},
		{":0", "http://localhost:4711"},
		{"0.0.0.0:4711", "http://localhost:4711"},
	} {
		if got := (config.Live{Listen: atPort(tt.listen, 4711)}).BaseURL(); got != tt.want {
			t.Errorf("on %s people find %s, want %s", tt.listen, got, tt.want)
		}
	}
	l := &live{cfg: config.Live{Listen: "127.0.0.1:0"}, metrics: telemetry.NewMetrics(), logger: slog.New(slog.DiscardHandler), parts: newGroup(nil)}
	if err := l.openPort(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.port.Close()
	if u, err := url.Parse(l.cfg.BaseURL()); err != nil || u.Port() == "0" || u.Port() == "" {
		t.Errorf("the address is %s (%v)", l.cfg.BaseURL(), err)
	}
}
