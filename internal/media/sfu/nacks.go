package sfu

import (
	"sync"
	"time"
)

// Limits of asking for lost packets.
const (
	// maxAsks is how often one packet is asked for. A publisher's line that loses packets must not be filled with what it
	// has sent already.
	maxAsks = 4
	// askFirst lets a packet that was merely overtaken come by itself.
	askFirst = 10 * time.Millisecond
	// askUntil is how old a hole may be when the answer to a question about it can still be used: the recorder's wait for
	// late packets, and longer than any browser's.
	askUntil = 600 * time.Millisecond
	// askTogether is by how much a question may come early to go along with another.
	askTogether = 5 * time.Millisecond
	// Distance from the first question for a packet to the second: a quarter more than a round trip, within these bounds.
	askSoonest, askLatest = 40 * time.Millisecond, 250 * time.Millisecond
	// firstRTT is what a round trip is taken for before anything was measured.
	firstRTT = 80 * time.Millisecond
	// maxMissing bounds how many packets are waited for; more at once is no loss but an outage, which ends in a new
	// picture.
	maxMissing = 256
)

// nacks asks the publisher of one stream for the packets that did not come: a few times, over all the time in which an
// answer is of use, and not any more once a packet is there. pion's generator asks at a fixed distance whatever the round
// trip is.
type nacks struct {
	send func(numbers []uint16) // asks; called without the lock
	rtt  func() time.Duration   // of the connection, 0 if unknown

	mu      sync.Mutex // guards what follows
	missing []missed   // by number
	trip    time.Duration
	timer   *time.Timer // nil before anything was missing
	stopped bool
}

// missed is a packet that is waited for.
type missed struct {
	number int64     // unwrapped
	since  time.Time // when a later one came
	due    time.Time // when it is to be asked for (again)
	first  time.Time // when it was asked for first
	asked  int
}

// advanced notes that the newest number went from before to now; all between are missing.
func (n *nacks) advanced(before, now int64) {
	if now-before <= 1 {
		return
	}
	at := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for number := max(before+1, now-maxMissing); number < now; number++ {
		n.missing = append(n.missing, missed{number: number, since: at, due: at.Add(askFirst)})
	}
	if over := len(n.missing) - maxMissing; over > 0 {
		n.missing = append(n.missing[:0], n.missing[over:]...)
	}
	n.scheduleLocked(at)
}

// arrived notes that a packet that was behind the newest one has come.
func (n *nacks) arrived(number int64) {
	at := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.missing {
		if n.missing[i].number == number {
			n.measureLocked(n.missing[i], at)
			n.missing = append(n.missing[:i], n.missing[i+1:]...)
			return
		}
	}
}

// measureLocked learns the round trip from a question and its answer. With several questions the answer counts as that to
// the first: too long a distance asks late now and then, too short a one asks for ever for what is on its way. It rises
// faster than it falls, because what was merely overtaken looks like a quick answer.
func (n *nacks) measureLocked(m missed, at time.Time) {
	if m.asked == 0 || m.asked == maxAsks {
		return
	}
	trip := at.Sub(m.first)
	if trip > n.trip {
		n.trip += (trip - n.trip) / 4
	} else {
		n.trip += (trip - n.trip) / 8
	}
}

// tripLocked is the round trip as far as it is known.
func (n *nacks) tripLocked() time.Duration {
	if n.trip == 0 {
		if n.trip = n.rtt(); n.trip <= 0 {
			n.trip = firstRTT
		}
	}
	return n.trip
}

// ask asks for what is due, and forgets what cannot come in time any more.
func (n *nacks) ask() {
	now := time.Now()
	n.mu.Lock()
	if n.stopped {
		n.mu.Unlock()
		return
	}
	trip := n.tripLocked()
	var numbers []uint16
	kept := n.missing[:0]
	for _, m := range n.missing {
		if m.due.After(now.Add(askTogether)) {
			kept = append(kept, m)
			continue
		}
		if m.asked == maxAsks || now.Add(trip).After(m.since.Add(askUntil)) && m.asked > 0 {
			continue
		}
		if m.asked == 0 {
			m.first = now
		}
		m.asked++
		m.due = now.Add(m.wait(now, trip))
		kept = append(kept, m)
		numbers = append(numbers, uint16(m.number))
	}
	n.missing = kept
	n.scheduleLocked(now)
	n.mu.Unlock()
	if len(numbers) > 0 {
		n.send(numbers)
	}
}

// wait is how long after a question at now the next one is due. The second comes as soon as the answer to the first could
// have, for the sake of those who watch. If that was lost too, something lasts: a stall of the network, or a publisher who
// does not repeat a packet twice within the round trip that it knows, which for a browser is the mean of the whole call
// (libwebrtc, RtpPacketHistory::VerifyRtt). So the third one waits twice as long, and the last one as long as an answer
// is of use.
func (m missed) wait(now time.Time, trip time.Duration) time.Duration {
	distance := min(max(trip*5/4+askFirst, askSoonest), askLatest)
	left := m.since.Add(askUntil - trip*5/4 - askFirst).Sub(now) // until it is too late for an answer, with some to spare
	switch m.asked {
	case maxAsks - 2:
		return max(distance, min(2*distance, left/2)) // two are to come
	case maxAsks - 1:
		return max(distance, left)
	default:
		return distance
	}
}

// scheduleLocked makes ask be called when the next question is due.
func (n *nacks) scheduleLocked(now time.Time) {
	if len(n.missing) == 0 || n.stopped {
		return
	}
	due := n.missing[0].due
	for _, m := range n.missing[1:] {
		if m.due.Before(due) {
			due = m.due
		}
	}
	if n.timer == nil {
		n.timer = time.AfterFunc(due.Sub(now), n.ask)
		return
	}
	n.timer.Reset(due.Sub(now))
}

// stop ends all asking.
func (n *nacks) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
	if n.timer != nil {
		n.timer.Stop()
	}
}
