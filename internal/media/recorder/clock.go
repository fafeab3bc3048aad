package recorder

import (
	"time"

	"consilium/internal/media"
)

// Limits of clockWatch.
const (
	stepLimit  = 200 * time.Millisecond // RTP and arrival may go apart by that from packet to packet
	jumpLimit  = 2 * time.Second        // RTP time may go on by that from packet to packet
	stepHold   = time.Second            // how long a step is watched before it is believed
	stepFrames = 3                      // that must have come after it before it is believed
	floorEvery = 15 * time.Second       // length of the windows of the least delay
)

// clockWatch notices where the sender's RTP clock stood still or jumped, between the packets of one SSRC in order.
//
// A packet that comes much later than its RTP time says is held back first, with all behind it: when the network had
// stalled, the packets behind it catch up within moments and it was nothing; when the clock had stood still (a track taken
// off its sender and put back), they stay as late as it is. A packet that comes much earlier than any before it can only mean
// a jump.
type clockWatch struct {
	rate    uint32
	have    bool
	last    entry         // passed on most recently
	lastOff time.Duration // delay of its frame: arrival minus RTP time, from an arbitrary origin
	origin  entry         // delays count from here
	floor   [2]time.Duration
	since   time.Time // start of the window of floor[0]; floor[1] is the window before it
	held    []entry   // under suspicion, in order
	heldMin time.Duration
}

// push passes e on, or holds it back. cut is called between two packets that belong to different clocks, before the
// second one is passed on.
func (c *clockWatch) push(e entry, cut func(before, after entry), pass func(entry)) {
	switch {
	case !c.have:
		c.have, c.origin = true, e
		c.pass(e, pass)
	case len(c.held) > 0:
		c.suspect(e, cut, pass)
	case c.jumped(e) || c.delay(e) < c.least()-stepLimit:
		c.restart(e, cut, pass)
	case c.delay(e)-c.lastOff > stepLimit:
		c.heldMin = c.delay(e)
		c.suspect(e, cut, pass)
	default:
		c.pass(e, pass)
	}
}

// suspect holds e back until it is clear what the step before it was.
func (c *clockWatch) suspect(e entry, cut func(before, after entry), pass func(entry)) {
	c.held = append(c.held, e)
	c.heldMin = min(c.heldMin, c.delay(e))
	switch {
	case c.heldMin-c.lastOff <= stepLimit:
		c.release(cut, pass)
	default:
		c.expire(e.arrival, cut, pass)
	}
}

// deadline is when a suspicion becomes a fact; zero if nothing is held, or too little to tell.
func (c *clockWatch) deadline() time.Time {
	if c.heldFrames() < stepFrames {
		return time.Time{}
	}
	return c.held[0].arrival.Add(stepHold)
}

// expire believes a step that was held long enough.
func (c *clockWatch) expire(now time.Time, cut func(before, after entry), pass func(entry)) {
	if due := c.deadline(); !due.IsZero() && !now.Before(due) {
		c.believe(cut, pass)
	}
}

// flush decides now.
func (c *clockWatch) flush(cut func(before, after entry), pass func(entry)) {
	if c.heldFrames() >= stepFrames {
		c.believe(cut, pass)
	} else {
		c.release(cut, pass)
	}
}

// heldFrames counts how many times of capture the held packets have. One late frame may be a retransmission.
func (c *clockWatch) heldFrames() int {
	frames := 0
	for i, e := range c.held {
		if i == 0 || e.rtp != c.held[i-1].rtp {
			frames++
		}
	}
	return frames
}

func (c *clockWatch) believe(cut func(before, after entry), pass func(entry)) {
	first := c.held[0]
	c.held = append(c.held[:0:0], c.held[1:]...)
	c.restart(first, cut, pass)
	c.release(cut, pass)
}

// release passes on what is held, cutting at jumps only.
func (c *clockWatch) release(cut func(before, after entry), pass func(entry)) {
	held := c.held
	c.held = nil
	for _, e := range held {
		if c.jumped(e) {
			c.restart(e, cut, pass)
		} else {
			c.pass(e, pass)
		}
	}
}

// jumped says whether RTP time went back, or on by more than a track can be silent for.
func (c *clockWatch) jumped(e entry) bool {
	d := media.RTPDuration(e.rtp-c.last.rtp, c.rate)
	return d < 0 || d > jumpLimit
}

func (c *clockWatch) restart(e entry, cut func(before, after entry), pass func(entry)) {
	cut(c.last, e)
	c.origin, c.since = e, time.Time{}
	c.pass(e, pass)
}

func (c *clockWatch) pass(e entry, pass func(entry)) {
	if e.rtp != c.last.rtp || c.since.IsZero() {
		c.lastOff = c.delay(e) // that of a frame is that of its first packet
	}
	c.last = e
	switch {
	case c.since.IsZero():
		c.since, c.floor = e.arrival, [2]time.Duration{c.lastOff, c.lastOff}
	case e.arrival.Sub(c.since) > floorEvery:
		c.since, c.floor = e.arrival, [2]time.Duration{c.lastOff, c.floor[0]}
	default:
		c.floor[0] = min(c.floor[0], c.lastOff)
	}
	pass(e)
}

// delay is how much later than the origin e came, compared with its RTP time.
func (c *clockWatch) delay(e entry) time.Duration {
	return e.arrival.Sub(c.origin.arrival) - media.RTPDuration(e.rtp-c.origin.rtp, c.rate)
}

// least is the least delay of the last 15 to 30 seconds.
func (c *clockWatch) least() time.Duration {
	return min(c.floor[0], c.floor[1])
}

// parted says whether RTP time and arrival went apart between two packets, and how much longer the arrival took.
func parted(before, after entry, rate uint32) (time.Duration, bool) {
	d := after.arrival.Sub(before.arrival) - media.RTPDuration(after.rtp-before.rtp, rate)
	return d, d > stepLimit || d < -stepLimit
}
