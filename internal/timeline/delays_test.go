package timeline

import (
	"testing"
	"time"

	"consilium/internal/events"
)

// TestSoundThatTakesMuchLongerStaysWithItsPicture has reports of the sound that take 180 ms longer than those of the
// picture. Both are stamped by one clock, so that shows a long way and not a clock that was set.
func TestSoundThatTakesMuchLongerStaysWithItsPicture(t *testing.T) {
	for _, longer := range []time.Duration{80 * time.Millisecond, 120 * time.Millisecond, 180 * time.Millisecond} {
		s := newScript(t)
		s.begin("required")
		who := s.invite("patient")
		s.consent(-1, who)
		conn := s.join(0, who, "patient")
		a, v := s.audio(who, conn, 1), s.video(who, conn, 1)
		a.srDelay, a.delay = v.srDelay+longer, v.delay+longer
		a.whole(1, 90)
		v.whole(1, 90)
		s.leave(91, who, conn, "left")
		for _, track := range s.build().Participants[0].Tracks {
			for _, c := range track.Clips {
				if off, _ := s.misplaced(c); off.Abs() > 2*time.Millisecond {
					t.Errorf("%s later: %s at %s is placed %s off", longer, track.Kind, time.Duration(c.StartNS), off)
				}
			}
		}
	}
}

// TestNoiseOfReportsIsNoDelay has reports whose NTP time is off by up to 3 ms: on the whole they are right.
func TestNoiseOfReportsIsNoDelay(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	for _, src := range []*source{s.audio(who, conn, 1), s.video(who, conn, 1)} {
		src.firstSR, src.everySR, src.noise = sec(0.4), sec(1), 3*time.Millisecond
		src.whole(1, 90)
	}
	s.leave(91, who, conn, "left")
	for _, track := range s.build().Participants[0].Tracks {
		for _, c := range track.Clips {
			if off, _ := s.misplaced(c); off.Abs() > 2*time.Millisecond {
				t.Errorf("%s at %s is placed %s off", track.Kind, time.Duration(c.StartNS), off)
			}
		}
	}
}

// TestWhoIsCutOffHasNotStalled has a connection that is lost: packets stay away for more than five seconds, which is
// noticed as a stall, before ICE says that there is no connection.
func TestWhoIsCutOffHasNotStalled(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	v := s.video(who, conn, 1)
	v.start(1)
	v.play(1, 10, "started")
	s.add(15.2, who, events.TrackStalled{Track: v.id, AfterMS: 5200})
	s.add(15.5, who, events.ConnectionICEChanged{Connection: conn, State: "disconnected"})
	s.add(20, who, events.ConnectionICEChanged{Connection: conn, State: "connected"})
	s.add(20.1, who, events.TrackResumed{Track: v.id, AfterMS: 10_000})
	v.play(20.1, 40, "silence")
	v.stop(41, "closed")
	s.leave(41, who, conn, "left")
	for _, g := range s.build().Participants[0].Tracks[0].Gaps {
		if g.Cause != Disconnected && time.Duration(g.EndNS-g.StartNS) > time.Second {
			t.Errorf("from %s to %s: %s", time.Duration(g.StartNS), time.Duration(g.EndNS), g.Cause)
		}
	}
}

// TestPacketsKnowATremblingWayBetterThanReports has reports that take up to 40 ms longer than the fastest packets.
func TestPacketsKnowATremblingWayBetterThanReports(t *testing.T) {
	s := newScript(t)
	s.begin("required")
	who := s.invite("patient")
	s.consent(-1, who)
	conn := s.join(0, who, "patient")
	for _, src := range []*source{s.audio(who, conn, 1), s.video(who, conn, 1)} {
		src.delay = 45*time.Millisecond - s.packet[src.kind] // of the last packet of a frame
		src.srDelay, src.jitter, src.rtt = 45*time.Millisecond, 40*time.Millisecond, 90*time.Millisecond
		src.whole(1, 120)
	}
	s.leave(121, who, conn, "left")
	for _, track := range s.build().Participants[0].Tracks {
		for _, c := range track.Clips {
			if off, _ := s.misplaced(c); off.Abs() > 2*time.Millisecond {
				t.Errorf("%s at %s is placed %s off", track.Kind, time.Duration(c.StartNS), off)
			}
		}
	}
}
