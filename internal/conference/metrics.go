package conference

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	conferences prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		conferences: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_conference_hosted_consultations",
			Help: "Consultations that this process hosts at the moment.",
		}),
	}
	if r != nil {
		r.MustRegister(m.conferences)
	}
	return m
}
