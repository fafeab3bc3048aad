package sfu

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// question is what was asked for and when.
type question struct {
	At      time.Duration
	Numbers []uint16
}

// asking runs script with a nacks on a clock of its own and lists what it asked for.
func asking(t *testing.T, trip time.Duration, script func(n *nacks)) (asked []question) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		n := &nacks{rtt: func() time.Duration { return trip }}
		var mu sync.Mutex // each question comes from a goroutine of its own
		n.send = func(numbers []uint16) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, question{time.Since(began), slices.Clone(numbers)})
		}
		script(n)
		time.Sleep(time.Minute)
		n.stop()
	})
	return asked
}

const ms = time.Millisecond

func TestLostPacketsAreAskedForAFewTimesOnly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trip   time.Duration
		script func(n *nacks)
		want   []question
	}{
		{"nothing is lost", 50 * ms, func(n *nacks) { n.advanced(6, 7) }, nil},
		{"what comes by itself is not asked for", 50 * ms, func(n *nacks) {
			n.advanced(6, 9)
			time.Sleep(5 * ms)
			n.arrived(8)
			n.arrived(7)
		}, nil},
		{"an answer ends the questions", 50 * ms, func(n *nacks) {
			n.advanced(6, 9)
			time.Sleep(65 * ms)
			n.arrived(7)
		}, []question{{10 * ms, []uint16{7, 8}}, {82500 * time.Microsecond, []uint16{8}}, {230625 * time.Microsecond, []uint16{8}}, {525937500 * time.Nanosecond, []uint16{8}}}},
		{"the distance is that of the round trip", 150 * ms, func(n *nacks) { n.advanced(6, 8) }, []question{
			{10 * ms, []uint16{7}}, {207500 * time.Microsecond, []uint16{7}}, {405 * ms, []uint16{7}},
		}},
		{"nothing is asked that comes too late to be of use", 500 * ms, func(n *nacks) { n.advanced(6, 8) }, []question{{10 * ms, []uint16{7}}}},
		{"holes that open together are asked for together", 50 * ms, func(n *nacks) {
			n.advanced(65_534, 65_536)
			time.Sleep(4 * ms)
			n.advanced(65_536, 65_538)
			time.Sleep(50 * ms)
			n.arrived(65_535)
			n.arrived(65_537)
		}, []question{{10 * ms, []uint16{65_535, 1}}}},
		{"an ended stream is not asked for anything", 50 * ms, func(n *nacks) {
			n.advanced(6, 9)
			n.stop()
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, asking(t, tt.trip, tt.script)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAPacketComesThoughItsFirstRepetitionIsLost has a publisher who repeats a packet unless it did so a moment ago, and a
// network that loses what is repeated in the beginning.
func TestAPacketComesThoughItsFirstRepetitionIsLost(t *testing.T) {
	for _, tt := range []struct {
		name          string
		trip          time.Duration
		apart, outage time.Duration
		most          int // questions
	}{
		{"only the first repetition is lost", 40 * ms, 0, 20 * ms, 2},
		{"the network is away for 150 ms", 40 * ms, 0, 150 * ms, 3},
		{"the network is away for 400 ms", 40 * ms, 0, 400 * ms, 4},
		{"the publisher believes in a round trip of 150 ms", 40 * ms, 155 * ms, 20 * ms, 3},
		{"the publisher believes in a round trip of 400 ms", 40 * ms, 405 * ms, 20 * ms, 4},
		{"the way is short, and the publisher believes in a round trip of 500 ms", 2 * ms, 505 * ms, 20 * ms, 4},
		{"the way is long, and the publisher believes in a round trip of 300 ms", 100 * ms, 305 * ms, 20 * ms, 4},
		{"the way is very long, and the publisher believes in a round trip of 250 ms", 150 * ms, 255 * ms, 20 * ms, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex // guards what follows
			var came, repeated time.Duration
			asked := asking(t, tt.trip, func(n *nacks) {
				began, ask := time.Now(), n.send
				n.send = func(numbers []uint16) {
					ask(numbers)
					mu.Lock()
					defer mu.Unlock()
					at := time.Since(began) + tt.trip/2 // when the publisher hears of it
					if repeated > 0 && at-repeated < tt.apart {
						return
					}
					if repeated = at; at > tt.outage+tt.trip/2 {
						time.AfterFunc(tt.trip, func() {
							n.arrived(7)
							mu.Lock()
							defer mu.Unlock()
							came = time.Since(began)
						})
					}
				}
				n.advanced(6, 8)
			})
			if came == 0 || came > askUntil {
				t.Errorf("it came after %v, want within %v; questions: %v", came, askUntil, asked)
			}
			if len(asked) > tt.most {
				t.Errorf("it was asked for %d times, want at most %d: %v", len(asked), tt.most, asked)
			}
		})
	}
}

func TestAnOutageIsNotAskedForPacketByPacket(t *testing.T) {
	asked := asking(t, 50*ms, func(n *nacks) { n.advanced(0, 2500) })
	if n := len(asked[0].Numbers); n != maxMissing-1 && n != maxMissing {
		t.Errorf("%d of 2499 missing packets were asked for, want the newest %d", n, maxMissing)
	}
}

func TestQuestionsFollowTheRoundTrip(t *testing.T) {
	// The connection says 10 ms, answers take 120: soon nothing is asked for twice any more.
	var mu sync.Mutex
	asks := map[uint16]int{}
	synctest.Test(t, func(*testing.T) {
		n := &nacks{rtt: func() time.Duration { return 10 * ms }}
		n.send = func(numbers []uint16) {
			mu.Lock()
			defer mu.Unlock()
			for _, number := range numbers {
				asks[number]++
				time.AfterFunc(120*ms, func() { n.arrived(int64(number)) })
			}
		}
		for i := range int64(50) {
			n.advanced(10*i, 10*i+2)
			time.Sleep(70 * ms)
		}
		time.Sleep(time.Second)
		n.stop()
	})
	total, late := 0, 0
	for number, n := range asks {
		total += n
		if number > 100 {
			late = max(late, n)
		}
	}
	if len(asks) != 50 || total > 65 || late != 1 {
		t.Errorf("%d packets were asked for %d times; those behind the first ten up to %d times each: %s", len(asks), total, late, fmt.Sprint(asks))
	}
}
