package recorder

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// BenchmarkParticipants is the cost of recording in real time: audio and video of so many participants for as long as
// the benchmark runs. cpu-ms/s is the process's CPU time for one participant and second, the making of the packets
// included; compare it with the line that records nothing. Apart, each recorder has a syncer of its own; together, they
// share one. syncs/s are calls of fdatasync for one participant and second, wakes/s what woke for them.
func BenchmarkParticipants(b *testing.B) {
	for _, how := range []string{"none", "apart", "together"} {
		b.Run("recording="+how, func(b *testing.B) {
			const participants = 20
			dir := b.TempDir()
			var wg sync.WaitGroup
			var syncs, rounds atomic.Int64
			syncer := func() *Syncer {
				s := newSyncer(0, func(f *os.File) error {
					syncs.Add(1)
					return datasync(f)
				})
				s.round = func() { rounds.Add(1) }
				go s.run() // ends with Close
				return s
			}
			var shared *Syncer
			if how == "together" {
				shared = syncer()
				defer shared.Close()
			}
			before, began := cpuTime(b), time.Now()
			stop := began.Add(5 * time.Second)
			for range participants {
				for _, c := range []media.Codec{media.VP8, media.Opus} {
					s := shared
					if how == "apart" {
						s = syncer()
						defer s.Close()
					}
					wg.Go(func() { live(b, dir, c, s, stop) })
				}
			}
			for b.Loop() {
				wg.Wait()
			}
			used, seconds := cpuTime(b)-before, time.Since(began).Seconds()*participants
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(used.Seconds()*1000/seconds, "cpu-ms/s")
			b.ReportMetric(float64(syncs.Load())/seconds, "syncs/s")
			b.ReportMetric(float64(rounds.Load())/seconds, "wakes/s")
		})
	}
}

// live sends the traffic of one track until stop; nil records nothing of it.
func live(b *testing.B, dir string, c media.Codec, s *Syncer, stop time.Time) {
	b.Helper()
	tr := newTraffic(c)
	give := func(*rtp.Packet, time.Time) {}
	if s != nil {
		r, err := New(Config{Dir: dir, Syncer: s}, videoTrack(c), func() {}, func(Report) {}, discard)
		if err != nil {
			b.Error(err)
			return
		}
		defer r.Close("ended")
		give = r.RTP
	}
	tick := time.NewTicker(tr.s.interval())
	defer tick.Stop()
	for now := range tick.C {
		if now.After(stop) {
			return
		}
		packets, _ := tr.packets()
		for _, p := range packets {
			give(p, now)
		}
	}
}

// cpuTime is the CPU time of this process so far.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
