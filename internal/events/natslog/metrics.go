package natslog

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	bytesDesc = prometheus.NewDesc("consilium_log_size_bytes", "How large the event log is.", nil, nil)
	limitDesc = prometheus.NewDesc("consilium_log_limit_bytes",
		"How large the event log may become. A full log refuses new events: raise the limit when 80 % are used.", nil, nil)
)

// size shows how full the log is. While the log is away it shows nothing.
type size struct {
	log *Log
}

// show registers the metrics and returns how to take them away.
func show(registerer prometheus.Registerer, l *Log) func() {
	if registerer == nil {
		return func() {}
	}
	c := size{log: l}
	if err := registerer.Register(c); err != nil {
		if !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			l.logger.Error("the size of the event log is not shown", "error", err)
		}
		return func() {}
	}
	return func() { registerer.Unregister(c) }
}

// Describe implements prometheus.Collector.
func (c size) Describe(ch chan<- *prometheus.Desc) {
	ch <- bytesDesc
	ch <- limitDesc
}

// Collect implements prometheus.Collector.
func (c size) Collect(ch chan<- prometheus.Metric) {
	info, err := c.log.info(context.Background())
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(info.State.Bytes))
	ch <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(info.Config.MaxBytes))
}
