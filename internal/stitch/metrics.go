package stitch

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	archives *prometheus.CounterVec // by result: ok or a failure's code
	seconds  *prometheus.HistogramVec
	speed    prometheus.Histogram
	lost     *prometheus.CounterVec // by cause
	reused   prometheus.Counter
	isolated prometheus.Counter
	tidied   prometheus.Counter
	early    *prometheus.CounterVec // by what became of it
}

// What becomes of chunks that are made while a call goes on.
const (
	earlyQueued  = "queued"  // chunks
	earlyMade    = "made"    // chunks
	earlyFailed  = "failed"  // chunks, left to the archive's job
	earlyUsed    = "used"    // chunks that are in the archive
	earlyUnused  = "unused"  // chunks that are not
	earlyHeld    = "held"    // plans that were put off because the machine had no time
	earlyRefused = "refused" // questions for which there was no room
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		archives: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_stitch_archives_total", Help: "Archive jobs that ended, by result: ok, or the code of the failure.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consilium_stitch_stage_seconds", Help: "How long a stage of a job took.",
			Buckets: prometheus.ExponentialBuckets(0.1, 3, 10),
		}, []string{"stage"}),
		speed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consilium_stitch_speed_ratio", Help: "Length of an archive divided by the time it took to make.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 10),
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_stitch_lost_segments_total", Help: "Segments that could not be shown, by cause: missing, corrupt.",
		}, []string{"cause"}),
		reused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_stitch_reused_chunks_total", Help: "Chunks and sounds that were found finished in the blob store.",
		}),
		tidied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_stitch_removed_chunks_total", Help: "Finished chunks and sounds that were removed because nobody had used them for long.",
		}),
		isolated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consilium_stitch_isolated_chunks_total", Help: "Chunks that could not be made: cards stand in their place.",
		}),
	}
	m.early = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "consilium_stitch_early_chunks_total",
		Help: "Chunks of calls that were going on, by what became of them: queued, made, failed, used, unused; held: plans put off for want of idle processors; refused: questions without room.",
	}, []string{"what"})
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.archives, m.seconds, m.speed, m.lost, m.reused, m.isolated, m.tidied, m.early} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
