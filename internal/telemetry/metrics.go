package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the process's registry. It begins with the figures of the Go runtime, of the process, and
// consilium_build_info.
type Metrics struct {
	registry *prometheus.Registry
}

// NewMetrics makes a registry of its own: the library's global one would mix the metrics of two servers in one test.
func NewMetrics() *Metrics {
	build := ReadBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "consilium_build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "go": build.Go},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return &Metrics{registry: r}
}

// Registerer is where packages register what they measure.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// Gatherer is the other side of Registerer.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
