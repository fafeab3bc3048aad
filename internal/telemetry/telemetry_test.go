package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestNewLogger(t *testing.T) {
	tests := []struct {
		name      string
		cfg       LogConfig
		want, not []string
	}{
		{name: "text from info on by default", want: []string{"level=INFO msg=seen n=1"}, not: []string{"details", "{"}},
		{name: "debug shows details", cfg: LogConfig{Level: "debug"}, want: []string{"details", "seen"}},
		{name: "error is quiet", cfg: LogConfig{Level: "error"}, not: []string{"details", "seen"}},
		{name: "JSON", cfg: LogConfig{Format: "json"}, want: []string{`"msg":"seen","n":1`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			logger, err := NewLogger(tt.cfg, &out)
			if err != nil {
				t.Fatal(err)
			}
			logger.Debug("details")
			logger.Info("seen", "n", 1)
			for _, text := range tt.want {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is not in %q", text, out.String())
				}
			}
			for _, text := range tt.not {
				if strings.Contains(out.String(), text) {
					t.Errorf("%q is in %q", text, out.String())
				}
			}
		})
	}
	for _, bad := range []LogConfig{{Level: "loud"}, {Format: "xml"}} {
		if _, err := NewLogger(bad, io.Discard); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		logger, err := NewLogger(LogConfig{Format: format}, &out)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("seen", "api_secret", "hunter2", "Authorization", "Bearer hunter2", slog.Group("nats", "password", "hunter2"), "room", "blue")
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "blue") {
			t.Errorf("%s", out.String())
		}
	}
}

// TestScrape asks as Prometheus does.
func TestScrape(t *testing.T) {
	m := NewMetrics()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "consilium_test_total", Help: "x"})
	m.Registerer().MustRegister(c)
	c.Add(3)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"consilium_test_total 3", "go_goroutines ", "process_open_fds ", "consilium_build_info{", "} 1"} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%q is not in the answer", want)
		}
	}
	NewMetrics() // a second registry in one process is no conflict
}

func TestReadBuild(t *testing.T) {
	b := ReadBuild()
	if b.Go == "" || b.Revision == "" || !strings.HasPrefix(b.String(), "consilium ") {
		t.Errorf("build = %+v", b)
	}
}
