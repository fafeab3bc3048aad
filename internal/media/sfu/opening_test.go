package sfu

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// came is a packet of a stream: its number, its picture, whether it is the first of it, and when it came.
type came struct {
	number  int64
	picture uint32
	starts  bool
	at      time.Duration
}

func TestTheFirstPictureOfAStreamIsWhole(t *testing.T) {
	began := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	type out struct {
		Number int64
		At     time.Duration // that it is said to have come
	}
	for _, tt := range []struct {
		name   string
		came   []came
		want   []out
		wanted []int64
	}{
		{
			"what begins with a beginning waits for nothing",
			[]came{{7, 1, true, 0}},
			[]out{{7, 0}},
			nil,
		},
		{
			"a first packet that was overtaken goes in front, and counts as arrived with its picture",
			[]came{{8, 1, false, 0}, {9, 1, false, ms}, {7, 1, true, 30 * ms}},
			[]out{{7, 0}, {8, 0}, {9, ms}},
			[]int64{7},
		},
		{
			"two that are missing are asked for one after the other",
			[]came{{9, 1, false, 0}, {10, 2, true, 33 * ms}, {8, 1, false, 60 * ms}, {7, 1, true, 120 * ms}},
			[]out{{7, 0}, {8, 0}, {9, 0}, {10, 33 * ms}},
			[]int64{8, 7},
		},
		{
			"a hole behind the beginning is not waited for here",
			[]came{{9, 1, false, 0}, {7, 1, true, 20 * ms}},
			[]out{{7, 0}, {9, 0}},
			[]int64{8},
		},
		{
			"nothing of a picture before is taken",
			[]came{{8, 2, false, 0}, {7, 1, true, 30 * ms}, {9, 3, true, 250 * ms}},
			[]out{{8, 0}, {9, 250 * ms}},
			[]int64{7},
		},
		{
			"it does not wait for long",
			[]came{{8, 1, false, 0}, {9, 1, false, ms}, {10, 2, true, 199 * ms}, {11, 3, true, 233 * ms}},
			[]out{{8, 0}, {9, ms}, {10, 199 * ms}, {11, 233 * ms}},
			[]int64{7},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o opening
			var got []out
			var wanted []int64
			for _, c := range tt.came {
				if o.over {
					t.Fatalf("it was over before %v", c)
				}
				ready, _ := o.add(opened{c.number, c.starts, earlyPacket{&rtp.Packet{Header: rtp.Header{Timestamp: c.picture}}, began.Add(c.at)}})
				for _, p := range ready {
					got = append(got, out{p.number, p.arrival.Sub(began)})
				}
				if number, anew := o.wants(); anew {
					wanted = append(wanted, number)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" || !o.over {
				t.Errorf("over: %t; %s", o.over, d)
			}
			if d := cmp.Diff(tt.wanted, wanted); d != "" {
				t.Errorf("asked for: %s", d)
			}
		})
	}
}

// The first packets of a camera are lost, or come while it is not allowed to publish.
func TestWhatIsLostOfABeginningIsAskedFor(t *testing.T) {
	const pictures, packets = 10, 4
	for _, tt := range []struct {
		name  string
		lost  int // packets of the first picture, its first ones
		gated bool
		first uint16 // that a subscriber gets
		asked int
	}{
		{"nothing is lost", 0, false, 0, 0},
		{"the first packet is lost", 1, false, 0, 1},
		{"the first two are lost", 2, false, 0, 2},
		{"what is lost before it is allowed is not asked for", 1, true, packets, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire := newLossyWire(0, 0)
			c := join(t, newSFU(t).NewRoom(), "a", clientOptions{wire: wire, noNeed: true})
			camera := c.send(media.VP8, media.Camera)
			c.name(map[*outgoing]media.Source{camera: media.Camera})
			if err := c.offer(); err != nil {
				t.Fatal(err)
			}
			c.connected()
			begin, tries := camera.seq+1, map[uint16]int{}
			wire.drop = func(seq uint16) bool { // with the lock of the wire
				tries[seq]++
				return tries[seq] == 1 && seq-begin < uint16(tt.lost)
			}
			c.peer.AllowPublishing(!tt.gated)
			show := func() {
				camera.time += 3000
				for n := range packets {
					camera.seq++
					p := payload(uint64(camera.seq))
					if n > 0 {
						p[0] = 0 // goes on with the partition
					}
					camera.write(camera.seq, p)
				}
			}
			show()
			eventually(t, "the first picture", func() bool { return c.peer.counts.packetsIn.Load() >= uint64(packets-tt.lost) })
			c.peer.AllowPublishing(true)
			if tt.gated {
				show()
			}
			c.await("a publication", func() bool { return len(c.published) == 1 })
			got := &tap{}
			c.publications()[0].SubscribeSince(got, time.Time{})
			for range pictures {
				show()
			}
			last := camera.seq - begin
			eventually(t, "all packets", func() bool { n, _ := got.count(); return n == int(last-tt.first)+1 })
			var numbers, want []uint16
			for _, p := range got.packets {
				numbers = append(numbers, p.SequenceNumber-begin)
			}
			for n := tt.first; n <= last; n++ {
				want = append(want, n)
			}
			if d := cmp.Diff(want, numbers); d != "" {
				t.Errorf("packets, counted from the first: %s", d)
			}
			wire.mu.Lock()
			defer wire.mu.Unlock()
			if wire.asked < tt.asked || wire.asked > maxAsks*tt.asked {
				t.Errorf("it was asked for packets %d times, of which %d are worth it", wire.asked, tt.asked)
			}
		})
	}
}
