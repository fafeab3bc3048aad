package store

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	projected prometheus.Counter
	unknown   prometheus.Counter
	failures  prometheus.Counter
	position  prometheus.Gauge
	lag       prometheus.Gauge
	stopped   prometheus.Gauge
	batch     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		projected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_projector_events_total", Help: "Events that this process has projected into the read model.",
		}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_projector_unknown_events_total", Help: "Projected events of types that this version does not know.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_projector_failures_total", Help: "How often projecting failed and was tried again.",
		}),
		position: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_projector_position_events", Help: "Stream sequence of the newest event that the read model shows.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_projector_lag_events", Help: "Events in the log that the read model does not show yet.",
		}),
		stopped: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_projector_stopped", Help: "1 when the projector has stopped for good and somebody must look: the log says why.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consilium_projector_batch_seconds", Help: "Time to project one batch.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.projected, m.unknown, m.failures, m.position, m.lag, m.stopped, m.batch} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
