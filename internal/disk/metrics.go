package disk

import "github.com/prometheus/client_golang/prometheus"

var (
	freeDesc = prometheus.NewDesc("consilium_disk_free_bytes", "Room that is left.", []string{"place"}, nil)
	sizeDesc = prometheus.NewDesc("consilium_disk_size_bytes", "Room that there is altogether.", []string{"place"}, nil)
	daysDesc = prometheus.NewDesc("consilium_disk_days_left",
		"How long the room lasts: by=history as over the last days, by=now as in the last minutes; +Inf when it does not shrink.",
		[]string{"place", "by"}, nil)
	levelDesc = prometheus.NewDesc("consilium_disk_level",
		"0 enough, 1 low, 2 so little that no recorded consultation can be begun.", []string{"place"}, nil)
)

// Describe implements prometheus.Collector.
func (w *Watch) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{freeDesc, sizeDesc, daysDesc, levelDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (w *Watch) Collect(ch chan<- prometheus.Metric) {
	for _, r := range w.Reports() {
		gauge := func(d *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{r.Name}, labels...)...)
		}
		gauge(freeDesc, float64(r.Space.Free))
		gauge(sizeDesc, float64(r.Space.Total))
		gauge(daysDesc, r.DaysByHistory, "history")
		gauge(daysDesc, r.DaysNow, "now")
		gauge(levelDesc, float64(r.Level))
	}
}
