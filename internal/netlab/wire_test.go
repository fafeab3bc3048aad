package netlab

import (
	"testing"
	"time"
)

func TestNoPacketOvertakesAnother(t *testing.T) {
	for _, test := range []struct {
		name string
		link Link
	}{
		{"of those that are to arrive at once", Link{Delay: 10 * time.Millisecond}},
		{"where each takes longer by chance", Link{Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond}},
		{"where each waits for its turn", Link{Rate: 10_000_000, Queue: time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &delayLine{link: test.link, wake: make(chan struct{}, 1)}
			now := time.Now()
			const packets = 200
			for i := range packets {
				d.take([]byte{byte(i)}, now)
			}
			due, _ := d.due(now.Add(time.Minute))
			if len(due) != packets {
				t.Fatalf("%d packets of %d arrived", len(due), packets)
			}
			for i, packet := range due {
				if packet[0] != byte(i) {
					t.Fatalf("packet %d arrived as number %d", packet[0], i)
				}
			}
		})
	}
}
