package simpeer

import (
	"math/rand/v2"
	"time"

	"consilium/internal/media"
)

// Network is what happens to what a participant sends, on its way. The zero Network is perfect.
type Network struct {
	AudioDelay, VideoDelay time.Duration // one way, of packets and of the sender reports about them; ICE checks take the lesser
	Jitter                 time.Duration // a packet or report takes up to that longer; none overtakes another of its kind
	Loss                   float64       // fraction of packets that never arrive, retransmissions included
	Duplicate              float64       // fraction that arrives twice
	Probe                  float64       // fraction that arrives again 50 to 250 ms later, as a browser probes for bandwidth
	Reorder                float64       // fraction that comes ReorderBy later than it should
	ReorderBy              time.Duration // default 30 ms
	Seed                   uint64        // of the dice
}

// delay is what everything of a kind takes at least.
func (n Network) delay(k media.Kind) time.Duration {
	if k == media.Audio {
		return n.AudioDelay
	}
	return n.VideoDelay
}

// trip is how long the fastest takes there and back; the way back is as long as the way there.
func (n Network) trip() time.Duration { return 2 * min(n.AudioDelay, n.VideoDelay) }

// road decides when what is sent arrives. It reads no clock: the same plan, seed and times give the same fates.
type road struct {
	network Network
	began   time.Time // the actions count from here
	actions []Action  // Burst and Hold
	dice    *rand.Rand
	newest  map[media.Kind]time.Time // arrival, so that jitter lets nothing overtake
	fastest Fastest
}

// Fastest is how long the way took at least, of packets and of sender reports: what nobody at its end can know. Zero of
// what never came.
type Fastest struct {
	Packet, Report map[media.Kind]time.Duration
}

func (f *Fastest) note(of *map[media.Kind]time.Duration, k media.Kind, took time.Duration) {
	if *of == nil {
		*of = map[media.Kind]time.Duration{}
	}
	if least, ok := (*of)[k]; !ok || took < least {
		(*of)[k] = took
	}
}

func newRoad(n Network, began time.Time, actions []Action) *road {
	if n.ReorderBy == 0 {
		n.ReorderBy = 30 * time.Millisecond
	}
	return &road{
		network: n, began: began, actions: only(actions, Burst, Hold), dice: rand.New(rand.NewPCG(n.Seed, 1)),
		newest: map[media.Kind]time.Time{},
	}
}

// packet is when a packet arrives that is sent now: never, once, or more often.
func (r *road) packet(now time.Time, k media.Kind) []time.Time {
	if r.dice.Float64() < r.network.Loss || r.lost(now, k) {
		return nil
	}
	at := r.arrival(now, k)
	copies := []time.Time{at}
	if r.dice.Float64() < r.network.Duplicate {
		copies = append(copies, at.Add(time.Millisecond))
	}
	if r.dice.Float64() < r.network.Probe {
		copies = append(copies, at.Add(50*time.Millisecond+time.Duration(r.dice.Int64N(int64(200*time.Millisecond)))))
	}
	if r.dice.Float64() < r.network.Reorder {
		copies[0] = at.Add(r.network.ReorderBy)
	}
	r.fastest.note(&r.fastest.Packet, k, copies[0].Sub(now))
	return copies
}

// report is when a sender report arrives that is sent now; false if it never does.
func (r *road) report(now time.Time, k media.Kind) (time.Time, bool) {
	at, arrives := r.arrival(now, k), !r.lost(now, k)
	if arrives {
		r.fastest.note(&r.fastest.Report, k, at.Sub(now))
	}
	return at, arrives
}

func (r *road) lost(now time.Time, k media.Kind) bool {
	for _, a := range r.actions {
		if a.Do == Burst && a.of(k) && a.during(now.Sub(r.began)) {
			return true
		}
	}
	return false
}

func (r *road) arrival(now time.Time, k media.Kind) time.Time {
	at := now.Add(r.network.delay(k))
	for _, a := range r.actions {
		if end := r.began.Add(a.At + a.For); a.Do == Hold && a.of(k) && a.during(now.Sub(r.began)) && at.Before(end) {
			at = end
		}
	}
	if j := r.network.Jitter; j > 0 {
		at = at.Add(time.Duration(r.dice.Int64N(int64(j))))
		if at.Before(r.newest[k]) {
			at = r.newest[k]
		}
	}
	r.newest[k] = at
	return at
}
