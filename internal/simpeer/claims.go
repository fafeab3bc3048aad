package simpeer

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// claims remembers when sender reports were sent, by the time that they claim.
//
// A receiver sends that time back, and a sender learns the round trip from it (RFC 3550 §6.4.1). On a machine whose clock is
// wrong it comes out right, since one and the same clock is read twice. Here only the reports are wrong: pion reads the true
// time when one comes back, and would take a clock that is 9 s behind for a round trip of 9 s. A packet that was sent again is not
// sent again within a round trip, so that one whose repetition was lost would never come. The zero value is ready.
type claims struct {
	mu   sync.Mutex       // guards sent
	sent map[claim]uint32 // when, as toShortNTP; a few are added each second and none is forgotten
}

// claim is what a receiver tells of a sender report.
type claim struct{ ssrc, ntp uint32 }

// note remembers a report that is sent now.
func (c *claims) note(sr *rtcp.SenderReport, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent == nil {
		c.sent = map[claim]uint32{}
	}
	c.sent[claim{sr.SSRC, toShortNTP(sr.NTPTime)}] = toShortNTP(toNTP(now))
}

// correct puts the true time of sender reports into what tells of them, and none where they are not known: nothing is
// measured then.
func (c *claims) correct(packets []rtcp.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range packets {
		var told []rtcp.ReceptionReport
		switch p := p.(type) {
		case *rtcp.ReceiverReport:
			told = p.Reports
		case *rtcp.SenderReport:
			told = p.Reports
		}
		for i := range told {
			told[i].LastSenderReport = c.sent[claim{told[i].SSRC, told[i].LastSenderReport}]
		}
	}
}

// toShortNTP is the middle of an NTP timestamp, in which round trips are measured.
func toShortNTP(ntp uint64) uint32 { return uint32(ntp >> 16) }
