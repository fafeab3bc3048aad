package spool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	failures, damaged, unconfirmed, stored prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Spool) *metrics {
	f := promauto.With(r)
	gauge := func(name, help string, value func(backlog) float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(s.backlog(time.Now())) })
	}
	gauge("consilium_spool_waiting_files", "Sealed segments that the blob store does not hold yet.",
		func(b backlog) float64 { return float64(b.files) })
	gauge("consilium_spool_waiting_bytes", "Bytes of sealed segments that the blob store does not hold yet.",
		func(b backlog) float64 { return float64(b.bytes) })
	gauge("consilium_spool_oldest_seconds", "How long the oldest of them that is not damaged has been waiting.",
		func(b backlog) float64 { return b.oldest.Seconds() })
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		failures:    counter("consilium_spool_failures_total", "Attempts to store a segment that failed."),
		damaged:     counter("consilium_spool_damaged_files_total", "Sealed files that are not what was sealed; somebody must look."),
		unconfirmed: counter("consilium_spool_unconfirmed_total", "Times that the blob store took a file and then did not give the very bytes back."),
		stored:      counter("consilium_spool_stored_files_total", "Segments that the blob store holds and the log names."),
	}
}

// backlog is what waits.
type backlog struct {
	files  int
	bytes  int64
	oldest time.Duration
}

func (s *Spool) backlog(now time.Time) backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b backlog
	for _, t := range s.tasks {
		b.files++
		b.bytes += t.segment.Bytes
		if !t.damaged {
			b.oldest = max(b.oldest, now.Sub(t.since))
		}
	}
	return b
}
