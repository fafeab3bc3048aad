package recorder

import (
	"os"
	"testing"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// traffic is one second after the other of what a participant sends: a picture of 640x360 at 1.2 Mbit/s and 30 a second in
// about 146 packets, or 50 packets of sound.
type traffic struct {
	s    *sender
	clip []picture
	next int
	at   time.Time
}

func newTraffic(c media.Codec) *traffic {
	s := newSender(c)
	var clip []picture
	if c == media.Opus {
		for range 50 {
			clip = append(clip, picture{append([]byte{0xf8}, make([]byte, 103)...), true})
		}
	} else {
		s.step = 3000
		for i := range 30 {
			data := make([]byte, 5000)
			data[0] = 1
			if i == 0 {
				copy(data, []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
			}
			clip = append(clip, picture{data, i == 0})
		}
	}
	return &traffic{s: s, clip: clip, at: time.Now()}
}

// packets makes those of the next picture and their arrival.
func (tr *traffic) packets() ([]*rtp.Packet, time.Time) {
	var out []*rtp.Packet
	for _, p := range tr.s.send(0, tr.clip[tr.next]) {
		out = append(out, p.pkt)
	}
	tr.next = (tr.next + 1) % len(tr.clip)
	tr.at = tr.at.Add(tr.s.interval())
	return out, tr.at
}

// BenchmarkPacket is the cost of one packet from RTP to the file, rotation and syncs at their real rate per media time
// included.
func BenchmarkPacket(b *testing.B) {
	for _, c := range []media.Codec{media.VP8, media.Opus} {
		b.Run(string(c), func(b *testing.B) {
			b.ReportAllocs()
			m, err := newMetrics(nil, c.Kind())
			if err != nil {
				b.Fatal(err)
			}
			var r Recorder
			tr := newTraffic(c)
			syncer := newSyncer(0, datasync) // synced by hand
			p := newPipeline(Config{Dir: b.TempDir(), Syncer: syncer}.withDefaults(), videoTrack(c), func() {}, func(rep Report) {
				if s, ok := rep.(Sealed); ok {
					os.Remove(s.Path) // the spool would
				}
			}, discard, m, &r.bytes)
			// What a sender makes of a second is made before, and renumbered while it is measured.
			var second []*rtp.Packet
			for range tr.clip {
				packets, _ := tr.packets()
				second = append(second, packets...)
			}
			n, base := 0, second[0].Timestamp
			before := cpuTime(b)
			for b.Loop() {
				if n == len(second) {
					n = 0
					syncer.sync()
					for _, pkt := range second {
						pkt.SequenceNumber += uint16(len(second))
						pkt.Timestamp += c.ClockRate()
					}
				}
				pkt := second[n]
				n++
				at := tr.at.Add(media.RTPDuration(int64(pkt.Timestamp-base), c.ClockRate()))
				p.packet(pkt, at)
				if n%(len(second)/5) == 0 { // as often as a recorder is woken
					p.flush(at)
				}
			}
			b.StopTimer()
			used := cpuTime(b) - before
			p.close("ended", tr.at)
			b.ReportMetric(used.Seconds()*1e6/float64(b.N), "cpu-µs/packet")
		})
	}
}
