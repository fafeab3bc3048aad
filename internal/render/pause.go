package render

import (
	"time"

	"consilium/internal/events"
	"consilium/internal/timeline"
)

// pauses finds the stretches in which the recording was paused, with what the card over them says. One that was never
// resumed lasts until the end.
func pauses(tl *timeline.Timeline, w *words, zone *time.Location) []span[string] {
	var all []span[string]
	since := int64(-1)
	end := func(atNS int64) {
		if since >= 0 {
			text := w.between(tl.StartTime.Add(time.Duration(since)).In(zone), tl.StartTime.Add(time.Duration(atNS)).In(zone))
			all = append(all, span[string]{frameAt(since), frameAt(atNS), text})
			since = -1
		}
	}
	for _, m := range tl.Markers {
		switch events.Type(m.Type) {
		case events.TypeRecordingPaused:
			if since < 0 {
				since = m.AtNS
			}
		case events.TypeRecordingResumed:
			end(m.AtNS)
		}
	}
	end(tl.DurationNS)
	return all
}

// between writes a stretch of wall clock time: the day, from, to, the zone. Seconds are told when it is shorter than ten
// minutes.
func (w *words) between(from, to time.Time) string {
	clock := "15:04"
	if to.Sub(from) < 10*time.Minute {
		clock = "15:04:05"
	}
	day, until := from.Format(w.day), to.Format(clock)
	if last := to.Format(w.day); last != day {
		until = last + ", " + until
	}
	return day + ", " + from.Format(clock) + "–" + until + " " + to.Format("MST")
}
