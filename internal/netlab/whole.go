package netlab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// span is the time in which something happened in mid-call.
type span struct{ from, to time.Time }

// whole waits until the log says that what happened in mid-call has made no two calls of one: the same participants, who agreed
// once, and one recording that has them before it and after it.
func (c *call) whole() error {
	limit := time.After(waiting)
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := c.parted()
		if err == nil {
			return nil
		}
		select {
		case <-limit:
			return err
		case <-ticker.C:
		}
	}
}

// parted says what is in two, nil if nothing is.
func (c *call) parted() error {
	var raw []byte
	if err := c.server.rest("GET", "/consultations/"+c.id+"/events", nil, &raw); err != nil {
		return err
	}
	consents, strangers, requested := map[string]int{}, map[string]bool{}, 0
	for line := range bytes.Lines(raw) {
		var e struct {
			Type        events.Type
			Participant string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		switch e.Type {
		case events.TypeConsentGiven:
			consents[e.Participant]++
		case events.TypeArchiveRequested:
			requested++
		}
		if e.Participant != "" && e.Participant != c.people[0].id && e.Participant != c.people[1].id {
			strangers[e.Participant] = true
		}
	}
	if len(strangers) > 0 {
		return fmt.Errorf("the log has %d participants more than were invited", len(strangers))
	}
	for i, p := range c.people {
		if consents[p.id] != 1 {
			return fmt.Errorf("%s agreed %d times", roles[i], consents[p.id])
		}
	}
	if requested != 1 {
		return fmt.Errorf("%d archives were asked for, and there is one recording", requested)
	}
	var t timeline.Timeline
	if err := c.server.rest("GET", "/consultations/"+c.id+"/timeline", nil, &t); err != nil {
		return err
	}
	return c.joined(t)
}

// joined says whether the timeline has sound and picture of both from before what happened and from after it.
func (c *call) joined(t timeline.Timeline) error {
	at := func(when time.Time) int64 { return when.Sub(t.StartTime).Nanoseconds() }
	for i, p := range c.people {
		for _, kind := range []media.Kind{media.Audio, media.Video} {
			before, after := false, false
			for _, clip := range clips(t, p.id, kind) {
				before = before || clip.StartNS < at(c.happened.from)
				after = after || clip.EndNS > at(c.happened.to)
			}
			if !before || !after {
				return fmt.Errorf("the recording has %s of %s before: %t, after: %t", kind, roles[i], before, after)
			}
		}
	}
	for _, p := range t.Participants {
		for _, track := range p.Tracks {
			for _, gap := range track.Gaps {
				if gap.Cause == timeline.Missing || gap.Cause == timeline.Corrupt {
					return errors.New("the recording has a gap whose cause is " + string(gap.Cause))
				}
			}
		}
	}
	return nil
}

// clips are all of a kind that a timeline has of a participant.
func clips(t timeline.Timeline, participant string, kind media.Kind) []timeline.Clip {
	var list []timeline.Clip
	for _, p := range t.Participants {
		for _, track := range p.Tracks {
			if p.ID == participant && track.Kind == kind {
				list = append(list, track.Clips...)
			}
		}
	}
	return list
}
