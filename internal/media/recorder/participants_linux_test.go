package recorder

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// BenchmarkParticipants is the cost of recording in real time: audio and video of so many participants for as long as
// the benchmark runs. cpu-ms/s is the process's CPU time for one participant and second, the making of the packets
// included; compare it with the line that records nothing.
func BenchmarkParticipants(b *testing.B) {
	for _, recording := range []bool{false, true} {
		b.Run(fmt.Sprintf("recording=%t", recording), func(b *testing.B) {
			const participants = 20
			dir := b.TempDir()
			var wg sync.WaitGroup
			before, began := cpuTime(b), time.Now()
			stop := began.Add(5 * time.Second)
			for range participants {
				for _, c := range []media.Codec{media.VP8, media.Opus} {
					wg.Go(func() { live(b, dir, c, recording, stop) })
				}
			}
			for b.Loop() {
				wg.Wait()
			}
			used := cpuTime(b) - before
			b.ReportMetric(used.Seconds()*1000/time.Since(began).Seconds()/participants, "cpu-ms/s")
		})
	}
}

// live sends the traffic of one track until stop.
func live(b *testing.B, dir string, c media.Codec, recording bool, stop time.Time) {
	b.Helper()
	tr := newTraffic(c)
	give := func(*rtp.Packet, time.Time) {}
	if recording {
		r, err := New(Config{Dir: dir}, videoTrack(c), func() {}, func(Report) {}, discard)
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
