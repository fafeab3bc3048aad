package spool

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	files, bytes      prometheus.Gauge
	failures, damaged prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		files: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_spool_waiting_files", Help: "Sealed segments that the blob store does not hold yet.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_spool_waiting_bytes", Help: "Bytes of sealed segments that the blob store does not hold yet.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_spool_failures_total", Help: "Attempts to store a segment that failed.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_spool_damaged_files_total", Help: "Sealed files that are not what was sealed; somebody must look.",
		}),
	}
	if r != nil {
		r.MustRegister(m.files, m.bytes, m.failures, m.damaged)
	}
	return m
}
