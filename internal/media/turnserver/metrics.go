package turnserver

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	relays  prometheus.Gauge
	refused *prometheus.CounterVec
	bytes   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		relays: prometheus.NewGauge(prometheus.GaugeOpts{Name: "consilium_relay_open", Help: "Relays that are open."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_relay_refused_total",
			Help: "What relays were refused, by reason: credential, quota, peer (a foreign address), port (a packet to a foreign port).",
		}, []string{"reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_relay_bytes_total",
			Help: "Bytes that went over relays: in to the media port, out of it.",
		}, []string{"direction"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.relays, m.refused, m.bytes} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
