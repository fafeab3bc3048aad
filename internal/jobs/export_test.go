package jobs

import (
	"time"

	"consilium/internal/events"
)

// Hurry makes the times of Work those of a test.
func (q *Queue) Hurry() {
	q.times = times{
		ackWait: time.Second, heartbeat: 100 * time.Millisecond, poll: time.Second,
		putBack: 20 * time.Millisecond, firstNak: 20 * time.Millisecond, lastNak: 100 * time.Millisecond,
		chunkAckWait: time.Second, chunkHeartbeat: 100 * time.Millisecond,
	}
}

// Patient makes the times of Work those of a queue that takes no silence for a death.
func (q *Queue) Patient() {
	q.times.ackWait, q.times.chunkAckWait = time.Hour, time.Hour
}

// AskOnce makes a request for a job last longer than any test.
func (q *Queue) AskOnce() { q.times.poll = time.Hour }

// Note keeps in open what is ordered and not answered.
func Note(open map[ArchiveJob]bool, stored events.Stored) { note(open, stored) }

// Rest is how long a job rests after it was offered and failed so often.
func Rest(offered uint64) time.Duration { return usual.rest(offered) }
