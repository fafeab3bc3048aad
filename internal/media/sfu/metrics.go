package sfu

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of one SFU.
type metrics struct {
	received, sent           prometheus.Counter
	duplicate, gated, broken prometheus.Counter // causes of dropped
	missing, asked           prometheus.Counter
	redundant, restored      prometheus.Counter
	floods                   prometheus.Counter
	nacksAnswered            prometheus.Counter
	nacksMissed              prometheus.Counter
	keyframeRequests         prometheus.Counter
	candidatesIgnored        *prometheus.CounterVec
	peers, publications      prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "consilium_sfu_packets_dropped_total",
		Help: "RTP packets that were taken in and not forwarded, by cause: duplicate (or too old), gated (publishing is not allowed yet), malformed.",
	}, []string{"cause"})
	m := &metrics{
		received: counter("consilium_sfu_packets_received_total", "RTP packets taken in, duplicates included."),
		sent:     counter("consilium_sfu_packets_sent_total", "RTP packets sent to participants, retransmissions included."),

		duplicate: dropped.WithLabelValues("duplicate"),
		gated:     dropped.WithLabelValues("gated"),
		broken:    dropped.WithLabelValues("malformed"),

		missing: counter("consilium_sfu_packets_missing_total", "Packets of video that had not come when a later one came."),
		asked:   counter("consilium_sfu_packets_asked_total", "Requests to publishers to send one packet again."),

		redundant: counter("consilium_sfu_packets_redundant_total", "Packets of audio that hold earlier ones once more (RED)."),
		restored:  counter("consilium_sfu_packets_restored_total", "Lost packets of audio that a later packet held once more (RED)."),

		floods: counter("consilium_sfu_floods_total", "Connections that brought more SSRCs than any browser does."),

		nacksAnswered:    counter("consilium_sfu_nacks_answered_total", "Packets sent again because a participant asked."),
		nacksMissed:      counter("consilium_sfu_nacks_missed_total", "Packets asked for again that the history did not hold."),
		keyframeRequests: counter("consilium_sfu_keyframe_requests_total", "Picture loss indications sent to publishers."),
		candidatesIgnored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_sfu_candidates_ignored_total",
			Help: "ICE candidates of clients that were not used, by reason.",
		}, []string{"reason"}),
		peers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_sfu_peers", Help: "Connections that are open.",
		}),
		publications: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_sfu_publications", Help: "Tracks that are being forwarded.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.received, m.sent, dropped, m.missing, m.asked, m.redundant, m.restored, m.floods, m.nacksAnswered, m.nacksMissed, m.keyframeRequests, m.candidatesIgnored, m.peers, m.publications,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register media metrics: %w", err)
		}
	}
	return m, nil
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
