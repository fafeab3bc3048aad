package webhook

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent      *prometheus.CounterVec
	took      prometheus.Histogram
	behind    prometheus.Gauge
	waiting   prometheus.Gauge
	dead      prometheus.Gauge
	suspended prometheus.Gauge
	sending   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "consilium_webhook_" + name, Help: help})
	}
	m := &metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_webhook_requests_total", Help: "Requests to receivers of webhooks, by how they ended: delivered, refused, away, gone.",
		}, []string{"result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consilium_webhook_request_seconds", Help: "Time of a request to a receiver.", Buckets: prometheus.ExponentialBuckets(0.005, 3, 8),
		}),
		behind:    gauge("behind_events", "Events of the log behind the position of the active endpoint that is farthest back."),
		waiting:   gauge("letters_waiting", "Events that a receiver has refused, and those behind them, which are tried again."),
		dead:      gauge("letters_dead", "Events that were given up and wait for a person."),
		suspended: gauge("endpoints_suspended", "Endpoints that wait for a person."),
		sending:   gauge("sending", "1 in the process that sends."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.sent, m.took, m.behind, m.waiting, m.dead, m.suspended, m.sending} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
