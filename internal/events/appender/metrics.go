package appender

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Why a fact was not stored (label "reason").
const (
	droppedFull   = "full"   // an offered fact, and too many of them waited
	droppedFenced = "fenced" // another process hosts the consultation
	droppedClosed = "closed" // it came after Close, or was left when the time for Close was over
	droppedBad    = "bad"    // it can never be stored: a fault in the program
)

type metrics struct {
	append    prometheus.Histogram
	conflicts prometheus.Counter
	failures  prometheus.Counter
	waiting   prometheus.Gauge
	dropped   *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := promauto.With(registerer)
	return &metrics{
		append: m.NewHistogram(prometheus.HistogramOpts{
			Name: "consilium_appender_append_seconds", Help: "How long the log took to store what it was asked to.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		conflicts: m.NewCounter(prometheus.CounterOpts{
			Name: "consilium_appender_conflicts_total", Help: "Appends that came after a newer event and were tried again.",
		}),
		failures: m.NewCounter(prometheus.CounterOpts{
			Name: "consilium_appender_failures_total", Help: "Appends that the log refused or did not answer.",
		}),
		waiting: m.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_appender_waiting_facts", Help: "Facts that are queued and not stored yet.",
		}),
		dropped: m.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_appender_dropped_facts_total", Help: "Facts that were not stored, by reason.",
		}, []string{"reason"}),
	}
}
