package jobs

import "time"

// Hurry makes the times of Work those of a test.
func (q *Queue) Hurry() {
	q.times = times{
		ackWait: time.Second, heartbeat: 100 * time.Millisecond, poll: time.Second,
		firstNak: 20 * time.Millisecond, lastNak: 100 * time.Millisecond,
		chunkAckWait: time.Second, chunkHeartbeat: 100 * time.Millisecond,
	}
}
