package recorder

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/media"
)

// metrics are shared by all recorders that are given the same Registerer.
type metrics struct {
	packets   prometheus.Counter
	dropped   func(why string) prometheus.Counter
	lost      prometheus.Counter
	frames    prometheus.Counter
	filled    func(why string) prometheus.Counter
	segments  func(reason string) prometheus.Counter
	bytes     prometheus.Counter
	keyframes prometheus.Counter
	failures  prometheus.Counter
	syncs     prometheus.Histogram
}

// Reasons for which packets are dropped, and of silence that is filled in.
const (
	droppedDuplicate = "duplicate"
	droppedLate      = "late"
	droppedOverrun   = "overrun"
	droppedEarly     = "early"   // from before recording was allowed, or went on
	droppedOverlap   = "overlap" // audio for a time that is written already
	droppedStorm     = "storm"   // the sender's clock or picture changes with every packet
	droppedInvalid   = "invalid"
	filledLoss       = "loss"
	filledDTX        = "dtx"
)

func newMetrics(reg prometheus.Registerer, kind media.Kind) (*metrics, error) {
	r := registry{reg: reg, kind: prometheus.Labels{"kind": string(kind)}}
	m := &metrics{
		packets:   r.counter("packets_total", "RTP packets given to recorders."),
		dropped:   r.counters("dropped_packets_total", "RTP packets that were not written.", "why"),
		lost:      r.counter("lost_packets_total", "RTP packets that were missing when their time was over."),
		frames:    r.counter("frames_total", "Video frames or audio packets written, silence included."),
		filled:    r.counters("filled_seconds_total", "Silence written in place of packets that were lost or not sent.", "why"),
		segments:  r.counters("segments_total", "Segments closed, by reason.", "reason"),
		bytes:     r.counter("bytes_total", "Bytes of media made durable."),
		keyframes: r.counter("keyframe_requests_total", "Keyframes asked for."),
		failures:  r.counter("write_failures_total", "Segments that a disk error ended or prevented."),
		syncs: r.histogram("sync_seconds", "Time to make the bytes of one file durable.",
			[]float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5}),
	}
	return m, r.err
}

// registry registers collectors, or finds those that another recorder registered.
type registry struct {
	reg  prometheus.Registerer
	kind prometheus.Labels
	err  error
}

const prefix = "consilium_recorder_"

func (r *registry) counter(name, help string) prometheus.Counter {
	return registered(r, prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: r.kind}))
}

func (r *registry) counters(name, help, label string) func(string) prometheus.Counter {
	opts := prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: r.kind}
	vec := registered(r, prometheus.NewCounterVec(opts, []string{label}))
	return func(value string) prometheus.Counter { return vec.WithLabelValues(value) }
}

func (r *registry) histogram(name, help string, buckets []float64) prometheus.Histogram {
	opts := prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets, ConstLabels: r.kind}
	return registered(r, prometheus.NewHistogram(opts))
}

func registered[C prometheus.Collector](r *registry, c C) C {
	if r.reg == nil {
		return c
	}
	err := r.reg.Register(c)
	var before prometheus.AlreadyRegisteredError
	if errors.As(err, &before) {
		if same, ok := before.ExistingCollector.(C); ok {
			return same
		}
	}
	r.err = errors.Join(r.err, err)
	return c
}
